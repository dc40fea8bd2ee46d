//! One timer for a connection's many deadlines. Moving a deadline to a later time, as most are, costs nothing: the timer goes off at the old time and is set
//! again. Touches the clock.

use std::pin::Pin;

use tokio::time::{Instant, Sleep, sleep_until};

#[derive(Default)]
pub struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Waits for the earlier of two deadlines; for ever without any.
    pub async fn rings(&mut self, one: Option<Instant>, other: Option<Instant>) {
        let Some(deadline) = one.into_iter().chain(other).min() else { return std::future::pending().await };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        loop {
            if sleep.deadline() > deadline || sleep.is_elapsed() {
                sleep.as_mut().reset(deadline);
            }
            sleep.as_mut().await;
            if Instant::now() >= deadline {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_rings_at_the_earlier_one() {
        let (start, mut alarm) = (Instant::now(), Alarm::default());
        let at = |seconds| Some(start + Duration::from_secs(seconds));
        for (one, other, rung) in [(at(5), None, 5), (at(20), at(10), 10), (at(30), at(40), 30), (at(1), None, 30)] {
            alarm.rings(one, other).await;
            assert_eq!(Instant::now().duration_since(start).as_secs(), rung);
        }
        // Set for long from now and given up, then for soon; then the other way round.
        for (far, near, rung) in [(100, 50, 50), (60, 70, 70)] {
            let given_up = tokio::time::timeout(Duration::from_secs(1), alarm.rings(at(far), None)).await;
            assert!(given_up.is_err());
            alarm.rings(at(near), None).await;
            assert_eq!(Instant::now().duration_since(start).as_secs(), rung);
        }
    }
}
