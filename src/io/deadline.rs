//! Deadlines, and the errors when they pass. Touches the clock.

use std::future::Future;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::Either;

use crate::error::{Detail, Error, Phase, Result, Status};

/// What a deadline is for.
#[derive(Clone, Copy, Debug)]
pub enum Wait {
    Turn,
    Connecting,
    Handshake,
    Evidence,
    Head,
    FirstByte,
    MoreBody,
    Exchange,
    /// One blocking call.
    Call(&'static str),
}

impl Wait {
    fn describe(self) -> (&'static str, Phase, Detail) {
        match self {
            Wait::Turn => ("waiting for a turn", Phase::Queue, Detail::QueueTimeout),
            Wait::Connecting => ("connecting", Phase::Connect, Detail::ConnectTimeout),
            Wait::Handshake => ("the TLS handshake", Phase::Tls, Detail::TlsTimeout),
            Wait::Evidence => ("the evidence exchange", Phase::Evidence, Detail::EvidenceTimeout),
            Wait::Head => ("waiting for the response head", Phase::Transfer, Detail::HeadTimeout),
            Wait::FirstByte => ("the server's answer", Phase::Transfer, Detail::FirstByteTimeout),
            Wait::MoreBody => ("waiting for more of the body", Phase::Transfer, Detail::IdleTimeout),
            Wait::Exchange => ("the exchange", Phase::Transfer, Detail::TotalTimeout),
            Wait::Call(what) => (what, Phase::Transfer, Detail::CallTimeout),
        }
    }
}

/// A duration as a host chooses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChosenDuration {
    #[default]
    Default,
    Unlimited,
    Limited(Duration),
}

impl ChosenDuration {
    /// 0 is the default, `u32::MAX` no limit.
    pub fn from_millis(milliseconds: u32) -> ChosenDuration {
        match milliseconds {
            0 => ChosenDuration::Default,
            u32::MAX => ChosenDuration::Unlimited,
            some => ChosenDuration::Limited(Duration::from_millis(some.into())),
        }
    }

    /// What it comes to, with this default.
    pub fn or(self, default: Option<Duration>) -> Option<Duration> {
        match self {
            ChosenDuration::Default => default,
            ChosenDuration::Unlimited => None,
            ChosenDuration::Limited(some) => Some(some),
        }
    }

    /// In whole seconds, rounded up, for timers that know nothing finer.
    pub fn in_seconds(self) -> ChosenDuration {
        match self {
            ChosenDuration::Limited(some) => {
                ChosenDuration::Limited(Duration::from_secs(some.as_secs() + u64::from(some.subsec_nanos() > 0)))
            }
            other => other,
        }
    }
}

/// Runs `work` under a deadline. Must be called on a runtime. Not an async function: that would hold `work` twice, and these calls are nested.
pub fn within<T>(
    limit: Option<Duration>,
    wait: Wait,
    work: impl Future<Output = Result<T>>,
) -> impl Future<Output = Result<T>> {
    match limit {
        None => Either::Left(work),
        Some(limit) => Either::Right(
            tokio::time::timeout(limit, work).map(move |done| done.unwrap_or_else(|_| Err(exceeded(limit, wait)))),
        ),
    }
}

/// The error when the deadline has passed.
pub fn exceeded(limit: Duration, wait: Wait) -> Error {
    let (what, phase, detail) = wait.describe();
    let message = format!("{what} took longer than {} ms", limit.as_millis());
    Error::new(Status::TimedOut, message).phase(phase).detail(detail)
}

/// The deadline of several steps as a whole: how long, and so until when.
#[derive(Clone, Copy)]
pub struct TotalDeadline(Option<(Duration, Instant)>);

impl TotalDeadline {
    pub fn new(limit: Option<Duration>) -> TotalDeadline {
        TotalDeadline(limit.and_then(|limit| Some((limit, Instant::now().checked_add(limit)?))))
    }

    /// The deadline of one step: its own, or what is left if that is less.
    pub fn shorten(self, limit: Option<Duration>) -> Option<Duration> {
        let left = self.0.map(|(_, until)| until.saturating_duration_since(Instant::now()));
        limit.into_iter().chain(left).min()
    }

    pub fn is_over(self) -> bool {
        self.0.is_some_and(|(_, until)| until <= Instant::now())
    }

    /// Says so, if a step ended because this deadline passed.
    pub fn judge<T>(self, wait: Wait, done: Result<T>) -> Result<T> {
        match (done, self.0) {
            (Err(error), Some((limit, _))) if error.status == Status::TimedOut && self.is_over() => {
                Err(exceeded(limit, wait))
            }
            (done, _) => done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chosen_duration_is_the_default_none_or_itself() {
        let usual = Some(Duration::from_secs(9));
        let of = |milliseconds| ChosenDuration::from_millis(milliseconds);
        assert_eq!((of(0).or(usual), of(0).or(None), of(u32::MAX).or(usual)), (usual, None, None));
        assert_eq!(of(1).or(usual), Some(Duration::from_millis(1)));
        for (milliseconds, seconds) in [(1, 1), (1000, 1), (1001, 2)] {
            assert_eq!(of(milliseconds).in_seconds().or(usual), Some(Duration::from_secs(seconds)));
        }
        assert_eq!(of(0).in_seconds().or(usual), usual);
    }

    #[test]
    fn a_step_has_no_more_time_than_is_left_and_the_whole_is_what_is_blamed() {
        let late = || Err::<(), _>(exceeded(Duration::from_secs(1), Wait::Head));
        let none = TotalDeadline::new(None);
        assert!(none.shorten(None).is_none() && !none.is_over());
        assert_eq!(none.judge(Wait::Exchange, late()).unwrap_err().detail, Detail::HeadTimeout);
        let long = TotalDeadline::new(Some(Duration::from_secs(1000)));
        assert_eq!(long.shorten(Some(Duration::from_secs(1))), Some(Duration::from_secs(1)));
        assert!(long.shorten(None).is_some_and(|left| left > Duration::from_secs(900)) && !long.is_over());
        assert_eq!(long.judge(Wait::Exchange, late()).unwrap_err().detail, Detail::HeadTimeout);
        let over = TotalDeadline::new(Some(Duration::ZERO));
        assert!(over.is_over() && over.shorten(Some(Duration::from_secs(1))) == Some(Duration::ZERO));
        assert_eq!(over.judge(Wait::Exchange, late()).unwrap_err().detail, Detail::TotalTimeout);
        assert!(over.judge(Wait::Exchange, Ok(())).is_ok(), "what was done in time stays done");
    }
}
