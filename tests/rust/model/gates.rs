//! Event gate: nothing after CLOSED, one callback at a time.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;

use crate::descriptor::Descriptor;
use crate::event_gate::EventGate;
use crate::mailbox::Mailbox;
use crate::shown::{CLOSED, List};

/// What a host is shown. The moments between the atomic steps are where another thread may come in.
#[derive(Default)]
struct Host {
    inside: AtomicU32,
    shown: List,
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
