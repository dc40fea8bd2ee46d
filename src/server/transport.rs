//! What a connection of the server runs over: TLS, or a plain socket. May touch the network.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::attest::EXPORTER_LENGTH;
use crate::error::{Error, Result, Status};
use crate::io::{Liveness, Socket};
use crate::tls;
use crate::tls::ServerStream;

pub trait ServerTransport: AsyncRead + AsyncWrite + Liveness + SessionKeys + Unpin + Send + Sync {}

/// The keys of a TLS session.
pub trait SessionKeys {
    /// An exporter value of the session. Errors: InvalidState (there is none).
    fn export(&self, label: &[u8], context: Option<&[u8]>) -> Result<[u8; EXPORTER_LENGTH]>;
}

impl<S: Liveness> Liveness for ServerStream<S> {
    fn check(&self) -> io::Result<()> {
        self.get_ref().0.check()
    }

    fn resets(&self, on: bool) {
        self.get_ref().0.resets(on);
    }
}

impl<S: AsyncRead + AsyncWrite + Liveness + Unpin + Send + Sync> ServerTransport for ServerStream<S> {}

impl<S> SessionKeys for ServerStream<S> {
    fn export(&self, label: &[u8], context: Option<&[u8]>) -> Result<[u8; EXPORTER_LENGTH]> {
        tls::export(self.get_ref().1, label, context)
    }
}

impl ServerTransport for Socket {}

impl SessionKeys for Socket {
    fn export(&self, _: &[u8], _: Option<&[u8]>) -> Result<[u8; EXPORTER_LENGTH]> {
        Err(Error::new(Status::InvalidState, "a connection without TLS has no keys"))
    }
}
