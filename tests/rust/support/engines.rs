//! One client's exchanges with a scripted server, on whichever engine: what each of them came to. The server says the same bytes, in the same pieces.
#![allow(dead_code)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use atls::client::request_options::{HeadLimits, RequestOptions};
use atls::client::{BodySource, EngineKind, Exchange, HttpConnection, InterimEvent, RequestBody, start_exchange};
use atls::error::{Detail, Error, Status};
use atls::h1::{Connection, EventKind, Role, Rules};
use atls::io::Socket;
use atls::message::{ReceivedHead, RequestHead};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{Notify, watch};

/// Longer than anything may take.
const HANGS: Duration = Duration::from_secs(20);
/// How often others run before nothing more is expected of them.
const QUIET: usize = 60;

/// The body of a request.
#[derive(Clone, Debug)]
pub enum Sent {
    Nothing,
    Bytes(usize),
    /// In chunks of these lengths.
    Chunks(Vec<usize>),
}

/// A request, and what the server says to it.
#[derive(Clone, Debug)]
pub struct Step {
    pub method: &'static str,
    pub sent: Sent,
    pub expects: bool,
    pub closes: bool,
    /// Said once the request's head has come, before the rest is read.
    pub at_once: Vec<u8>,
    /// Said once all of the request has come.
    pub then: Vec<u8>,
    /// The lengths of the pieces, over and over.
    pub pieces: Vec<usize>,
    /// Most bytes of a body that the client accepts.
    pub most: u64,
}

impl Step {
    pub fn get(answer: &[u8]) -> Step {
        let (at_once, then) = (Vec::new(), answer.to_vec());
        Step {
            method: "GET",
            sent: Sent::Nothing,
            expects: false,
            closes: false,
            at_once,
            then,
            pieces: vec![usize::MAX],
            most: u64::MAX,
        }
    }
}

/// What came of one exchange.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Came {
    pub informational: Vec<String>,
    pub head: Option<String>,
    pub body: Vec<u8>,
    pub trailers: Option<Vec<(Vec<u8>, Vec<u8>)>>,
    pub error: Option<(Status, Detail)>,
    /// Another request can follow.
    pub again: bool,
}

/// The head of a request as the server read it, the length of its body, and whether all of it came.
pub type Asked = (Vec<u8>, usize, bool);

/// What came of the exchanges, and what the server read: heads, bodies, and whether they were complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub came: Vec<Came>,
    pub asked: Vec<Asked>,
}

fn shown(head: &ReceivedHead) -> String {
    let lines: Vec<_> = head.lines().map(|(name, value)| [name, b": ", value].concat()).collect();
    let (reason, lines) = (head.reason().escape_ascii().to_string(), lines.join(&b"|"[..]).escape_ascii().to_string());
    format!("{} 1.{} {reason} {lines}", head.status, head.minor_version)
}

struct Chunks(Mutex<Vec<usize>>);

impl BodySource for Chunks {
    fn next(&self) -> Result<Option<Bytes>, Error> {
        let mut left = self.0.lock().unwrap();
        if left.is_empty() {
            return Ok(None);
        }
        Ok(Some(Bytes::from(vec![b'c'; left.remove(0)])))
    }

    fn rewind(&self) -> bool {
        false
    }
}

/// The server's side of the script.
struct Server {
    socket: UnixStream,
    conn: Connection,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Reads on up to the head of a request, or to its end; false if none comes.
    async fn read(&mut self, whole: bool) -> bool {
        loop {
            let event = self.conn.next_event().map(|event| (event.kind, event.data.len(), spelled(&event)));
            let mut asked = self.asked.lock().unwrap();
            match event {
                Ok((EventKind::Request, _, head)) => {
                    asked.push((head, 0, false));
                    if !whole {
                        return true;
                    }
                }
                Ok((EventKind::Data, count, _)) => asked.last_mut().unwrap().1 += count,
                Ok((EventKind::EndOfMessage, ..)) => {
                    asked.last_mut().unwrap().2 = true;
                    return true;
                }
                Ok((EventKind::NeedData, ..)) => {
                    drop(asked);
                    let mut piece = [0; 4096];
                    match self.socket.read(&mut piece).await {
                        Ok(count @ 1..) => drop(self.conn.receive(&piece[..count])),
                        _ => return false,
                    }
                }
                _ => return false,
            }
        }
    }

    async fn say(&mut self, bytes: &[u8], pieces: &[usize]) {
        let mut sizes = pieces.iter().cycle();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, others) = rest.split_at(sizes.next().map_or(1, |size| (*size).clamp(1, rest.len())));
            rest = others;
            if self.socket.write_all(piece).await.is_err() {
                return;
            }
            settle(3).await;
        }
    }
}

fn spelled(event: &atls::h1::Event<'_>) -> Vec<u8> {
    let mut head = [event.method, b" ", event.target].concat();
    event.fields.as_spelled().for_each(|(name, value)| head.extend_from_slice(&[b"|", name, b": ", value].concat()));
    head
}

pub async fn settle(times: usize) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}

/// The script, read and said; `said` counts the steps. When it is asked for, or after the last step and the end of the client's direction, the server ends its own.
async fn serve(mut server: Server, steps: Vec<Step>, said: watch::Sender<usize>, end: Arc<Notify>) {
    let script = async {
        for step in steps {
            if !server.read(false).await {
                break;
            }
            server.say(&step.at_once, &step.pieces).await;
            let held = step.expects && !step.at_once.starts_with(b"HTTP/1.1 100");
            if held || !server.read(true).await {
                break;
            }
            server.say(&step.then, &step.pieces).await;
            server.conn = Connection::new(Role::Server, Rules::default());
            said.send_modify(|count| *count += 1);
        }
        said.send_modify(|count| *count = usize::MAX);
        while server.read(true).await {}
    };
    tokio::select! {
        () = end.notified() => {}
        () = script => {}
    }
    let _ = server.socket.shutdown().await;
    let mut rest = [0; 4096];
    while server.socket.read(&mut rest).await.is_ok_and(|count| count > 0) {}
}

/// Plays the steps on one connection, until it takes no more requests.
pub async fn play(kind: EngineKind, steps: &[Step]) -> Run {
    tokio::time::timeout(HANGS, played(kind, steps)).await.unwrap_or_else(|_| panic!("{kind:?} hangs: {steps:?}"))
}

async fn played(kind: EngineKind, steps: &[Step]) -> Run {
    let (socket, connection, driver) = connect(kind).await;
    let (asked, end) = (Arc::<Mutex<Vec<_>>>::default(), Arc::new(Notify::new()));
    let (saying, mut said) = watch::channel(0);
    let conn = Connection::new(Role::Server, Rules::default());
    let server = Server { socket, conn, asked: asked.clone() };
    let server = tokio::spawn(serve(server, steps.to_vec(), saying, end.clone()));
    let mut came = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let mut one = Came::default();
        let exchange = exchange(&connection, step, &mut one);
        let hurry = async {
            let _ = said.wait_for(|count| *count > index).await;
            settle(QUIET).await;
            end.notify_one();
            std::future::pending::<()>().await
        };
        let ended = tokio::select! {
            biased;
            ended = exchange => ended,
            () = hurry => unreachable!(),
        };
        one.error = ended.err().map(|error| (error.status, error.detail));
        settle(QUIET).await;
        one.again = connection.is_ready();
        let again = one.again;
        came.push(one);
        if !again {
            break;
        }
    }
    connection.closing.cancel();
    let _ = driver.await;
    drop(connection);
    end.notify_one();
    let _ = server.await;
    let asked = std::mem::take(&mut *asked.lock().unwrap());
    Run { came, asked }
}

pub type Driver = tokio::task::JoinHandle<Option<Error>>;

/// The server's end of a connection, and the client's, which is driven.
pub async fn connect(kind: EngineKind) -> (UnixStream, Arc<HttpConnection>, Driver) {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
    theirs.set_nonblocking(true).expect("nonblocking");
    let socket = Socket::take_over(ours.into()).expect("a socket");
    let (connection, driver) = HttpConnection::over(socket, kind).await.expect("a connection");
    (UnixStream::from_std(theirs).expect("a socket"), connection, tokio::spawn(driver))
}

/// What is answered to a GET; the server says all of it at once.
async fn answered(server: &mut UnixStream, connection: &Arc<HttpConnection>, answer: &[u8]) -> Result<Exchange, Error> {
    let (method, path, host) = ("GET".to_owned(), "/".to_owned(), "a.example".to_owned());
    let request = RequestHead { method, path, host, host_line: None, absolute: false, headers: Vec::new() };
    let head = request.head(Some(0)).expect("a head");
    let reservation = connection.reserve()?.trusted(None).await?;
    let tell = |_| -> futures_util::future::BoxFuture<'_, ()> { Box::pin(async {}) };
    let (options, body) = (Arc::default(), RequestBody::full(Bytes::new()));
    let says = async {
        assert!(server.read(&mut [0; 4096]).await.expect("a request") > 0);
        server.write_all(answer).await.expect("room");
    };
    tokio::join!(start_exchange(reservation, &request, head, body, &options, &tell), says).0
}

/// The pieces of a body of which everything has come before the first is asked for, the number of its trailers, and how it ended.
pub async fn pieces(kind: EngineKind, answer: &[u8]) -> (Vec<Bytes>, Option<usize>, Result<(), Error>) {
    let (mut server, connection, driver) = connect(kind).await;
    let mut answer = answered(&mut server, &connection, answer).await.expect("a head");
    server.shutdown().await.expect("an end");
    let mut pieces = Vec::new();
    let ended = loop {
        settle(QUIET).await;
        match answer.next().await {
            Ok(Some(piece)) => pieces.push(piece),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    let trailers = answer.trailers.take().map(|trailers| trailers.count());
    drop(answer);
    connection.closing.cancel();
    let _ = driver.await;
    (pieces, trailers, ended)
}

/// Whether a connection rests after an answer, and has ended once the server has said more, or has ended its direction if that is nothing.
pub async fn rests_until(kind: EngineKind, answer: &[u8], late: &[u8]) -> (bool, bool) {
    let (mut server, connection, driver) = connect(kind).await;
    let mut answer = answered(&mut server, &connection, answer).await.expect("a head");
    while answer.next().await.expect("a body").is_some() {}
    settle(QUIET).await;
    let rested = connection.is_ready() && !driver.is_finished();
    match late {
        b"" => server.shutdown().await.expect("an end"),
        _ => server.write_all(late).await.expect("room"),
    }
    // Nobody touches the connection meanwhile.
    let ended = tokio::time::timeout(HANGS, driver).await.is_ok();
    (rested, ended && !connection.is_ready())
}

async fn exchange(connection: &Arc<HttpConnection>, step: &Step, came: &mut Came) -> Result<(), Error> {
    let closes = step.closes.then(|| ("Connection".to_owned(), b"close".to_vec()));
    let expects = step.expects.then(|| ("Expect".to_owned(), b"100-continue".to_vec()));
    let request = RequestHead {
        method: step.method.into(),
        path: "/p?q".into(),
        host: "a.example".into(),
        host_line: None,
        absolute: false,
        headers: closes.into_iter().chain(expects).collect(),
    };
    let body = match &step.sent {
        Sent::Nothing => RequestBody::full(Bytes::new()),
        Sent::Bytes(length) => RequestBody::full(vec![b'b'; *length].into()),
        Sent::Chunks(lengths) => RequestBody::source(Arc::new(Chunks(Mutex::new(lengths.clone()))), None),
    };
    let limits = HeadLimits { bytes: 4096, lines: 20, informational: 3 };
    let expect = step.expects.then_some(HANGS);
    let options = Arc::new(RequestOptions { head: limits, expect, max_body: step.most, ..RequestOptions::default() });
    let head = request.head(body.length()).expect("a head");
    let reservation = connection.reserve()?.trusted(None).await?;
    let told = Mutex::new(Vec::new());
    let tell = |event: InterimEvent| -> futures_util::future::BoxFuture<'_, ()> {
        if let InterimEvent::Informational(head) = event {
            told.lock().unwrap().push(shown(&head));
        }
        Box::pin(async {})
    };
    let asked = start_exchange(reservation, &request, head, body, &options, &tell).await;
    came.informational = std::mem::take(&mut *told.lock().unwrap());
    let mut answer = asked?;
    came.head = Some(shown(&answer.head));
    answer.show(&options)?;
    while let Some(data) = answer.next().await? {
        came.body.extend_from_slice(&data);
    }
    let lines = |head: ReceivedHead| head.lines().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    came.trailers = answer.trailers.take().map(lines);
    Ok(())
}
