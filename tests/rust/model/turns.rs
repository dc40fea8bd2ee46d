//! Turns of workers: what was put off is announced whatever else goes on.

use loom::sync::Arc;
use loom::thread;

use crate::descriptor::Descriptor;
use crate::event_queue::{Delivery, QueueKind};
use crate::shown::{CLOSED, queue_with_one};
use crate::{sync, turn};

#[test]
fn a_dispatching_thread_shows_a_turn_whenever_the_handle_goes() {
    loom::model(|| {
        let (queue, gate, last, delivered) = queue_with_one(QueueKind::Dispatching);
        let worker = {
            let queue = queue.clone();
            thread::spawn(move || {
                turn::one(|| {
                    queue.post(&gate, last.before(1), false);
                    queue.post(&gate, last, true);
                });
            })
        };
        let host = {
            let queue = queue.clone();
            thread::spawn(move || queue.close())
        };
        queue.dispatch();
        worker.join().expect("no panic");
        host.join().expect("no panic");
        assert_eq!(delivered.all(), [1, CLOSED]);
    });
}

#[test]
fn stopping_a_polled_queue_waits_for_the_turn_of_a_worker() {
    loom::model(|| {
        let (queue, gate, last, delivered) = queue_with_one(QueueKind::Polled);
        let worker = {
            let queue = queue.clone();
            thread::spawn(move || {
                turn::one(|| {
                    queue.post(&gate, last.before(1), false);
                    queue.post(&gate, last, true);
                });
            })
        };
        queue.stop();
        assert!(queue.registry().is_empty());
        worker.join().expect("no panic");
        assert!(delivered.all().is_empty() && !queue.bell().is_some_and(Descriptor::readable));
    });
}

/// The task of an operation goes from one worker to another in the middle of a turn of both.
#[test]
fn the_events_of_an_operation_stay_in_order_on_two_workers() {
    loom::model(|| {
        let (queue, gate, last, delivered) = queue_with_one(QueueKind::Polled);
        let handed = Arc::new(loom::sync::Mutex::new(None));
        let worker = {
            let (queue, handed) = (queue.clone(), handed.clone());
            thread::spawn(move || {
                turn::one(|| {
                    queue.post(&gate, last.before(1), false);
                    *sync::lock(&handed) = Some((gate, last));
                });
            })
        };
        let taken = sync::lock(&handed).take();
        let moved = taken.is_some();
        turn::one(|| {
            if let Some((gate, last)) = taken {
                queue.post(&gate, last, true);
            }
        });
        worker.join().expect("no panic");
        let rest = sync::lock(&handed).take();
        if let Some((gate, last)) = rest {
            queue.post(&gate, last, true);
        }
        assert!(queue.bell().is_some_and(Descriptor::readable), "after every turn it is known that there is something");
        let mut taken = Vec::new();
        queue.take(8, |event| taken.push(event));
        assert!(!queue.bell().is_some_and(Descriptor::readable));
        taken.into_iter().for_each(Delivery::deliver);
        assert_eq!(delivered.all(), [1, CLOSED], "moved: {moved}");
        assert!(queue.registry().wait(None));
    });
}
