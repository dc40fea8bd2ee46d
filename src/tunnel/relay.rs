//! Relays bytes between a WebSocket and a TCP connection, both ways at once: neither direction waits for the other, and each goes only as fast as it is
//! read. A tunnel holds two pieces, whatever its peers announce. Reads and writes what it is given; may touch the clock.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::forwarder::ForwarderRules;
use super::websocket::frames;
use super::websocket::frames::{BINARY, CLOSE, FrameEvent, FrameReader, FrameViolation, HEADER, PONG};
use crate::h1::Role;
use crate::io::sync::lock;

/// A client's frame may be this long; none of it is held.
const MAX_FRAME: u64 = 1 << 20;
/// What is read from either side at a time, and sent to the client in one frame.
const PIECE: usize = 16 << 10;
/// How long the end of a tunnel may take, with its Close frame.
const GOODBYE: Duration = Duration::from_secs(5);

/// Bytes that went through, in both directions; tunnels may share one.
#[derive(Debug, Default)]
pub struct TunnelTraffic {
    pub up: AtomicU64,
    pub down: AtomicU64,
}

/// Relays until both directions have ended, one fails, or a deadline passes. `client` has been upgraded.
pub async fn relay<S, T>(client: S, target: T, rules: &ForwarderRules, flow: &TunnelTraffic)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let (mut from_client, to_client) = split(client);
    let (from_target, to_target) = split(target);
    let mut out = Outward { writer: to_client, buffer: vec![0; HEADER + PIECE], from: 0, to: 0, closed: false };
    let (alive, pongs) = (Alive(Mutex::new(Instant::now())), Pongs::default());
    let both = async {
        let up = upward(&mut from_client, to_target, &pongs, flow, &alive);
        let down = downward(from_target, &mut out, &pongs, flow, &alive);
        tokio::try_join!(up, down).map(|_| ())
    };
    let end = tokio::select! {
        done = both => done.err(),
        () = alive.ceases(rules.idle) => Some(End::Idle),
        () = after(rules.total) => Some(End::Late),
    };
    if let Some((code, why)) = end.and_then(End::code) {
        let _ = tokio::time::timeout(GOODBYE, goodbye(out, from_client, code, why)).await;
    }
}

/// Finishes the frame that was begun, then sends the Close frame. Reads to the end: closing with bytes unread would discard what was sent last.
async fn goodbye<S: AsyncRead + AsyncWrite>(
    mut out: Outward<S>,
    mut from_client: ReadHalf<S>,
    code: u16,
    why: &str,
) -> io::Result<()> {
    out.flush().await?;
    out.close(code, why).await?;
    out.writer.shutdown().await?;
    let room = &mut out.buffer[..1024];
    while from_client.read(room).await? > 0 {}
    Ok(())
}

/// From the client to the target. Returns why it ended. A client that has sent a Close frame takes nothing more, so its end ends both directions.
async fn upward<S: AsyncRead + AsyncWrite>(
    client: &mut ReadHalf<S>,
    mut target: impl AsyncWrite + Unpin,
    pongs: &Pongs,
    flow: &TunnelTraffic,
    alive: &Alive,
) -> Result<(), End> {
    let mut frames = FrameReader::new(Role::Server, MAX_FRAME);
    let mut buffer = vec![0; PIECE];
    loop {
        let count = client.read(&mut buffer).await.map_err(|_| End::Failed)?;
        alive.sign();
        let mut rest = &mut buffer[..count];
        if rest.is_empty() {
            return Err(End::Failed);
        }
        while !rest.is_empty() {
            let (taken, event) = frames.next(rest).map_err(End::Violated)?;
            match event {
                FrameEvent::Data(range) => {
                    let data = &rest[range];
                    target.write_all(data).await.map_err(|_| End::Target)?;
                    flow.up.fetch_add(data.len() as u64, Ordering::Relaxed);
                    alive.sign();
                }
                FrameEvent::Ping => pongs.ring(frames.control()),
                FrameEvent::More | FrameEvent::Pong => {}
                FrameEvent::Close(code) => {
                    let _ = target.shutdown().await;
                    return Err(End::Closed(code));
                }
            }
            rest = &mut rest[taken..];
        }
    }
}

/// From the target to the client, until the target has sent everything. The client may still send then; its own Close frame ends that direction.
async fn downward<S: AsyncRead + AsyncWrite>(
    mut target: impl AsyncRead + Unpin,
    out: &mut Outward<S>,
    pongs: &Pongs,
    flow: &TunnelTraffic,
    alive: &Alive,
) -> Result<(), End> {
    loop {
        let read = tokio::select! {
            biased;
            pong = pongs.rung() => Err(pong),
            read = target.read(&mut out.buffer[HEADER..]) => Ok(read.map_err(|_| End::Target)?),
        };
        let sent = match read {
            Err(pong) => out.control(PONG, &pong).await,
            Ok(0) => {
                alive.sign();
                return out.close(1000, "").await.map_err(|_| End::Failed);
            }
            Ok(count) => {
                alive.sign();
                let sent = out.data(count).await;
                flow.down.fetch_add(count as u64, Ordering::Relaxed);
                sent
            }
        };
        sent.map_err(|_| End::Failed)?;
        alive.sign();
    }
}

/// The write side towards the client, used by both directions. It knows how much was sent even if a write is dropped half-way.
struct Outward<S> {
    writer: WriteHalf<S>,
    /// A frame is put together here: its header right before its payload.
    buffer: Vec<u8>,
    from: usize,
    to: usize,
    /// A Close frame was begun: nothing may follow it.
    closed: bool,
}

impl<S: AsyncRead + AsyncWrite> Outward<S> {
    /// Sends a frame of the bytes that follow the room for the longest header.
    async fn data(&mut self, count: usize) -> io::Result<()> {
        let mut header = Vec::with_capacity(HEADER);
        frames::put_header(&mut header, BINARY, count, None);
        self.from = HEADER - header.len();
        self.to = HEADER + count;
        self.buffer[self.from..HEADER].copy_from_slice(&header);
        self.flush().await
    }

    async fn control(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        let mut frame = Vec::new();
        frames::put(&mut frame, opcode, payload, None);
        (self.from, self.to) = (0, frame.len());
        self.buffer[..frame.len()].copy_from_slice(&frame);
        self.flush().await
    }

    async fn close(&mut self, code: u16, why: &str) -> io::Result<()> {
        match std::mem::replace(&mut self.closed, true) {
            true => Ok(()),
            false => self.control(CLOSE, &frames::close_payload(code, why)).await,
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        while self.from < self.to {
            match self.writer.write(&self.buffer[self.from..self.to]).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => self.from += count,
            }
        }
        self.writer.flush().await
    }
}

/// The pong for the last ping; earlier ones need none (RFC 6455 section 5.5.3). So reading never waits for writing.
#[derive(Default)]
struct Pongs {
    last: Mutex<Option<Vec<u8>>>,
    bell: Notify,
}

impl Pongs {
    fn ring(&self, payload: &[u8]) {
        *lock(&self.last) = Some(payload.to_vec());
        self.bell.notify_one();
    }

    async fn rung(&self) -> Vec<u8> {
        loop {
            if let Some(payload) = lock(&self.last).take() {
                return payload;
            }
            self.bell.notified().await;
        }
    }
}

/// Why a tunnel ended.
enum End {
    /// The client sent a Close frame with this code.
    Closed(u16),
    /// The client's connection broke: it cannot be told.
    Failed,
    /// The client violated the protocol.
    Violated(FrameViolation),
    Target,
    Idle,
    Late,
}

impl End {
    /// The Close code for the client (RFC 6455 section 7.4.1); its own code is returned to it.
    fn code(self) -> Option<(u16, &'static str)> {
        match self {
            End::Failed => None,
            End::Closed(code) => Some((code, "")),
            End::Violated(FrameViolation { code, why }) => Some((code, why)),
            End::Target => Some((1011, "target failed")),
            End::Idle => Some((1001, "idle")),
            End::Late => Some((1001, "time is up")),
        }
    }
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
