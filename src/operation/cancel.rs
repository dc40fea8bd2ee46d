//! Cancellation of an operation. No I/O.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

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

    /// Runs `work` unless or until the switch is thrown. Work that is done at once takes no place among those who wait.
    pub async fn guard<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let (mut work, mut notified) = (pin!(work), pin!(self.notify.notified()));
        poll_fn(|cx| {
            if self.is_canceled() {
                return Poll::Ready(Err(canceled()));
            }
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            // The flag is read again behind it, so that a throw in between is not missed.
            match notified.as_mut().poll(cx) {
                Poll::Pending if !self.is_canceled() => Poll::Pending,
                _ => Poll::Ready(Err(canceled())),
            }
        })
        .await
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
        assert!(cancel.guard::<()>(async { panic!("work begins after its cancellation") }).await.is_err());
    }

    #[tokio::test]
    async fn work_is_canceled_whenever_the_switch_is_thrown() {
        let cancel = Cancel::default();
        assert_eq!(cancel.guard(async { Ok(7) }).await.unwrap(), 7);
        // While it is polled, before anybody waits for the switch.
        let throws = poll_fn(|_| {
            cancel.cancel();
            Poll::<Result<()>>::Pending
        });
        assert_eq!(cancel.guard(throws).await.unwrap_err().status, Status::Canceled);
        let cancel = Cancel::default();
        let (ended, ()) = tokio::join!(cancel.guard(std::future::pending::<Result<()>>()), async {
            tokio::task::yield_now().await;
            cancel.cancel();
        });
        assert_eq!(ended.unwrap_err().status, Status::Canceled);
    }
}
