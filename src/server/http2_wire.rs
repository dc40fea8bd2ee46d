//! The TLS stream of an HTTP/2 connection: one object reads and writes its frames, and others ask for its keys. Touches that stream.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::transport::SessionKeys;
use crate::attest::EXPORTER_LENGTH;
use crate::error::Result;
use crate::io::Socket;
use crate::io::sync::lock;
use crate::tls;
use crate::tls::ServerStream;

/// Locked only while it is polled or asked, by tasks that never wait with the lock.
#[derive(Clone)]
pub(super) struct SharedTls(Arc<Mutex<ServerStream<Socket>>>);

impl SharedTls {
    pub fn new(stream: ServerStream<Socket>) -> SharedTls {
        SharedTls(Arc::new(Mutex::new(stream)))
    }
}

impl SessionKeys for SharedTls {
    fn export(&self, label: &[u8], context: Option<&[u8]>) -> Result<[u8; EXPORTER_LENGTH]> {
        tls::export(lock(&self.0).get_ref().1, label, context)
    }
}

impl AsyncRead for SharedTls {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.0)).poll_read(cx, buf)
    }
}

impl AsyncWrite for SharedTls {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *lock(&self.0)).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *lock(&self.0)).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        lock(&self.0).is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.0)).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.0)).poll_shutdown(cx)
    }
}
