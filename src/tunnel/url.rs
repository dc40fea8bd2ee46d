//! The client's end: the URL of a WebSocket forwarder that takes `?target=host:port` (docs/protocol.md, "The tunnel"), and the upgrade, read by `h1`.
//! May touch the network and the clock.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::handshake::check_answer;
use super::transport::Transport;
use super::websocket::TunnelStream;
use crate::error::{Error, Phase, Result, Status};
use crate::h1::{Connection, EventKind, ProtocolError, Role, Rules};
use crate::io::dialling;
use crate::message::credentials::without_login;
use crate::{log, tls};

/// How much of a refusal's body an error shows, and how long reading it may take.
const REASON: (usize, Duration) = (200, Duration::from_secs(1));
/// How many informational responses may precede the final one.
const INFORMATIONAL: usize = 16;

/// A parsed tunnel URL, with `target` filled in.
#[derive(Clone, Debug)]
pub struct TunnelUrl {
    authority: String,
    /// Path and query.
    path: String,
    host: String,
    port: u16,
    secure: bool,
    /// As the caller gave it.
    given: String,
    names_target: bool,
}

impl TunnelUrl {
    /// `ws://` or `wss://`; `target=host:port` is added to the query unless it is there.
    pub fn parse(url: &str, target_host: &str, target_port: u16) -> Result<TunnelUrl> {
        let invalid =
            |why: String| Error::new(Status::InvalidArgument, format!("tunnel URL {:?}: {why}", without_login(url)));
        let uri: http::Uri = url.parse().map_err(|error: http::uri::InvalidUri| invalid(error.to_string()))?;
        let secure = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            _ => return Err(invalid("must begin with ws:// or wss://".into())),
        };
        let host = uri.host().ok_or_else(|| invalid("has no host".into()))?;
        let query = uri.query().unwrap_or_default();
        let has_target = query.split('&').any(|pair| pair.split('=').next() == Some("target"));
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') {
            return Err(invalid("must not carry credentials".into()));
        }
        let target = log::place(target_host, target_port);
        let target = percent_encoding::utf8_percent_encode(&target, percent_encoding::NON_ALPHANUMERIC);
        let path = match (query.is_empty(), has_target) {
            (_, true) => format!("{}?{query}", uri.path()),
            (true, false) => format!("{}?target={target}", uri.path()),
            (false, false) => format!("{}?{query}&target={target}", uri.path()),
        };
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(TunnelUrl {
            authority: authority.into(),
            path,
            host: host.into(),
            port,
            secure,
            given: url.into(),
            names_target: has_target,
        })
    }

    /// The same forwarder with another target. Errors: TunnelRefused, if the URL itself names a target.
    pub fn to(&self, host: &str, port: u16) -> Result<TunnelUrl> {
        if self.names_target {
            let message = "the tunnel's URL names its own target, so that it leads nowhere else";
            return Err(Error::new(Status::TunnelRefused, message).phase(Phase::Tunnel));
        }
        TunnelUrl::parse(&self.given, host, port)
    }

    /// As the caller gave it, whatever the target.
    pub fn given(&self) -> &str {
        &self.given
    }

    /// Dials the forwarder and upgrades.
    pub async fn open(&self, tls: &Arc<ClientConfig>, dial: &dialling::Dial) -> Result<Transport> {
        let socket = dialling::dial(&self.host, self.port, dial).await.map_err(|error| error.context("tunnel"))?;
        if self.secure {
            let stream = tls::handshake(tls.clone(), &self.host, socket).await;
            let stream = stream.map_err(|error| error.context("tunnel").phase(Phase::Tunnel))?;
            Ok(Transport::Wss(Box::new(self.upgrade(stream).await?)))
        } else {
            Ok(Transport::Ws(Box::new(self.upgrade(socket).await?)))
        }
    }

    /// Upgrades a connection to the forwarder.
    #[doc(hidden)]
    pub async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(&self, mut io: S) -> Result<TunnelStream<S>> {
        let mut key = [0; 16];
        let none = |_| Error::new(Status::Internal, "the system gave no random numbers").phase(Phase::Tunnel);
        aws_lc_rs::rand::fill(&mut key).map_err(none)?;
        let key = STANDARD.encode(key);
        let mut conn = Connection::new(Role::Client, Rules::default());
        let headers = [
            ("Host", &*self.authority),
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", &key),
        ];
        let lines = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let impossible =
            |error: ProtocolError| Error::new(Status::InvalidArgument, format!("tunnel: {}", error.message));
        let head = conn.send_request(b"GET", self.path.as_bytes(), lines).map_err(impossible)?.to_vec();
        conn.send_end_of_message(std::iter::empty()).map_err(impossible)?;
        io.write_all(&head).await.map_err(broken_off)?;
        io.flush().await.map_err(broken_off)?;
        for _ in 0..INFORMATIONAL {
            match answer(&mut conn, &mut io, &key).await? {
                101 => {
                    log::emit(log::DEBUG, || format!("tunnel: {}: upgraded", log::place(&self.host, self.port)));
                    return TunnelStream::new(io, conn.trailing_data().0);
                }
                100..200 => {}
                status => return Err(refused(&mut conn, &mut io, status).await),
            }
        }
        Err(protocol("informational answers without end"))
    }
}

/// The status of the next response; if it is 101, all of it is checked.
async fn answer<S: AsyncRead + Unpin>(conn: &mut Connection, io: &mut S, key: &str) -> Result<u16> {
    loop {
        let event = conn.next_event().map_err(|error| protocol(&error.message))?;
        match event.kind {
            EventKind::NeedData => read_more(conn, io).await?,
            EventKind::InformationalResponse if event.status == 101 => {
                return check_answer(&event.fields, key).map_err(protocol).map(|()| 101);
            }
            EventKind::InformationalResponse | EventKind::Response => return Ok(event.status),
            _ => return Err(protocol("the connection ended before an answer")),
        }
    }
}

async fn read_more<S: AsyncRead + Unpin>(conn: &mut Connection, io: &mut S) -> Result<()> {
    if io.read_buf(conn.room(1024)).await.map_err(broken_off)? == 0 {
        conn.receive_eof();
    }
    Ok(())
}

async fn refused<S: AsyncRead + Unpin>(conn: &mut Connection, io: &mut S, status: u16) -> Error {
    let mut body = Vec::new();
    let reading = async {
        while let Ok(event) = conn.next_event()
            && body.len() < REASON.0
        {
            match event.kind {
                EventKind::Data => body.extend_from_slice(event.data),
                EventKind::NeedData => read_more(conn, io).await?,
                _ => break,
            }
        }
        Ok::<_, Error>(())
    };
    // The reason is optional.
    let _ = tokio::time::timeout(REASON.1, reading).await;
    let reason = String::from_utf8_lossy(&body[..body.len().min(REASON.0)]).escape_debug().to_string();
    let message = format!("the tunnel answered with status {status}: {reason}");
    Error::new(Status::TunnelRefused, message).phase(Phase::Tunnel).http_status(status)
}

fn broken_off(error: std::io::Error) -> Error {
    Error::from_io(error, Phase::Tunnel).context("tunnel")
}

fn protocol(why: &str) -> Error {
    Error::new(Status::WebSocket, format!("tunnel: {why}")).phase(Phase::Tunnel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_added_where_it_is_absent() {
        let url = |url: &str| TunnelUrl::parse(url, "tee.example", 443).map(|parsed| parsed.authority + &parsed.path);
        assert_eq!(url("ws://p/").unwrap(), "p/?target=tee%2Eexample%3A443");
        assert_eq!(url("wss://p:1/x?a=1").unwrap(), "p:1/x?a=1&target=tee%2Eexample%3A443");
        assert_eq!(url("ws://p?target=other:1").unwrap(), "p/?target=other:1");
        let address = |host| TunnelUrl::parse("ws://p/", host, 443).unwrap().path;
        assert_eq!(address("::1"), "/?target=%5B%3A%3A1%5D%3A443");
        assert_eq!(address("[::1]"), address("::1"));
        for bad in ["http://p/", "ws:///", "p", "ws://u:p@h/"] {
            assert_eq!(url(bad).unwrap_err().status, Status::InvalidArgument, "{bad}");
        }
        for url_with_password in ["ws://u:secret@a/", "wss://u:secret@a b/", "http://u:secret@a/"] {
            let why = url(url_with_password).unwrap_err().message;
            assert!(!why.contains("secret") && why.contains("***@a"), "{why}");
        }
    }
}
