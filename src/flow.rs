//! Flow control: credit for what comes in, a bounded queue for what goes out, and cancellation. No I/O.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::error::{Error, Result, Status};
use crate::pool;

/// Bytes that the host is ready to receive.
#[derive(Debug)]
pub struct Credit {
    available: Mutex<u64>,
    granted: Notify,
    /// Grant again what the host is done with.
    pub automatic: bool,
}

impl Credit {
    pub fn new(initial: u64, automatic: bool) -> Credit {
        Credit { available: Mutex::new(initial), granted: Notify::new(), automatic }
    }

    pub fn grant(&self, bytes: u64) {
        let mut available = lock(&self.available);
        *available = available.saturating_add(bytes);
        drop(available);
        self.granted.notify_one();
    }

    pub fn available(&self) -> u64 {
        *lock(&self.available)
    }

    /// Waits until there is some; returns how much, without taking it.
    pub async fn wait(&self) -> u64 {
        loop {
            let granted = self.granted.notified();
            let available = *lock(&self.available);
            if available > 0 {
                return available;
            }
            granted.await;
        }
    }

    pub fn take(&self, bytes: u64) {
        let mut available = lock(&self.available);
        *available = available.saturating_sub(bytes);
    }
}

/// What the host has written and the network has not taken yet.
pub struct Outgoing {
    state: Mutex<OutgoingState>,
    on_writable: Box<dyn Fn() + Send + Sync>,
    /// For the one writer that has the turn.
    room: Notify,
    /// Writers that wait, in the order in which they came. Only who has the turn waits for room: so none is passed by, however large its piece.
    turn: tokio::sync::Mutex<()>,
}

struct OutgoingState {
    queue: VecDeque<Bytes>,
    /// The weight of all of it.
    held: usize,
    open: bool,
    finished: bool,
    discarding: bool,
    /// Something that was written never went out.
    lost: bool,
    over: bool,
    ended: Option<Error>,
    wants_writable: bool,
    reader: Option<Waker>,
}

/// Beyond the high mark writes answer AGAIN; below the low mark a WRITABLE follows. Both are of what is held: of the pieces' memory, and of what it takes to keep
/// each of them, or a host of small pieces would hold many times as much for a peer that does not read.
const HIGH: usize = 256 << 10;
const LOW: usize = 64 << 10;
/// What a piece takes besides its bytes: its place in the queue, which grows by doubling, and the smallest piece of memory that there is.
const KEEPING: usize = 128;

/// What holding a piece takes.
fn weight(piece: &Bytes) -> usize {
    pool::held(piece.len()).saturating_add(KEEPING)
}

impl Outgoing {
    /// `on_writable` is called once after each refused write, when there is room again.
    pub fn new(on_writable: Box<dyn Fn() + Send + Sync>) -> Outgoing {
        let state = OutgoingState {
            queue: VecDeque::new(),
            held: 0,
            open: false,
            finished: false,
            discarding: false,
            lost: false,
            over: false,
            ended: None,
            wants_writable: false,
            reader: None,
        };
        Outgoing { state: Mutex::new(state), on_writable, room: Notify::new(), turn: tokio::sync::Mutex::new(()) }
    }

    /// From now on writes are taken. Who was refused before is told by `announce_open`, so that the caller can tell it first that
    /// the connection is there.
    pub fn open(&self) {
        lock(&self.state).open = true;
    }

    pub fn announce_open(&self) {
        let notify = std::mem::take(&mut lock(&self.state).wants_writable);
        self.announce(notify);
    }

    /// Takes all of `data` or, with `Again`, nothing. A piece larger than the window is taken when the queue is empty.
    pub fn write(&self, data: Bytes) -> Result<()> {
        let mut state = lock(&self.state);
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

    /// As `write`, waiting for room; several may, and come one after the other.
    pub async fn write_all(&self, data: Bytes) -> Result<()> {
        let _turn = self.turn.lock().await;
        loop {
            let room = self.room.notified();
            match self.write(data.clone()) {
                Err(error) if error.status == Status::Again => room.await,
                done => return done,
            }
        }
    }

    /// Nothing more will be written.
    pub fn finish(&self) -> Result<()> {
        let mut state = lock(&self.state);
        if state.over {
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
                state.ended.get_or_insert(error);
            }
        });
    }

    /// The exchange is over, as it should be. Later writes fail, but to finish is no fault: the other end may have known all of it before.
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

    /// The next piece for the network; `None` once all is out and `finish` was called.
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = lock(&self.state);
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

    /// Why nothing more comes, where that is not because the writer was done.
    pub fn given_up(&self) -> Option<Error> {
        let state = lock(&self.state);
        state.why_ended().filter(|_| state.lost || !state.finished)
    }

    /// Nobody reads any more, and that is no fault: what is written is taken and forgotten.
    pub fn discard(&self) {
        let mut state = lock(&self.state);
        state.discarding = true;
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
            (self.on_writable)();
            self.room.notify_one();
        }
    }
}

impl OutgoingState {
    /// What was queued, to be dropped once the lock is free: with a buffer that the host has lent us goes a call into the host.
    #[must_use]
    fn forget(&mut self) -> VecDeque<Bytes> {
        self.held = 0;
        std::mem::take(&mut self.queue)
    }

    fn why_ended(&self) -> Option<Error> {
        let over = || self.over.then(|| Error::new(Status::Closed, "the exchange is over"));
        self.ended.clone().or_else(over)
    }

    fn check(&self) -> Result<()> {
        match self.why_ended() {
            Some(error) => Err(error),
            None if self.finished => Err(Error::new(Status::InvalidState, "the sending direction was closed already")),
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

/// A switch that is thrown once, from any thread.
#[derive(Default)]
pub struct Cancel {
    thrown: AtomicBool,
    notify: Notify,
}

impl Cancel {
    pub fn cancel(&self) {
        self.thrown.store(true, Ordering::Release);
        self.notify.notify_waiters();
    }

    pub fn is_canceled(&self) -> bool {
        self.thrown.load(Ordering::Acquire)
    }

    pub async fn thrown(&self) {
        let mut notified = pin!(self.notify.notified());
        // Enlisted before the flag is looked at: a throw in between is not missed.
        notified.as_mut().enable();
        if !self.is_canceled() {
            notified.await;
        }
    }

    /// Runs `work` unless or until the switch is thrown.
    pub async fn guard<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.thrown() => Err(Error::new(Status::Canceled, "canceled")),
            done = work => done,
        }
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poison| poison.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;

    #[test]
    fn a_refused_write_is_followed_by_one_writable() {
        let fired = Arc::new(AtomicU32::new(0));
        let counter = fired.clone();
        let out = Outgoing::new(Box::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        }));
        let piece = || Bytes::from(vec![0; HIGH]);
        assert_eq!(out.write(piece()).unwrap_err().status, Status::Again, "not open yet");
        out.open();
        out.announce_open();
        assert_eq!(fired.load(Ordering::SeqCst), 1);
        out.write(piece()).unwrap();
        for _ in 0..3 {
            assert_eq!(out.write(piece()).unwrap_err().status, Status::Again);
        }
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(out.poll_next(&mut cx), Poll::Ready(Some(_))));
        assert_eq!(fired.load(Ordering::SeqCst), 2);
        out.finish().unwrap();
        assert_eq!(out.write(piece()).unwrap_err().status, Status::InvalidState);
        assert!(matches!(out.poll_next(&mut cx), Poll::Ready(None)));
    }

    /// What is held is bounded, not what is written.
    #[test]
    fn small_pieces_count_with_what_it_takes_to_keep_them() {
        for (size, most) in [(1, HIGH / KEEPING), (100, HIGH / 200), (5000, HIGH / 8192), (40_000, 4)] {
            let out = Outgoing::new(Box::new(|| ()));
            out.open();
            let taken = (0..).take_while(|_| out.write(pool::copy(&vec![0; size])).is_ok()).count();
            assert!(taken <= most && taken >= most * 3 / 4, "{taken} pieces of {size} bytes");
            let mut cx = Context::from_waker(Waker::noop());
            while let Poll::Ready(Some(_)) = out.poll_next(&mut cx) {}
            assert_eq!(lock(&out.state).held, 0);
        }
    }

    #[tokio::test]
    async fn credit_saturates_and_wakes() {
        let credit = Credit::new(0, false);
        credit.grant(u64::MAX);
        credit.grant(5);
        assert_eq!(credit.wait().await, u64::MAX);
        credit.take(u64::MAX);
        credit.take(1);
        let (available, ()) = tokio::join!(credit.wait(), async { credit.grant(7) });
        assert_eq!(available, 7);
    }

    #[tokio::test]
    async fn cancel_ends_what_waits() {
        let cancel = Cancel::default();
        cancel.cancel();
        let ended = cancel.guard(std::future::pending::<Result<()>>()).await;
        assert_eq!(ended.unwrap_err().status, Status::Canceled);
    }
}
