//! The stream of a connection: TLS or, only if the caller wants neither attestation nor secrecy, the bare transport. Touches nothing but that stream.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::{Error, Result, Status};
use crate::io::sync::lock;
use crate::io::{Liveness, SocketWatch};
use crate::tls::{TlsStream, export, peer_leaf};
use crate::tunnel::Transport;

// The large variant is the usual one: it is not boxed.
#[allow(clippy::large_enum_variant)]
pub enum ConnectedStream {
    Tls(TlsStream<Transport>),
    /// With a session that others may ask for exporter values.
    Shared(Arc<Mutex<TlsStream<Transport>>>),
    Plain(Transport),
}

/// Exporter values of a session, as long as its stream is there. It does not keep the stream, so that whoever drops that closes the connection.
#[derive(Clone)]
pub struct SessionExporter(Weak<Mutex<TlsStream<Transport>>>);

impl SessionExporter {
    /// Errors: Closed.
    pub fn export(&self, label: &[u8], context: Option<&[u8]>) -> Result<[u8; 32]> {
        let session = self.0.upgrade().ok_or_else(|| Error::new(Status::Closed, "the connection is closed"))?;
        let session = lock(&session);
        export(session.get_ref().1, label, context)
    }
}

impl ConnectedStream {
    /// TLS, with a session that the second one can ask.
    pub fn shared(stream: TlsStream<Transport>) -> (ConnectedStream, SessionExporter) {
        let session = Arc::new(Mutex::new(stream));
        let exporter = SessionExporter(Arc::downgrade(&session));
        (ConnectedStream::Shared(session), exporter)
    }

    fn transport<T>(&self, ask: impl FnOnce(&Transport) -> T) -> T {
        match self {
            ConnectedStream::Tls(stream) => ask(stream.get_ref().0),
            ConnectedStream::Shared(session) => ask(lock(session).get_ref().0),
            ConnectedStream::Plain(transport) => ask(transport),
        }
    }

    /// The other end of the socket: the server, or the proxy or forwarder before it.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.transport(|transport| transport.socket().peer())
    }

    pub fn watch(&self) -> SocketWatch {
        self.transport(|transport| transport.socket().watch())
    }

    /// The server's own certificate, DER.
    pub fn certificate(&self) -> Option<Vec<u8>> {
        match self {
            ConnectedStream::Tls(stream) => peer_leaf(stream.get_ref().1),
            ConnectedStream::Shared(session) => peer_leaf(lock(session).get_ref().1),
            ConnectedStream::Plain(_) => None,
        }
    }
}

impl Liveness for ConnectedStream {
    fn check(&self) -> io::Result<()> {
        self.transport(|transport| transport.socket().check())
    }
}

macro_rules! delegate {
    ($self:ident, $io:ident => $call:expr) => {
        match $self.get_mut() {
            ConnectedStream::Tls($io) => $call,
            ConnectedStream::Shared(session) => {
                let $io = &mut *lock(session);
                $call
            }
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
            ConnectedStream::Shared(session) => lock(session).is_write_vectored(),
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
