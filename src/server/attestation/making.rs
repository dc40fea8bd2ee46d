//! The deadline of this server's own evidence. Touches the clock.

use std::time::Duration;

use crate::error::{Error, Phase, Result, Status};

/// The wait for a turn included. Longer than any source takes that is not stuck.
const MAKING: Duration = Duration::from_secs(30);

/// Evidence, or Busy: a source that hangs must not hold connections for ever.
pub async fn in_time<T>(making: impl Future<Output = Result<T>>) -> Result<T> {
    let late = || format!("no evidence within {} s", MAKING.as_secs());
    match tokio::time::timeout(MAKING, making).await {
        Ok(made) => made,
        Err(_) => Err(Error::new(Status::Busy, late()).phase(Phase::Evidence)),
    }
}
