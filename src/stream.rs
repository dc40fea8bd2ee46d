//! An attested byte stream that reports by events. (Blocking streams are in `blocking`.) Connects through `connect`, and reads and writes what that gives.

pub mod blocking;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::connect::{ConnectTarget, TrustedStream, connect};
use crate::error::{Error, Phase, Result, Status};
use crate::io::sync::lock;
use crate::operation::{Cancel, Credit, Observer, Outlet, Running, SendQueue, TransferEvent};
use crate::verdict::Verdict;
use crate::verifier::Standing;

/// Most bytes handed over at once: waking the host for each TLS record would cost a fifth of the rate.
const BATCH: usize = 256 << 10;
/// Room for what comes first: as much as a stream holds that waits.
const FIRST: usize = 1 << 10;
/// Room at least for what comes behind that: a record.
const MORE: usize = 16 << 10;

/// What the host and the stream's task share.
pub struct StreamState {
    pub credit: Arc<Credit>,
    pub outgoing: SendQueue,
    pub cancel: Cancel,
    /// Thrown by a graceful close: what was written is still sent.
    pub closing: Cancel,
    /// On whom the stream came from, if it was a server's client; of a stream that connects, `trust` has it.
    verdict: Option<Arc<Verdict>>,
    trust: OnceLock<Arc<Standing>>,
}

impl Running for StreamState {
    fn cancel(&self) {
        self.cancel.cancel();
    }
}

impl StreamState {
    /// Of a stream that is to be; `writer` is told when it takes more again.
    pub fn new(
        (credit, automatic): (u64, bool),
        verdict: Option<Arc<Verdict>>,
        writer: Arc<dyn Observer>,
    ) -> StreamState {
        StreamState {
            credit: Arc::new(Credit::new(credit, automatic)),
            outgoing: SendQueue::new(Some(writer)),
            cancel: Cancel::default(),
            closing: Cancel::default(),
            verdict,
            trust: OnceLock::new(),
        }
    }

    /// On the other side: the last one.
    pub fn verdict(&self) -> Option<Arc<Verdict>> {
        self.trust.get().map(|trust| trust.verdict()).or_else(|| self.verdict.clone())
    }

    /// Closes gracefully: what was written is still sent.
    pub fn close(&self) {
        let _ = self.outgoing.finish();
        self.closing.cancel();
    }
}

/// Connects and moves bytes until both directions have ended, something fails, or the host cancels. Posts exactly one `Closed`.
pub async fn stream_task(target: ConnectTarget, shared: Arc<StreamState>, outlet: Outlet) {
    let ended = shared.cancel.guard(Box::pin(run(&target, &shared, &outlet))).await.err();
    let gone = ended.clone().unwrap_or_else(|| Error::new(Status::Closed, "the stream is closed"));
    shared.outgoing.end(gone);
    outlet.close(ended);
}

/// As `stream_task`, on a connection that is there already.
async fn upgraded_stream_task<S: AsyncRead + AsyncWrite>(io: S, shared: Arc<StreamState>, outlet: Outlet) {
    let (reader, writer) = tokio::io::split(io);
    let ended = shared.cancel.guard(Box::pin(converse(reader, writer, &shared, &outlet))).await.err();
    let gone = ended.clone().unwrap_or_else(|| Error::new(Status::Closed, "the stream is closed"));
    shared.outgoing.end(gone);
    outlet.close(ended);
}

/// A stream that waits for a connection to become its own. If that never happens, the stream is closed; if its host cancels or closes it, it is closed at
/// once, whatever the connection is doing.
pub struct PendingStream(Arc<Waiting>);

/// Invariant: only the thread that takes the outlet out of its lock closes it.
struct Waiting {
    stream: Arc<StreamState>,
    outlet: Mutex<Option<Outlet>>,
    /// Thrown once the wait is over: the connection came, or the host has given the stream up.
    over: Arc<Cancel>,
}

impl PendingStream {
    pub fn new(stream: Arc<StreamState>, outlet: Outlet) -> PendingStream {
        PendingStream(Arc::new(Waiting { stream, outlet: Mutex::new(Some(outlet)), over: Arc::default() }))
    }

    /// Closes the stream if its host gives it up. Runs beside what the stream waits for.
    pub fn watch(&self) -> impl Future<Output = ()> + Send + use<> {
        let waiting = self.0.clone();
        async move {
            tokio::select! {
                biased;
                () = waiting.over.thrown() => {}
                () = waiting.stream.cancel.thrown() => waiting.close(Some(Error::new(Status::Canceled, "canceled"))),
                () = waiting.stream.closing.thrown() => waiting.close(None),
            }
        }
    }

    /// Thrown once the host has given the stream up.
    pub fn given_up(&self) -> Arc<Cancel> {
        self.0.over.clone()
    }

    /// The stream ends with its owner, as `Outlet::owned`.
    pub fn owned(&self, closing: &Arc<Cancel>, peer: Option<SocketAddr>, why: fn() -> Error) {
        let mut outlet = lock(&self.0.outlet);
        *outlet = outlet.take().map(|outlet| outlet.owned(closing.clone(), peer, why));
    }

    /// Runs the stream to its end.
    pub async fn run<S: AsyncRead + AsyncWrite>(self, io: S) {
        let outlet = lock(&self.0.outlet).take();
        if let Some(outlet) = outlet {
            self.0.over.cancel();
            upgraded_stream_task(io, self.0.stream.clone(), outlet).await;
        }
    }
}

impl Drop for PendingStream {
    fn drop(&mut self) {
        self.0.close(Some(Error::new(Status::Closed, "the connection ended before it was upgraded")));
    }
}

impl Waiting {
    fn close(&self, error: Option<Error>) {
        let outlet = lock(&self.outlet).take();
        if let Some(outlet) = outlet {
            let gone = error.clone().unwrap_or_else(|| Error::new(Status::Closed, "the stream is closed"));
            self.stream.outgoing.end(gone);
            self.over.cancel();
            outlet.close(error);
        }
    }
}

async fn run(target: &ConnectTarget, shared: &StreamState, outlet: &Outlet) -> Result<()> {
    // Boxed: what connecting needs is many times what the connection keeps. The stream is split in there too: a future keeps room for all that passes through it.
    let opened = async {
        let connected = connect(target).await?;
        let trust = connected.trust.map(|trust| trust.standing().clone());
        if let Some(trust) = trust.clone() {
            let _ = shared.trust.set(trust);
        }
        Result::Ok(tokio::io::split(TrustedStream::new(connected.stream, trust)))
    };
    let (reader, writer) = Box::pin(opened).await?;
    converse(reader, writer, shared, outlet).await
}

async fn converse(
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    shared: &StreamState,
    outlet: &Outlet,
) -> Result<()> {
    shared.outgoing.open();
    outlet.post(TransferEvent::Connected).await;
    shared.outgoing.announce_open();
    let mut receive = pin!(receive(&mut reader, &shared.credit, outlet));
    let mut send = pin!(send(&mut writer, &shared.outgoing));
    let (mut received, mut sent, mut closing) = (false, false, false);
    // A graceful close waits for what was written only; `finish` was called, so that direction ends.
    while !(sent && (received || closing)) {
        tokio::select! {
            done = &mut receive, if !received => received = done.map(|()| true)?,
            done = &mut send, if !sent => {
                sent = done.map(|()| true)?;
                // Posted without waiting for room: the host may be slow to take what is received.
                outlet.post_now(TransferEvent::Sent, None);
            }
            () = shared.closing.thrown(), if !closing => closing = true,
        }
    }
    Ok(())
}

async fn receive(reader: &mut (impl AsyncRead + Unpin), credit: &Arc<Credit>, outlet: &Outlet) -> Result<()> {
    let mut batches = Batches::default();
    loop {
        // Without credit a single byte is read ahead, to notice the end; the rest stays in the socket.
        let limit = usize::try_from(credit.available()).unwrap_or(usize::MAX).clamp(1, BATCH);
        let piece = batches.next(reader, limit).await?;
        if piece.is_empty() {
            outlet.post(TransferEvent::End).await;
            return Ok(());
        }
        if credit.available() == 0 {
            credit.wait().await;
        }
        credit.take(piece.len() as u64);
        outlet.post(TransferEvent::Data(piece, credit.clone())).await;
    }
}

/// Reads what has come, as one piece. Holds little memory while nothing comes, and so does a small piece.
#[derive(Default)]
struct Batches {
    /// Empty between pieces.
    buffer: BytesMut,
    /// The length of the last piece: the next one may be as long.
    last: usize,
}

impl Batches {
    /// Waits for bytes, then takes all that have arrived up to `limit`. Empty at the end of the stream.
    async fn next(&mut self, reader: &mut (impl AsyncRead + Unpin), limit: usize) -> Result<Bytes> {
        let buffer = &mut self.buffer;
        if buffer.capacity() > FIRST {
            *buffer = BytesMut::new();
        }
        buffer.reserve(limit.min(FIRST));
        let broken = |error| Error::from_io(error, Phase::Transfer).context("receiving");
        let count = reader.take(limit as u64).read_buf(buffer).await.map_err(broken)?;
        let mut cx = Context::from_waker(Waker::noop());
        while count > 0 && buffer.len() < limit {
            let room = limit - buffer.len();
            if buffer.len() == buffer.capacity() {
                buffer.reserve(self.last.max(MORE).min(room));
            }
            let mut more = reader.take(room as u64);
            // The read after this batch meets the error again; nothing is lost.
            if !matches!(pin!(more.read_buf(buffer)).poll(&mut cx), Poll::Ready(Ok(1..))) {
                break;
            }
        }
        self.last = buffer.len();
        Ok(buffer.split().freeze())
    }
}

async fn send(writer: &mut (impl AsyncWrite + Unpin), outgoing: &SendQueue) -> Result<()> {
    let broken = |error| Error::from_io(error, Phase::Transfer).context("sending");
    while let Some(piece) = outgoing.next().await {
        writer.write_all(&piece).await.map_err(broken)?;
        // What TLS has taken must reach the socket before we wait again: the peer may be waiting for just that.
        if outgoing.is_empty() {
            writer.flush().await.map_err(broken)?;
        }
    }
    writer.shutdown().await.map_err(broken)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_stream_that_waits_and_a_small_piece_hold_little_memory_and_a_batch_is_whole() {
        let (mut near, mut far) = tokio::io::duplex(1 << 20);
        let mut batches = Batches::default();
        for length in [1, FIRST - 1, FIRST, FIRST + 1, MORE, BATCH - 1, BATCH, 3] {
            let sent: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            far.write_all(&sent).await.unwrap();
            let piece = batches.next(&mut near, BATCH).await.unwrap();
            assert!(piece == sent, "{length}");
            assert!(batches.next(&mut near, BATCH).now_or_never().is_none());
            assert!(batches.buffer.is_empty() && batches.buffer.capacity() <= FIRST, "{length}");
            batches.buffer = BytesMut::new();
            let held = piece.try_into_mut().map(|piece| piece.capacity()).unwrap_or(usize::MAX);
            assert!(held <= if length < FIRST { FIRST } else { 2 * (length + MORE) }, "{length}: {held}");
        }
        far.write_all(&[7; 2 * FIRST]).await.unwrap();
        assert_eq!(batches.next(&mut near, 1).await.unwrap().len(), 1);
        assert_eq!(batches.next(&mut near, FIRST + 9).await.unwrap().len(), FIRST + 9);
        drop(far);
        assert_eq!(batches.next(&mut near, BATCH).await.unwrap().len(), FIRST - 10);
        assert!(batches.next(&mut near, BATCH).await.unwrap().is_empty());
    }
}
