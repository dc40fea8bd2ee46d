//! What the families of TDX have in common: the steps from a quote to what it claims. They differ in what they read out of the claims.

use super::checks::QuoteChecks;
use super::policy::TdxRules;
use super::{TdxClaims, TdxEvidence, genuine, needs_of, other_kind};
use crate::attest::anchors::{TrustAnchors, Vendor};
use crate::attest::family::{Family, Need, Question};
use crate::attest::lines::Lines;
use crate::attest::policy::Policy;
use crate::attest::{Fault, Result};
use crate::status::Status;

/// What verdicts call the root that a quote must lead to.
pub fn anchor(evidence: &TdxEvidence, anchors: &TrustAnchors, policy: &Policy) -> Result<&'static str> {
    if let Some(other) = other_kind(&evidence.quote) {
        return Err(Fault::of_question(Status::Unsupported, format!("quote: {other}")));
    }
    anchors.root(Vendor::Intel, policy).map(|(_, name)| name)
}

pub fn needs<F: Family<Evidence = TdxEvidence>>(of: &Question<'_, F>, rules: &TdxRules) -> Option<Vec<Need>> {
    let (root, _) = of.anchors.root(Vendor::Intel, of.policy).ok()?;
    let platform = genuine(&of.evidence.quote, root, of.now).ok()?;
    Some(needs_of(&platform, &rules.sources.evaluation_set))
}

/// The claims of a quote that holds, after every rule about them.
pub fn verify<F>(lines: &mut Lines, of: &Question<'_, F>, rules: &TdxRules) -> Option<TdxClaims>
where
    F: Family<Evidence = TdxEvidence>,
{
    let anchor = of.anchors.root(Vendor::Intel, of.policy);
    let (root, limit) = (anchor.map_or(&[][..], |(root, _)| root), of.policy.max_evidence_bytes);
    let mut checks = QuoteChecks { lines, rules, now: of.now };
    let claims = checks.quote(of.evidence, of.documents, (root, limit))?;
    checks.all(&claims);
    Some(claims)
}
