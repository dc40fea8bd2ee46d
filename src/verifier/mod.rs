//! Judges evidence that has just been received: finds the documents it needs, reads the clock, and calls `attest::appraise`. May touch the clock, and
//! through `collateral` the network and the disk.

mod kept_bytes;
mod kept_evidence;
mod standing;

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::attest::{
    AppraisalRequest, Binding, Documents, Evidence, Policy, TrustAnchors, appraise, is_bound, needs, refuse_unbound,
};
use crate::collateral::{Basis, ServiceRoute, Store};
use crate::error::{Error, Result, Status};
use crate::io::{clock, turn};
use crate::verdict::Verdict;
use kept_bytes::SharedPieces;
pub use kept_evidence::{Answer, unreadable, unreadable_certificate};
pub use standing::{Accepted, Standing};

/// Shared by the connections of one client: trust anchors, and the documents that are at hand.
pub struct Verifier {
    pub anchors: TrustAnchors,
    pub store: Store,
    /// Evidence of connections that are open.
    pieces: SharedPieces,
}

/// When evidence is looked at.
struct Moment<'a> {
    /// What it was judged by before, unless it is to be judged in any case.
    before: Option<&'a Basis>,
    /// Unix seconds: when it came, and now.
    received: u64,
    now: u64,
}

/// What came of looking at evidence.
pub enum Judgement {
    /// The documents are those of the judgement before, which holds.
    Same(Basis),
    Other(Box<Verdict>, Basis),
}

impl Verifier {
    /// `tls` has the roots of HTTPS collateral services.
    pub fn new(anchors: TrustAnchors, tls: Arc<ClientConfig>) -> Verifier {
        Verifier { store: Store::new(anchors.clone(), tls), anchors, pieces: SharedPieces::default() }
    }

    /// Asks services by this way, whatever that of a connection is.
    pub fn by_way(self, way: Arc<dyn ServiceRoute>) -> Verifier {
        Verifier { store: self.store.by_way(way), ..self }
    }

    /// Takes the documents that `folder` holds, and keeps there what is fetched.
    pub fn with_disk(self, folder: &Path) -> Result<Verifier> {
        Ok(Verifier { store: self.store.with_disk(folder)?, ..self })
    }

    /// Simulated roots need the policy's consent. Errors: TrustAnchor.
    pub fn check_anchors(&self, policy: &Policy) -> Result<()> {
        match self.anchors.is_simulated() && !policy.allow_simulated {
            true => {
                let message =
                    "the verifier has a simulated root, but the policy does not say \"allow_simulated\": true";
                Err(Error::new(Status::TrustAnchor, message))
            }
            false => Ok(()),
        }
    }

    /// The verdict, which need not be favourable, and what it rests on; `way` leads to collateral services, unless the verifier has one of its own.
    /// Errors: what keeps from reaching one.
    pub async fn judge(
        &self,
        evidence: &Evidence,
        policy: &Policy,
        binding: &Binding,
        way: &dyn ServiceRoute,
    ) -> Result<(Verdict, Basis)> {
        let now = clock::now()?;
        let moment = Moment { before: None, received: now, now };
        match self.look(evidence, (policy, binding), Some(way), moment).await? {
            Judgement::Other(verdict, basis) => Ok((*verdict, basis)),
            Judgement::Same(_) => Err(Error::new(Status::Internal, "nothing was judged before")),
        }
    }

    /// As `judge`, at that moment, unless the documents are those of before. Without a way nobody is asked.
    async fn look(
        &self,
        evidence: &Evidence,
        (policy, binding): (&Policy, &Binding),
        way: Option<&dyn ServiceRoute>,
        Moment { before, received, now }: Moment<'_>,
    ) -> Result<Judgement> {
        // It takes long.
        turn::rest();
        let (none, anchors) = (Documents::none(), &self.anchors);
        let request = |documents| AppraisalRequest { evidence, documents, policy, anchors, binding, received, now };
        let other = |verdict, basis| Ok(Judgement::Other(Box::new(verdict), basis));
        // First come the checks that need no document: the evidence decides what is looked up, and a stranger must not be able to choose that.
        let Some(needs) = needs(&request(&none))? else { return other(appraise(&request(&none))?, Basis::none()) };
        // Genuine evidence may have been recorded anywhere, so nothing is fetched for evidence of another session either. It is refused in any case;
        // the verdict says more if the documents happen to be kept already.
        let is_bound = is_bound(&request(&none));
        let on_trial = self.store.on_trial(&needs);
        match self.store.find(&needs, policy, way.filter(|_| is_bound), now).await {
            Ok((_, basis)) if before.is_some_and(|before| before.is_same(&basis)) => Ok(Judgement::Same(basis)),
            Ok((documents, basis)) => {
                turn::rest();
                let verdict = appraise(&request(&documents))?;
                if verdict.claims.is_some() {
                    on_trial.settle().await;
                }
                other(verdict, basis)
            }
            Err(_) if !is_bound => other(refuse_unbound(&request(&none))?, Basis::none()),
            Err(error) => Err(error),
        }
    }
}
