//! TDX quotes: who signed them and what they claim.
//!
//! [`verify_quote`] is the library's only door to the crate that checks DCAP signatures (dcap-qvl), so that crate can be replaced
//! or cross-checked here. It yields authentic claims; whether they are acceptable is decided in `attest::appraise`.

mod blame;
mod claims;
mod crypto;
mod dates;
mod endorsement;
mod genuine;
mod layout;
pub mod rfc3339;
mod unverified;

pub use claims::Claims;
pub(crate) use claims::is_out_of_date;
pub use endorsement::Vendor;
pub use genuine::genuine;
pub use layout::{other_kind, report_data};
pub use unverified::{Culprit, Unverified};

use dcap_qvl::verify::QuoteVerifier;
use dcap_qvl::{QuoteClaims, QuotePolicy};

use super::collateral::{Collateral, Document};
use super::hash::{hex, unhex};
use crypto::AwsLc;

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

/// Checks every signature from `root` down to the quote's body, the dates at `now`, and that a TCB level fits. A TD under debug or with a service TD
/// is verified as any other: its claims say so.
pub fn verify_quote(quote: &[u8], collateral: &Collateral, root: &[u8], now: u64) -> Result<Claims, Unverified> {
    layout::check(quote)?;
    let verifier = QuoteVerifier::<AwsLc>::new_with_config(root.to_vec()).allow_debug(true).allow_service_td(true);
    let verified = verifier.verify_with_policy(quote, collateral.set(), now, &QuotePolicy::claims_only(now));
    let claims = verified.map_err(|error| blame::find(quote, collateral, (root, now), format!("{error:#}")))?;
    not_looked_at(collateral, &claims, now)?;
    Claims::new(claims)
}

/// What dcap-qvl does not check: that revocation lists are valid already, and the PCEID of TCB info, of which it compares only the FMSPC.
fn not_looked_at(collateral: &Collateral, claims: &QuoteClaims, now: u64) -> Result<(), Unverified> {
    #[derive(serde::Deserialize)]
    struct Info<'a> {
        #[serde(rename = "pceId")]
        pce_id: &'a str,
    }
    let of = |document| move |why: String| Unverified::new(Culprit::Document(document), why);
    let set = collateral.set();
    dates::of_crl(&set.root_ca_crl, now).map_err(of(Document::RootCrl))?;
    dates::of_crl(&set.pck_crl, now).map_err(of(Document::PckCrl))?;
    let info = serde_json::from_str::<Info>(&set.tcb_info).map_err(|error| of(Document::TcbInfo)(error.to_string()))?;
    let platform = &claims.platform.pck.pce_id;
    match unhex(info.pce_id) {
        Some(known) if known == *platform => Ok(()),
        _ => Err(of(Document::TcbInfo)(format!("for PCEID {:?}, the platform has {}", info.pce_id, hex(platform)))),
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
