//! The driver over a pipe in memory, with a clock that goes by itself: what it tells, writes and refuses, and when it ends. No I/O.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

use super::{DriverSettings, H1Driver, HIGH, connection_task};
use crate::error::{Detail, Status};
use crate::h1::Role;
use crate::io::Liveness;
use crate::io::sync::lock;
use crate::operation::{Observer, Outlet, TransferEvent};

struct Pipe(DuplexStream);

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl Liveness for Pipe {
    fn check(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A host that writes down what it is told.
#[derive(Default)]
struct Diary(Mutex<String>);

impl Observer for Diary {
    fn post(self: Arc<Self>, event: TransferEvent, _: Option<OwnedSemaphorePermit>) {
        let text = match event {
            TransferEvent::Head(head) => format!("[{}]", head.status),
            TransferEvent::Informational(head) => format!("({})", head.status),
            TransferEvent::Data(data, _) => String::from_utf8_lossy(&data).into_owned(),
            TransferEvent::Trailers(head) => format!("trailers {}", head.count()),
            TransferEvent::End => ".".into(),
            TransferEvent::Writable => "writable".into(),
            TransferEvent::Closed(None) => "closed".into(),
            TransferEvent::Closed(Some(error)) => format!("closed: {} {:?}", error.status.name(), error.detail),
            _ => "other".into(),
        };
        lock(&self.0).push_str(&text);
    }
}

struct Driven {
    driver: Arc<H1Driver>,
    diary: Arc<Diary>,
    peer: DuplexStream,
}

impl Driven {
    fn start(parameters: DriverSettings) -> Driven {
        let (ours, peer) = tokio::io::duplex(1000);
        let diary = Arc::new(Diary::default());
        let driver = Arc::new(H1Driver::new(parameters, diary.clone()));
        tokio::spawn(connection_task(Pipe(ours), driver.clone(), Outlet::new(diary.clone()), None));
        Driven { driver, diary, peer }
    }

    fn server() -> Driven {
        Driven::start(DriverSettings::new(Role::Server))
    }

    async fn hears(&mut self, bytes: &str) {
        self.peer.write_all(bytes.as_bytes()).await.expect("taken");
        settle().await;
    }

    fn told(&self) -> String {
        lock(&self.diary.0).clone()
    }

    /// All that the peer is sent, to the end.
    async fn said(&mut self) -> String {
        let mut text = String::new();
        self.peer.read_to_string(&mut text).await.expect("UTF-8");
        text
    }

    fn answer(&self, body: &str) {
        let length = body.len().to_string();
        let lines = [(&b"Content-Length"[..], length.as_bytes())];
        self.driver.send_response(200, b"OK", lines.into_iter()).expect("said");
        self.driver.write(body.as_bytes()).expect("written");
        self.driver.finish(std::iter::empty()).expect("finished");
    }
}

/// Lets the task do what it can do now.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\n";

#[tokio::test(start_paused = true)]
async fn messages_follow_each_other_and_a_close_ends_the_connection() {
    let mut server = Driven::server();
    server.hears(GET).await;
    server.answer("one");
    settle().await;
    server.hears(&format!("{POST}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nA: b\r\n\r\n")).await;
    assert_eq!(server.told(), "[0].[0]abtrailers 1.");
    server.answer("two");
    server.driver.close();
    let said = server.said().await;
    assert_eq!(said.matches("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n").count(), 2, "{said}");
    assert!(said.contains("one") && said.ends_with("two"), "what was said before the close goes out: {said}");
    assert!(server.told().ends_with("closed"), "{}", server.told());
    assert_eq!(server.driver.finish(std::iter::empty()).unwrap_err().status, Status::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_message_says_close_if_there_is_no_keep_alive() {
    let mut server = Driven::start(DriverSettings { keep_alive: false, ..DriverSettings::new(Role::Server) });
    server.hears(GET).await;
    server.driver.send_response(103, b"", std::iter::empty()).expect("a hint");
    server.answer("one");
    let said = server.said().await;
    assert_eq!(said.matches("Connection: close\r\n").count(), 1, "the final head alone: {said}");
    assert!(server.told().ends_with("closed"), "{}", server.told());
}

#[tokio::test(start_paused = true)]
async fn a_fault_is_answered_unless_an_answer_has_begun() {
    let mut server = Driven::server();
    server.hears("nonsense\r\n\r\n").await;
    let said = server.said().await;
    assert!(said.starts_with("HTTP/1.1 400 Bad Request\r\n") && said.contains("Connection: close\r\n"), "{said}");
    assert_eq!(server.told(), format!("closed: H1_REMOTE {:?}", Detail::BadStartLine));

    let mut server = Driven::server();
    server.hears(&format!("{POST}Transfer-Encoding: chunked\r\n\r\n")).await;
    server.driver.send_response(200, b"OK", [(&b"Content-Length"[..], &b"3"[..])].into_iter()).expect("said");
    server.hears("nonsense\r\n").await;
    let said = server.said().await;
    assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{said}");
    assert_eq!(server.told(), format!("[0]closed: H1_REMOTE {:?}", Detail::BadChunk));
}

#[tokio::test(start_paused = true)]
async fn a_body_beyond_its_limit_is_refused_before_it_comes() {
    let limited = DriverSettings { body: 3, ..DriverSettings::new(Role::Server) };
    let mut server = Driven::start(limited.clone());
    server.hears(&format!("{POST}Content-Length: 4\r\n\r\n")).await;
    assert!(server.said().await.starts_with("HTTP/1.1 413 "));
    assert!(server.told().starts_with("[0]closed: BODY_TOO_LARGE"), "{}", server.told());

    // The host's own limit is for the message that comes next, and for it alone.
    let mut server = Driven::start(limited);
    server.driver.set_body_limit(4);
    server.hears(&format!("{POST}Content-Length: 4\r\n\r\nfour")).await;
    server.answer("");
    settle().await;
    server.hears(&format!("{POST}Content-Length: 4\r\n\r\nfour")).await;
    assert!(server.said().await.contains("HTTP/1.1 413 "));
    assert!(server.told().starts_with("[0]four.[0]closed: BODY_TOO_LARGE"), "{}", server.told());
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_late_ends_the_connection_and_a_hint_makes_it_no_later() {
    let late = Duration::from_secs(5);
    let mut server = Driven::start(DriverSettings { head_within: Some(late), ..DriverSettings::new(Role::Server) });
    server.hears("GET / HT").await;
    tokio::time::sleep(late).await;
    assert!(server.told().starts_with("closed: TIMED_OUT"), "{}", server.told());

    let mut client = Driven::start(DriverSettings { head_within: Some(late), ..DriverSettings::new(Role::Client) });
    client.driver.send_request(b"GET", b"/", [(&b"Host"[..], &b"a"[..])].into_iter()).expect("said");
    client.driver.finish(std::iter::empty()).expect("finished");
    for _ in 0..2 {
        settle().await;
        client.hears("HTTP/1.1 103 Early Hints\r\n\r\n").await;
        tokio::time::sleep(late / 2).await;
    }
    assert!(client.told().starts_with("(103)(103)closed: TIMED_OUT"), "{}", client.told());
}

#[tokio::test(start_paused = true)]
async fn no_more_of_a_body_is_told_than_there_is_credit() {
    let frugal = DriverSettings { credit: 3, automatic_credit: false, piece: 2, ..DriverSettings::new(Role::Server) };
    let mut server = Driven::start(frugal);
    server.hears(&format!("{POST}Content-Length: 6\r\n\r\n123456")).await;
    assert_eq!(server.told(), "[0]123");
    server.driver.credit.grant(2);
    settle().await;
    assert_eq!(server.told(), "[0]12345");
    server.driver.credit.grant(1);
    settle().await;
    assert_eq!(server.told(), "[0]123456.");
}

#[tokio::test(start_paused = true)]
async fn a_write_without_room_is_followed_by_one_writable() {
    let mut client = Driven::start(DriverSettings::new(Role::Client));
    let lines = [(&b"Host"[..], &b"a"[..]), (b"Transfer-Encoding", b"chunked")];
    client.driver.send_request(b"POST", b"/", lines.into_iter()).expect("said");
    let block = vec![b'x'; 50_000];
    let mut taken = 0;
    while client.driver.write(&block).is_ok() {
        taken += block.len();
        settle().await;
    }
    assert!((HIGH - block.len()..2 * HIGH).contains(&taken), "{taken}");
    assert_eq!(client.driver.write(&block).unwrap_err().status, Status::Again);
    assert_eq!(client.told(), "");
    let mut read = vec![0; taken];
    client.peer.read_exact(&mut read).await.expect("all of it");
    settle().await;
    assert_eq!(client.told(), "writable");
    client.driver.write(&block).expect("room again");
}

#[tokio::test(start_paused = true)]
async fn a_connection_can_be_detached_between_messages_only() {
    let mut server = Driven::server();
    server.driver.check_detachable().expect("nothing is under way");
    server.hears(GET).await;
    assert_eq!(server.driver.check_detachable().unwrap_err().status, Status::InvalidState);
    server.answer("one");
    server.driver.check_detachable().expect("both ends are done");
    server.driver.close();
    server.said().await;
    assert_eq!(server.driver.check_detachable().unwrap_err().status, Status::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_ended_its_direction_still_gets_its_answer() {
    let mut server = Driven::server();
    server.hears(GET).await;
    server.peer.shutdown().await.expect("ended");
    settle().await;
    assert_eq!(server.told(), "[0].", "the connection waits for the host");
    server.answer("late");
    assert!(server.said().await.ends_with("late"));
    assert_eq!(server.told(), "[0].closed");
}
