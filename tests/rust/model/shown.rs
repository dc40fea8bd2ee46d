//! What a host is shown, and a queue with an operation that shows it.

use std::sync::{Arc, Weak};

use crate::descriptor::Descriptor;
use crate::event_gate::EventGate;
use crate::event_queue::{Delivery, EventQueue, QueueKind};
use crate::registry::Running;

pub const CLOSED: u32 = 99;

/// Not one of loom's: it is no part of what is checked, and adds no interleavings.
#[derive(Default)]
pub struct List(std::sync::Mutex<Vec<u32>>);

impl List {
    pub fn push(&self, item: u32) {
        self.0.lock().expect("no panic").push(item);
    }

    pub fn all(&self) -> Vec<u32> {
        self.0.lock().expect("no panic").clone()
    }
}

/// An event of an operation: with the last one released, it leaves as an operation of the library does.
pub struct Shown {
    event: u32,
    operation: u64,
    queue: Weak<EventQueue<Shown, Descriptor>>,
    delivered: Arc<List>,
}

impl Delivery for Shown {
    fn deliver(self) {
        self.delivered.push(self.event);
        self.release();
    }

    fn release(self) {
        if self.event != CLOSED {
            return;
        }
        let queue = self.queue.upgrade().expect("the queue outlives its operations");
        queue.registry().remove(self.operation);
        queue.operation_left();
    }
}

/// What `Running::cancel` does is the operation's matter.
struct Canceled;

impl Running for Canceled {
    fn cancel(&self) {}
}

impl Shown {
    /// An event before this one.
    pub fn before(&self, event: u32) -> Shown {
        Shown { event, operation: self.operation, queue: self.queue.clone(), delivered: self.delivered.clone() }
    }
}

pub type Queue = Arc<EventQueue<Shown, Descriptor>>;

/// A queue with one operation, and the gate, the last event, and what was delivered, of that.
pub fn queue_with_one(kind: QueueKind) -> (Queue, EventGate<Shown>, Shown, Arc<List>) {
    let bell = (kind == QueueKind::Polled).then(Descriptor::default);
    let (queue, gate) = (Arc::new(EventQueue::new(kind, bell)), EventGate::new());
    let delivered = Arc::<List>::default();
    assert!(queue.registry().add(1, Arc::new(Canceled)));
    gate.open();
    let last = Shown { event: CLOSED, operation: 1, queue: Arc::downgrade(&queue), delivered: delivered.clone() };
    (queue, gate, last, delivered)
}
