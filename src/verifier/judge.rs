//! Judging evidence that has just come: the collateral for it, the clock, and then `attest::appraise`.

use crate::attest::{Binding, Collateral, Evidence, Policy, Request, appraise, refuse, refuse_unbound, tdx};
use crate::collateral::{Verifier, WayOut};
use crate::error::Result;
use crate::io::clock;
use crate::verdict::Verdict;

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
                let request = Request { evidence, collateral, policy, anchors: &self.anchors, binding, now };
                return Ok(refuse(&request, &fault)?);
            }
        };
        // A genuine quote may be anybody's, recorded anywhere: for one that belongs to another session nobody is asked either. It is refused in any
        // case; with the documents that are kept the verdict says more.
        let bound = binding.report_data().is_none_or(|expected| expected.ok() == tdx::report_data(&evidence.quote));
        let found = self.find(&platform, policy, bound.then_some(way), now).await;
        let request = |collateral| Request { evidence, collateral, policy, anchors: &self.anchors, binding, now };
        match found {
            Ok(collateral) => Ok(appraise(&request(&collateral))?),
            Err(_) if !bound => Ok(refuse_unbound(&request(&Collateral::none()))?),
            Err(error) => Err(error),
        }
    }
}
