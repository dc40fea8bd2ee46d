//! What the families of TDX have in common: the steps from a quote to what it claims. They differ in what they read out of the claims. Pure.

use super::TdxClaims;
use super::checks::QuoteChecks;
use super::policy::TdxRules;
pub use crate::attest::dcap::steps::anchor;
use crate::attest::dcap::{self, QuoteKind};
use crate::attest::family::{Family, Need, Question};
use crate::attest::lines::Lines;

pub fn needs<F: Family>(of: &Question<'_, F>, quote: &[u8], rules: &TdxRules) -> Option<Vec<Need>> {
    dcap::steps::needs(QuoteKind::TrustDomain, of, quote, &rules.dcap.sources)
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
    let anchor = dcap::steps::root_and_limit(of);
    QuoteChecks { lines, rules, now: of.now }.quote(quote, (of.documents, of.findings), anchor)
}

/// Every rule about a quote that holds.
pub fn appraise<F: Family>(lines: &mut Lines, of: &Question<'_, F>, claims: &TdxClaims, rules: &TdxRules) {
    QuoteChecks { lines, rules, now: of.now }.all(claims);
}
