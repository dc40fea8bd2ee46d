//! Judging evidence that has just come: the collateral for it, the clock, and then `attest::appraise`.

use super::Verifier;
use crate::attest::{Binding, Collateral, Evidence, Policy, Request, Verdict, appraise, refuse, tdx};
use crate::clock;
use crate::error::Result;

impl Verifier {
    /// The verdict, which need not be favourable. Errors: what keeps from reaching one.
    pub async fn judge(&self, evidence: &Evidence, policy: &Policy, binding: &Binding) -> Result<Verdict> {
        let now = clock::now()?;
        // First what needs no document: whoever shows a quote chooses what is looked up for it, and a stranger is to choose nothing.
        let (root, _) = self.anchors.root(policy)?;
        let platform = match tdx::genuine(&evidence.quote, root, now) {
            Ok(platform) => platform,
            Err(fault) => {
                let collateral = &Collateral::none();
                return refuse(&Request { evidence, collateral, policy, anchors: &self.anchors, binding, now }, &fault);
            }
        };
        let found = self.find(&platform, policy, now).await?;
        let collateral = &found.collateral;
        let verdict = appraise(&Request { evidence, collateral, policy, anchors: &self.anchors, binding, now })?;
        self.settle(&found, verdict.claims.is_some());
        Ok(verdict)
    }
}
