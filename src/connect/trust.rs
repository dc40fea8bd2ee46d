//! Trust in the server of a connection, as long as the connection is open. May touch the clock, and through the verifier the network; the connection itself
//! by the channel that it is given.

use std::sync::Arc;
use std::time::Duration;

use super::attestation::{Attested, EvidenceChannel, FreshStream, Leaves, attest_again};
use super::connected_stream::{ConnectedStream, SessionExporter};
use super::progress::ConnectProgress;
use super::{ConnectTarget, HttpSession};
use crate::error::{Error, Phase, Result, Status};
use crate::log;
use crate::verdict::Verdict;
use crate::verifier::Standing;

pub struct ServerTrust {
    standing: Arc<Standing>,
    again: Option<Box<Again>>,
}

/// What it takes to ask for new evidence; only if the policy wants some.
struct Again {
    target: ConnectTarget,
    leaves: Leaves,
    session: SessionExporter,
}

impl ServerTrust {
    /// The connection's stream, and the trust in it if there is a policy.
    pub(super) fn of(attested: Attested, target: &ConnectTarget) -> (HttpSession, Option<ServerTrust>) {
        let Attested { session, leaves, trust } = attested;
        let standing = trust.map(Arc::new);
        let renews = standing.as_ref().is_some_and(|standing| standing.policy().reattest.interval.is_some());
        let (stream, exporter) = match session {
            FreshStream::Http1(stream) if renews => {
                let (stream, exporter) = ConnectedStream::shared(stream);
                (HttpSession::Http1(stream), Some(exporter))
            }
            FreshStream::Http1(stream) => (HttpSession::Http1(ConnectedStream::Tls(stream)), None),
            FreshStream::Http2(session) => {
                let exporter = session.exporter.clone();
                (HttpSession::Http2(session), Some(exporter))
            }
        };
        let again = exporter.filter(|_| renews);
        let again = again.map(|session| Box::new(Again { target: target.clone(), leaves, session }));
        (stream, standing.map(|standing| ServerTrust { standing, again }))
    }

    /// For a connection on which no evidence can be exchanged any more.
    pub fn standing(&self) -> &Arc<Standing> {
        &self.standing
    }

    /// The last one.
    pub fn verdict(&self) -> Arc<Verdict> {
        self.standing.verdict()
    }

    /// To be called before each request, and before anything of it is sent. An error is the end of the trust: the connection must be closed.
    pub async fn check(&self) -> Result<()> {
        self.standing.check().await
    }

    /// Whether new evidence must come before the next request, and how to ask the session for exporter values.
    pub fn wants_new_evidence(&self) -> Option<SessionExporter> {
        let again = self.again.as_ref().filter(|_| self.standing.is_too_old())?;
        Some(again.session.clone())
    }

    /// Asks for new evidence, on the same session and bound to a nonce of its own. `limit` is that of the caller. An error is the end of the trust.
    pub async fn renew(&self, channel: impl EvidenceChannel, limit: Option<Duration>) -> Result<()> {
        let Some(Again { target, leaves, .. }) = self.again.as_deref() else {
            return Err(Error::new(Status::Internal, "a connection whose evidence is not renewed"));
        };
        let limit = target.timeouts.and(limit).whole;
        let progress = ConnectProgress::begin(limit);
        progress.enter(Phase::Evidence);
        let done = progress.within(limit, attest_again(channel, leaves, target, &progress, &self.standing)).await;
        let place = || log::place(&target.host, target.port);
        match done {
            Ok(()) => {
                log::emit(log::DEBUG, || format!("evidence: {}: renewed", place()));
                Ok(())
            }
            Err(error) => {
                log::emit(log::WARNING, || format!("evidence: {}: not renewed: {}", place(), log::reason(&error)));
                Err(error.context("new evidence on an open connection"))
            }
        }
    }

    /// Whether there is something to check.
    pub fn is_due(&self) -> bool {
        self.standing.is_due() || self.standing.is_too_old()
    }
}
