//! Intel's DCAP quotes, whoever they speak of: who signed them, and what the vendor's documents say of the platform. What a quote says of a trust domain or
//! of an enclave, its family knows. Pure.
//!
//! [`verify_quote`] is the library's only door to the crate that checks DCAP signatures (dcap-qvl), so that crate can be replaced
//! or cross-checked here. It yields authentic claims; whether they are acceptable is decided by [`checks`] and by the families.

mod blame;
pub mod checks;
mod claims;
mod crypto;
mod dates;
pub mod documents;
mod genuine;
mod issuer;
mod known;
mod layout;
pub mod policy;
mod qe_status;
pub mod rfc3339;
pub mod steps;
mod unverified;

pub use claims::PlatformClaims;
pub(crate) use claims::is_out_of_date;
pub use documents::DocumentKind;
pub use genuine::genuine;
pub use issuer::Issuer;
pub use layout::{QuoteKind, report, report_data};
pub use unverified::{Culprit, Unverified};

use dcap_qvl::quote::{Quote, Report};
use dcap_qvl::verify::QuoteVerifier;
use dcap_qvl::{QuoteClaims, QuoteCollateralV3, QuotePolicy};

use super::documents::Documents;
use super::family::Need;
use super::hash::{hex, unhex};
use crypto::AwsLc;
use documents::Chosen;
use genuine::Genuine;
use known::JudgedBy;

/// Intel SGX Root CA, SHA-256 fingerprint 44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3, from the issuer
/// chains of Intel's provisioning certification service. A test holds the fingerprint.
pub const INTEL_ROOT_DER: &[u8] = include_bytes!("intel_sgx_root_ca.der");

/// Which vendor objects to fetch for a quote.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PlatformId {
    /// 12 upper-case hex digits.
    pub fmspc: String,
    /// `"platform"` or `"processor"`.
    pub ca: &'static str,
}

/// What it takes to judge a quote of that platform, by TCB info of that evaluation set. First who was revoked: what such a signer signed is no document.
pub fn needs_of(kind: QuoteKind, platform: &PlatformId, evaluation_set: &str) -> Vec<Need> {
    let ids = DocumentKind::all(kind).map(|document| document.about(platform, evaluation_set));
    ids.into_iter().map(|document| Need { document, required: true }).collect()
}

/// Checks every signature from `root` down to the quote's body, the dates at `now`, and that a TCB level fits. Of `documents`, which may be of several
/// platforms, those count that are about the one that made the quote, in the evaluation set that is named. A TD or enclave under debug or a TD with a
/// service TD is verified as any other: its claims say so.
pub fn verify_quote(
    kind: QuoteKind,
    quote: &[u8],
    (documents, evaluation_set): (&Documents, &str),
    root: &[u8],
    now: u64,
) -> Result<(PlatformClaims, Report), Unverified> {
    let Genuine { platform, parts, certified } = Genuine::of(kind, quote, root, now)?;
    let chosen = Chosen::of(documents, kind, &platform, evaluation_set)?;
    let judged = JudgedBy::of(certified, &parts, &chosen);
    if let Some(known) = judged.claims(now) {
        let read = Quote::parse(quote).map_err(|error| Unverified::quote(format!("{error:#}")))?;
        return Ok((known, read.report));
    }
    let set = chosen.set();
    let verifier = QuoteVerifier::<AwsLc>::new_with_config(root.to_vec()).allow_debug(true).allow_service_td(true);
    let verified = verifier
        .verify_with_policy(quote, &set, now, &QuotePolicy::claims_only(now))
        .map_err(|error| blame::find(kind, quote, (&set, &platform), (root, now), format!("{error:#}")))
        .and_then(|claims| not_looked_at(kind, &set, &claims, now).map(|()| claims));
    let claims = verified.map_err(|fault| chosen.with_source(fault))?;
    let platform = PlatformClaims::new(kind, &claims)?;
    judged.remember(&platform);
    Ok((platform, claims.report))
}

/// What dcap-qvl does not check: that revocation lists are valid already, and the PCEID of TCB info, of which it compares only the FMSPC.
fn not_looked_at(kind: QuoteKind, set: &QuoteCollateralV3, claims: &QuoteClaims, now: u64) -> Result<(), Unverified> {
    #[derive(serde::Deserialize)]
    struct Info<'a> {
        #[serde(rename = "pceId")]
        pce_id: &'a str,
    }
    let of = |document| move |why: String| Unverified::new(Culprit::Document(document), why);
    dates::of_crl(&set.root_ca_crl, now).map_err(of(DocumentKind::RootCrl))?;
    dates::of_crl(&set.pck_crl, now).map_err(of(DocumentKind::PckCrl))?;
    let tcb_info = DocumentKind::TcbInfo(kind);
    let info = serde_json::from_str::<Info>(&set.tcb_info).map_err(|error| of(tcb_info)(error.to_string()))?;
    let platform = &claims.platform.pck.pce_id;
    match unhex(info.pce_id) {
        Some(known) if known == *platform => Ok(()),
        _ => Err(of(tcb_info)(format!("for PCEID {:?}, the platform has {}", info.pce_id, hex(platform)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attest::hash::sha256;

    #[test]
    fn the_built_in_root_is_intels() {
        let fingerprint = "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3";
        assert_eq!(hex(&sha256(INTEL_ROOT_DER)), fingerprint);
    }
}
