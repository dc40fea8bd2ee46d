//! Trust in a client that has proved itself, as long as its connection is open (docs/protocol.md, "Open connections"). May touch the clock, and through the
//! verifier the network.

use std::sync::Arc;

use tokio::time::Instant;

use super::Server;
use super::attestation::{ClientProof, TRIES, TlsSession};
use crate::error::{Error, Phase, Result, Status};
use crate::io::sync::lock;
use crate::verifier::Standing;

impl ClientProof {
    /// A proof is judged now. It counts as refused until it is accepted: a client that does not wait for the verdict has had its try.
    pub fn tried(&mut self) {
        self.refusals += 1;
    }

    pub fn accepted(&mut self, trust: Standing) {
        self.refusals = self.refusals.saturating_sub(1);
        self.trust = Some(Arc::new(trust));
    }

    /// A proof was not accepted. With 503 nothing was judged, and the proof before it still counts.
    pub fn refused(&mut self, status: u16) {
        if status != 503 && self.trust.take().is_some() {
            // The trust has ended, and with it the connection.
            self.refusals = TRIES;
        }
    }
}

impl TlsSession {
    /// The client, if it has proved itself.
    pub(super) fn client_trust(&self) -> Option<Arc<Standing>> {
        lock(&self.proof).trust.clone()
    }

    /// Whether the client's evidence is as old as the policy allows: the connection ends, and a new one begins with new evidence.
    pub(super) fn client_is_too_old(&self) -> bool {
        lock(&self.proof).trust.as_ref().is_some_and(|trust| trust.is_too_old())
    }

    /// When it will be; `None` also while a challenge is open, whose answer may be on its way.
    pub(super) fn client_trusted_until(&self, now: Instant) -> Option<Instant> {
        let proof = lock(&self.proof);
        let trust = proof.trust.as_ref().filter(|_| proof.challenge.is_none())?;
        now.checked_add(trust.time_left()?)
    }
}

impl Server {
    /// Whether a client that must prove itself has done so, and is still trusted. Errors: with the status that its request is refused with.
    pub(super) async fn check_client(&self, session: Option<&TlsSession>) -> Result<()> {
        if self.settings.client_policy.is_none() {
            return Ok(());
        }
        let current = || session.and_then(TlsSession::client_trust);
        check_current(current, async |trust| trust.check_without_exchange().await).await
    }
}

/// Checks the trust that there is, until none has taken its place meanwhile: another stream of the session may end it while this one waits.
async fn check_current<T>(
    current: impl Fn() -> Option<Arc<T>>,
    check: impl AsyncFn(Arc<T>) -> Result<()>,
) -> Result<()> {
    loop {
        let Some(trust) = current() else {
            let message = "this server asks its clients for evidence";
            return Err(Error::new(Status::NoEvidence, message).http_status(403));
        };
        check(trust.clone()).await.map_err(|error| {
            // Without the vendor's documents nothing was judged: that is not the client's fault.
            let status = if error.phase == Phase::Collateral { 503 } else { 403 };
            error.http_status(status)
        })?;
        if current().is_some_and(|now| Arc::ptr_eq(&now, &trust)) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn trust_that_ends_during_its_check_does_not_count() {
        let trust = Mutex::new(Some(Arc::new(1)));
        let current = || lock(&trust).clone();
        assert!(check_current(current, async |_| Ok(())).await.is_ok());
        let ended = check_current(current, async |_| {
            lock(&trust).take();
            Ok(())
        });
        assert_eq!(ended.await.unwrap_err().status, Status::NoEvidence);
        *lock(&trust) = Some(Arc::new(1));
        let replaced = check_current(current, async |trusted| {
            *lock(&trust) = Some(Arc::new(2));
            if *trusted == 1 { Ok(()) } else { Err(Error::new(Status::TcbRejected, "the second")) }
        });
        assert_eq!(replaced.await.unwrap_err().http_status, 403);
    }

    #[test]
    fn a_try_counts_before_its_verdict() {
        let mut proof = ClientProof::default();
        (0..TRIES).for_each(|_| proof.tried());
        assert_eq!(proof.refusals, TRIES);
        proof.refused(403);
        assert_eq!(proof.refusals, TRIES);
    }
}
