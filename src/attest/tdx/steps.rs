//! What the families of TDX have in common: the steps from a quote to what it claims. They differ in what they read out of the claims.

use super::checks::QuoteChecks;
use super::policy::TdxRules;
use super::{TdxClaims, genuine, needs_of, other_kind};
use crate::attest::anchors::{TrustAnchors, Vendor};
use crate::attest::family::{Family, Need, Question};
use crate::attest::lines::Lines;
use crate::attest::policy::Policy;
use crate::attest::{Fault, Result};
use crate::status::Status;

/// What verdicts call the root that a quote must lead to.
pub fn anchor(quote: &[u8], anchors: &TrustAnchors, policy: &Policy) -> Result<&'static str> {
    if let Some(other) = other_kind(quote) {
        return Err(Fault::of_question(Status::Unsupported, format!("quote: {other}")));
    }
    anchors.root(Vendor::Intel, policy).map(|(_, name)| name)
}

pub fn needs<F: Family>(of: &Question<'_, F>, quote: &[u8], rules: &TdxRules) -> Option<Vec<Need>> {
    let (root, _) = of.anchors.root(Vendor::Intel, of.policy).ok()?;
    let platform = genuine(quote, root, of.now).ok()?;
    Some(needs_of(&platform, &rules.sources.evaluation_set))
}

/// The claims of a quote that holds, after every rule about them.
pub fn verify<F: Family>(lines: &mut Lines, of: &Question<'_, F>, quote: &[u8], rules: &TdxRules) -> Option<TdxClaims> {
    let claims = authentic(lines, of, quote, rules)?;
    appraise(lines, of, &claims, rules);
    Some(claims)
}

/// The claims of a quote that holds: whether they are acceptable, `appraise` says.
pub fn authentic<F: Family>(
    lines: &mut Lines,
    of: &Question<'_, F>,
    quote: &[u8],
    rules: &TdxRules,
) -> Option<TdxClaims> {
    let anchor = of.anchors.root(Vendor::Intel, of.policy);
    let (root, limit) = (anchor.map_or(&[][..], |(root, _)| root), of.policy.max_evidence_bytes);
    QuoteChecks { lines, rules, now: of.now }.quote(quote, of.documents, (root, limit))
}

/// Every rule about a quote that holds.
pub fn appraise<F: Family>(lines: &mut Lines, of: &Question<'_, F>, claims: &TdxClaims, rules: &TdxRules) {
    QuoteChecks { lines, rules, now: of.now }.all(claims);
}
