//! Flow control: credit for what comes in, a bounded queue for what goes out (`outgoing`), and cancellation. No I/O.

mod outgoing;

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use tokio::sync::Notify;

pub use outgoing::Outgoing;

use crate::error::{Error, Result, Status};

/// Bytes that the host is ready to receive.
#[derive(Debug)]
pub struct Credit {
    available: Mutex<u64>,
    granted: Notify,
    /// Grant again what the host is done with.
    pub automatic: bool,
}

impl Credit {
    pub fn new(initial: u64, automatic: bool) -> Credit {
        Credit { available: Mutex::new(initial), granted: Notify::new(), automatic }
    }

    pub fn grant(&self, bytes: u64) {
        let mut available = lock(&self.available);
        *available = available.saturating_add(bytes);
        drop(available);
        self.granted.notify_one();
    }

    pub fn available(&self) -> u64 {
        *lock(&self.available)
    }

    /// Waits until there is some; returns how much, without taking it.
    pub async fn wait(&self) -> u64 {
        loop {
            let granted = self.granted.notified();
            let available = *lock(&self.available);
            if available > 0 {
                return available;
            }
            granted.await;
        }
    }

    pub fn take(&self, bytes: u64) {
        let mut available = lock(&self.available);
        *available = available.saturating_sub(bytes);
    }
}

/// A switch that is thrown once, from any thread.
#[derive(Default)]
pub struct Cancel {
    thrown: AtomicBool,
    notify: Notify,
}

impl Cancel {
    pub fn cancel(&self) {
        self.thrown.store(true, Ordering::Release);
        self.notify.notify_waiters();
    }

    pub fn is_canceled(&self) -> bool {
        self.thrown.load(Ordering::Acquire)
    }

    pub async fn thrown(&self) {
        let mut notified = pin!(self.notify.notified());
        // Enlisted before the flag is looked at: a throw in between is not missed.
        notified.as_mut().enable();
        if !self.is_canceled() {
            notified.await;
        }
    }

    /// Runs `work` unless or until the switch is thrown.
    pub async fn guard<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.thrown() => Err(canceled()),
            done = work => done,
        }
    }
}

pub fn canceled() -> Error {
    Error::new(Status::Canceled, "canceled")
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poison| poison.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn credit_saturates_and_wakes() {
        let credit = Credit::new(0, false);
        credit.grant(u64::MAX);
        credit.grant(5);
        assert_eq!(credit.wait().await, u64::MAX);
        credit.take(u64::MAX);
        credit.take(1);
        let (available, ()) = tokio::join!(credit.wait(), async { credit.grant(7) });
        assert_eq!(available, 7);
    }

    #[tokio::test]
    async fn cancel_ends_what_waits() {
        let cancel = Cancel::default();
        cancel.cancel();
        let ended = cancel.guard(std::future::pending::<Result<()>>()).await;
        assert_eq!(ended.unwrap_err().status, Status::Canceled);
    }
}
