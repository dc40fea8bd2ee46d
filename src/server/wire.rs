//! What a connection of the server runs over: TLS, or a socket in the clear. Read and written at the same time by one task.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

use crate::attest::EXPORTER_LENGTH;
use crate::error::{Error, Result, Status};
use crate::net::Socket;
use crate::tls::{self, ServerStream};

pub trait Wire: AsyncRead + AsyncWrite + Unpin + Send {
    /// An exporter value of the session. Errors: InvalidState (there is none).
    fn export(&self, label: &[u8], context: Option<&[u8]>) -> Result<[u8; EXPORTER_LENGTH]>;
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Wire for ServerStream<S> {
    fn export(&self, label: &[u8], context: Option<&[u8]>) -> Result<[u8; EXPORTER_LENGTH]> {
        tls::export(self.get_ref().1, label, context)
    }
}

impl Wire for Socket {
    fn export(&self, _: &[u8], _: Option<&[u8]>) -> Result<[u8; EXPORTER_LENGTH]> {
        Err(Error::new(Status::InvalidState, "a session in the clear has no keys"))
    }
}

impl Wire for UnixStream {
    fn export(&self, _: &[u8], _: Option<&[u8]>) -> Result<[u8; EXPORTER_LENGTH]> {
        Err(Error::new(Status::InvalidState, "a session in the clear has no keys"))
    }
}

/// What has happened on the wire.
pub enum Moved {
    /// So many bytes; none where what was written before has been flushed.
    Sent(usize),
    /// So many bytes; none at the end.
    Received(usize),
}

/// Writes some of `outbox`, or flushes where it is empty and `flushes` says so, and reads into `room`: whichever can be done first. Given up in
/// between, it has done nothing.
pub async fn advance<S: Wire>(
    wire: &mut S,
    outbox: &[u8],
    flushes: bool,
    mut room: Option<&mut [u8]>,
) -> io::Result<Moved> {
    poll_fn(|cx| {
        if !outbox.is_empty() {
            if let Poll::Ready(sent) = Pin::new(&mut *wire).poll_write(cx, outbox) {
                return Poll::Ready(sent.map(Moved::Sent));
            }
        } else if flushes && let Poll::Ready(flushed) = Pin::new(&mut *wire).poll_flush(cx) {
            return Poll::Ready(flushed.map(|()| Moved::Sent(0)));
        }
        let Some(room) = room.as_deref_mut() else { return Poll::Pending };
        let mut buf = ReadBuf::new(room);
        match Pin::new(&mut *wire).poll_read(cx, &mut buf) {
            Poll::Ready(read) => Poll::Ready(read.map(|()| Moved::Received(buf.filled().len()))),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
