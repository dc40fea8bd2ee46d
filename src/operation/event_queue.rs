//! Where the events of a queue's operations wait for the host, and in which of three ways they reach it. No I/O; the model test runs it through every
//! interleaving.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::event_gate::EventGate;
use super::mailbox::{Bell, KEPT, Mailbox};
use super::registry::Registry;
use super::sync::{Announce, AtomicBool, Ordering, announce_in_turn};

/// An event on its way to the host.
pub trait Delivery {
    /// Calls the host and releases.
    fn deliver(self);

    /// The host is done with the event: what it held is given back.
    fn release(self);
}

/// How events reach the host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum QueueKind {
    /// One after the other, on a thread of the queue.
    Dispatching,
    /// The host takes them.
    Polled,
    /// At once, on the thread on which they arise.
    Inline,
}

/// The queue proper; it outlives the host's handle for as long as operations run.
pub struct EventQueue<T, B> {
    kind: QueueKind,
    mailbox: Mailbox<T, B>,
    registry: Arc<Registry>,
    /// The handle is gone, or the queue is being stopped: no operation comes, and somebody may wait for the last one to leave. Set before the waiter
    /// looks into the registry, and read after an operation has left it: the registry's lock comes between, so that one of the two sees the other.
    ending: AtomicBool,
}

impl<T: Delivery, B: Bell> EventQueue<T, B> {
    pub fn new(kind: QueueKind, bell: Option<B>) -> EventQueue<T, B> {
        EventQueue { kind, mailbox: Mailbox::new(bell), registry: Arc::default(), ending: AtomicBool::new(false) }
    }

    pub fn kind(&self) -> QueueKind {
        self.kind
    }

    pub fn bell(&self) -> Option<&B> {
        self.mailbox.bell()
    }

    /// The operations whose events come here.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Posts an event of the operation whose gate this is. After the `last` one nothing passes: what comes then is dropped, and not released. A host that
    /// looks finds the event at once; one that waits is told together with all else of the worker's turn.
    pub fn post(self: &Arc<Self>, gate: &EventGate<T>, event: T, last: bool)
    where
        EventQueue<T, B>: Announce + 'static,
    {
        if self.kind == QueueKind::Inline {
            drop(gate.deliver(event, last, T::deliver));
            return;
        }
        // What the queue will not show is released once the gate's lock is free: that may call the host.
        let mut pushed = Ok(false);
        let refused = gate.pass(event, last, |event| pushed = self.mailbox.push(event));
        match pushed {
            Ok(true) => announce_in_turn(self),
            Ok(false) => (),
            Err(event) => event.release(),
        }
        drop(refused);
    }

    /// Hands up to `max` events that wait to `each`, which runs under a lock; how many.
    pub fn take(&self, max: usize, each: impl FnMut(T)) -> usize {
        self.mailbox.take(max, each)
    }

    /// Waits until there is an event, the queue ends, or the time is up; whether there is one.
    pub fn wait(&self, deadline: Option<Instant>) -> bool {
        self.mailbox.wait(deadline, || self.is_ending())
    }

    /// An operation has left the registry.
    pub fn operation_left(&self) {
        if self.is_ending() {
            self.mailbox.nudge();
        }
    }

    /// The life of the dispatching thread. While the queue is ending, the events of the operations that are left still come in.
    pub fn dispatch(&self) {
        let mut taken = VecDeque::new();
        while self.mailbox.wait(None, || self.is_ending() && self.registry.is_empty()) {
            self.mailbox.take_all(&mut taken);
            taken.drain(..).for_each(T::deliver);
            if taken.capacity() > KEPT {
                taken = VecDeque::new();
            }
        }
    }

    /// Takes no more operations, cancels those that run, and waits until the last has left.
    pub fn stop(&self) {
        self.registry.stop();
        self.end();
        if self.kind == QueueKind::Polled {
            // Nobody else may be taking events any more: they are taken here, so that producers and the last events get through.
            self.discard();
        }
        self.registry.wait(None);
    }

    /// The handle is gone: takes no more operations. Those that run go on, and nobody takes events of a polled queue any more.
    pub fn close(&self) {
        self.registry.refuse();
        self.end();
        if self.kind == QueueKind::Polled {
            self.mailbox.abandon().into_iter().for_each(T::release);
        }
    }

    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
        self.mailbox.nudge();
    }

    /// Takes and discards what comes, until no operation is left.
    fn discard(&self) {
        while self.mailbox.wait(None, || self.registry.is_empty()) {
            let mut taken = VecDeque::new();
            self.mailbox.take_all(&mut taken);
            taken.into_iter().for_each(T::release);
        }
    }
}

impl<T: Delivery + Send, B: Bell + Send + Sync> Announce for EventQueue<T, B> {
    fn announce(&self) {
        self.mailbox.announce();
    }
}
