//! The stream of a connection: TLS or, only if the caller wants neither attestation nor secrecy, the bare transport.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::io::{Liveness, SocketWatch};
use crate::tls::TlsStream;
use crate::tunnel::Transport;

// The large variant is the usual one: it is not boxed.
#[allow(clippy::large_enum_variant)]
pub enum ConnectedStream {
    Tls(TlsStream<Transport>),
    Plain(Transport),
}

impl ConnectedStream {
    fn transport(&self) -> &Transport {
        match self {
            ConnectedStream::Tls(stream) => stream.get_ref().0,
            ConnectedStream::Plain(transport) => transport,
        }
    }

    /// The other end of the socket: the server, or the proxy or forwarder before it.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.transport().socket().peer()
    }

    pub fn watch(&self) -> SocketWatch {
        self.transport().socket().watch()
    }

    /// The server's own certificate, DER.
    pub fn certificate(&self) -> Option<Vec<u8>> {
        match self {
            ConnectedStream::Tls(stream) => Some(stream.get_ref().1.peer_certificates()?.first()?.to_vec()),
            ConnectedStream::Plain(_) => None,
        }
    }
}

impl Liveness for ConnectedStream {
    fn check(&self) -> io::Result<()> {
        self.transport().socket().check()
    }
}

macro_rules! delegate {
    ($self:ident, $io:ident => $call:expr) => {
        match $self.get_mut() {
            ConnectedStream::Tls($io) => $call,
            ConnectedStream::Plain($io) => $call,
        }
    };
}

impl AsyncRead for ConnectedStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        delegate!(self, io => Pin::new(io).poll_read(cx, buf))
    }
}

impl AsyncWrite for ConnectedStream {
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
        match self {
            ConnectedStream::Tls(io) => io.is_write_vectored(),
            ConnectedStream::Plain(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, io => Pin::new(io).poll_shutdown(cx))
    }
}
