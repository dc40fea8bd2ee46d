//! What the families of quotes have in common: the steps before a quote is verified. They differ in what they read out of the claims. Pure.

use super::{PlatformId, QuoteKind, genuine, needs_of};
use crate::attest::Result;
use crate::attest::anchors::{TrustAnchors, Vendor};
use crate::attest::family::{Family, Need, Question};
use crate::attest::policy::{Policy, SourceRules};

/// What verdicts call the root that a quote must lead to.
pub fn anchor(anchors: &TrustAnchors, policy: &Policy) -> Result<&'static str> {
    anchors.root(Vendor::Intel, policy).map(|(_, name)| name)
}

/// The root (DER) that a quote must lead to, and the bytes that it may have. Without the policy's consent to a simulator's root there is none, and nothing
/// leads to it.
pub fn root_and_limit<'a, F: Family>(of: &Question<'a, F>) -> (&'a [u8], usize) {
    let anchor = of.anchors.root(Vendor::Intel, of.policy);
    (anchor.map_or(&[][..], |(root, _)| root), of.policy.max_evidence_bytes)
}

/// Who made the quote, if it is genuine.
struct Platform(Option<PlatformId>);

pub fn needs<F: Family>(
    kind: QuoteKind,
    of: &Question<'_, F>,
    quote: &[u8],
    sources: &SourceRules,
) -> Option<Vec<Need>> {
    let (root, _) = of.anchors.root(Vendor::Intel, of.policy).ok()?;
    let platform = of.findings.once("", || Platform(genuine(kind, quote, root, of.now).ok()));
    Some(needs_of(kind, platform.0.as_ref()?, &sources.evaluation_set))
}
