//! How far the body of a request has come: the wait for a 100 (Continue), whether all of it was sent, and whether it was stopped. No I/O.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::io::sync::lock;
use crate::operation::SendQueue;

/// What the exchange knows about its body, which the engine owns.
#[derive(Default)]
pub struct BodyProgress {
    /// Nothing of the body is sent while this is set.
    held: AtomicBool,
    waiting: Mutex<Option<Waker>>,
    pub(super) complete: AtomicBool,
    /// No more of it is sent, although it is not complete; the response may still come.
    pub(super) stopped: AtomicBool,
    /// The source is being called. `asking` and `stopped` are each written before the other is read: so either the source is not called, or the task that stops
    /// the body waits for the call to end.
    asking: AtomicBool,
    pub(super) whole: AtomicBool,
    answered: AtomicBool,
    /// If it is a stream: the stream, and the number of its reader.
    outgoing: Option<(Arc<SendQueue>, u32)>,
}

impl BodyProgress {
    /// Some of an answer has come. A request that is sent again would show the host its informational heads twice.
    pub fn note_answer(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    pub fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Whether the body was dropped before any of it was asked for: then another request can send it as it is. False until it is dropped.
    pub fn is_whole(&self) -> bool {
        self.whole.load(Ordering::Acquire)
    }

    pub(super) fn new(complete: bool, outgoing: Option<(Arc<SendQueue>, u32)>) -> BodyProgress {
        BodyProgress { complete: AtomicBool::new(complete), outgoing, ..BodyProgress::default() }
    }

    /// Holds the body back (RFC 9110 section 10.1.1).
    pub fn hold(&self) {
        self.held.store(true, Ordering::Release);
    }

    pub fn let_go(&self) {
        self.held.store(false, Ordering::Release);
        if let Some(waker) = lock(&self.waiting).take() {
            waker.wake();
        }
    }

    pub fn is_held(&self) -> bool {
        self.held.load(Ordering::Acquire)
    }

    /// Sends no more of it: the server no longer reads. Tells the writer.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        if let Some((outgoing, reader)) = &self.outgoing {
            outgoing.nobody_reads(*reader);
        }
    }

    /// Stops the body until `resume`, and waits until its source is not being called. Otherwise a source that starts again could lose its beginning to a
    /// connection whose server has answered early and reads on. False if it was stopped before, and must not be resumed.
    pub async fn pause(&self) -> bool {
        let went_on = !self.stopped.swap(true, Ordering::SeqCst);
        while self.asking.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        went_on
    }

    pub fn resume(&self) {
        self.stopped.store(false, Ordering::SeqCst);
        if let Some(waker) = lock(&self.waiting).take() {
            waker.wake();
        }
    }

    /// Runs `ask` unless the body is stopped; if it is, the task is woken when the body is resumed.
    pub(super) fn unless_stopped<T>(&self, cx: &Context<'_>, ask: impl FnOnce() -> Poll<T>) -> Poll<T> {
        *lock(&self.waiting) = Some(cx.waker().clone());
        self.asking.store(true, Ordering::SeqCst);
        let asked = if self.stopped.load(Ordering::SeqCst) { Poll::Pending } else { ask() };
        self.asking.store(false, Ordering::SeqCst);
        asked
    }

    /// Whether the engine has taken all of it.
    pub fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    pub(super) fn poll_held(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.held.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        *lock(&self.waiting) = Some(cx.waker().clone());
        // Checked again: it may have been let go in between.
        if self.held.load(Ordering::Acquire) { Poll::Pending } else { Poll::Ready(()) }
    }
}
