//! How far a connection has come: for the deadline that covers all of it, and for the log. May touch the clock.

use std::fmt::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::{ConnectTarget, ConnectTimes, Connected};
use crate::error::{Error, Phase, Result, Status};
use crate::io::deadline::{Wait, within};
use crate::io::sync::lock;
use crate::log;

/// Shared between the connecting task and its deadline.
#[derive(Debug)]
pub struct ConnectProgress {
    /// When the connection must be ready.
    pub until: Option<Instant>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    times: ConnectTimes,
}

impl ConnectProgress {
    pub fn begin(limit: Option<Duration>) -> ConnectProgress {
        // A limit that is too long for the clock is none.
        let until = limit.and_then(|limit| Instant::now().checked_add(limit));
        ConnectProgress { until, state: Mutex::new(State::begin()) }
    }

    /// The phase that starts now.
    pub fn enter(&self, phase: Phase) {
        let mut state = lock(&self.state);
        state.settle();
        state.phase = phase;
    }

    /// A new attempt counts its own times.
    pub fn again(&self) {
        *lock(&self.state) = State::begin();
    }

    pub fn times(&self) -> ConnectTimes {
        let mut state = lock(&self.state);
        state.settle();
        state.times
    }

    /// Runs `work` under a deadline that may pass in any phase: the error names that phase.
    pub async fn within<T>(&self, limit: Option<Duration>, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut passed = limit.is_some();
        let counted = async {
            let done = work.await;
            passed = false;
            done
        };
        let done = within(limit, Wait::Connecting, counted).await;
        match done {
            Err(error) if passed => Err(error.phase(lock(&self.state).phase)),
            done => done,
        }
    }
}

impl State {
    fn begin() -> State {
        State { phase: Phase::Dns, since: Instant::now(), times: ConnectTimes::default() }
    }

    fn settle(&mut self) {
        let now = Instant::now();
        let spent = now - self.since;
        self.since = now;
        *match self.phase {
            Phase::Dns => &mut self.times.dns,
            Phase::Connect | Phase::Tunnel => &mut self.times.connect,
            Phase::Tls => &mut self.times.tls,
            _ => &mut self.times.attest,
        } += spent;
    }
}

/// Logs an attempt, and a refusal if it was one.
pub fn report<S>(target: &ConnectTarget, times: &ConnectTimes, done: &Result<Connected<S>>) {
    let place = || log::place(&target.host, target.port);
    if let Err(error) = done
        && is_refusal(error)
    {
        log::emit(log::WARNING, || format!("{}: {}: refused: {}", error.phase.name(), place(), log::reason(error)));
    }
    log::emit(log::INFO, || {
        let outcome = match done {
            Ok(Connected { trust: Some(_), .. }) => "attested".to_owned(),
            Ok(_) if target.plain => "connected in the clear".to_owned(),
            Ok(_) => "connected, not attested".to_owned(),
            Err(error) => format!("failed in phase {}: {}", error.phase.name(), log::reason(error)),
        };
        format!("connect: {}: {outcome};{}", place(), shown(times))
    });
}

/// The server is not what was asked for, or refuses this side.
fn is_refusal(error: &Error) -> bool {
    error.verdict.is_some()
        || matches!(
            error.status,
            Status::TlsCertificate
                | Status::TlsVersion
                | Status::NoEvidence
                | Status::EvidenceInvalid
                | Status::EvidenceRefused
                | Status::EvidenceBusy
                | Status::QuoteInvalid
                | Status::TunnelRefused
        )
}

fn shown(times: &ConnectTimes) -> String {
    let mut text = String::new();
    let phases = [("dns", times.dns), ("connect", times.connect), ("tls", times.tls), ("evidence", times.attest)];
    for (name, spent) in phases {
        let _ = write!(text, " {name}={}", spent.as_millis());
    }
    let total: Duration = phases.iter().map(|(_, spent)| *spent).sum();
    let _ = write!(text, " total={} ms", total.as_millis());
    text
}
