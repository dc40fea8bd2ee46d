//! Engines of HTTP/1.1 whose host takes its time: it takes no events, or nothing for a while. What is under way beside that must not wait for it.

#[path = "support/engines.rs"]
mod engines;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use atls::client::http_client::HttpClient;
use atls::client::pending_request::{PendingBody, PendingRequest};
use atls::client::pool::ClientLimits;
use atls::client::request_options::{HeadLimits, RequestOptions};
use atls::client::{EngineKind, InterimEvent, Location, RequestBody, start_exchange};
use atls::connect::{ConnectSettings, Connector};
use atls::error::{Detail, Status};
use atls::message::RequestHead;
use bytes::Bytes;
use engines::{connect, settle};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
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

const UNASKED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad";

/// Accepts connections. Answers one request on each; then, when it is told to, says what nobody asked for, ends its direction, and tells that it has.
async fn talk_unasked(listener: TcpListener, say: Arc<Notify>, said: Arc<Notify>) {
    loop {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\nx") {
            assert!(socket.read_buf(&mut request).await.expect("a request") > 0, "{}", request.escape_ascii());
        }
        socket.write_all(OK).await.expect("room");
        say.notified().await;
        socket.write_all(UNASKED).await.expect("room");
        socket.shutdown().await.expect("an end");
        said.notify_one();
        tokio::spawn(async move { while socket.read_u8().await.is_ok() {} });
    }
}

/// What comes on a connection that waits is never the answer to the next request, and that request, which was not sent, goes another way whatever its method.
/// The workers are kept busy, so that the one that drives the connection comes late.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_nobody_asked_for_is_no_answer() {
    let (say, said) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://localhost:{}/", listener.local_addr().expect("an address").port());
    let server = tokio::spawn(talk_unasked(listener, say.clone(), said.clone()));
    let busy: Vec<_> = (0..4)
        .map(|_| {
            tokio::spawn(async {
                while {
                    tokio::task::yield_now().await;
                    true
                } {}
            })
        })
        .collect();
    let settings = ConnectSettings { unattested: true, ..ConnectSettings::default() };
    let connector = Arc::new(Connector::new(settings, None).expect("a connector"));
    let client = HttpClient::new(connector, ClientLimits::default()).expect("a client");
    let tell = |_| -> BoxFuture<'_, ()> { Box::pin(async {}) };
    for round in 0..200 {
        let location = Location::parse(&url).expect("a URL");
        let host = location.authority.clone();
        let (method, path) = ("POST".to_owned(), "/".to_owned());
        let request = RequestHead { method, path, host, host_line: None, absolute: false, headers: Vec::new() };
        let body = PendingBody::Full(Bytes::from_static(b"x"));
        let call = PendingRequest::new(Arc::new(request), location, body, Arc::default());
        let turn = client.queue(&call);
        let fetched = tokio::time::timeout(HANGS, client.fetch(call, turn, &tell)).await.expect("it hangs");
        let (mut answer, _) = fetched.unwrap_or_else(|error| panic!("round {round}: {error:?}"));
        assert_eq!(answer.next().await.expect("a body").as_deref(), Some(&b"ok"[..]), "round {round}");
        assert!(answer.next().await.expect("an end").is_none());
        drop(answer);
        say.notify_one();
        said.notified().await;
    }
    busy.iter().for_each(|task| task.abort());
    server.abort();
}

/// Serves each connection on a task of its own, as `serve` does with its number from 0. The client, and a URL of the server.
async fn client_of<S, F>(serve: S) -> (HttpClient, String)
where
    S: Fn(usize, TcpStream) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://localhost:{}/", listener.local_addr().expect("an address").port());
    tokio::spawn(async move {
        for number in 0.. {
            let (socket, _) = listener.accept().await.expect("a connection");
            tokio::spawn(serve(number, socket));
        }
    });
    let settings = ConnectSettings { unattested: true, ..ConnectSettings::default() };
    let connector = Arc::new(Connector::new(settings, None).expect("a connector"));
    (HttpClient::new(connector, ClientLimits::default()).expect("a client"), url)
}

fn get(url: &str, options: RequestOptions) -> PendingRequest {
    let location = Location::parse(url).expect("a URL");
    let (method, path, host) = ("GET".to_owned(), "/".to_owned(), location.authority.clone());
    let request = RequestHead { method, path, host, host_line: None, absolute: false, headers: Vec::new() };
    PendingRequest::new(Arc::new(request), location, PendingBody::Full(Bytes::new()), Arc::new(options))
}

async fn read_request(socket: &mut TcpStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        assert!(socket.read_buf(&mut request).await.expect("a request") > 0, "{}", request.escape_ascii());
    }
}

/// The body of a redirect that comes a byte at a time is given up; the request goes on elsewhere.
#[tokio::test]
async fn a_redirect_is_followed_though_its_body_never_ends() {
    let (client, url) = client_of(|number, mut socket| async move {
        read_request(&mut socket).await;
        if number > 0 {
            return socket.write_all(OK).await.expect("room");
        }
        let redirect = b"HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 60000\r\n\r\n";
        socket.write_all(redirect).await.expect("room");
        while socket.write_all(b"x").await.is_ok() {
            settle(20).await;
        }
    })
    .await;
    let mut options = RequestOptions::default();
    options.deadlines.idle = Some(Duration::from_millis(300));
    let call = get(&url, options);
    let tell = |_| -> BoxFuture<'_, ()> { Box::pin(async {}) };
    let turn = client.queue(&call);
    let fetched = tokio::time::timeout(HANGS, client.fetch(call, turn, &tell)).await.expect("it hangs");
    let (mut answer, _) = fetched.expect("an answer");
    assert_eq!(answer.next().await.expect("a body").as_deref(), Some(&b"ok"[..]));
}

/// A connection is cut after an informational head: the host has got it, so the request is not sent again.
#[tokio::test]
async fn a_request_whose_answer_has_begun_is_not_sent_again() {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    let (client, url) = client_of(move |_, mut socket| {
        count.fetch_add(1, Ordering::Relaxed);
        async move {
            read_request(&mut socket).await;
            socket.write_all(OK).await.expect("room");
            read_request(&mut socket).await;
            socket.write_all(HINT).await.expect("room");
        }
    })
    .await;
    let hints = AtomicUsize::new(0);
    let tell = |event| -> BoxFuture<'_, ()> {
        hints.fetch_add(usize::from(matches!(event, InterimEvent::Informational(_))), Ordering::Relaxed);
        Box::pin(async {})
    };
    for is_cut in [false, true] {
        let call = get(&url, RequestOptions::default());
        let turn = client.queue(&call);
        let fetched = tokio::time::timeout(HANGS, client.fetch(call, turn, &tell)).await.expect("it hangs");
        assert_eq!(fetched.is_err(), is_cut);
        let Ok((mut answer, _)) = fetched else { continue };
        while answer.next().await.expect("a body").is_some() {}
        drop(answer);
        settle(20).await;
    }
    assert_eq!((hints.into_inner(), connections.load(Ordering::Relaxed)), (1, 1));
}
