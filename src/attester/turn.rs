//! Turns of work that must not overlap, whoever waits for it. Touches threads only.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::error::{Phase, Result};
use crate::io::offload::offload;

/// Held by the work itself, on its thread, and not by who waits for it: work that nobody waits for any more goes on to its end, and only then another begins.
#[derive(Clone, Debug, Default)]
pub struct Turn(Arc<Mutex<()>>);

impl Turn {
    /// Runs `work` on a thread that may wait, once all that began earlier has ended. Its copies share the turns.
    pub async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let turn = self.0.clone().lock_owned().await;
        let job = move || {
            let _turn = turn;
            work()
        };
        offload(job).await.map_err(|error| error.phase(Phase::Evidence))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn work_that_nobody_waits_for_keeps_its_turn() {
        let (turn, begun) = (Turn::default(), Arc::new(AtomicUsize::new(0)));
        let (release, released) = mpsc::channel::<()>();
        let first = begun.clone();
        let stuck = turn.blocking(move || {
            first.fetch_add(1, Ordering::SeqCst);
            let _ = released.recv();
        });
        assert!(tokio::time::timeout(Duration::from_millis(50), stuck).await.is_err());
        let next = |begun: Arc<AtomicUsize>| move || begun.fetch_add(1, Ordering::SeqCst);
        let (copy, second) = (turn.clone(), next(begun.clone()));
        assert!(tokio::time::timeout(Duration::from_millis(50), copy.blocking(second)).await.is_err());
        release.send(()).unwrap();
        assert_eq!(turn.blocking(next(begun)).await.unwrap(), 1, "the one that gave up has not begun");
    }
}
