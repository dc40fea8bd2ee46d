//! What a verified quote says of an enclave, for the rules about it and for readers of the verdict. Pure.

use super::report::EnclaveReport;
use crate::attest::dcap::{PlatformClaims, QuoteKind, Unverified, report};
use crate::attest::hash::hex;
use crate::attest::json::object;
use crate::verdict::ClaimsReport;

/// Authentic claims of an enclave.
#[derive(Clone, Debug)]
pub struct SgxClaims {
    pub platform: PlatformClaims,
    pub enclave: EnclaveReport,
}

impl SgxClaims {
    /// `quote` must have been verified, which is where `platform` comes from.
    pub(super) fn of_verified(platform: PlatformClaims, quote: &[u8]) -> Result<SgxClaims, Unverified> {
        let raw = report(QuoteKind::Enclave, quote).unwrap_or_default();
        Ok(SgxClaims { platform, enclave: EnclaveReport::read(raw).map_err(Unverified::quote)? })
    }

    pub fn to_report(&self) -> ClaimsReport {
        let enclave = &self.enclave;
        self.platform.report(object!({
            "mr_enclave": hex(&enclave.mr_enclave), "mr_signer": hex(&enclave.mr_signer),
            "isv_prod_id": enclave.isv_prod_id, "isv_svn": enclave.isv_svn,
            "isv_ext_prod_id": hex(&enclave.isv_ext_prod_id), "isv_family_id": hex(&enclave.isv_family_id),
            "config_id": hex(&enclave.config_id), "config_svn": enclave.config_svn,
            "attributes": hex(&enclave.attributes), "misc_select": hex(&enclave.misc_select),
            "cpu_svn": hex(&enclave.cpu_svn), "report_data": hex(&enclave.report_data),
        }))
    }
}
