//! A session as a stream: reads hand over all that has come, record by record. Touches the stream that it is given.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::{ClientConnection, ServerConnection};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::io::pieces;

/// Our end of a session, on a stream `T` of tokio-rustls.
pub struct SessionStream<T> {
    session: T,
    /// Met after bytes that had come before it: the next read reports it.
    error: Option<io::Error>,
}

pub type TlsStream<S> = SessionStream<tokio_rustls::client::TlsStream<S>>;
pub type ServerStream<S> = SessionStream<tokio_rustls::server::TlsStream<S>>;

impl<T> SessionStream<T> {
    pub fn new(session: T) -> SessionStream<T> {
        SessionStream { session, error: None }
    }
}

impl<S> TlsStream<S> {
    pub fn get_ref(&self) -> (&S, &ClientConnection) {
        self.session.get_ref()
    }

    /// For what lies below the session; no bytes may be read from it or written to it.
    pub fn get_mut(&mut self) -> (&mut S, &mut ClientConnection) {
        self.session.get_mut()
    }
}

impl<S> ServerStream<S> {
    pub fn get_ref(&self) -> (&S, &ServerConnection) {
        self.session.get_ref()
    }
}

impl<T: AsyncBufRead + Unpin> AsyncRead for SessionStream<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = self.error.take() {
            return Poll::Ready(Err(error));
        }
        let this = &mut *self;
        if ready!(take(&mut this.session, cx, buf))? == 0 {
            return Poll::Ready(Ok(()));
        }
        while buf.remaining() > 0 {
            match take(&mut this.session, cx, buf) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Err(error)) => {
                    this.error = Some(error);
                    break;
                }
                // At its end, or until more comes, the session says so again.
                Poll::Ready(Ok(0)) | Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Copies what there is of one record; nothing at the end of the session.
fn take<T: AsyncBufRead + Unpin>(
    session: &mut T,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<usize>> {
    let data = ready!(Pin::new(&mut *session).poll_fill_buf(cx))?;
    let count = data.len().min(buf.remaining());
    pieces::put(buf, &data[..count]);
    Pin::new(session).consume(count);
    Poll::Ready(Ok(count))
}

impl<T: AsyncWrite + Unpin> AsyncWrite for SessionStream<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.session).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.session).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.session.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.session).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.session).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records, and what comes after them.
    struct Records(Vec<io::Result<Vec<u8>>>);

    impl AsyncRead for Records {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            unreachable!("records are taken from their buffer")
        }
    }

    impl AsyncBufRead for Records {
        fn poll_fill_buf(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
            let records = &mut self.get_mut().0;
            if records.first().is_some_and(|first| first.is_err()) {
                return Poll::Ready(records.remove(0).map(|_| &[][..]));
            }
            match records.first() {
                None => Poll::Ready(Ok(&[])),
                Some(Ok(data)) if !data.is_empty() => Poll::Ready(Ok(data)),
                Some(_) => Poll::Pending,
            }
        }

        fn consume(self: Pin<&mut Self>, count: usize) {
            let records = &mut self.get_mut().0;
            if let Some(Ok(first)) = records.first_mut() {
                first.drain(..count);
                if first.is_empty() {
                    drop(records.remove(0));
                }
            }
        }
    }

    fn read(stream: &mut SessionStream<Records>, room: usize) -> Poll<io::Result<Vec<u8>>> {
        let mut room = vec![0; room];
        let mut buf = ReadBuf::new(&mut room);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        ready!(Pin::new(stream).poll_read(&mut cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().to_vec()))
    }

    #[test]
    fn a_read_takes_all_that_has_come_and_no_more_than_it_has_room_for() {
        let mut stream = SessionStream::new(Records(vec![Ok(b"abc".to_vec()), Ok(b"def".to_vec()), Ok(vec![])]));
        assert!(matches!(read(&mut stream, 4), Poll::Ready(Ok(data)) if data == b"abcd"));
        assert!(matches!(read(&mut stream, 9), Poll::Ready(Ok(data)) if data == b"ef"));
        assert!(read(&mut stream, 9).is_pending());
    }

    #[test]
    fn an_error_behind_bytes_is_told_after_them_and_is_not_lost() {
        let cut = io::Error::from(io::ErrorKind::UnexpectedEof);
        let mut stream = SessionStream::new(Records(vec![Ok(b"abc".to_vec()), Err(cut)]));
        assert!(matches!(read(&mut stream, 9), Poll::Ready(Ok(data)) if data == b"abc"));
        assert!(
            matches!(read(&mut stream, 9), Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof)
        );
        assert!(matches!(read(&mut stream, 9), Poll::Ready(Ok(data)) if data.is_empty()));
    }
}
