//! `atls_queue`: where events wait for the host. Dispatching, polled or inline.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::error::atls_error;
use super::event::{Posted, atls_event};
use super::guard::{guard, guard_free, guard_value, watch_forks};
use super::runtime::prepare_thread;
use super::status::atls_status;
use super::wakeup::Wakeup;
use crate::capi::base::arguments::{Counted, Out, Owned, require};
use crate::capi::base::handle::{Handle, add_ref, release, share_hub};
use crate::error::{Error, Phase, Result, Status};
use crate::io::blocking::check_may_block;
use crate::io::offload::no_thread;
use crate::io::sync::lock;
use crate::operation::{Delivery, EventQueue, QueueKind};

/// Events wait here for the host. Those that arise together on a thread of the library are announced together, by one wake-up: at the latest when that thread
/// has nothing more to do, calls a function of the host, or has held one back for half a millisecond and ends the step at which it is. A host that looks finds them
/// before. Reference-counted; safe to share between threads.
pub struct atls_queue {
    inbox: Arc<HostEventQueue>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Handle for atls_queue {
    type Owner = Arc<atls_queue>;
}

/// The queue itself, which lives on after the host has freed its handle, as long as operations run.
pub type HostEventQueue = EventQueue<Posted, Wakeup>;

impl atls_queue {
    pub fn inbox(&self) -> &Arc<HostEventQueue> {
        &self.inbox
    }

    fn new(kind: QueueKind) -> Result<Arc<atls_queue>> {
        watch_forks();
        let wakeup = match kind {
            QueueKind::Polled => Some(Wakeup::new().map_err(|error| Error::from_io(error, Phase::Call))?),
            _ => None,
        };
        let inbox = Arc::new(HostEventQueue::new(kind, wakeup));
        let thread = match kind {
            QueueKind::Dispatching => {
                let serving = inbox.clone();
                let life = move || {
                    prepare_thread();
                    serving.dispatch();
                };
                let thread = std::thread::Builder::new().name("atls-queue".into()).spawn(life);
                Some(thread.map_err(no_thread)?)
            }
            _ => None,
        };
        Ok(Arc::new(atls_queue { inbox, thread: Mutex::new(thread) }))
    }

    fn stop(&self) -> Result<()> {
        check_may_block()?;
        self.inbox.stop();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
        Ok(())
    }
}

impl Drop for atls_queue {
    fn drop(&mut self) {
        self.inbox.close();
    }
}

/// Creates a queue whose events are delivered to `sink.call` one after the other, on a thread of the library. Statuses: NULL_ARGUMENT, NO_RESOURCES.
#[unsafe(no_mangle)]
pub extern "C" fn atls_queue_new_dispatching(queue: Out<*mut atls_queue>, error: Out<*mut atls_error>) -> atls_status {
    guard(error, || create(QueueKind::Dispatching, queue))
}

/// Creates a queue from which the host takes events itself (atls_queue_next). A file descriptor tells when there are some (atls_queue_fd). Statuses:
/// NULL_ARGUMENT, IO.
#[unsafe(no_mangle)]
pub extern "C" fn atls_queue_new_polled(queue: Out<*mut atls_queue>, error: Out<*mut atls_error>) -> atls_status {
    guard(error, || create(QueueKind::Polled, queue))
}

/// Creates a queue whose events are delivered at once, on the thread of the library on which they arise: the fastest kind, for hosts that never block
/// in a callback. Events of one source stay in order; those of different sources may come at the same time. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_queue_new_inline(queue: Out<*mut atls_queue>, error: Out<*mut atls_error>) -> atls_status {
    guard(error, || create(QueueKind::Inline, queue))
}

fn create(kind: QueueKind, queue: Out<*mut atls_queue>) -> Result<()> {
    let queue = require(queue, "queue")?;
    queue.give(atls_queue::new(kind)?);
    Ok(())
}

/// Returns a descriptor for poll, epoll, libuv or Go's netpoller, level-triggered: readable from when events are announced until all that wait were taken.
/// Never read from it. -1 for a queue that is not polled. Valid as long as the queue.
#[unsafe(no_mangle)]
pub extern "C" fn atls_queue_fd(queue: Counted<atls_queue>) -> i32 {
    guard_value(-1, || {
        let queue = share_hub(queue, "queue").ok();
        queue.and_then(|queue| queue.inbox.bell().map(Wakeup::fd)).unwrap_or(-1)
    })
}

/// Takes up to `max` events from a polled queue without waiting; `*count` says how many (0 is not an error). `event_size` is sizeof(atls_event) in
/// the header that the host was compiled with, and so the distance from one event to the next: fields that the host does not know are left out, and
/// fields that the library does not know are zero. Each event must be released with atls_event_release. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT
/// (`event_size` is smaller than in version 0.1), INVALID_STATE (not a polled queue).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_queue_next(
    queue: Counted<atls_queue>,
    events: *mut atls_event,
    event_size: usize,
    max: usize,
    count: Out<usize>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let queue = share_hub(queue, "queue")?;
        let count = require(count, "count")?;
        let places = Places::new(&queue, events, event_size, max)?;
        count.write(places.fill(&queue.inbox));
        Ok(())
    })
}

/// Like atls_queue_next, but waits for the first event. `*count` is 0 if the time is up or the queue was stopped.
/// `timeout_ms`: 60 seconds by default; UINT32_MAX waits for ever.
/// Statuses: as atls_queue_next, WOULD_DEADLOCK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_queue_wait(
    queue: Counted<atls_queue>,
    events: *mut atls_event,
    event_size: usize,
    max: usize,
    timeout_ms: u32,
    count: Out<usize>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let queue = share_hub(queue, "queue")?;
        let count = require(count, "count")?;
        let places = Places::new(&queue, events, event_size, max)?;
        check_may_block()?;
        let inbox = &queue.inbox;
        let deadline = crate::capi::base::limit(timeout_ms, DEFAULT_WAIT).map(|limit| Instant::now() + limit);
        let mut taken = 0;
        // Another thread may be faster with what has come: then the wait goes on.
        while taken == 0 && max > 0 && inbox.wait(deadline) {
            taken = places.fill(inbox);
        }
        count.write(taken);
        Ok(())
    })
}

/// Default of atls_queue_wait, as of every blocking call.
const DEFAULT_WAIT: Duration = Duration::from_secs(60);

/// The host's room for events.
struct Places {
    first: *mut u8,
    stride: usize,
    max: usize,
}

/// The size of the first version of atls_event. None was ever smaller.
const FIRST_EVENT_SIZE: usize = std::mem::offset_of!(atls_event, opaque) + size_of::<*mut std::ffi::c_void>();

impl Places {
    fn new(queue: &atls_queue, events: *mut atls_event, stride: usize, max: usize) -> Result<Places> {
        if events.is_null() {
            return Err(Error::new(Status::NullArgument, "events is NULL"));
        }
        if queue.inbox.kind() != QueueKind::Polled {
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

    /// Takes the events that wait; returns how many.
    fn fill(&self, inbox: &HostEventQueue) -> usize {
        let (mut place, known) = (self.first, self.stride.min(size_of::<atls_event>()));
        inbox.take(self.max, |posted| {
            let posted = Box::into_raw(Box::new(posted));
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

/// Gives back an event of a polled queue: its buffer, and its credit if that is automatic. After CLOSED it runs `sink.drop`. A second call does
/// nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_event_release(event: *mut atls_event) {
    guard_free(|| {
        // SAFETY: NULL, or an event that the host has from `atls_queue_next`. The borrow ends here: `sink.drop` may free the host's event.
        let posted = unsafe { event.as_mut() }.map(|event| std::mem::replace(&mut event.opaque, std::ptr::null_mut()));
        let posted = posted.unwrap_or_default().cast::<Posted>();
        if !posted.is_null() {
            // SAFETY: `opaque` came from `fill`, and was taken out above.
            unsafe { Box::from_raw(posted) }.release();
        }
    });
}

/// Stops the queue for good: cancels its operations and waits until every CLOSED was delivered and every `sink.drop` has run. After it returns, no
/// callback runs any more, and no operation can be started with the queue. Events that wait in a polled queue are discarded; no other thread may take
/// events meanwhile, and those taken before must have been released. Statuses: NULL_ARGUMENT, WOULD_DEADLOCK (in a callback).
#[unsafe(no_mangle)]
pub extern "C" fn atls_queue_stop(queue: Counted<atls_queue>, error: Out<*mut atls_error>) -> atls_status {
    guard(error, || share_hub(queue, "queue")?.stop())
}

/// Adds a reference; returns `queue`.
#[unsafe(no_mangle)]
pub extern "C" fn atls_queue_ref(queue: Counted<atls_queue>) -> *mut atls_queue {
    add_ref(queue)
}

/// Drops a reference. Operations under way keep what they need and continue, with their callbacks; only atls_queue_stop waits for them. When the last
/// reference to a polled queue is dropped, its events are discarded, those that wait and those still to come; `sink.drop` then runs in this call, or
/// on a thread of the library.
#[unsafe(no_mangle)]
pub extern "C" fn atls_queue_free(queue: Owned<atls_queue>) {
    guard_free(|| release(queue));
}
