//! What a connection's TLS runs over: a socket, or a WebSocket tunnel over one, perhaps in TLS itself. Reads and writes what it holds.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::websocket::TunnelStream;
use crate::io::Socket;
use crate::tls::TlsStream;

/// The tunnels are boxed: they are rare, and large.
pub enum Transport {
    Tcp(Socket),
    Ws(Box<TunnelStream<Socket>>),
    Wss(Box<TunnelStream<TlsStream<Socket>>>),
}

impl Transport {
    /// The socket below everything.
    pub fn socket(&self) -> &Socket {
        match self {
            Transport::Tcp(socket) => socket,
            Transport::Ws(tunnel) => tunnel.inner(),
            Transport::Wss(tunnel) => tunnel.inner().get_ref().0,
        }
    }
}

macro_rules! delegate {
    ($self:ident, $io:ident => $call:expr) => {
        match $self.get_mut() {
            Transport::Tcp($io) => $call,
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
        matches!(self, Transport::Tcp(_))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, io => Pin::new(io).poll_shutdown(cx))
    }
}
