//! Locks that outlive a panic: what a lock guards is whole whenever the lock is free, and a handle that met a panic refuses later calls by itself.
//! Touches nothing else.

use std::sync::{Mutex, MutexGuard};

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poison| poison.into_inner())
}
