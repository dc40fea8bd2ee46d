//! How often strangers may ask for evidence: it is the dearest thing that they can ask for. Touches the clock.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::{Error, Result, Status};

/// Quotes a second that may be asked for, unless something else is said.
const USUAL_PACE: u32 = 50;
/// The time in which one piece of evidence may be asked for that is slow to make.
const SLOW: Duration = Duration::from_secs(5);

/// So many pieces in a time, and all of them at once if the time before was quiet.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    time: Duration,
    /// When what was asked for so far would be done, at that pace.
    done: Mutex<Option<Instant>>,
}

impl Pace {
    /// 0 is what usual hardware can do.
    pub fn of(per_second: u32) -> Pace {
        let per_second = if per_second == 0 { USUAL_PACE } else { per_second };
        let time = Duration::from_secs(1);
        Pace { interval: time / per_second, time, done: Mutex::new(None) }
    }

    /// For evidence that takes seconds.
    pub fn slow() -> Pace {
        Pace { interval: SLOW, time: SLOW, done: Mutex::new(None) }
    }

    /// Errors: Busy.
    pub async fn step(&self) -> Result<()> {
        let mut done = self.done.lock().await;
        let now = Instant::now();
        let next = done.map_or(now, |done| done.max(now)) + self.interval;
        if next - now > self.time {
            let message = format!("more evidence was asked for than there may be within {} s", self.time.as_secs());
            return Err(Error::new(Status::Busy, message));
        }
        *done = Some(next);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_second_has_so_many_quotes() {
        let pace = Pace::of(4);
        for _ in 0..4 {
            pace.step().await.unwrap();
        }
        assert_eq!(pace.step().await.unwrap_err().status, Status::Busy);
        tokio::time::advance(Duration::from_millis(250)).await;
        pace.step().await.unwrap();
        assert_eq!(pace.step().await.unwrap_err().status, Status::Busy);
        tokio::time::advance(Duration::from_secs(60)).await;
        for _ in 0..4 {
            pace.step().await.unwrap();
        }
        assert!(pace.step().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn five_seconds_have_one_piece_that_is_slow() {
        let pace = Pace::slow();
        for _ in 0..3 {
            pace.step().await.unwrap();
            tokio::time::advance(Duration::from_millis(4999)).await;
            assert_eq!(pace.step().await.unwrap_err().status, Status::Busy);
            tokio::time::advance(Duration::from_millis(1)).await;
        }
    }
}
