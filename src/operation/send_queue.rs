//! The bounded queue of what a host sends. No I/O.

mod pieces;
mod rewind;

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::sync::Notify;

use pieces::Pieces;
use rewind::wants_rewind;

use crate::error::{Detail, Error, Result, Status};
use crate::io::buffers;
use crate::io::sync::lock;
use crate::operation::{Observer, TransferEvent};

/// What the host has written and the network has not taken yet.
pub struct SendQueue {
    state: Mutex<OutgoingState>,
    /// Is posted WRITABLE, unless its writers wait for room.
    writer: Option<Arc<dyn Observer>>,
    /// Wakes the writer that has the turn.
    room: Notify,
    /// Writers wait for their turn in the order in which they came. Only the one that has it waits for room, so that none is overtaken, however large its
    /// piece.
    turn: tokio::sync::Mutex<()>,
    /// The host is asked to start the body again; and it does.
    unwound: Notify,
    rewound: Notify,
}

struct OutgoingState {
    queue: Pieces,
    /// The weight of all of it.
    held: usize,
    open: bool,
    finished: bool,
    discarding: bool,
    /// Something that was written was never sent.
    lost: bool,
    /// The number of the request that takes what is written. An earlier one, whose connection may still be there, gets nothing of what was written for this
    /// one, and its end does not concern this one.
    reading: u32,
    /// Nobody takes what is written: the request that did is over, and no other has begun.
    unread: bool,
    /// No other request will follow.
    answered: bool,
    /// The host can start the body again; and it has been asked to.
    may_rewind: bool,
    rewinding: bool,
    /// How often the body started again: a write that has waited since before that is not part of it.
    begun: u32,
    over: bool,
    ended: Option<Box<Error>>,
    wants_writable: bool,
    reader: Option<Waker>,
}

/// Beyond the high mark writes answer AGAIN; below the low mark a WRITABLE follows. Both count the memory of the pieces, and what it takes to keep each of
/// them: otherwise many small pieces would occupy many times as much for a peer that does not read.
const HIGH: usize = 256 << 10;
const LOW: usize = 64 << 10;
/// What a piece occupies besides its bytes: its place in the queue, which grows by doubling, and the smallest allocation.
const KEEPING: usize = 128;

/// The memory that a piece occupies.
fn weight(piece: &Bytes) -> usize {
    buffers::held(piece.len()).saturating_add(KEEPING)
}

impl SendQueue {
    /// `writer`, if there is one, is posted WRITABLE once after each refused write, when there is room again.
    pub fn new(writer: Option<Arc<dyn Observer>>) -> SendQueue {
        let state = OutgoingState {
            queue: Pieces::default(),
            held: 0,
            open: false,
            finished: false,
            discarding: false,
            lost: false,
            reading: 0,
            unread: false,
            answered: false,
            may_rewind: false,
            rewinding: false,
            begun: 0,
            over: false,
            ended: None,
            wants_writable: false,
            reader: None,
        };
        SendQueue {
            state: Mutex::new(state),
            writer,
            room: Notify::new(),
            turn: tokio::sync::Mutex::new(()),
            unwound: Notify::new(),
            rewound: Notify::new(),
        }
    }

    /// From now on writes are accepted. Writers that were refused before are told by `announce_open`, so that the caller can first report the connection.
    pub fn open(&self) {
        lock(&self.state).open = true;
    }

    pub fn is_open(&self) -> bool {
        lock(&self.state).open
    }

    pub fn announce_open(&self) {
        let notify = std::mem::take(&mut lock(&self.state).wants_writable);
        self.announce(notify);
    }

    /// Takes all of `data` or, with `Again`, nothing. A piece larger than the window is taken when the queue is empty.
    pub fn write(&self, data: Bytes) -> Result<()> {
        let state = lock(&self.state);
        self.take(state, data)
    }

    fn take(&self, mut state: MutexGuard<'_, OutgoingState>, data: Bytes) -> Result<()> {
        state.check()?;
        let weight = weight(&data);
        if !state.open || (state.held > 0 && state.held.saturating_add(weight) > HIGH) {
            state.wants_writable = true;
            return Err(Error::new(Status::Again, "no room now; a WRITABLE event follows"));
        }
        if !data.is_empty() && !state.discarding {
            state.held = state.held.saturating_add(weight);
            state.queue.push_back(data);
        }
        wake(state);
        Ok(())
    }

    /// As `write`, but waits for room. Several writers may wait; they are served in order.
    pub async fn write_all(&self, data: Bytes) -> Result<()> {
        let begun = lock(&self.state).begun;
        let _turn = self.turn.lock().await;
        loop {
            let room = self.room.notified();
            match self.write_since(begun, data.clone()) {
                Err(error) if error.status == Status::Again && error.detail != Detail::Rewind => room.await,
                done => return done,
            }
        }
    }

    fn write_since(&self, begun: u32, data: Bytes) -> Result<()> {
        let state = lock(&self.state);
        if state.begun == begun { self.take(state, data) } else { Err(wants_rewind()) }
    }

    /// Nothing more will be written.
    pub fn finish(&self) -> Result<()> {
        let mut state = lock(&self.state);
        if state.over || state.is_unwanted() {
            return Ok(());
        }
        state.check()?;
        state.finished = true;
        wake(state);
        Ok(())
    }

    /// The other end is gone: later writes fail with this.
    pub fn end(&self, error: Error) {
        self.stop(|state| {
            if !state.over {
                state.ended.get_or_insert(Box::new(error));
            }
        });
    }

    /// The exchange is over without an error. Later writes fail, but `finish` does not: the peer may already have received everything.
    pub fn be_over(&self) {
        self.stop(|state| state.over = true);
    }

    fn stop(&self, why: impl FnOnce(&mut OutgoingState)) {
        let mut state = lock(&self.state);
        why(&mut state);
        state.lost |= !state.queue.is_empty();
        let gone = state.forget();
        state.wants_writable = false;
        wake(state);
        drop(gone);
        self.room.notify_one();
    }

    /// A request begins to take what is written; returns its number.
    pub fn is_read(&self) -> u32 {
        let mut state = lock(&self.state);
        state.unread = false;
        state.reading += 1;
        state.reading
    }

    /// The request that took what was written takes no more of it. Unless another one follows, or did already, later writes fail.
    pub fn nobody_reads(&self, reader: u32) {
        let mut state = lock(&self.state);
        if state.reading == reader {
            state.unread = true;
            drop(state);
            self.room.notify_waiters();
        }
    }

    /// The response is there, so that no other request will follow.
    pub fn answered(&self) {
        lock(&self.state).answered = true;
        self.room.notify_waiters();
    }

    /// As `poll_next`, for one request, which waits for ever once another has taken its place.
    pub fn poll_read(&self, reader: u32, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let state = lock(&self.state);
        if state.reading == reader { self.poll_piece(state, cx) } else { Poll::Pending }
    }

    /// The next piece for the network; `None` once all is out and `finish` was called.
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.poll_piece(lock(&self.state), cx)
    }

    fn poll_piece(&self, mut state: MutexGuard<'_, OutgoingState>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(piece) = state.queue.pop_front() else {
            if state.finished || state.over || state.ended.is_some() {
                return Poll::Ready(None);
            }
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        state.held = state.held.saturating_sub(weight(&piece));
        let notify = state.held <= LOW && std::mem::take(&mut state.wants_writable);
        drop(state);
        self.announce(notify);
        Poll::Ready(Some(piece))
    }

    pub async fn next(&self) -> Option<Bytes> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Why nothing more will come, unless the writer has finished.
    pub fn given_up(&self) -> Option<Error> {
        let state = lock(&self.state);
        state.why_ended().filter(|_| state.lost || !state.finished)
    }

    /// Nobody reads any more, which is not an error: what is written is accepted and discarded. A request that has read some of it does not complete.
    pub fn discard(&self) {
        let mut state = lock(&self.state);
        state.discarding = true;
        state.reading += 1;
        let gone = state.forget();
        let notify = std::mem::take(&mut state.wants_writable);
        drop(state);
        drop(gone);
        self.announce(notify);
    }

    pub fn is_finished(&self) -> bool {
        let state = lock(&self.state);
        state.finished || state.over
    }

    pub fn is_empty(&self) -> bool {
        lock(&self.state).queue.is_empty()
    }

    fn announce(&self, notify: bool) {
        if notify {
            if let Some(writer) = &self.writer {
                writer.clone().post(TransferEvent::Writable, None);
            }
            self.room.notify_one();
        }
    }
}

impl OutgoingState {
    /// What was queued, to be dropped after the lock is released: dropping a buffer that the host lent us calls the host.
    #[must_use]
    fn forget(&mut self) -> Pieces {
        self.held = 0;
        std::mem::take(&mut self.queue)
    }

    fn why_ended(&self) -> Option<Error> {
        let over = || self.over.then(|| Error::new(Status::Closed, "the exchange is over"));
        self.ended.as_deref().cloned().or_else(over)
    }

    /// The server has responded, or gone, before it received everything.
    fn is_unwanted(&self) -> bool {
        self.unread && self.answered && !self.discarding
    }

    fn check(&self) -> Result<()> {
        match self.why_ended() {
            Some(error) => Err(error),
            None if self.finished => Err(Error::new(Status::InvalidState, "the sending direction was closed already")),
            None if self.rewinding => Err(wants_rewind()),
            None if self.is_unwanted() => {
                Err(Error::new(Status::Closed, "the server has answered, and takes no more of the body"))
            }
            None => Ok(()),
        }
    }
}

fn wake(mut state: MutexGuard<'_, OutgoingState>) {
    let reader = state.reader.take();
    drop(state);
    if let Some(reader) = reader {
        reader.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::sync::OwnedSemaphorePermit;

    /// How often it was told that there is room again.
    #[derive(Default)]
    struct Fired(AtomicU32);

    impl Observer for Fired {
        fn post(self: Arc<Self>, event: TransferEvent, _: Option<OwnedSemaphorePermit>) {
            assert!(matches!(event, TransferEvent::Writable));
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_refused_write_is_followed_by_one_writable() {
        let fired = Arc::<Fired>::default();
        let out = SendQueue::new(Some(fired.clone()));
        let piece = || Bytes::from(vec![0; HIGH]);
        assert_eq!(out.write(piece()).unwrap_err().status, Status::Again, "not open yet");
        out.open();
        out.announce_open();
        assert_eq!(fired.0.load(Ordering::SeqCst), 1);
        out.write(piece()).unwrap();
        for _ in 0..3 {
            assert_eq!(out.write(piece()).unwrap_err().status, Status::Again);
        }
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(out.poll_next(&mut cx), Poll::Ready(Some(_))));
        assert_eq!(fired.0.load(Ordering::SeqCst), 2);
        out.finish().unwrap();
        assert_eq!(out.write(piece()).unwrap_err().status, Status::InvalidState);
        assert!(matches!(out.poll_next(&mut cx), Poll::Ready(None)));
    }

    /// What is held is bounded, not what is written.
    #[test]
    fn small_pieces_count_with_what_it_takes_to_keep_them() {
        for (size, most) in [(1, HIGH / KEEPING), (100, HIGH / 200), (5000, HIGH / 8192), (40_000, 4)] {
            let out = SendQueue::new(None);
            out.open();
            let taken = (0..).take_while(|_| out.write(buffers::copy(&vec![0; size])).is_ok()).count();
            assert!(taken <= most && taken >= most * 3 / 4, "{taken} pieces of {size} bytes");
            let mut cx = Context::from_waker(Waker::noop());
            while let Poll::Ready(Some(_)) = out.poll_next(&mut cx) {}
            assert_eq!(lock(&out.state).held, 0);
        }
    }

    #[tokio::test]
    async fn a_body_that_nobody_reads_is_refused_once_there_is_an_answer() {
        let out = SendQueue::new(None);
        let piece = || Bytes::from(vec![0; HIGH]);
        out.open();
        let first = out.is_read();
        out.write(piece()).unwrap();
        out.nobody_reads(first);
        // Another request may follow, and take it.
        assert_eq!(out.write(piece()).unwrap_err().status, Status::Again);
        let second = out.is_read();
        out.answered();
        // What becomes of the one before is not its business.
        out.nobody_reads(first);
        assert_eq!(out.write(piece()).unwrap_err().status, Status::Again);
        let (waited, ()) = tokio::join!(out.write_all(piece()), async { out.nobody_reads(second) });
        assert_eq!(waited.unwrap_err().status, Status::Closed);
        out.finish().unwrap();
    }
}
