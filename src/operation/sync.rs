//! What `gate`, `mailbox`, `registry` and `inbox` wait and lock with: the standard library's. The model test gives them a model checker's instead.
//! No I/O.

pub use std::sync::atomic::{AtomicBool, Ordering};
pub use std::sync::{Condvar, Mutex};

pub use crate::io::sync::lock;
