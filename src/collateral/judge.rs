//! Judging evidence that has just come: the collateral for it, the clock, and then `attest::appraise`.

use super::{Verifier, WayOut};
use crate::attest::{Binding, Collateral, Evidence, Policy, Request, Verdict, appraise, refuse, tdx};
use crate::clock;
use crate::error::Result;

impl Verifier {
    /// The verdict, which need not be favourable; `way` leads to collateral services, unless the verifier has one of its own. Errors: what keeps
    /// from reaching one.
    pub async fn judge(
        &self,
        evidence: &Evidence,
        policy: &Policy,
        binding: &Binding,
        way: &dyn WayOut,
    ) -> Result<Verdict> {
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
        let collateral = &self.find(&platform, policy, way, now).await?;
        appraise(&Request { evidence, collateral, policy, anchors: &self.anchors, binding, now })
    }
}
