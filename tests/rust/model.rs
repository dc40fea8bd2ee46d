//! Event gate, mailbox, registry and event queue under a model checker: every interleaving of small programs. The very files of the library, with loom's locks
//! for the standard library's, and workers whose turns end when the program says so. The programs are in the folder `model`.

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

#[path = "model/descriptor.rs"]
mod descriptor;
#[path = "model/gates.rs"]
mod gates;
#[path = "model/mailboxes.rs"]
mod mailboxes;
#[path = "model/queues.rs"]
mod queues;
#[path = "model/shown.rs"]
mod shown;
#[path = "model/turns.rs"]
mod turns;

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
