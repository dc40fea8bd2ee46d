//! What `event_gate`, `mailbox`, `registry` and `event_queue` wait, lock and announce with. The model test gives them a model checker's instead. No I/O.

pub use std::sync::atomic::{AtomicBool, Ordering};
pub use std::sync::{Condvar, Mutex};

pub use crate::io::sync::lock;
pub use crate::io::turn::{Announce, announce_in_turn};
