//! `atls_queue`: where events wait for the host. Dispatching, polled or inline.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::error::atls_error;
use super::event::{Posted, atls_event};
use super::guard::{guard, guard_free, guard_value, watch_forks};
use super::handle::{another, put, release, require, share_hub};
use super::registry::Registry;
use super::runtime::prepare_thread;
use super::status::atls_status;
use super::wakeup::Wakeup;
use crate::error::{Error, Phase, Result, Status};
use crate::io::blocking::{check_may_block, mark_thread};
use crate::io::offload::no_thread;
use crate::io::sync::lock;
use crate::operation::mailbox::Mailbox;

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
    mailbox: Mailbox<Box<Posted>, Wakeup>,
    pub registry: Arc<Registry>,
    /// The handle is gone, or the queue is being stopped: no operation comes, and somebody may wait for the last one to leave. Set before the waiter
    /// looks into the registry, and read after an operation has left it: the registry's lock comes between, so that one of the two sees the other.
    ending: AtomicBool,
}

impl Inbox {
    pub fn is_inline(&self) -> bool {
        self.kind == Kind::Inline
    }

    pub fn needs_callback(&self) -> bool {
        self.kind != Kind::Polled
    }

    /// Gives the event back where nobody will take it: the handle of a polled queue is gone.
    pub fn push(&self, posted: Box<Posted>) -> Option<Box<Posted>> {
        self.mailbox.push(posted)
    }

    /// An operation has left the registry.
    pub fn operation_left(&self) {
        if self.ending.load(Ordering::SeqCst) {
            self.mailbox.nudge();
        }
    }

    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
        self.mailbox.nudge();
    }

    /// The life of the dispatching thread. While the queue is ending, the events of the operations that are left still come in.
    fn dispatch(&self) {
        prepare_thread();
        mark_thread(true);
        while self.mailbox.wait(None, || self.is_ending() && self.registry.is_empty()) {
            let mut next = None;
            self.mailbox.take(1, |posted| next = Some(posted));
            if let Some(posted) = next {
                posted.deliver();
            }
        }
    }

    /// Takes and discards what comes, until no operation is left.
    fn discard(&self) {
        while self.mailbox.wait(None, || self.registry.is_empty()) {
            let mut taken = Vec::new();
            self.mailbox.take(usize::MAX, |posted| taken.push(posted));
            taken.into_iter().for_each(Posted::release);
        }
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
        let mailbox = Mailbox::new(wakeup);
        let inbox = Arc::new(Inbox { kind, mailbox, registry: Arc::default(), ending: AtomicBool::new(false) });
        let thread = match kind {
            Kind::Dispatching => {
                let serving = inbox.clone();
                let thread = std::thread::Builder::new().name("atls-queue".into()).spawn(move || serving.dispatch());
                Some(thread.map_err(no_thread)?)
            }
            _ => None,
        };
        Ok(Arc::new(atls_queue { inbox, thread: Mutex::new(thread) }))
    }

    fn stop(&self) -> Result<()> {
        check_may_block()?;
        self.inbox.registry.stop();
        self.inbox.end();
        if self.inbox.kind == Kind::Polled {
            // Nobody else may be taking events any more: they are taken here, so that producers and CLOSED get through.
            self.inbox.discard();
        }
        self.inbox.registry.wait(None);
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
        Ok(())
    }
}

impl Drop for atls_queue {
    fn drop(&mut self) {
        self.inbox.registry.refuse();
        self.inbox.end();
        if self.inbox.kind == Kind::Polled {
            self.inbox.mailbox.abandon().into_iter().for_each(Posted::release);
        }
    }
}

/// A queue whose events are delivered to `sink.call` one after the other, on a thread of the library. Statuses: NULL_ARGUMENT, NO_RESOURCES.
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
        let queue = unsafe { share_hub(queue, "queue") }.ok();
        queue.and_then(|queue| queue.inbox.mailbox.bell().map(Wakeup::fd)).unwrap_or(-1)
    })
}

/// Takes up to `max` events from a polled queue without waiting; `*count` says how many (0 is not an error). `event_size` is sizeof(atls_event) as
/// the host was compiled, and the distance from one event to the next: fields that a host of another version does not know are left out, and fields
/// that the library does not know are zero. Each event must be released with atls_event_release. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT
/// (`event_size` is smaller than in version 0.1), INVALID_STATE (not a polled queue).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_queue_next(
    queue: *const atls_queue,
    events: *mut atls_event,
    event_size: usize,
    max: usize,
    count: *mut usize,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let queue = unsafe { share_hub(queue, "queue") }?;
        let places = Places::new(&queue, events, event_size, max, count)?;
        unsafe { put(count, places.fill(&queue.inbox), "count") }
    })
}

/// As atls_queue_next, waiting up to `timeout_ms` for the first event (0: not at all; UINT32_MAX: for ever). `*count` is 0 when the
/// time is up, or the queue was stopped. Statuses: those of atls_queue_next, at once; WOULD_DEADLOCK.
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
        let queue = unsafe { share_hub(queue, "queue") }?;
        let places = Places::new(&queue, events, event_size, max, count)?;
        check_may_block()?;
        let inbox = &queue.inbox;
        let deadline = (timeout_ms != u32::MAX).then(|| Instant::now() + Duration::from_millis(timeout_ms.into()));
        let mut taken = 0;
        // Another thread may be faster with what has come: then the wait goes on.
        while taken == 0 && max > 0 && inbox.mailbox.wait(deadline, || inbox.is_ending()) {
            taken = places.fill(inbox);
        }
        unsafe { put(count, taken, "count") }
    })
}

/// The host's room for events.
struct Places {
    first: *mut u8,
    stride: usize,
    max: usize,
}

/// The size of the first atls_event: one that is smaller never was.
const FIRST_EVENT_SIZE: usize = std::mem::offset_of!(atls_event, opaque) + size_of::<*mut std::ffi::c_void>();

impl Places {
    fn new(
        queue: &atls_queue,
        events: *mut atls_event,
        stride: usize,
        max: usize,
        count: *mut usize,
    ) -> Result<Places> {
        require(events, "events")?;
        require(count, "count")?;
        if queue.inbox.kind != Kind::Polled {
            return Err(Error::new(Status::InvalidState, "the queue is not a polled one"));
        }
        if stride < FIRST_EVENT_SIZE {
            let message = format!("event_size is {stride}, and was never below {FIRST_EVENT_SIZE}");
            return Err(Error::new(Status::InvalidArgument, message));
        }
        if max.checked_mul(stride).is_none_or(|bytes| bytes > isize::MAX as usize) {
            return Err(Error::new(Status::InvalidArgument, format!("{max} events of {stride} bytes are impossible")));
        }
        Ok(Places { first: events.cast(), stride, max })
    }

    /// Takes what waits; how many.
    fn fill(&self, inbox: &Inbox) -> usize {
        let (mut place, known) = (self.first, self.stride.min(size_of::<atls_event>()));
        inbox.mailbox.take(self.max, |posted| {
            let posted = Box::into_raw(posted);
            // SAFETY: the host says that there is room for `max` events of this size, and `take` gives no more; `posted` was a box just now.
            unsafe {
                let event = (*posted).view(posted.cast());
                place.copy_from_nonoverlapping((&raw const event).cast(), known);
                place.add(known).write_bytes(0, self.stride - known);
                place = place.add(self.stride);
            }
        })
    }
}

/// Gives back an event of a polled queue: its buffer, and its credit if that is automatic. After CLOSED it runs `sink.drop`. The second time it does
/// nothing.
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
    guard(error, || unsafe { share_hub(queue, "queue") }?.stop())
}

/// Adds a reference; returns `queue`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_queue_ref(queue: *mut atls_queue) -> *mut atls_queue {
    unsafe { another(queue) }
}

/// Drops a reference. Operations that run keep what they need and go on, with their callbacks; only atls_queue_stop waits for them. With the last
/// reference to a polled queue its events are discarded, those that wait and those still to come; `sink.drop` then runs in this call, or on a thread
/// of the library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_queue_free(queue: *mut atls_queue) {
    guard_free(|| unsafe { release(queue) });
}
