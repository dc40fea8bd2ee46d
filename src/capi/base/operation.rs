//! One running operation: from its registration, which a failed start undoes, to its one CLOSED.

use std::any::Any;
use std::ffi::c_void;
use std::sync::{Arc, OnceLock, Weak};

use tokio::sync::OwnedSemaphorePermit;

use super::arguments::Counted;
use super::event::{HostEvent, Posted, atls_event, atls_sink};
use super::queue::HostEventQueue;
use crate::error::{Error, Result, Status};
use crate::io::blocking::call_host;
use crate::operation::event_gate::EventGate;
use crate::operation::{Observer, Outlet, Registry, Running, new_id};

/// One operation: where its events go, how to cancel it.
pub struct Operation {
    pub(in crate::capi) id: u64,
    pub(in crate::capi) token: u64,
    call: Option<unsafe extern "C" fn(*mut c_void, *const atls_event)>,
    user_data: *mut c_void,
    drop: Option<unsafe extern "C" fn(*mut c_void)>,
    inbox: Arc<HostEventQueue>,
    registries: [Arc<Registry>; 2],
    source: OnceLock<Weak<dyn Any + Send + Sync>>,
    shared: OnceLock<Weak<dyn Running>>,
    gate: EventGate<Posted>,
}

// SAFETY: `user_data` is only handed back to the host's own functions; the queue serialises those per operation, and the
// header tells the host on which threads they run.
unsafe impl Send for Operation {}
// SAFETY: as above; all else in it is `Sync`.
unsafe impl Sync for Operation {}

impl Operation {
    /// Prepares an operation for `sink`. Nothing has happened to the host's side yet. Statuses: NullArgument, InvalidState.
    pub fn new(sink: Option<&atls_sink>, runtime: &Arc<Registry>) -> Result<Arc<Operation>> {
        let sink = super::handle::borrow(sink, "sink")?;
        // SAFETY: a sink is made by the host, whose queue is NULL or one to which it has a reference.
        let queue = unsafe { Counted::from_raw(sink.queue) };
        let inbox = super::handle::share_hub(queue, "sink.queue")?.inbox().clone();
        let registries = [inbox.registry().clone(), runtime.clone()];
        Ok(Arc::new(Operation {
            id: new_id(),
            token: sink.token,
            call: sink.call,
            user_data: sink.user_data,
            drop: sink.drop,
            inbox,
            registries,
            source: OnceLock::new(),
            shared: OnceLock::new(),
            gate: EventGate::new(),
        }))
    }

    /// Makes the operation known to its queue and its runtime, so that stopping them cancels it. `shared` is what the driving task works on; it
    /// holds the operation through its sending queue, so the way back is weak. Statuses: InvalidState.
    pub fn register<H: Send + Sync + 'static, S: Running + 'static>(
        self: &Arc<Self>,
        source: &Arc<H>,
        shared: &Arc<S>,
    ) -> Result<Registration> {
        let source: Weak<dyn Any + Send + Sync> = Arc::downgrade(source) as _;
        let shared: Weak<dyn Running> = Arc::downgrade(shared) as _;
        let _ = (self.source.set(source), self.shared.set(shared));
        let registration = Registration { operation: self.clone(), begun: false };
        for registry in &self.registries {
            if !registry.add(self.id, self.clone()) {
                return Err(Error::new(Status::InvalidState, "the queue or runtime was stopped"));
            }
        }
        Ok(registration)
    }

    /// The handle that the events are about, while the host has it.
    pub(in crate::capi) fn source(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.source.get().and_then(Weak::upgrade)
    }

    /// Shows the host an event, if it wants to be called.
    pub(in crate::capi) fn call(&self, event: impl FnOnce() -> atls_event) {
        if let Some(call) = self.call {
            let event = event();
            // SAFETY: the contract of `atls_sink`.
            call_host(|| unsafe { call(self.user_data, &event) });
        }
    }

    /// After CLOSED: the host's object is released, and waits for the operation end.
    pub(in crate::capi) fn release(&self) {
        if let Some(release) = self.drop {
            // SAFETY: called once, after CLOSED, as `atls_sink` promises.
            call_host(|| unsafe { release(self.user_data) });
        }
        self.leave();
    }

    fn leave(&self) {
        self.registries.iter().for_each(|registry| registry.remove(self.id));
        self.inbox.operation_left();
    }
}

impl Running for Operation {
    fn cancel(&self) {
        if let Some(shared) = self.shared.get().and_then(Weak::upgrade) {
            shared.cancel();
        }
    }
}

/// An operation that is registered and has not begun. Dropped, it is as if it had never been: no event comes, `sink.drop` does not run, and nobody
/// waits for it.
pub struct Registration {
    operation: Arc<Operation>,
    begun: bool,
}

impl Registration {
    /// From here on the operation will be closed, whatever happens to the outlet.
    pub fn begin<E: HostEvent>(mut self) -> Outlet<E> {
        self.begun = true;
        self.operation.gate.open();
        Outlet::new(self.operation.clone())
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if !self.begun {
            self.operation.gate.shut();
            self.operation.leave();
        }
    }
}

/// The operation as the layers below see it. Until `Registration::begin` its events are forgotten.
impl<E: HostEvent> Observer<E> for Operation {
    fn post(self: Arc<Self>, event: E, permit: Option<OwnedSemaphorePermit>) {
        let last = event.is_closed();
        self.inbox.post(&self.gate, Posted::new(&self, event, permit), last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capi::base::arguments::{Out, Owned};
    use crate::capi::base::error::atls_error;
    use crate::capi::base::handle::take;
    use crate::capi::base::queue::*;
    use crate::io::sync::lock;
    use crate::message::ReceivedHead;
    use crate::operation::{Credit, TransferEvent};
    use std::ptr::null_mut;
    use std::sync::Mutex;

    struct Idle;

    impl Running for Idle {
        fn cancel(&self) {}
    }

    /// What the host saw: event kinds, and 100 for `drop`.
    type Log = Mutex<Vec<u32>>;

    unsafe extern "C" fn note(log: *mut c_void, event: *const atls_event) {
        // SAFETY: `user_data` is the log of `run`, which outlives the operation; events are valid during the call.
        unsafe { lock(&*log.cast::<Log>()).push((*event).kind) };
    }

    unsafe extern "C" fn dropped(log: *mut c_void) {
        // SAFETY: as in `note`.
        unsafe { lock(&*log.cast::<Log>()).push(100) };
    }

    fn every_kind() -> Vec<TransferEvent> {
        let error = || Error::new(Status::Io, "broken");
        let data = || TransferEvent::Data(vec![1].into(), Arc::new(Credit::new(0, true)));
        vec![
            TransferEvent::Connected,
            TransferEvent::Informational(ReceivedHead::default()),
            TransferEvent::Head(ReceivedHead::default()),
            data(),
            TransferEvent::Trailers(ReceivedHead::default()),
            TransferEvent::End,
            TransferEvent::Writable,
            TransferEvent::Closed(None),
            TransferEvent::Closed(Some(error())),
        ]
    }

    /// Takes and releases all that a polled queue has.
    fn empty(queue: &Arc<atls_queue>, log: &Log) {
        let mut event = std::mem::MaybeUninit::<atls_event>::uninit();
        loop {
            let (mut count, size) = (0, size_of::<atls_event>());
            let (counted, out) = (Counted::from(queue), Out::from(&mut count));
            // SAFETY: there is room for one event.
            let status = unsafe { atls_queue_next(counted, event.as_mut_ptr(), size, 1, out, Out::null()) };
            if status != 0 || count == 0 {
                return;
            }
            // SAFETY: one was written.
            lock(log).push(unsafe { event.assume_init_ref() }.kind);
            // SAFETY: it was not released yet.
            unsafe { atls_event_release(event.as_mut_ptr()) };
        }
    }

    type Make = extern "C" fn(Out<*mut atls_queue>, Out<*mut atls_error>) -> i32;

    fn made(make: Make) -> Arc<atls_queue> {
        let mut queue = null_mut();
        assert_eq!(make(Out::from(&mut queue), Out::null()), 0);
        // SAFETY: the reference is in no other hands.
        take(unsafe { Owned::from_raw(queue) }).unwrap()
    }

    /// Starts an operation on a queue of this kind, ends it, and tries to post after that; what the host saw.
    fn run(make: Make, end: impl FnOnce(Registration)) -> Vec<u32> {
        let log = Box::new(Log::default());
        let (queue, runtime) = (made(make), Arc::<Registry>::default());
        let user_data = (&raw const *log).cast_mut().cast();
        let place = Arc::as_ptr(&queue).cast_mut();
        let sink = atls_sink { queue: place, token: 0, call: Some(note), user_data, drop: Some(dropped) };
        let operation = Operation::new(Some(&sink), &runtime).unwrap();
        let post = |event| Observer::<TransferEvent>::post(operation.clone(), event, None);
        let registration = operation.register(&Arc::new(()), &Arc::new(Idle)).unwrap();
        every_kind().into_iter().for_each(post);
        end(registration);
        every_kind().into_iter().for_each(post);
        empty(&queue, &log);
        assert_eq!(atls_queue_stop(Counted::from(&queue), Out::null()), 0);
        every_kind().into_iter().for_each(post);
        assert!(runtime.is_empty());
        drop(queue);
        std::mem::take(&mut *lock(&log))
    }

    #[test]
    fn an_operation_that_panics_spoils_its_handle() {
        let (queue, runtime) = (made(atls_queue_new_polled), Arc::<Registry>::default());
        let source = Arc::new(7);
        let place = Arc::as_ptr(&queue).cast_mut();
        let sink = atls_sink { queue: place, token: 0, call: None, user_data: null_mut(), drop: None };
        let operation = Operation::new(Some(&sink), &runtime).unwrap();
        let outlet = operation.register(&source, &Arc::new(Idle)).unwrap().begin::<TransferEvent>();
        let task = std::thread::spawn(move || {
            let _outlet = outlet;
            std::panic::resume_unwind(Box::new("on purpose"));
        });
        assert!(task.join().is_err());
        let refused = super::super::handle::borrow(Some(&*source), "source").unwrap_err();
        assert_eq!(refused.status, Status::Panic);
        drop((queue, operation));
        assert!(runtime.is_empty());
    }

    #[test]
    fn after_any_end_no_kind_of_event_comes() {
        use crate::capi::base::event::*;
        let error = || Error::new(Status::Io, "broken");
        for make in [atls_queue_new_inline as Make, atls_queue_new_dispatching, atls_queue_new_polled] {
            let closed = [ATLS_EVENT_CLOSED, 100];
            assert_eq!(run(make, |registration| registration.begin::<TransferEvent>().close(None)), closed);
            assert_eq!(run(make, |registration| registration.begin::<TransferEvent>().close(Some(error()))), closed);
            assert_eq!(run(make, |registration| drop(registration.begin::<TransferEvent>())), closed);
            let panicking = |registration: Registration| {
                let outlet = registration.begin::<TransferEvent>();
                let task = std::thread::spawn(move || {
                    let _outlet = outlet;
                    std::panic::resume_unwind(Box::new("on purpose"));
                });
                assert!(task.join().is_err());
            };
            assert_eq!(run(make, panicking), closed);
            // A start that failed: nothing was ever said, and nobody waits for it.
            assert!(run(make, drop).is_empty());
            let lively = |registration: Registration| {
                let outlet = registration.begin::<TransferEvent>();
                every_kind().into_iter().take(7).for_each(|event| outlet.post_now(event, None));
                outlet.close(None);
            };
            assert_eq!(run(make, lively), [1, 2, 3, 4, 5, 6, 7, ATLS_EVENT_CLOSED, 100]);
        }
    }
}
