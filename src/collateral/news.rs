//! Whether anything in a store has changed. No I/O.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Counts changes. A document is in its place before its change is counted; so whoever has read the count and then searches finds what was counted, and
/// whoever finds the count as it was has nothing to search for.
#[derive(Debug, Default)]
pub struct News {
    count: AtomicU64,
    came: Notify,
}

impl News {
    /// Something is in its place that was not there before.
    pub fn tell(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
        self.came.notify_waiters();
    }

    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Ready once the count is another one than `seen`.
    pub async fn after(&self, seen: u64) {
        loop {
            let mut came = pin!(self.came.notified());
            // Enabled before the count is read, so that a change in between is not missed.
            came.as_mut().enable();
            if self.count() != seen {
                return;
            }
            came.await;
        }
    }
}
