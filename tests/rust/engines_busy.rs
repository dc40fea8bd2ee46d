//! Engines of HTTP/1.1 whose host takes its time: it takes no events, or nothing for a while. What is under way beside that must not wait for it.

#[path = "support/engines.rs"]
mod engines;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use atls::client::request_options::{HeadLimits, RequestOptions};
use atls::client::{EngineKind, InterimEvent, RequestBody, start_exchange};
use atls::error::{Detail, Status};
use atls::message::RequestHead;
use engines::{connect, settle};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::Notify;

/// Longer than anything may take.
const HANGS: Duration = Duration::from_secs(20);
const KINDS: [EngineKind; 2] = [EngineKind::Hyper, EngineKind::H1];
const LENGTH: usize = 4 << 20;
const HINT: &[u8] = b"HTTP/1.1 103 Early Hints\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn post() -> (RequestHead, Vec<u8>, RequestBody) {
    let (method, path, host) = ("POST".to_owned(), "/".to_owned(), "a.example".to_owned());
    let request = RequestHead { method, path, host, host_line: None, absolute: false, headers: Vec::new() };
    let body = RequestBody::full(vec![b'b'; LENGTH].into());
    let head = request.head(body.length()).expect("a head");
    (request, head, body)
}

/// Reads up to `wanted` bytes, and says a hint each time that `every` bytes have come; how many came.
async fn read_with_hints(server: &mut UnixStream, wanted: usize, every: usize, hints: &mut usize) -> usize {
    let (mut came, mut next, mut piece) = (0, 0, vec![0; 16 << 10]);
    while came < wanted {
        match server.read(&mut piece).await {
            Ok(count @ 1..) => came += count,
            _ => break,
        }
        if came > next {
            server.write_all(HINT).await.expect("room");
            (*hints, next) = (*hints + 1, next + every);
            settle(5).await;
        }
    }
    came
}

/// A host that takes no events does not hold up what is sent, though heads wait for it; then it gets them all.
#[tokio::test]
async fn an_upload_goes_on_while_its_host_takes_no_events() {
    for kind in KINDS {
        let (mut server, connection, driver) = connect(kind).await;
        let (request, head, body) = post();
        let (takes, told) = (Notify::new(), AtomicUsize::new(0));
        let tell = |event| -> BoxFuture<'_, ()> {
            assert!(matches!(event, InterimEvent::Informational(_)));
            Box::pin(async {
                if told.fetch_add(1, Ordering::SeqCst) == 0 {
                    takes.notified().await;
                }
            })
        };
        let reservation = connection.reserve().expect("a place").trusted(None).await.expect("trust");
        let mut hints = 0;
        let serve = async {
            let whole = head.len() + LENGTH;
            let came = read_with_hints(&mut server, whole, 200 << 10, &mut hints).await;
            assert_eq!((came, told.load(Ordering::SeqCst)), (whole, 1), "{kind:?}");
            server.write_all(OK).await.expect("room");
            takes.notify_one();
        };
        let head = head.clone();
        let asked = start_exchange(reservation, &request, head, body, &Arc::default(), &tell);
        let both = async { tokio::join!(asked, serve).0 };
        let mut answer = tokio::time::timeout(HANGS, both).await.unwrap_or_else(|_| panic!("{kind:?} hangs")).unwrap();
        assert_eq!((answer.head.status, told.load(Ordering::SeqCst)), (200, hints), "{kind:?}");
        assert!(hints > 10 && answer.next().await.unwrap().as_deref() == Some(b"ok"));
        assert!(answer.next().await.unwrap().is_none() && connection.is_ready(), "{kind:?}");
        connection.closing.cancel();
        let _ = driver.await;
    }
}

/// However long the host waits, no more heads are kept for it than it allows.
#[tokio::test]
async fn heads_that_wait_for_a_host_are_limited() {
    for kind in KINDS {
        let (mut server, connection, driver) = connect(kind).await;
        let (request, head, body) = post();
        let (takes, told) = (Notify::new(), AtomicUsize::new(0));
        let tell = |_| -> BoxFuture<'_, ()> {
            Box::pin(async {
                if told.fetch_add(1, Ordering::SeqCst) == 0 {
                    takes.notified().await;
                }
            })
        };
        let reservation = connection.reserve().expect("a place").trusted(None).await.expect("trust");
        let mut hints = 0;
        let limits = HeadLimits { informational: 3, ..HeadLimits::default() };
        let options = Arc::new(RequestOptions { head: limits, ..RequestOptions::default() });
        let asked = start_exchange(reservation, &request, head, body, &options, &tell);
        let serve = async {
            while hints <= 3 {
                assert!(read_with_hints(&mut server, 100 << 10, 100 << 10, &mut hints).await > 0, "{kind:?}");
            }
            settle(100).await;
            takes.notify_one();
        };
        let both = async { tokio::join!(asked, serve).0 };
        let error = tokio::time::timeout(HANGS, both).await.unwrap_or_else(|_| panic!("{kind:?} hangs")).err();
        let error = error.map(|error| (error.status, error.detail));
        assert_eq!(error, Some((Status::HttpProtocol, Detail::TooManyInformational)), "{kind:?}");
        assert_eq!(told.load(Ordering::SeqCst), 3, "{kind:?}");
        connection.closing.cancel();
        let _ = driver.await;
    }
}
