//! What may take only so long. May touch the clock.

use std::future::Future;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::Either;

use crate::error::{Detail, Error, Phase, Result, Status};

/// What is waited for.
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

/// Runs `work` under its deadline. Must be called on a runtime. Not an async function: one keeps what it is given twice, and these are nested.
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

/// What `within` says when the time is up.
pub fn exceeded(limit: Duration, wait: Wait) -> Error {
    let (what, phase, detail) = wait.describe();
    let message = format!("{what} took longer than {} ms", limit.as_millis());
    Error::new(Status::TimedOut, message).phase(phase).detail(detail)
}
