//! Event gate, mailbox, registry and event queue under a model checker: every interleaving of small programs. The very files of the library, with loom's locks
//! for the standard library's, and workers whose turns end when the program says so.

#[path = "../../src/operation/event_gate.rs"]
#[allow(dead_code)]
mod event_gate;
#[path = "../../src/operation/event_queue.rs"]
#[allow(dead_code)]
mod event_queue;
#[path = "../../src/operation/mailbox.rs"]
#[allow(dead_code)]
mod mailbox;
#[path = "../../src/operation/registry.rs"]
#[allow(dead_code)]
mod registry;

mod sync {
    pub use loom::sync::atomic::{AtomicBool, Ordering};
    pub use loom::sync::{Condvar, Mutex, MutexGuard};

    pub use super::turn::{Announce, announce_in_turn};

    pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(|poison| poison.into_inner())
    }
}

/// As `io::turn` does it: one announcement for each queue when the turn ends, and at once outside of a turn.
mod turn {
    use std::cell::RefCell;
    use std::sync::Arc;

    pub trait Announce: Send + Sync {
        fn announce(&self);
    }

    loom::thread_local! {
        static PUT_OFF: RefCell<Option<Vec<Arc<dyn Announce>>>> = RefCell::new(None);
    }

    pub fn announce_in_turn<T: Announce + 'static>(what: &Arc<T>) {
        let now = PUT_OFF.with(|put_off| match &mut *put_off.borrow_mut() {
            Some(put_off) => {
                if put_off.is_empty() {
                    put_off.push(what.clone());
                }
                false
            }
            None => true,
        });
        if now {
            what.announce();
        }
    }

    /// Runs `work`, which announces to one queue at most, as one turn of a worker.
    pub fn one(work: impl FnOnce()) {
        PUT_OFF.with(|put_off| *put_off.borrow_mut() = Some(Vec::new()));
        work();
        let put_off = PUT_OFF.with(|put_off| put_off.borrow_mut().take());
        put_off.into_iter().flatten().for_each(|each| each.announce());
    }
}

use event_gate::EventGate;
use event_queue::{Delivery, EventQueue, QueueKind};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use mailbox::{Bell, Mailbox};
use registry::{Registry, Running};

const CLOSED: u32 = 99;

/// What a host is shown. The moments between the atomic steps are where another thread may come in.
#[derive(Default)]
struct Host {
    inside: AtomicU32,
    shown: sync_list::List,
}

mod sync_list {
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
}

impl Host {
    fn call(&self, event: u32) {
        assert_eq!(self.inside.fetch_add(1, Ordering::SeqCst), 0, "two callbacks at a time");
        self.shown.push(event);
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }

    /// Each thread's events in its order, CLOSED once and last.
    fn check(&self, threads: &[&[u32]]) {
        let shown = self.shown.all();
        assert_eq!(shown.iter().position(|event| *event == CLOSED), Some(shown.len() - 1), "{shown:?}");
        for posted in threads {
            let seen: Vec<_> = shown.iter().filter(|event| posted.contains(event)).collect();
            assert!(posted.iter().collect::<Vec<_>>().starts_with(&seen), "{shown:?}");
        }
    }
}

fn post_inline(gate: &EventGate<u32>, host: &Host, events: &[u32]) {
    for event in events {
        gate.deliver(*event, *event == CLOSED, |event| host.call(event));
    }
}

#[test]
fn inline_nothing_comes_after_closed() {
    loom::model(|| {
        let shared = Arc::new((EventGate::new(), Host::default()));
        shared.0.open();
        let others = [&[1, 2][..], &[11][..]].map(|events| {
            let shared = shared.clone();
            thread::spawn(move || post_inline(&shared.0, &shared.1, events))
        });
        post_inline(&shared.0, &shared.1, &[CLOSED]);
        others.into_iter().for_each(|other| other.join().expect("no panic"));
        shared.1.check(&[&[1, 2], &[11]]);
    });
}

#[test]
fn inline_two_ends_give_one_closed_and_a_callback_may_post() {
    loom::model(|| {
        let shared = Arc::new((EventGate::new(), Host::default()));
        shared.0.open();
        let other = {
            let shared = shared.clone();
            thread::spawn(move || {
                shared.0.deliver(1, false, |event| {
                    shared.1.call(event);
                    if event == 1 {
                        // From inside the callback: it comes after, not within.
                        shared.0.deliver(2, false, |_| panic!("another thread delivers"));
                    }
                });
                post_inline(&shared.0, &shared.1, &[CLOSED]);
            })
        };
        post_inline(&shared.0, &shared.1, &[CLOSED]);
        other.join().expect("no panic");
        shared.1.check(&[&[1, 2]]);
    });
}

#[test]
fn an_operation_that_never_began_says_nothing() {
    loom::model(|| {
        let gate = Arc::new(EventGate::new());
        let other = {
            let gate = gate.clone();
            thread::spawn(move || gate.deliver(1, false, |_| panic!("an event of an operation that never began")))
        };
        gate.shut();
        gate.open();
        assert_eq!(gate.pass(CLOSED, true, |_| panic!("CLOSED of an operation that never began")), Some(CLOSED));
        other.join().expect("no panic");
    });
}

/// A descriptor: whether it is readable, with a moment before and after each system call.
#[derive(Default)]
struct Descriptor(AtomicU32);

impl Bell for Descriptor {
    fn ring(&self) {
        assert_eq!(self.0.swap(1, Ordering::SeqCst), 0, "rung while it rings");
    }

    fn silence(&self) {
        assert_eq!(self.0.swap(0, Ordering::SeqCst), 1, "silenced while it is silent");
    }
}

impl Descriptor {
    fn readable(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 1
    }
}

#[test]
fn queued_nothing_comes_after_closed_and_the_descriptor_tells_the_truth() {
    loom::model(|| {
        let shared = Arc::new((EventGate::new(), Mailbox::new(Some(Descriptor::default()))));
        shared.0.open();
        let post = |shared: &(EventGate<u32>, Mailbox<u32, Descriptor>), event: u32| {
            let mut told = Ok(false);
            shared.0.pass(event, event == CLOSED, |event| told = shared.1.push(event));
            if told.expect("nobody has abandoned the mailbox") {
                shared.1.announce();
            }
        };
        let other = {
            let shared = shared.clone();
            thread::spawn(move || [1, 2].into_iter().for_each(|event| post(&shared, event)))
        };
        let mut taken = Vec::new();
        shared.1.take(1, |event| taken.push(event));
        post(&shared, CLOSED);
        other.join().expect("no panic");
        // Nobody posts any more: readable exactly while there is something to take.
        loop {
            let readable = shared.1.bell().is_some_and(Descriptor::readable);
            let count = shared.1.take(1, |event| taken.push(event));
            assert_eq!(readable, count == 1);
            if count == 0 {
                break;
            }
        }
        assert_eq!(taken.last(), Some(&CLOSED), "{taken:?}");
        assert!(taken.windows(2).all(|pair| pair[0] < pair[1]), "{taken:?}");
    });
}

#[test]
fn every_waiter_gets_its_event() {
    // A wake-up that is lost leaves a thread waiting for ever, which the model checker reports as a deadlock.
    loom::model(|| {
        let mailbox = Arc::new(Mailbox::<u32, Descriptor>::new(None));
        let waiters = [(); 2].map(|()| {
            let mailbox = mailbox.clone();
            thread::spawn(move || {
                let mut taken = 0;
                while taken == 0 && mailbox.wait(None, || false) {
                    taken = mailbox.take(1, |_| ());
                }
                taken
            })
        });
        for item in [1, 2] {
            if mailbox.push(item).expect("nobody has abandoned the mailbox") {
                mailbox.announce();
            }
        }
        assert_eq!(waiters.map(|waiter| waiter.join().expect("no panic")), [1, 1]);
    });
}

/// An event of an operation: with the last one released, it leaves as an operation of the library does.
struct Shown {
    event: u32,
    operation: u64,
    queue: std::sync::Weak<EventQueue<Shown, Descriptor>>,
    delivered: std::sync::Arc<sync_list::List>,
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
    fn before(&self, event: u32) -> Shown {
        Shown { event, operation: self.operation, queue: self.queue.clone(), delivered: self.delivered.clone() }
    }
}

type Queue = std::sync::Arc<EventQueue<Shown, Descriptor>>;

/// A queue with one operation, and the gate, the last event, and what was delivered, of that.
fn queue_with_one(kind: QueueKind) -> (Queue, EventGate<Shown>, Shown, std::sync::Arc<sync_list::List>) {
    let bell = (kind == QueueKind::Polled).then(Descriptor::default);
    let (queue, gate) = (std::sync::Arc::new(EventQueue::new(kind, bell)), EventGate::new());
    let delivered = std::sync::Arc::<sync_list::List>::default();
    assert!(queue.registry().add(1, std::sync::Arc::new(Canceled)));
    gate.open();
    let last =
        Shown { event: CLOSED, operation: 1, queue: std::sync::Arc::downgrade(&queue), delivered: delivered.clone() };
    (queue, gate, last, delivered)
}

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

#[test]
fn what_is_pushed_to_nobody_comes_back() {
    loom::model(|| {
        let mailbox = Arc::new(Mailbox::new(Some(Descriptor::default())));
        let other = {
            let mailbox = mailbox.clone();
            thread::spawn(move || match mailbox.push(1) {
                Ok(told) => {
                    if told {
                        mailbox.announce();
                    }
                    0
                }
                Err(_) => 1,
            })
        };
        let left = mailbox.abandon().len();
        assert_eq!(other.join().expect("no panic") + left, 1, "released once, by one of the two");
        assert!(!mailbox.bell().is_some_and(Descriptor::readable));
    });
}

#[test]
fn one_announcement_wakes_every_waiter_that_there_is_an_item_for() {
    loom::model(|| {
        let mailbox = Arc::new(Mailbox::<u32, Descriptor>::new(None));
        let waiters = [(); 2].map(|()| {
            let mailbox = mailbox.clone();
            thread::spawn(move || {
                let mut taken = 0;
                while taken == 0 && mailbox.wait(None, || false) {
                    taken = mailbox.take(1, |_| ());
                }
                taken
            })
        });
        let told = [1, 2].map(|item| mailbox.push(item).expect("nobody has abandoned the mailbox"));
        if told.contains(&true) {
            mailbox.announce();
        }
        assert_eq!(waiters.map(|waiter| waiter.join().expect("no panic")), [1, 1]);
    });
}

#[test]
fn a_turn_is_announced_once_and_the_descriptor_tells_the_truth_after_it() {
    loom::model(|| {
        let mailbox = Arc::new(Mailbox::new(Some(Descriptor::default())));
        let worker = {
            let mailbox = mailbox.clone();
            thread::spawn(move || {
                let told = [1, 2].map(|item| mailbox.push(item).expect("nobody has abandoned the mailbox"));
                if told.contains(&true) {
                    mailbox.announce();
                }
            })
        };
        // Before the announcement, between, and after it: nothing may be lost, nor announced for nothing.
        let mut taken = Vec::new();
        mailbox.take(1, |item| taken.push(item));
        mailbox.take(1, |item| taken.push(item));
        worker.join().expect("no panic");
        while mailbox.bell().is_some_and(Descriptor::readable) {
            assert_eq!(mailbox.take(1, |item| taken.push(item)), 1, "readable for nothing");
        }
        assert_eq!(mailbox.take(1, |item| taken.push(item)), 0, "not readable, and yet there is something");
        assert_eq!(taken, [1, 2]);
    });
}

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

#[test]
fn what_a_taker_leaves_is_announced_at_once() {
    loom::model(|| {
        let mailbox = Mailbox::new(Some(Descriptor::default()));
        let readable = || mailbox.bell().is_some_and(Descriptor::readable);
        assert_eq!([1, 2, 3].map(|item| mailbox.push(item)), [Ok(true); 3]);
        assert!(!readable());
        assert_eq!((mailbox.take(1, |_| ()), readable()), (1, true));
        assert_eq!(mailbox.push(4), Ok(false), "it rings already");
        assert_eq!((mailbox.take(2, |_| ()), readable()), (2, true));
        assert_eq!((mailbox.take(2, |_| ()), readable()), (1, false));
        // The announcement that was still due.
        mailbox.announce();
        assert!(!readable());
    });
}
