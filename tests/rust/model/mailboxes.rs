//! Mailbox: nobody who waits is forgotten, and the descriptor tells the truth.

use loom::sync::Arc;
use loom::thread;

use crate::descriptor::Descriptor;
use crate::mailbox::Mailbox;

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
