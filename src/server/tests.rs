//! A connection over a wire that fails once and then works again: bytes given to it before the failure may already have been sent. No I/O.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

use super::accept::ConnectionSummary;
use super::connection_task::connection_task;
use super::transport::{ServerTransport, SessionKeys};
use super::{ResponseHead, Server, ServerEvent, ServerRequest, ServerSettings};
use crate::attest::EXPORTER_LENGTH;
use crate::error::{Error, Result, Status};
use crate::io::Liveness;
use crate::io::sync::lock;
use crate::operation::{Observer, Outlet, SendQueue, TransferEvent};

/// Answers every request at once, in one piece or, where its target is `/1xx`, after a hint.
struct Host;

struct Deaf;

impl Observer for Deaf {
    fn post(self: Arc<Self>, _: TransferEvent, _: Option<OwnedSemaphorePermit>) {}
}

impl Observer<ServerEvent> for Host {
    fn post(self: Arc<Self>, event: ServerEvent, _: Option<OwnedSemaphorePermit>) {
        let ServerEvent::Request(request) = event else { return };
        request.start(|| Outlet::new(Arc::new(Deaf)), SendQueue::new(None)).expect("started");
        if request.line.target() == b"/1xx" {
            request.send_head(ResponseHead::new(103, None, None, None).expect("a hint")).expect("said");
        }
        if request.line.target() == b"/trailers" {
            request.send_head(ResponseHead::new(200, None, None, None).expect("a head")).expect("said");
            request.finish(vec![(b"First".to_vec(), b"1".to_vec())]).expect("ended");
            let again = request.finish(vec![(b"Second".to_vec(), b"2".to_vec())]).expect_err("it is ended");
            assert_eq!(again.status, Status::InvalidState);
            return;
        }
        let message = ResponseHead::new(200, None, None, Some(6)).expect("a head");
        request.respond(message, Bytes::from_static(b"ANSWER")).expect("answered");
    }
}

/// Keeps what it is given, also where it then says that it failed, as TLS does whose socket fails.
struct Failing {
    request: &'static [u8],
    sent: Arc<Mutex<Vec<u8>>>,
    /// The calls of writing, and of reading once the request has been read, that fail.
    fails: (Option<usize>, bool),
    writes: usize,
}

impl AsyncRead for Failing {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match (self.request, self.fails.1) {
            ([], true) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            ([], false) => Poll::Ready(Ok(())),
            (request, _) => {
                buf.put_slice(request);
                self.request = &[];
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Failing {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.writes += 1;
        lock(&self.sent).extend_from_slice(buf);
        match self.fails.0 {
            Some(which) if which == self.writes => Poll::Ready(Err(io::ErrorKind::OutOfMemory.into())),
            _ => Poll::Ready(Ok(buf.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Liveness for Failing {
    fn check(&self) -> io::Result<()> {
        Ok(())
    }
}

impl ServerTransport for Failing {}

impl SessionKeys for Failing {
    fn export(&self, _: &[u8], _: Option<&[u8]>) -> Result<[u8; EXPORTER_LENGTH]> {
        Err(Error::new(Status::InvalidState, "no keys"))
    }
}

async fn sent(request: &'static [u8], fails: (Option<usize>, bool)) -> String {
    let settings = ServerSettings { credit: 1 << 20, automatic_credit: true, ..ServerSettings::default() };
    let server = Arc::new(Server::new(settings, Arc::new(Host)).expect("a server"));
    let sent = Arc::new(Mutex::new(Vec::new()));
    let wire = Failing { request, sent: sent.clone(), fails, writes: 0 };
    let _ = connection_task(wire, &server, None, None, &ConnectionSummary::default()).await;
    let sent = lock(&sent);
    String::from_utf8_lossy(&sent).into_owned()
}

fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_out_again_after_an_error() {
    let two = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n";
    let whole = sent(two, (None, false)).await;
    assert_eq!((count(&whole, "HTTP/1.1 200"), count(&whole, "ANSWER")), (2, 2), "{whole}");
    for which in 1..=2 {
        let broken = sent(two, (Some(which), false)).await;
        assert_eq!(count(&broken, "HTTP/1.1 200"), which, "{broken}");
        assert_eq!(broken, whole[..broken.len()], "what was sent is a beginning of what should have been");
    }
    // Nor does another answer take the place of one that failed, where only a hint had gone out.
    let hint = sent(b"GET /1xx HTTP/1.1\r\nHost: a\r\n\r\n", (Some(1), false)).await;
    assert_eq!(
        (count(&hint, "HTTP/1.1 103"), count(&hint, "HTTP/1.1 ")),
        (1, count(&hint, "HTTP/1.1 200") + 1),
        "{hint}"
    );
    let asked =
        sent(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", (Some(1), false))
            .await;
    assert_eq!(count(&asked, "HTTP/1.1 "), 1, "{asked}");
}

#[tokio::test(start_paused = true)]
async fn ending_an_answer_a_second_time_leaves_its_trailers_alone() {
    let answer = sent(b"GET /trailers HTTP/1.1\r\nHost: a\r\n\r\n", (None, false)).await;
    assert!(answer.ends_with("\r\n\r\n0\r\nFirst: 1\r\n\r\n"), "{answer}");
}

/// A request that breaks off in the middle gets no answer: its connection is gone.
#[tokio::test(start_paused = true)]
async fn a_read_that_fails_ends_the_connection() {
    assert_eq!(sent(b"GET / HTTP/1.1\r\nHo", (None, true)).await, "");
}

/// Allocators keep blocks of up to a thousand bytes at hand for each thread (1,032 in glibc); larger ones take them several times as long.
#[test]
fn a_request_is_a_block_that_an_allocator_has_at_hand() {
    assert!(size_of::<ServerRequest>() + 2 * size_of::<usize>() <= 1032, "{}", size_of::<ServerRequest>());
}

/// Takes note of nothing until it is told to.
#[derive(Default)]
struct Asleep(Mutex<Vec<Option<OwnedSemaphorePermit>>>);

impl Observer<ServerEvent> for Asleep {
    fn post(self: Arc<Self>, _: ServerEvent, permit: Option<OwnedSemaphorePermit>) {
        lock(&self.0).push(permit);
    }
}

#[test]
fn handshakes_that_fail_do_not_fill_the_memory_of_a_host_that_sleeps() {
    let host = Arc::new(Asleep::default());
    let server = Server::new(ServerSettings { tells_handshakes: true, ..ServerSettings::default() }, host.clone())
        .expect("made");
    let fail = |count| (0..count).for_each(|_| server.handshake_failed(Error::new(Status::TlsHandshake, "no")));
    fail(5000);
    assert_eq!(lock(&host.0).drain(..).count(), 1024);
    fail(3);
    assert_eq!(lock(&host.0).len(), 3, "it has woken up");
    assert_eq!(server.counts.handshakes_failed.load(std::sync::atomic::Ordering::Relaxed), 5003);
}
