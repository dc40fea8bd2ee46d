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
    /// A proof was not accepted. With 503 nothing was judged, and the proof before it still counts.
    pub fn refused(&mut self, status: u16) {
        self.refusals += 1;
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
        let Some(trust) = session.and_then(TlsSession::client_trust) else {
            let message = "this server asks its clients for evidence";
            return Err(Error::new(Status::NoEvidence, message).http_status(403));
        };
        trust.check_without_exchange().await.map_err(|error| {
            // Without the vendor's documents nothing was judged: that is not the client's fault.
            let status = if error.phase == Phase::Collateral { 503 } else { 403 };
            error.http_status(status)
        })
    }
}
