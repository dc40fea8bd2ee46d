//! `atls_queue`: where events wait for the host. Dispatching, polled or inline.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::error::atls_error;
use super::event::{Posted, Registry, atls_event};
use super::guard::{guard, guard_free, guard_value, watch_forks};
use super::handle::{another, borrow, put, release, require};
use super::runtime::prepare_thread;
use super::status::atls_status;
use super::wakeup::Wakeup;
use crate::blocking::{check_may_block, mark_thread};
use crate::error::{Error, Phase, Result, Status};
use crate::flow::lock;

/// Events wait here for the host. Reference-counted; safe to share between threads.
pub struct atls_queue {
    inbox: Arc<Inbox>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Dispatching,
    Polled,
    Inline,
}

/// The queue proper; outlives the host's handle for as long as operations run.
pub struct Inbox {
    kind: Kind,
    state: Mutex<State>,
    filled: Condvar,
    wakeup: Option<Wakeup>,
    pub registry: Arc<Registry>,
}

#[derive(Default)]
struct State {
    events: VecDeque<Box<Posted>>,
    /// The handle is gone, or the queue was stopped: the dispatching thread ends once no operation is left.
    ending: bool,
}

impl Inbox {
    pub fn is_inline(&self) -> bool {
        self.kind == Kind::Inline
    }

    pub fn needs_callback(&self) -> bool {
        self.kind != Kind::Polled
    }

    pub fn push(&self, posted: Box<Posted>) {
        lock(&self.state).events.push_back(posted);
        self.filled.notify_all();
        if let Some(wakeup) = &self.wakeup {
            wakeup.raise();
        }
    }

    fn pop(&self) -> Option<Box<Posted>> {
        let mut state = lock(&self.state);
        let popped = state.events.pop_front();
        if let (true, Some(wakeup)) = (state.events.is_empty(), &self.wakeup) {
            wakeup.clear();
        }
        popped
    }

    /// Waits for an event until `deadline`; true if there may be one.
    fn wait(&self, deadline: Option<Instant>) -> bool {
        let mut state = lock(&self.state);
        while state.events.is_empty() && !state.ending {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            state = match left {
                Some(Duration::ZERO) => return false,
                Some(left) => {
                    self.filled.wait_timeout(state, left).map_or_else(|p| p.into_inner().0, |(state, _)| state)
                }
                None => self.filled.wait(state).unwrap_or_else(|poison| poison.into_inner()),
            };
        }
        !state.events.is_empty()
    }

    /// The life of the dispatching thread.
    fn dispatch(&self) {
        prepare_thread();
        mark_thread(true);
        loop {
            // While the queue is ending, the CLOSED events of canceled operations still come in.
            self.wait(Some(Instant::now() + Duration::from_millis(if lock(&self.state).ending { 5 } else { 60_000 })));
            let mut delivered = false;
            while let Some(posted) = self.pop() {
                posted.deliver();
                delivered = true;
            }
            if !delivered && lock(&self.state).ending {
                if self.registry.is_empty() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    fn end(&self) {
        lock(&self.state).ending = true;
        self.filled.notify_all();
    }
}

impl atls_queue {
    pub fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    fn new(kind: Kind) -> Result<Arc<atls_queue>> {
        watch_forks();
        let wakeup = match kind {
            Kind::Polled => Some(Wakeup::new().map_err(|error| Error::from_io(error, Phase::Call))?),
            _ => None,
        };
        let inbox =
            Arc::new(Inbox { kind, state: Mutex::default(), filled: Condvar::new(), wakeup, registry: Arc::default() });
        let thread = match kind {
            Kind::Dispatching => {
                let serving = inbox.clone();
                let thread = std::thread::Builder::new().name("atls-queue".into()).spawn(move || serving.dispatch());
                Some(thread.map_err(|error| Error::from_io(error, Phase::Call))?)
            }
            _ => None,
        };
        Ok(Arc::new(atls_queue { inbox, thread: Mutex::new(thread) }))
    }

    fn stop(&self) -> Result<()> {
        check_may_block()?;
        self.inbox.registry.stop();
        if self.inbox.kind == Kind::Polled {
            // Nobody else may be taking events any more: take them here, so that producers and CLOSED get through.
            while !self.inbox.registry.is_empty() {
                match self.inbox.pop() {
                    Some(posted) => posted.release(),
                    None => {
                        self.inbox.wait(Some(Instant::now() + Duration::from_millis(10)));
                    }
                }
            }
        }
        self.inbox.registry.wait(None);
        self.inbox.end();
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
        Ok(())
    }
}

impl Drop for atls_queue {
    fn drop(&mut self) {
        self.inbox.end();
    }
}

/// A queue whose events are delivered to `sink.call` one after the other, on a thread of the library. Statuses: NULL_ARGUMENT, IO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_queue_new_dispatching(
    queue: *mut *mut atls_queue,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || unsafe { create(Kind::Dispatching, queue) })
}

/// A queue that the host asks for events, and that tells it through a file descriptor when there are some. Statuses:
/// NULL_ARGUMENT, IO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_queue_new_polled(
    queue: *mut *mut atls_queue,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || unsafe { create(Kind::Polled, queue) })
}

/// A queue whose events are delivered at once on whichever thread of the library they arise: the fastest, for hosts that never
/// block in a callback. Events of one source stay in order; those of different sources may come at the same time. Statuses:
/// NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_queue_new_inline(
    queue: *mut *mut atls_queue,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || unsafe { create(Kind::Inline, queue) })
}

unsafe fn create(kind: Kind, queue: *mut *mut atls_queue) -> Result<()> {
    require(queue, "queue")?;
    let made = Arc::into_raw(atls_queue::new(kind)?).cast_mut();
    unsafe { put(queue, made, "queue") }
}

/// Descriptor that is readable while events wait, for poll, epoll, libuv or Go's netpoller: a hint, level-triggered. Never read
/// from it. -1 for queues that are not polled. Valid as long as the queue.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_queue_fd(queue: *const atls_queue) -> i32 {
    guard_value(-1, || {
        let queue = unsafe { borrow(queue, "queue") }.ok();
        queue.and_then(|queue| queue.inbox.wakeup.as_ref()).map_or(-1, Wakeup::fd)
    })
}

/// Takes up to `max` events from a polled queue without waiting; `*count` says how many (0 is no error). `event_size` is
/// sizeof(atls_event) as the host was compiled. Each event must be released with atls_event_release. Statuses: NULL_ARGUMENT,
/// INVALID_ARGUMENT, INVALID_STATE (not a polled queue).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_queue_next(
    queue: *const atls_queue,
    events: *mut atls_event,
    event_size: usize,
    max: usize,
    count: *mut usize,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || unsafe { take(queue, events, event_size, max, count) })
}

/// As atls_queue_next, waiting up to `timeout_ms` for the first event (0: not at all; UINT32_MAX: for ever). `*count` is 0 when the
/// time is up. Statuses: those of atls_queue_next, WOULD_DEADLOCK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_queue_wait(
    queue: *const atls_queue,
    events: *mut atls_event,
    event_size: usize,
    max: usize,
    timeout_ms: u32,
    count: *mut usize,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        check_may_block()?;
        let inbox = &unsafe { borrow(queue, "queue") }?.inbox;
        let limit = (timeout_ms != u32::MAX).then(|| Instant::now() + Duration::from_millis(timeout_ms.into()));
        inbox.wait(limit);
        unsafe { take(queue, events, event_size, max, count) }
    })
}

unsafe fn take(
    queue: *const atls_queue,
    events: *mut atls_event,
    event_size: usize,
    max: usize,
    count: *mut usize,
) -> Result<()> {
    let inbox = &unsafe { borrow(queue, "queue") }?.inbox;
    require(events, "events")?;
    require(count, "count")?;
    if inbox.kind != Kind::Polled {
        return Err(Error::new(Status::InvalidState, "the queue is not a polled one"));
    }
    if event_size != size_of::<atls_event>() {
        let message = format!("event_size is {event_size}, this version has {}", size_of::<atls_event>());
        return Err(Error::new(Status::InvalidArgument, message));
    }
    let mut taken = 0;
    while taken < max {
        let Some(posted) = inbox.pop() else { break };
        let posted = Box::into_raw(posted);
        // SAFETY: the host says that `events` has room for `max`.
        unsafe { events.add(taken).write((*posted).view(posted.cast())) };
        taken += 1;
    }
    unsafe { put(count, taken, "count") }
}

/// Gives back an event of a polled queue: its buffer, and its credit where that is automatic. After CLOSED it runs `sink.drop`. The
/// second time it does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_event_release(event: *mut atls_event) {
    guard_free(|| {
        if let Ok(event) = unsafe { super::handle::borrow_mut(event, "event") } {
            let posted = std::mem::replace(&mut event.opaque, std::ptr::null_mut()).cast::<Posted>();
            if !posted.is_null() {
                // SAFETY: `opaque` came from `take`, and is taken out above.
                unsafe { Box::from_raw(posted) }.release();
            }
        }
    });
}

/// The barrier: cancels what is left, waits until every CLOSED and every `sink.drop` has run, and nothing runs after it returns. The
/// queue takes no new operations. Of a polled queue it discards the events that wait; no other thread may take events meanwhile,
/// and those taken before must have been released. Statuses: NULL_ARGUMENT, WOULD_DEADLOCK (in a callback).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_queue_stop(queue: *mut atls_queue, error: *mut *mut atls_error) -> atls_status {
    guard(error, || unsafe { borrow(queue, "queue") }?.stop())
}

/// Adds a reference; returns `queue`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_queue_ref(queue: *mut atls_queue) -> *mut atls_queue {
    unsafe { another(queue) }
}

/// Drops a reference. Operations that run keep what they need; only atls_queue_stop waits for them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_queue_free(queue: *mut atls_queue) {
    guard_free(|| unsafe { release(queue) });
}
