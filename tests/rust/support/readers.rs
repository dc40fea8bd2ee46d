//! What reads bytes of strangers, each fed with any bytes: for the fuzz targets, and for every run of the tests. None panics, none hangs, and where
//! pieces make no difference that is checked.
#![allow(dead_code)]

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use atls::attest::{Tee, TrustAnchors};
use atls::attester::{Attester, EvidenceInput, GuestAgent, Provider};
use atls::client::cookie_jar::CookieJar;
use atls::client::pending_request::{PendingBody, PendingRequest};
use atls::client::request_options::RequestOptions;
use atls::client::{EngineKind, Exchange, HttpConnection, Location, RequestBody, redirect, start_exchange};
use atls::connect::http_proxy;
use atls::error::{Detail, Error, Status};
use atls::h1::Role;
use atls::io::Socket;
use atls::message::credentials::{AuthScheme, Login, is_stale};
use atls::message::decode::Decoder;
use atls::message::{ReceivedHead, RequestHead};
use atls::operation::{Observer, Outlet, SendQueue, TransferEvent};
use atls::server::{ResponseHead, Server, ServerEvent, ServerSettings, start_connection};
use atls::tls::{Identity, Trust, TrustedRoots, client_config};
use atls::tunnel::TunnelUrl;
use atls::tunnel::relay;
use atls::tunnel::websocket::TunnelStream;
use atls::tunnel::websocket::frames::{FrameEvent, FrameReader};
use atls::tunnel::{ForwarderRules, TunnelTraffic};
use atls::verifier::Verifier;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::sync::OwnedSemaphorePermit;

/// Longer than anything may take that is read at once.
const HANGS: Duration = Duration::from_secs(20);

fn run<T>(work: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(async { tokio::time::timeout(HANGS, work).await.expect("it hangs") }))
}

/// A socket whose peer says `data` and then no more; what the peer reads is the caller's to take.
fn told(data: &[u8]) -> (Socket, UnixStream) {
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    theirs.set_nonblocking(true).expect("nonblocking");
    // What the system has no room for is cut off.
    let _ = theirs.write(data);
    theirs.shutdown(std::net::Shutdown::Write).expect("shut down");
    (Socket::take_over(ours.into()).expect("a socket"), theirs)
}

/// The client's reading, by either engine: heads as they are spelled, codings, trailers.
pub fn client(data: &[u8]) {
    let [how, data @ ..] = data else { return };
    run(async {
        let (socket, _theirs) = told(data);
        let kind = if how & 8 == 0 { EngineKind::Hyper } else { EngineKind::H1 };
        let Ok((connection, driver)) = HttpConnection::over(socket, kind).await else { return };
        let driver = tokio::spawn(driver);
        let request = RequestHead {
            method: ["GET", "HEAD", "POST", "OPTIONS"][usize::from(how % 4)].into(),
            path: "/".into(),
            host: "a.example".into(),
            host_line: None,
            absolute: false,
            headers: Vec::new(),
        };
        let options = Arc::new(RequestOptions { decode: how & 4 != 0, max_body: 100_000, ..RequestOptions::default() });
        for _ in 0..3 {
            let Ok(reservation) = connection.reserve() else { break };
            let Ok(reservation) = reservation.trusted(None).await else { break };
            let head = request.head(Some(0)).expect("a head");
            let tell = |_| -> futures_util::future::BoxFuture<'static, ()> { Box::pin(async {}) };
            let asked =
                start_exchange(reservation, &request, head, RequestBody::full(Bytes::new()), &options, &tell).await;
            let Ok(mut answer) = asked else { break };
            if read_body(&mut answer).await.is_err() {
                break;
            }
        }
        drop(connection);
        driver.abort();
        let _ = driver.await;
    });
}

async fn read_body(answer: &mut Exchange) -> Result<(), Error> {
    let mut left = 100_000;
    while let Some(data) = answer.next().await? {
        assert!(!data.is_empty() && data.len() <= left, "more than the limit");
        left -= data.len();
    }
    Ok(())
}

/// Answers every request that the server shows.
struct Host;

struct Deaf;

impl Observer for Deaf {
    fn post(self: Arc<Self>, _: TransferEvent, _: Option<OwnedSemaphorePermit>) {}
}

impl Observer<ServerEvent> for Host {
    fn post(self: Arc<Self>, event: ServerEvent, _: Option<OwnedSemaphorePermit>) {
        let ServerEvent::Request(request) = event else { return };
        if request.start(|| Outlet::new(Arc::new(Deaf)), SendQueue::new(None)).is_ok() {
            let _ = request.send_head(ResponseHead::new(103, None, None, None).expect("a hint"));
            let _ = request
                .respond(ResponseHead::new(200, None, None, Some(2)).expect("a head"), Bytes::from_static(b"ok"));
        }
    }
}

/// The server's connection, or the forwarder's, from the first byte to the last.
pub fn server(data: &[u8]) {
    let [how, data @ ..] = data else { return };
    run(async {
        let mut settings = ServerSettings {
            decode: how & 1 != 0,
            credit: 1 << 20,
            automatic_credit: true,
            ..ServerSettings::default()
        };
        settings.forward = (how & 2 != 0).then(ForwarderRules::default);
        let server = Arc::new(Server::new(settings, Arc::new(Host)).expect("a server"));
        let (socket, theirs) = told(data);
        start_connection(&server, socket, None);
        while server.connections() > 0 {
            let _ = (&theirs).read(&mut [0; 4096]);
            tokio::task::yield_now().await;
        }
    });
}

/// What one side of a WebSocket says, data joined, and how it ended.
fn frames(role: Role, data: &[u8], step: usize) -> (Vec<u8>, Vec<FrameEvent>, Option<u16>) {
    let mut reader = FrameReader::new(role, 1 << 20);
    let (mut bytes, mut said) = (Vec::new(), Vec::new());
    for piece in data.chunks(step.max(1)) {
        let mut piece = piece.to_vec();
        let mut rest = &mut piece[..];
        while !rest.is_empty() {
            let (taken, event) = match reader.next(rest) {
                Ok(found) => found,
                Err(violation) => return (bytes, said, Some(violation.code)),
            };
            match event {
                FrameEvent::Data(range) => bytes.extend_from_slice(&rest[range]),
                FrameEvent::More => assert_eq!(taken, rest.len()),
                other => said.push(other),
            }
            rest = &mut rest[taken..];
        }
    }
    (bytes, said, None)
}

/// Frames of a tunnel, at both ends.
pub fn tunnel(data: &[u8]) {
    let [step, data @ ..] = data else { return };
    for role in [Role::Client, Role::Server] {
        let (whole, parts) = (frames(role, data, data.len()), frames(role, data, usize::from(*step)));
        assert_eq!((&whole.1, whole.2), (&parts.1, parts.2));
        // Of text that is none, a shorter piece shows more before it ends.
        assert!(whole.0 == parts.0 || (whole.2 == Some(1007) && parts.0.starts_with(&whole.0)));
    }
    run(async {
        let (mut server, client) = duplex(1 << 17);
        let _ = server.write_all(&data[..data.len().min(1 << 16)]).await;
        let _ = server.shutdown().await;
        if let Ok(mut client) = TunnelStream::new(client, b"") {
            let _ = client.read_to_end(&mut Vec::new()).await;
        }
        let ((mut client, ours), (mut target, theirs)) = (duplex(1 << 17), duplex(1 << 17));
        let _ = client.write_all(&data[..data.len().min(1 << 16)]).await;
        let _ = client.shutdown().await;
        let echo = async {
            let _ = target.write_all(b"hello").await;
            let _ = target.shutdown().await;
            let _ = target.read_to_end(&mut Vec::new()).await;
        };
        let (flow, rules) = (TunnelTraffic::default(), ForwarderRules::default());
        tokio::join!(relay(ours, theirs, &rules, &flow), echo);
    });
}

/// What those say that stand on the way: a proxy, a forwarder, a guest agent, and who hands out collateral.
pub fn answers(data: &[u8]) {
    let [who, data @ ..] = data else { return };
    match who % 4 {
        0 => run(async {
            let (socket, _theirs) = told(data);
            let login = Login::new("user", "password", AuthScheme::Digest).expect("a login");
            if let Ok((_, again)) = http_proxy::open(socket, "a.example", 443, Some(&login), None).await {
                assert!(again.is_none_or(|answer| answer.starts_with("Digest ")));
            }
        }),
        1 => run(async {
            let (socket, _theirs) = told(data);
            let url = TunnelUrl::parse("ws://proxy.example/", "a.example", 443).expect("a URL");
            // Nobody can know the key beforehand.
            assert!(url.upgrade(socket).await.is_err());
        }),
        2 => agent(data),
        _ => {
            static VERIFIER: OnceLock<Verifier> = OnceLock::new();
            let verifier = VERIFIER.get_or_init(|| {
                Verifier::new(TrustAnchors::default(), client_config(&Trust::default()).expect("a configuration"))
            });
            let _ = verifier.store.import(data);
        }
    }
}

/// An agent that answers everything with `data`.
fn agent(data: &[u8]) {
    let path =
        std::env::temp_dir().join(format!("atls-agent-{}-{:?}", std::process::id(), std::thread::current().id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).expect("a socket");
    let source = Arc::new(GuestAgent::at(Some(&path)).expect("an agent"));
    std::thread::scope(|scope| {
        let input = EvidenceInput { binder: &[7; 64], leaf: None, leaf_is_current: true, fresh: false };
        let attester = Attester::own([source as Arc<dyn Provider>].into_iter().collect());
        let asked = scope.spawn(move || run(async { attester.evidence(Tee::Tdx, input).await.is_ok() }));
        let (mut socket, _) = listener.accept().expect("a question");
        // The question is small, and comes in one piece or two.
        let mut question = Vec::new();
        while !question.ends_with(b"}") {
            let mut piece = [0; 1024];
            match socket.read(&mut piece) {
                Ok(count @ 1..) => question.extend_from_slice(&piece[..count]),
                _ => break,
            }
        }
        let _ = socket.write_all(data);
        drop((socket, listener));
        let _ = std::fs::remove_file(&path);
        let _ = asked.join().expect("no panic");
    });
}

/// Fields and texts: cookies, challenges, redirects one after another, PEM.
pub fn fields(data: &[u8]) {
    let [which, data @ ..] = data else { return };
    match which % 4 {
        0 => cookies(data),
        1 => {
            let login = Login::new("user", "password", AuthScheme::Digest).expect("a login");
            let fields = || data.split(|byte| *byte == b'\n');
            if let Some(answer) = login.answer(fields(), "GET", "/a", Some(b"")) {
                assert!(
                    answer.starts_with("Digest ") && !answer.contains("password=") && !answer.contains(['\r', '\n'])
                );
            }
            let _ = is_stale(fields());
        }
        2 => redirects(data),
        _ => {
            let Ok(text) = std::str::from_utf8(data) else { return };
            let roots = TrustedRoots { extra_pem: vec![text.into()], ..TrustedRoots::default() };
            let identity = Some(Identity { chain_pem: text.into(), key_pem: text.into() });
            let _ = client_config(&Trust { roots, ..Trust::default() });
            let _ = client_config(&Trust { identity, ..Trust::default() });
        }
    }
}

/// Each line is set by one host or another, and asked for.
fn cookies(data: &[u8]) {
    let jar = CookieJar::default();
    jar.enable(true);
    let places = ["https://a.example/x/y", "http://a.example/", "https://b.example/"];
    let places = places.map(|place| Location::parse(place).expect("a URL"));
    for (index, line) in data.split(|byte| *byte == b'\n').enumerate() {
        let mut head = ReceivedHead::new(200, 1, b"");
        head.add(b"set-cookie", line);
        jar.store(&head, &places[index % 3]);
        let sent = jar.field(&places[(index + line.len()) % 3]).unwrap_or_default();
        assert!(sent.len() <= 8192);
    }
}

/// A chain of them from an attested origin never leaves it, and comes to an end.
fn redirects(data: &[u8]) {
    let location = Location::parse("https://a.example/x?y#z").expect("a URL");
    let request = RequestHead {
        method: "POST".into(),
        path: location.path.clone(),
        host: location.authority.clone(),
        host_line: None,
        absolute: false,
        headers: vec![("Authorization".into(), b"secret".to_vec())],
    };
    let body = PendingBody::Full(Bytes::from_static(b"x"));
    let first = PendingRequest::new(Arc::new(request), location, body, Arc::new(RequestOptions::default()));
    for attested in [true, false] {
        let mut call = first.clone();
        let mut followed = 0;
        for line in data.split(|byte| *byte == b'\n') {
            let status = [301, 302, 303, 307, 308][line.len() % 5];
            let mut head = ReceivedHead::new(status, 1, b"");
            head.add(b"Location", line);
            match redirect::follow_up(&call, &head, attested) {
                Ok(Some(next)) => call = next.call,
                _ => break,
            }
            followed += 1;
            let leaves = call.location.host != "a.example";
            assert!(!leaves || (!attested && !call.request.has("authorization")), "{}", call.location.as_str());
            assert!(!call.location.plain, "{}", call.location.as_str());
            // A host that no head may have is refused when the head is made.
            let _ = call.request.head(Some(0));
        }
        assert!(followed <= 5);
    }
}

/// A coded body, whole and in pieces.
pub fn codings(data: &[u8]) {
    let [coding, step, data @ ..] = data else { return };
    let field = ["gzip", "deflate", "br", "zstd", "gzip, br", "deflate, zstd"][usize::from(coding % 6)];
    let read = |step: usize| -> (Vec<u8>, Option<(Status, Detail)>) {
        let mut decoder = Decoder::new([field.as_bytes()].into_iter()).expect("known").expect("a coding");
        let mut out = Vec::new();
        let mut take = |decoder: &mut Decoder| -> Result<bool, Error> {
            while let Some(data) = decoder.take()? {
                out.extend_from_slice(&data);
                if out.len() > 1 << 20 {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        let end = (|| {
            for piece in data.chunks(step.max(1)) {
                decoder.push(Bytes::copy_from_slice(piece));
                if !take(&mut decoder)? {
                    return Ok(());
                }
            }
            decoder.end();
            take(&mut decoder).map(drop)
        })();
        (out, end.err().map(|error: Error| (error.status, error.detail)))
    };
    let (whole, parts) = (read(data.len()), read(usize::from(*step)));
    if whole.0.len() <= 1 << 20 && parts.0.len() <= 1 << 20 {
        assert_eq!(whole.1, parts.1);
        assert!(whole.1.is_some() || whole.0 == parts.0);
    }
}
