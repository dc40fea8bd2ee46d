//! `atls_event`, `atls_sink`, and the operation behind them: delivery, release, and the one CLOSED.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::ffi::c_void;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use super::bytes::atls_buf;
use super::error::atls_error;
use super::head::atls_head;
use super::queue::Inbox;
use super::server_request::atls_server_request;
use super::status::{ATLS_OK, atls_status};
use crate::blocking::mark_thread;
use crate::error::{Error, Result, Status};
use crate::events::{Event, Observer};
use crate::flow::{Credit, lock};
use crate::server::Served;

/// Connected, and attested where a policy was given; the verdict can be had.
pub const ATLS_EVENT_CONNECTED: u32 = 1;
/// An informational (1xx) response head, in `head`.
pub const ATLS_EVENT_INFORMATIONAL: u32 = 2;
/// The final response head, in `head`.
pub const ATLS_EVENT_HEAD: u32 = 3;
/// Bytes in `buf`, taken from the credit.
pub const ATLS_EVENT_DATA: u32 = 4;
/// Trailers after the body, in `head` (its status is 0).
pub const ATLS_EVENT_TRAILERS: u32 = 5;
/// The peer will send no more. On a stream our direction may go on.
pub const ATLS_EVENT_END: u32 = 6;
/// There is room again after a write that answered AGAIN.
pub const ATLS_EVENT_WRITABLE: u32 = 7;
/// The last event. `status` and `error` say why it ended; OK after a regular end.
pub const ATLS_EVENT_CLOSED: u32 = 8;
/// A server was asked: `source` is the atls_server_request, `head` the lines of its head (its status is 0). Who does not take a reference or
/// start it lets go of it.
pub const ATLS_EVENT_REQUEST: u32 = 9;

/// A server refuses a request that it does not show, or who sent it: `error` says why. Once the host is done with the event, at most a second later, the peer is
/// told with atls_error_http_status.
pub const ATLS_EVENT_REFUSED: u32 = 10;

/// Something that happened. Owned by the library and valid during the callback, or until atls_event_release on a polled queue. May
/// grow at the end in minor versions.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct atls_event {
    /// ATLS_EVENT_*; ignore what you do not know.
    pub kind: u32,
    /// On CLOSED: why it ended. On REFUSED: why. OK otherwise.
    pub status: atls_status,
    /// From the sink.
    pub token: u64,
    /// The handle that the event is about (atls_stream, atls_http, atls_exchange, atls_server or atls_server_request); borrowed. NULL once
    /// the host has freed it.
    pub source: *mut c_void,
    /// DATA: borrowed; atls_buf_ref keeps it, without a copy. NULL otherwise.
    pub buf: *mut atls_buf,
    /// REFUSED, and CLOSED with a failure: borrowed; atls_error_ref keeps it. NULL otherwise.
    pub error: *mut atls_error,
    /// INFORMATIONAL, HEAD, TRAILERS, REQUEST: borrowed; atls_head_ref keeps it. NULL otherwise.
    pub head: *mut atls_head,
    /// The library's own.
    pub opaque: *mut c_void,
}

/// Where the events of one operation go. Copied when the operation starts; its layout never changes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct atls_sink {
    /// Required; kept alive by the operation.
    pub queue: *mut super::queue::atls_queue,
    /// Returned in every event.
    pub token: u64,
    /// Dispatching and inline queues: receives the events. Polled queues ignore it.
    pub call: Option<unsafe extern "C" fn(user_data: *mut c_void, event: *const atls_event)>,
    pub user_data: *mut c_void,
    /// Optional. Runs once, after CLOSED was delivered: the place to free user_data.
    pub drop: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
}

/// One running operation: where its events go, how to cancel it.
pub struct Operation {
    id: u64,
    token: u64,
    call: Option<unsafe extern "C" fn(*mut c_void, *const atls_event)>,
    user_data: *mut c_void,
    drop: Option<unsafe extern "C" fn(*mut c_void)>,
    inbox: Arc<Inbox>,
    registries: [Arc<Registry>; 2],
    source: OnceLock<Weak<dyn Any + Send + Sync>>,
    cancel: OnceLock<Box<dyn Fn() + Send + Sync>>,
    inline: Mutex<Inline>,
}

// SAFETY: `user_data` is only handed back to the host's own functions; the queue serialises those per operation, and the
// header tells the host on which threads they run.
unsafe impl Send for Operation {}
unsafe impl Sync for Operation {}

#[derive(Default)]
struct Inline {
    waiting: VecDeque<Box<Posted>>,
    running: bool,
}

/// An event on its way to the host, with all that must be given back when the host is done with it.
pub struct Posted {
    kind: u32,
    status: atls_status,
    operation: Arc<Operation>,
    source: Option<Arc<dyn Any + Send + Sync>>,
    buf: Option<Arc<atls_buf>>,
    error: Option<Arc<atls_error>>,
    head: Option<Arc<atls_head>>,
    regrant: Option<(Arc<Credit>, u64)>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Operation {
    /// Prepares an operation for `sink`. Nothing has happened to the host's side yet. Statuses: NullArgument, InvalidState.
    ///
    /// # Safety
    /// `sink` is NULL or valid, and so is its queue.
    pub unsafe fn new(sink: *const atls_sink, runtime: &Arc<Registry>) -> Result<Arc<Operation>> {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let sink = unsafe { super::handle::borrow(sink, "sink") }?;
        let inbox = unsafe { super::handle::borrow(sink.queue, "sink.queue") }?.inbox().clone();
        if inbox.needs_callback() && sink.call.is_none() {
            return Err(Error::new(Status::NullArgument, "sink.call is NULL, and the queue is not a polled one"));
        }
        let registries = [inbox.registry.clone(), runtime.clone()];
        let operation = Arc::new(Operation {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            token: sink.token,
            call: sink.call,
            user_data: sink.user_data,
            drop: sink.drop,
            inbox,
            registries,
            source: OnceLock::new(),
            cancel: OnceLock::new(),
            inline: Mutex::default(),
        });
        Ok(operation)
    }

    /// The operation is about to start: from here on it will be closed, whatever happens. `shared` is what the driving task works on; it
    /// holds the operation through its sending queue, so the way back is weak. Statuses: InvalidState.
    pub fn register<H: Send + Sync + 'static, S: Send + Sync + 'static>(
        self: &Arc<Self>,
        source: &Arc<H>,
        shared: &Arc<S>,
        cancel: fn(&S),
    ) -> Result<()> {
        let source: Weak<dyn Any + Send + Sync> = Arc::downgrade(source) as _;
        let shared = Arc::downgrade(shared);
        let _ = self.source.set(source);
        let _ = self.cancel.set(Box::new(move || {
            if let Some(shared) = shared.upgrade() {
                cancel(&shared);
            }
        }));
        for (index, registry) in self.registries.iter().enumerate() {
            if let Err(error) = registry.add(self) {
                self.registries[..index].iter().for_each(|registry| registry.remove(self.id));
                return Err(error);
            }
        }
        Ok(())
    }

    fn posted(self: &Arc<Self>, event: Event, permit: Option<OwnedSemaphorePermit>) -> Box<Posted> {
        let mut posted = Box::new(Posted {
            kind: 0,
            status: ATLS_OK,
            operation: self.clone(),
            source: self.source.get().and_then(Weak::upgrade),
            buf: None,
            error: None,
            head: None,
            regrant: None,
            _permit: permit,
        });
        let mut head = |kind, head| {
            posted.head = Some(Arc::new(atls_head::new(head)));
            kind
        };
        posted.kind = match event {
            Event::Connected => ATLS_EVENT_CONNECTED,
            Event::Informational(found) => head(ATLS_EVENT_INFORMATIONAL, found),
            Event::Head(found) => head(ATLS_EVENT_HEAD, found),
            Event::Trailers(found) => head(ATLS_EVENT_TRAILERS, found),
            Event::End => ATLS_EVENT_END,
            Event::Writable => ATLS_EVENT_WRITABLE,
            Event::Data(bytes, credit) => {
                posted.regrant = credit.automatic.then_some((credit, bytes.len() as u64));
                posted.buf = Some(Arc::new(atls_buf { bytes }));
                ATLS_EVENT_DATA
            }
            Event::Request(served) => {
                let made = served.downcast::<Served>().map(atls_server_request::new);
                if let Ok(request) = made {
                    posted.head = Some(request.head());
                    posted.source = Some(Arc::new(request));
                }
                ATLS_EVENT_REQUEST
            }
            Event::Refused(error) => {
                posted.status = error.status as atls_status;
                posted.error = Some(Arc::new(atls_error::new(error)));
                ATLS_EVENT_REFUSED
            }
            Event::Closed(error) => {
                posted.status = error.as_ref().map_or(ATLS_OK, |error| error.status as atls_status);
                posted.error = error.map(|error| Arc::new(atls_error::new(error)));
                ATLS_EVENT_CLOSED
            }
        };
        posted
    }

    /// Delivers on this thread, keeping order where several threads post for one operation, or a callback posts itself.
    fn post_inline(self: &Arc<Self>, posted: Box<Posted>) {
        let mut state = lock(&self.inline);
        if state.running {
            return state.waiting.push_back(posted);
        }
        state.running = true;
        let mut next = Some(posted);
        while let Some(posted) = next {
            drop(state);
            posted.deliver();
            state = lock(&self.inline);
            next = state.waiting.pop_front();
        }
        state.running = false;
    }
}

/// The operation as the layers below see it.
pub struct Poster(pub Arc<Operation>);

impl Observer for Poster {
    fn post(&self, event: Event, permit: Option<OwnedSemaphorePermit>) {
        let posted = self.0.posted(event, permit);
        if self.0.inbox.is_inline() {
            self.0.post_inline(posted);
        } else {
            self.0.inbox.push(posted);
        }
    }
}

impl Posted {
    /// Calls the host and releases.
    pub fn deliver(self: Box<Self>) {
        let operation = &self.operation;
        if let Some(call) = operation.call {
            let event = self.view(std::ptr::null_mut());
            let before = mark_thread(true);
            // SAFETY: the contract of `atls_sink`.
            unsafe { call(operation.user_data, &event) };
            mark_thread(before);
        }
        self.release();
    }

    /// The event as C sees it; `opaque` is what atls_event_release gets back.
    pub fn view(&self, opaque: *mut c_void) -> atls_event {
        fn pointer<T>(value: &Option<Arc<T>>) -> *mut T {
            value.as_ref().map_or(std::ptr::null_mut(), |value| Arc::as_ptr(value).cast_mut())
        }
        atls_event {
            kind: self.kind,
            status: self.status,
            token: self.operation.token,
            source: self
                .source
                .as_ref()
                .map_or(std::ptr::null_mut(), |source| Arc::as_ptr(source).cast::<c_void>().cast_mut()),
            buf: pointer(&self.buf),
            error: pointer(&self.error),
            head: pointer(&self.head),
            opaque,
        }
    }

    /// The host is done with the event: credit and room are given back; after CLOSED the host's object is released too.
    pub fn release(self: Box<Self>) {
        if let Some((credit, bytes)) = &self.regrant {
            credit.grant(*bytes);
        }
        let closed = self.kind == ATLS_EVENT_CLOSED;
        let operation = self.operation.clone();
        drop(self);
        if !closed {
            return;
        }
        if let Some(release) = operation.drop {
            let before = mark_thread(true);
            // SAFETY: called once, after CLOSED, as `atls_sink` promises.
            unsafe { release(operation.user_data) };
            mark_thread(before);
        }
        operation.registries.iter().for_each(|registry| registry.remove(operation.id));
    }
}

/// Operations that have not been closed, of one queue or one runtime.
#[derive(Default)]
pub struct Registry {
    state: Mutex<RegistryState>,
    emptied: Condvar,
}

#[derive(Default)]
struct RegistryState {
    running: HashMap<u64, Arc<Operation>, BuildHasherDefault<IdHasher>>,
    stopped: bool,
}

/// Operations are numbered one after another by us alone: their numbers are as good as hashes, spread over the high bits as well.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(self.0 ^ u64::from(*byte)));
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Registry {
    fn add(&self, operation: &Arc<Operation>) -> Result<()> {
        let mut state = lock(&self.state);
        if state.stopped {
            return Err(Error::new(Status::InvalidState, "the queue or runtime was stopped"));
        }
        state.running.insert(operation.id, operation.clone());
        Ok(())
    }

    fn remove(&self, id: u64) {
        let mut state = lock(&self.state);
        let gone = state.running.remove(&id);
        if state.running.is_empty() {
            self.emptied.notify_all();
        }
        drop(state);
        drop(gone);
    }

    pub fn is_empty(&self) -> bool {
        lock(&self.state).running.is_empty()
    }

    /// Takes no more operations and cancels those that run.
    pub fn stop(&self) {
        let mut state = lock(&self.state);
        state.stopped = true;
        let running: Vec<_> = state.running.values().cloned().collect();
        drop(state);
        for operation in running {
            if let Some(cancel) = operation.cancel.get() {
                cancel();
            }
        }
    }

    /// Waits until every operation was closed and released; false when the time is up first.
    pub fn wait(&self, limit: Option<Duration>) -> bool {
        let deadline = limit.map(|limit| Instant::now() + limit);
        let mut state = lock(&self.state);
        while !state.running.is_empty() {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            state = match left {
                Some(Duration::ZERO) => return false,
                Some(left) => {
                    self.emptied.wait_timeout(state, left).map_or_else(|p| p.into_inner().0, |(state, _)| state)
                }
                None => self.emptied.wait(state).unwrap_or_else(|poison| poison.into_inner()),
            };
        }
        true
    }
}
