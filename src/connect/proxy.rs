//! A way through an HTTP proxy, by CONNECT (RFC 9110 section 9.3.6). The proxy is untrusted, as every network is: TLS and the evidence run end
//! to end through it. What it says is read by our own state machine.

use std::fmt;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::{Host, Url};

use crate::error::{Error, Phase, Result, Status};
use crate::h1::{Connection, EventKind, Role, Rules};
use crate::net::{self, Socket};

/// A proxy, and how it knows us.
#[derive(Clone)]
pub struct Proxy {
    host: String,
    port: u16,
    /// Value of Proxy-Authorization.
    credentials: Option<String>,
}

/// Credentials do not go into logs.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy {}:{}", self.host, self.port)
    }
}

impl Proxy {
    /// `http://host:port`, without more; the port is 80 where there is none.
    pub fn parse(text: &str, credentials: Option<String>) -> Result<Proxy> {
        let invalid = |why: &str| Error::new(Status::InvalidArgument, format!("proxy URL: {why}"));
        let url = Url::parse(text).map_err(|error| invalid(&error.to_string()))?;
        if url.scheme() != "http" {
            return Err(Error::new(Status::Unsupported, format!("proxy URL: scheme \"{}\"", url.scheme())));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("credentials are an argument of their own"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(invalid("more than host and port"));
        }
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return Err(invalid("no host")),
        };
        Ok(Proxy { host, port: url.port_or_known_default().unwrap_or(80), credentials })
    }

    /// A socket to `host:port`, whose name the proxy resolves.
    pub async fn open(&self, host: &str, port: u16) -> Result<Socket> {
        let mut socket = net::dial(&self.host, self.port).await.map_err(|error| error.context("proxy"))?;
        let mut conn = Connection::new(Role::Client, Rules::default());
        let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let mut headers = vec![(&b"Host"[..], authority.as_bytes())];
        if let Some(credentials) = &self.credentials {
            headers.push((b"Proxy-Authorization", credentials.as_bytes()));
        }
        let impossible = |error: crate::h1::ProtocolError| Error::new(Status::InvalidArgument, error.message);
        let head =
            conn.send_request(b"CONNECT", authority.as_bytes(), headers.into_iter()).map_err(impossible)?.to_vec();
        conn.send_end_of_message(std::iter::empty()).map_err(impossible)?;
        let io = |error| Error::from_io(error, Phase::Tunnel).context("proxy");
        socket.write_all(&head).await.map_err(io)?;
        socket.flush().await.map_err(io)?;
        while !answered(&mut conn)? {
            let count = socket.read(conn.reserve(1024)).await.map_err(io)?;
            match count {
                0 => conn.receive_eof(),
                _ => drop(conn.commit(count)),
            }
        }
        // A TLS server waits for its client: whatever is here already did not come from there.
        match conn.trailing_data() {
            (b"", false) => Ok(socket),
            _ => Err(protocol("bytes, or the end, right behind the answer")),
        }
    }
}

/// Whether the way is open. An error for any answer but success.
fn answered(conn: &mut Connection) -> Result<bool> {
    loop {
        let event = conn.next_event().map_err(|error| protocol(&error.message))?;
        match event.kind {
            EventKind::NeedData => return Ok(false),
            EventKind::InformationalResponse => {}
            EventKind::Response if (200..300).contains(&event.status) => return Ok(true),
            EventKind::Response => {
                let reason = event.reason.escape_ascii();
                let message = format!("the proxy answered with status {} {reason}", event.status);
                return Err(Error::new(Status::TunnelRefused, message).phase(Phase::Tunnel).http_status(event.status));
            }
            _ => return Err(protocol("the connection ended before an answer")),
        }
    }
}

fn protocol(why: &str) -> Error {
    Error::new(Status::HttpProtocol, format!("proxy: {why}")).phase(Phase::Tunnel)
}
