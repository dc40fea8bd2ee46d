//! Flow control: credit for what comes in. No I/O.

use std::sync::Mutex;

use tokio::sync::Notify;

use crate::io::sync::lock;

/// Bytes that the host is ready to receive.
#[derive(Debug)]
pub struct Credit {
    available: Mutex<u64>,
    granted: Notify,
    /// Bytes that the host is done with are granted again.
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

    /// Waits for credit; returns how much there is, without taking it.
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

/// What has credit of its own, and is kept by the bytes that were taken from it.
pub trait Credited: Send + Sync {
    fn credit(&self) -> &Credit;
}

impl Credited for Credit {
    fn credit(&self) -> &Credit {
        self
    }
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
}
