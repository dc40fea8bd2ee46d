//! Trust domains of TDX, by their quotes: what is theirs on top of [`dcap`], which all quotes have in common. Pure.

pub mod checks;
mod claims;
pub mod draft;
mod evidence;
pub mod policy;
pub mod steps;

pub use claims::TdxClaims;
pub use evidence::TdxEvidence;

use super::dcap::{self, PlatformId, QuoteKind, Unverified};
use super::documents::Documents;

/// The platform that made a quote, if the chain in it leads to `root` at `now` and the quote is signed by it.
pub fn genuine(quote: &[u8], root: &[u8], now: u64) -> Result<PlatformId, Unverified> {
    dcap::genuine(QuoteKind::TrustDomain, quote, root, now)
}

/// The 64 bytes that the guest put into its report; `None` if the quote is too short to have them.
pub fn report_data(quote: &[u8]) -> Option<[u8; 64]> {
    dcap::report_data(QuoteKind::TrustDomain, quote)
}

/// What a quote claims that holds ([`dcap::verify_quote`]). A TD under debug or with a service TD is verified as any other: its claims say so.
pub fn verify_quote(
    quote: &[u8],
    documents: (&Documents, &str),
    root: &[u8],
    now: u64,
) -> Result<TdxClaims, Unverified> {
    let (platform, report) = dcap::verify_quote(QuoteKind::TrustDomain, quote, documents, root, now)?;
    TdxClaims::new(platform, &report)
}
