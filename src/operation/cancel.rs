//! Cancellation of an operation. No I/O.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use crate::error::{Error, Result, Status};

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
        // Enabled before the flag is read, so that a throw in between is not missed.
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

/// Waits until `cancel` is thrown; for ever without one.
pub async fn thrown_or_never(cancel: Option<Arc<Cancel>>) {
    match cancel {
        Some(cancel) => cancel.thrown().await,
        None => std::future::pending().await,
    }
}

pub fn canceled() -> Error {
    Error::new(Status::Canceled, "canceled")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn cancel_ends_what_waits() {
        let cancel = Cancel::default();
        cancel.cancel();
        let ended = cancel.guard(std::future::pending::<Result<()>>()).await;
        assert_eq!(ended.unwrap_err().status, Status::Canceled);
    }
}
