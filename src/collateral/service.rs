//! How often one collateral service is asked: a limited number of requests a second, and none while its Retry-After runs. May touch the clock.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::MutexGuard;
use tokio::time::Instant;

use super::unavailable;
use crate::error::Result;
use crate::io::sync::lock;

/// Requests a second, in the long run.
const RATE: u32 = 20;
/// Requests that may come at once.
const BURST: u32 = 100;
/// If a turn is further away than this, the next service is asked instead.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long a service that says 429 without Retry-After is left alone.
pub const USUAL_REST: Duration = Duration::from_secs(60);
/// No Retry-After keeps us from asking a service for longer than this: over plain HTTP anyone on the path could have written it.
const LONGEST_REST: Duration = Duration::from_secs(24 * 3600);

/// One service, by its base URL.
#[derive(Debug, Default)]
pub struct Service {
    state: Mutex<State>,
    /// When the last request began that unauthenticated evidence made us send. Held by who sends one.
    chosen: tokio::sync::Mutex<Option<Instant>>,
}

/// Between two such requests.
const CHOSEN_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct State {
    /// When all that was asked for so far would be done, at `RATE`.
    done: Option<Instant>,
    rest_until: Option<Instant>,
}

impl Service {
    /// Waits for a turn. Errors: CollateralUnavailable, at once, if the service asked to be left alone or too many wait.
    pub async fn turn(&self) -> Result<()> {
        let wait = self.enter(Instant::now())?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    /// As `turn`, for what unauthenticated evidence has chosen: one at a time, and one a second. The turn ends with the guard.
    pub async fn turn_alone(&self) -> Result<MutexGuard<'_, Option<Instant>>> {
        let alone = async {
            let mut last = self.chosen.lock().await;
            if let Some(last) = *last {
                tokio::time::sleep_until(last + CHOSEN_EVERY).await;
            }
            *last = Some(Instant::now());
            last
        };
        let alone = tokio::time::timeout(LONGEST_WAIT, alone).await;
        let alone = alone.map_err(|_| unavailable("not asked: too many ask for certificates of chips".into()))?;
        self.turn().await?;
        Ok(alone)
    }

    /// How long to wait for a turn, which is then taken.
    fn enter(&self, now: Instant) -> Result<Duration> {
        let mut state = lock(&self.state);
        if let Some(rest) =
            state.rest_until.and_then(|until| until.checked_duration_since(now)).filter(|rest| !rest.is_zero())
        {
            let message = format!("not asked: it wants to be left alone for another {} s", rest.as_secs() + 1);
            return Err(unavailable(message).http_status(429));
        }
        let interval = Duration::from_secs(1) / RATE;
        let done = state.done.map_or(now, |done| done.max(now)) + interval;
        let wait = (done - now).saturating_sub(interval * BURST);
        if wait > LONGEST_WAIT {
            return Err(unavailable(format!("not asked: more than {RATE} requests a second")));
        }
        state.done = Some(done);
        Ok(wait)
    }

    /// It asked for a pause.
    pub fn rest(&self, time: Duration) {
        let until = Instant::now() + time.min(LONGEST_REST);
        let mut state = lock(&self.state);
        state.rest_until = Some(state.rest_until.map_or(until, |known| known.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn requests_are_paced() {
        let service = Service::default();
        let now = Instant::now();
        for _ in 0..BURST {
            assert!(service.enter(now).unwrap().is_zero());
        }
        // Those who come at the same time wait in turn, up to a limit.
        let waits: Vec<_> = std::iter::from_fn(|| service.enter(now).ok()).collect();
        assert_eq!(waits.len() as u64, LONGEST_WAIT.as_secs() * u64::from(RATE));
        assert_eq!((waits[0], waits[1]), (Duration::from_millis(50), Duration::from_millis(100)));
        assert!(service.enter(now).unwrap_err().message.contains("requests a second"));
        assert!(service.enter(now + Duration::from_secs(60)).unwrap().is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn what_evidence_chooses_is_asked_for_one_by_one() {
        let (service, begun) = (Service::default(), Instant::now());
        drop(service.turn_alone().await.unwrap());
        let second = service.turn_alone().await.unwrap();
        assert_eq!(begun.elapsed(), CHOSEN_EVERY);
        let refused = service.turn_alone().await.unwrap_err();
        assert!(refused.message.contains("too many ask"), "{refused:?}");
        assert_eq!(begun.elapsed(), CHOSEN_EVERY + LONGEST_WAIT);
        service.turn().await.unwrap();
        drop(second);
        assert!(service.turn_alone().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_asks_for_rest_has_it() {
        let service = Service::default();
        service.rest(Duration::from_secs(100));
        service.rest(Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(99)).await;
        let refused = service.turn().await.unwrap_err();
        assert!(refused.http_status == 429 && refused.message.contains("another 2 s"), "{refused:?}");
        tokio::time::advance(Duration::from_secs(2)).await;
        service.turn().await.unwrap();
        service.rest(Duration::MAX);
        tokio::time::advance(LONGEST_REST).await;
        service.turn().await.unwrap();
    }
}
