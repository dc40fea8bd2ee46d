//! A byte stream through a WebSocket: the client side of a forwarder that takes `?target=host:port` (attested-tls spec 6).
//!
//! Bytes travel in binary frames; a close frame or EOF ends the stream, anything else that breaks the protocol is an error. The
//! tunnel is untrusted: TLS and the evidence run end to end through it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Sink, Stream};
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::transport::Transport;
use crate::error::{Error, Phase, Result, Status, chain};
use crate::{net, tls};

/// A peer's frame may be this large; ours are cut to fit [`FRAME`].
const MAX_FRAME: usize = 16 << 20;
const FRAME: usize = 64 << 10;

/// A parsed tunnel URL, with `target` filled in.
#[derive(Clone, Debug)]
pub struct TunnelUrl {
    url: String,
    host: String,
    port: u16,
    secure: bool,
}

impl TunnelUrl {
    /// `ws://` or `wss://`; `target=host:port` is added to the query unless it is there.
    pub fn parse(url: &str, target_host: &str, target_port: u16) -> Result<TunnelUrl> {
        let invalid = |why: String| Error::new(Status::InvalidArgument, format!("tunnel URL {url:?}: {why}"));
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
        let mut full = format!("{}://{authority}{}", if secure { "wss" } else { "ws" }, uri.path());
        let target = format!("{target_host}:{target_port}");
        let target = percent_encoding::utf8_percent_encode(&target, percent_encoding::NON_ALPHANUMERIC);
        full = match (query.is_empty(), has_target) {
            (_, true) => format!("{full}?{query}"),
            (true, false) => format!("{full}?target={target}"),
            (false, false) => format!("{full}?{query}&target={target}"),
        };
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(TunnelUrl { host: host.into(), port, secure, url: full })
    }

    /// Dials the forwarder and upgrades.
    pub async fn open(&self, tls: &Arc<ClientConfig>, dial: &net::Dial) -> Result<Transport> {
        let socket = net::dial(&self.host, self.port, dial).await.map_err(|error| error.context("tunnel"))?;
        if self.secure {
            let stream = tls::handshake(tls.clone(), &self.host, socket).await;
            let stream = stream.map_err(|error| error.context("tunnel").phase(Phase::Tunnel))?;
            Ok(Transport::Wss(Box::new(self.upgrade(stream).await?)))
        } else {
            Ok(Transport::Ws(Box::new(self.upgrade(socket).await?)))
        }
    }

    async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(&self, io: S) -> Result<TunnelStream<S>> {
        let limits = WebSocketConfig::default()
            .max_message_size(Some(MAX_FRAME))
            .max_frame_size(Some(MAX_FRAME))
            .write_buffer_size(0)
            .max_write_buffer_size(FRAME * 2);
        match tokio_tungstenite::client_async_with_config(&self.url, io, Some(limits)).await {
            Ok((socket, _)) => Ok(TunnelStream { socket, unread: Bytes::new(), ended: false }),
            Err(WsError::Http(response)) => {
                let status = response.status().as_u16();
                let body = response.into_body().unwrap_or_default();
                let reason = String::from_utf8_lossy(&body[..body.len().min(200)]).escape_debug().to_string();
                let message = format!("the tunnel answered with status {status}: {reason}");
                Err(Error::new(Status::TunnelRefused, message).phase(Phase::Tunnel).http_status(status))
            }
            Err(error) => Err(tunnel_error(error)),
        }
    }
}

/// A WebSocket as a stream of bytes.
pub struct TunnelStream<S> {
    socket: WebSocketStream<S>,
    unread: Bytes,
    ended: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> TunnelStream<S> {
    pub fn inner(&self) -> &S {
        self.socket.get_ref()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TunnelStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.unread.is_empty() && !self.ended {
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Binary(data))) => self.unread = data,
                // The forwarder may speak text to clients that sent it; its bytes count all the same.
                Some(Ok(Message::Text(text))) => self.unread = Bytes::from(text),
                // Pings were answered by the socket itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(frame))) => match frame {
                    Some(frame) if u16::from(frame.code) != 1000 && u16::from(frame.code) != 1005 => {
                        let reason = frame.reason.escape_debug().to_string();
                        let message = format!("the tunnel closed with code {}: {reason}", u16::from(frame.code));
                        return Poll::Ready(Err(Error::new(Status::WebSocket, message).phase(Phase::Tunnel).into_io()));
                    }
                    _ => self.ended = true,
                },
                None | Some(Err(WsError::ConnectionClosed | WsError::AlreadyClosed)) => self.ended = true,
                Some(Err(error)) => return Poll::Ready(Err(tunnel_error(error).into_io())),
            }
        }
        let count = self.unread.len().min(buf.remaining());
        buf.put_slice(&self.unread.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TunnelStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        // Readiness means that the frame before has left: at most one waits here, which is the back-pressure.
        ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(|error| tunnel_error(error).into_io())?;
        let count = buf.len().min(FRAME);
        let frame = Message::Binary(Bytes::copy_from_slice(&buf[..count]));
        Pin::new(&mut self.socket).start_send(frame).map_err(|error| tunnel_error(error).into_io())?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(|error| tunnel_error(error).into_io())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A WebSocket cannot be half closed: TLS has said its close_notify, and what the server still sends must arrive. So only
        // what was written is flushed; the socket closes when it is dropped.
        self.poll_flush(cx)
    }
}

fn tunnel_error(error: WsError) -> Error {
    match error {
        WsError::Io(error) => Error::from_io(error, Phase::Tunnel).context("tunnel"),
        other => Error::new(Status::WebSocket, format!("tunnel: {}", chain(&other))).phase(Phase::Tunnel),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_added_where_it_is_absent() {
        let url = |url: &str| TunnelUrl::parse(url, "tee.example", 443).map(|parsed| parsed.url);
        assert_eq!(url("ws://p/").unwrap(), "ws://p/?target=tee%2Eexample%3A443");
        assert_eq!(url("wss://p:1/x?a=1").unwrap(), "wss://p:1/x?a=1&target=tee%2Eexample%3A443");
        assert_eq!(url("ws://p?target=other:1").unwrap(), "ws://p/?target=other:1");
        for bad in ["http://p/", "ws:///", "p", "ws://u:p@h/"] {
            assert_eq!(url(bad).unwrap_err().status, Status::InvalidArgument, "{bad}");
        }
    }
}
