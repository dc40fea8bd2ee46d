//! Judging evidence that has just come: the collateral for it, the clock, and then `attest::appraise`.

use super::Verifier;
use crate::attest::{Binding, Evidence, Policy, Request, Verdict, appraise, tdx};
use crate::clock;
use crate::error::{Error, Phase, Result, Status};

impl Verifier {
    /// The verdict, which need not be favourable. Errors: what keeps from reaching one.
    pub async fn judge(&self, evidence: &Evidence, policy: &Policy, binding: &Binding) -> Result<Verdict> {
        let platform = tdx::platform_id(&evidence.quote)
            .map_err(|why| Error::new(Status::QuoteInvalid, format!("quote: {why}")).phase(Phase::Verify))?;
        let now = clock::now()?;
        let found = self.find(&platform, policy, now).await?;
        let collateral = &found.collateral;
        let verdict = appraise(&Request { evidence, collateral, policy, anchors: &self.anchors, binding, now })?;
        self.settle(&found, verdict.claims.is_some());
        Ok(verdict)
    }
}
