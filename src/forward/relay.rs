//! Bytes between a WebSocket and a TCP connection, both ways at once: neither direction waits for the other, and each goes only as fast as it is read.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};

use super::Rules;
use crate::flow::lock;
use crate::net::Socket;

/// A client's message may be this large.
const MAX_MESSAGE: usize = 1 << 20;
/// What is read from the target at a time, and sent in one frame.
const PIECE: usize = 32 << 10;
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(5);

/// Bytes that went through, in both directions; may be shared by many.
#[derive(Debug, Default)]
pub struct Flow {
    pub up: AtomicU64,
    pub down: AtomicU64,
}

/// Until both directions have ended, one fails, or time is up. `client` has been upgraded.
pub async fn relay<S: AsyncRead + AsyncWrite + Unpin>(client: S, target: Socket, rules: &Rules, flow: &Flow) {
    let limits = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
        .write_buffer_size(0)
        .max_write_buffer_size(2 * PIECE);
    let socket = WebSocketStream::from_raw_socket(client, Role::Server, Some(limits)).await;
    let (mut sink, mut source) = socket.split();
    let (reader, writer) = tokio::io::split(target);
    let alive = Alive(Mutex::new(Instant::now()));
    let both = async {
        let (up, down) = (upward(&mut source, writer, flow, &alive), downward(reader, &mut sink, flow, &alive));
        tokio::try_join!(up, down).map(|_| ())
    };
    let end = tokio::select! {
        done = both => done.err(),
        () = alive.ceases(rules.idle) => Some(End::Idle),
        () = after(rules.total) => Some(End::Late),
    };
    if let Some((code, why)) = end.and_then(End::code) {
        let goodbye = async {
            sink.send(Message::Close(Some(goodbye(code, why)))).await?;
            // Closing with bytes unread would throw our last words away.
            while source.next().await.transpose()?.is_some() {}
            Ok::<_, WsError>(())
        };
        let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    }
}

/// From the client to the target. Ends with why: a client that has said goodbye takes nothing more, so its end is that of both directions.
async fn upward<S: AsyncRead + AsyncWrite + Unpin>(
    source: &mut SplitStream<WebSocketStream<S>>,
    mut writer: impl AsyncWrite + Unpin,
    flow: &Flow,
    alive: &Alive,
) -> Result<(), End> {
    while let Some(message) = source.next().await {
        alive.sign();
        let data = match message {
            Ok(Message::Binary(data)) => data,
            Ok(Message::Text(text)) => text.into(),
            Err(WsError::ConnectionClosed | WsError::AlreadyClosed) => break,
            // Pings are answered by the socket itself, and so is a close frame: the end comes after it.
            Ok(_) => continue,
            Err(_) => return Err(End::Failed),
        };
        writer.write_all(&data).await.map_err(|_| End::Target)?;
        flow.up.fetch_add(data.len() as u64, Ordering::Relaxed);
        alive.sign();
    }
    let _ = writer.shutdown().await;
    Err(End::Closed)
}

/// From the target to the client, until the target has said all. The client may still send then; its own close frame ends that direction.
async fn downward<S: AsyncRead + AsyncWrite + Unpin>(
    mut reader: impl AsyncRead + Unpin,
    sink: &mut SplitSink<WebSocketStream<S>, Message>,
    flow: &Flow,
    alive: &Alive,
) -> Result<(), End> {
    let mut piece = vec![0; PIECE];
    loop {
        let count = reader.read(&mut piece).await.map_err(|_| End::Target)?;
        alive.sign();
        if count == 0 {
            return sink.send(Message::Close(Some(goodbye(1000, "")))).await.map_err(End::of);
        }
        sink.send(Message::binary(piece[..count].to_vec())).await.map_err(End::of)?;
        flow.down.fetch_add(count as u64, Ordering::Relaxed);
        alive.sign();
    }
}

/// How it ended.
enum End {
    /// The client said so.
    Closed,
    /// The client broke off, or broke the protocol: there is nobody to tell.
    Failed,
    Target,
    Idle,
    Late,
}

impl End {
    fn of(error: WsError) -> End {
        match error {
            WsError::ConnectionClosed | WsError::AlreadyClosed => End::Closed,
            _ => End::Failed,
        }
    }

    /// What the client is told (RFC 6455 section 7.4.1).
    fn code(self) -> Option<(u16, &'static str)> {
        match self {
            End::Closed | End::Failed => None,
            End::Target => Some((1011, "target failed")),
            End::Idle => Some((1001, "idle")),
            End::Late => Some((1001, "time is up")),
        }
    }
}

fn goodbye(code: u16, why: &'static str) -> CloseFrame {
    CloseFrame { code: code.into(), reason: Utf8Bytes::from_static(why) }
}

/// When something last moved.
struct Alive(Mutex<Instant>);

impl Alive {
    fn sign(&self) {
        *lock(&self.0) = Instant::now();
    }

    async fn ceases(&self, limit: Option<Duration>) {
        let Some(limit) = limit else { return std::future::pending().await };
        loop {
            let until = *lock(&self.0) + limit;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}

async fn after(limit: Option<Duration>) {
    match limit {
        Some(limit) => sleep(limit).await,
        None => std::future::pending().await,
    }
}
