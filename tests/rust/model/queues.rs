//! Event queue and registry: ends of queues and of operations.

use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;

use crate::event_queue::QueueKind;
use crate::registry::{Registry, Running};
use crate::shown::{CLOSED, queue_with_one};

#[test]
fn stopping_a_queue_waits_for_the_last_event_and_no_longer() {
    for kind in [QueueKind::Polled, QueueKind::Inline] {
        loom::model(move || {
            let (queue, gate, last, delivered) = queue_with_one(kind);
            let other = {
                let queue = queue.clone();
                thread::spawn(move || queue.post(&gate, last, true))
            };
            queue.stop();
            assert!(queue.registry().is_empty());
            other.join().expect("no panic");
            // What the stop takes from a polled queue is discarded.
            assert_eq!(delivered.all().len(), usize::from(kind == QueueKind::Inline));
        });
    }
}

#[test]
fn a_dispatching_thread_shows_the_last_event_and_ends() {
    loom::model(|| {
        let (queue, gate, last, delivered) = queue_with_one(QueueKind::Dispatching);
        let other = {
            let queue = queue.clone();
            thread::spawn(move || {
                queue.post(&gate, last, true);
                queue.close();
            })
        };
        // If it is not woken, it waits for ever, which the model checker reports as a deadlock.
        queue.dispatch();
        other.join().expect("no panic");
        assert_eq!(delivered.all(), [CLOSED]);
    });
}

#[test]
fn a_start_that_fails_ends_the_wait_for_the_last_operation() {
    loom::model(|| {
        let (queue, ..) = queue_with_one(QueueKind::Dispatching);
        let other = {
            let queue = queue.clone();
            thread::spawn(move || {
                queue.registry().remove(1);
                queue.operation_left();
            })
        };
        queue.close();
        queue.dispatch();
        other.join().expect("no panic");
    });
}

#[test]
fn a_polled_queue_that_is_closed_releases_what_comes() {
    loom::model(|| {
        let (queue, gate, last, delivered) = queue_with_one(QueueKind::Polled);
        let other = {
            let queue = queue.clone();
            thread::spawn(move || queue.post(&gate, last, true))
        };
        queue.close();
        other.join().expect("no panic");
        assert!(queue.registry().is_empty() && delivered.all().is_empty());
    });
}

#[test]
fn an_operation_is_canceled_by_the_stop_or_does_not_start() {
    loom::model(|| {
        struct Counted(AtomicU32);
        impl Running for Counted {
            fn cancel(&self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let registry = std::sync::Arc::<Registry>::default();
        let operation = std::sync::Arc::new(Counted(AtomicU32::new(0)));
        let other = {
            let (registry, operation) = (registry.clone(), operation.clone());
            thread::spawn(move || registry.add(1, operation))
        };
        registry.stop();
        let started = other.join().expect("no panic");
        assert_eq!(operation.0.load(Ordering::SeqCst), u32::from(started));
        registry.remove(1);
        assert!(registry.wait(None));
    });
}
