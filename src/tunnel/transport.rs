//! What a connection's TLS runs over: a socket, or a WebSocket tunnel over one, perhaps in TLS itself. Reads and writes what it holds.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::websocket::TunnelStream;
use crate::io::Socket;
use crate::io::held::Held;
use crate::tls::TlsStream;

/// The tunnels are boxed: they are rare, and large.
pub enum Transport {
    Tcp(Socket),
    /// The same, for a handshake whose end waits for the first request.
    Held(Box<Held<Socket>>),
    Ws(Box<TunnelStream<Socket>>),
    Wss(Box<TunnelStream<TlsStream<Socket>>>),
}

impl Transport {
    /// Lets the last message of a handshake wait for what the caller writes next. `let_go` must follow, and a write or a flush.
    pub fn hold(self) -> Transport {
        match self {
            Transport::Tcp(socket) => Transport::Held(Box::new(Held::new(socket))),
            tunnel => tunnel,
        }
    }

    /// The handshake is over.
    pub fn let_go(&mut self) {
        if let Transport::Held(held) = self {
            held.let_go();
        }
    }

    /// The socket below everything.
    pub fn socket(&self) -> &Socket {
        match self {
            Transport::Tcp(socket) => socket,
            Transport::Held(held) => held.get_ref(),
            Transport::Ws(tunnel) => tunnel.inner(),
            Transport::Wss(tunnel) => tunnel.inner().get_ref().0,
        }
    }
}

macro_rules! delegate {
    ($self:ident, $io:ident => $call:expr) => {
        match $self.get_mut() {
            Transport::Tcp($io) => $call,
            Transport::Held($io) => $call,
            Transport::Ws($io) => $call,
            Transport::Wss($io) => $call,
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        delegate!(self, io => Pin::new(io).poll_read(cx, buf))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(self, io => Pin::new(io).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        delegate!(self, io => Pin::new(io).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, io => Pin::new(io).poll_shutdown(cx))
    }
}
