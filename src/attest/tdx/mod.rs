//! TDX quotes: who signed them and what they claim.
//!
//! [`verify_quote`] is the library's only door to the crate that checks DCAP signatures (dcap-qvl), so that crate can be replaced
//! or cross-checked here. It yields authentic claims; whether they are acceptable is decided in `attest::appraise`.

mod claims;
mod crypto;
mod genuine;
mod layout;
pub mod rfc3339;

pub use claims::Claims;
pub(crate) use claims::is_out_of_date;
pub use genuine::genuine;
pub use layout::report_data;

use dcap_qvl::QuotePolicy;
use dcap_qvl::verify::QuoteVerifier;

use super::collateral::Collateral;
use super::hash::{hex, unhex};
use crate::error::Status;
use crypto::AwsLc;

/// Intel SGX Root CA, SHA-256 fingerprint 44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3, from the issuer
/// chains of Intel's provisioning certification service. A test holds the fingerprint.
pub const INTEL_ROOT_DER: &[u8] = include_bytes!("intel_sgx_root_ca.der");

/// Departures from the strict defaults that a policy may ask for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Leniency {
    pub debug: bool,
    pub service_td: bool,
}

/// Which vendor objects to fetch for a quote.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PlatformId {
    /// 12 upper-case hex digits.
    pub fmspc: String,
    /// `"platform"` or `"processor"`.
    pub ca: &'static str,
}

/// Checks every signature from `root` down to the quote's body, the validity windows at `now` and the TCB level.
pub fn verify_quote(
    quote: &[u8],
    collateral: &Collateral,
    root: &[u8],
    now: u64,
    leniency: Leniency,
) -> Result<Claims, (Status, String)> {
    layout::check(quote).map_err(|why| (Status::QuoteInvalid, why))?;
    let verifier = QuoteVerifier::<AwsLc>::new_with_config(root.to_vec())
        .allow_debug(leniency.debug)
        .allow_service_td(leniency.service_td);
    let claims =
        verifier.verify_with_policy(quote, collateral.set(), now, &QuotePolicy::claims_only(now)).map_err(|error| {
            let text = format!("{error:#}");
            (classify(&text), text)
        })?;
    let pce_id = pce_id(collateral).map_err(|why| (Status::CollateralInvalid, why))?;
    if pce_id != claims.platform.pck.pce_id {
        let message =
            format!("TCB info is for PCEID {}, the platform has {}", hex(&pce_id), hex(&claims.platform.pck.pce_id));
        return Err((Status::CollateralInvalid, message));
    }
    Claims::new(claims).ok_or_else(|| (Status::QuoteInvalid, "not the report of a trust domain".into()))
}

/// dcap-qvl compares the FMSPC of TCB info with the platform's, but not the PCEID.
fn pce_id(collateral: &Collateral) -> Result<Vec<u8>, String> {
    #[derive(serde::Deserialize)]
    struct Info<'a> {
        #[serde(rename = "pceId")]
        pce_id: &'a str,
    }
    let info: Info = serde_json::from_str(&collateral.set().tcb_info).map_err(|error| format!("tcb_info: {error}"))?;
    unhex(info.pce_id).ok_or_else(|| format!("tcb_info: pceId {:?} is not hex", info.pce_id))
}

/// dcap-qvl reports failures as text only. This sorts them into whose fault they are; an unknown text counts against the quote.
fn classify(text: &str) -> Status {
    const COLLATERAL: [&str; 10] = [
        "Fmspc mismatch",
        "TCBInfo",
        "TCB Info",
        "TcbInfo",
        "tcb_info",
        "QE Identity",
        "QeIdentity",
        "qe_identity",
        "CRL",
        "Crl",
    ];
    if text.contains("Revoked") || text.contains("No matching TCB level") || text.contains("TDX module") {
        Status::TcbRejected
    } else if COLLATERAL.iter().any(|word| text.contains(word)) {
        Status::CollateralInvalid
    } else {
        Status::QuoteInvalid
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
