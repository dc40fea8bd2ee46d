//! What a verified quote says of a trust domain. Pure.

use dcap_qvl::quote::{Report, TDAttributes};
use serde_json::Value;

use crate::attest::dcap::{PlatformClaims, Unverified};
use crate::attest::hash::hex;
use crate::attest::json::object;
use crate::verdict::ClaimsReport;

/// Of the attributes' first byte, the TD under debug.
const DEBUG: u8 = 0x01;
const PROFILING: u8 = 0x70;

/// Authentic claims of a trust domain.
#[derive(Clone, Debug)]
pub struct TdxClaims {
    pub platform: PlatformClaims,
    pub mr_td: [u8; 48],
    pub rtmr: [[u8; 48]; 4],
    pub mr_seam: [u8; 48],
    pub mr_config_id: [u8; 48],
    pub mr_owner: [u8; 48],
    pub mr_owner_config: [u8; 48],
    pub td_attributes: [u8; 8],
    pub xfam: [u8; 8],
    pub report_data: [u8; 64],
    pub mr_service_td: Option<[u8; 48]>,
    /// Its host can look into it, or profile it.
    pub debug: bool,
    /// Another TD has a say in it.
    pub service_td: bool,
}

impl TdxClaims {
    pub(super) fn new(platform: PlatformClaims, report: &Report) -> Result<TdxClaims, Unverified> {
        let td = report.as_td10().ok_or_else(|| Unverified::quote("not the report of a trust domain"))?;
        let attributes = TDAttributes::parse(td.td_attributes).map_err(|error| Unverified::quote(error.to_string()))?;
        let mr_service_td = report.as_td15().map(|td| td.mr_service_td);
        Ok(TdxClaims {
            platform,
            mr_td: td.mr_td,
            rtmr: [td.rt_mr0, td.rt_mr1, td.rt_mr2, td.rt_mr3],
            mr_seam: td.mr_seam,
            mr_config_id: td.mr_config_id,
            mr_owner: td.mr_owner,
            mr_owner_config: td.mr_owner_config,
            td_attributes: td.td_attributes,
            xfam: td.xfam,
            report_data: td.report_data,
            mr_service_td,
            debug: attributes.tud & (DEBUG | PROFILING) != 0,
            service_td: attributes.sec.servtd_ext || mr_service_td.is_some_and(|measured| measured != [0; 48]),
        })
    }

    /// For readers of the verdict.
    pub fn report(&self) -> ClaimsReport {
        self.platform.report(self.measurements())
    }

    fn measurements(&self) -> Value {
        object!({
            "mrtd": hex(&self.mr_td),
            "rtmr0": hex(&self.rtmr[0]), "rtmr1": hex(&self.rtmr[1]),
            "rtmr2": hex(&self.rtmr[2]), "rtmr3": hex(&self.rtmr[3]),
            "mr_seam": hex(&self.mr_seam), "mr_config_id": hex(&self.mr_config_id),
            "mr_owner": hex(&self.mr_owner), "mr_owner_config": hex(&self.mr_owner_config),
            "mr_service_td": self.mr_service_td.map(|value| hex(&value)),
            "td_attributes": hex(&self.td_attributes), "xfam": hex(&self.xfam),
            "report_data": hex(&self.report_data),
        })
    }
}
