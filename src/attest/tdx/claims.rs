//! What a verified quote and its collateral say, in our own words so that the verifying crate stays behind `tdx`.

use dcap_qvl::quote::TDAttributes;
use dcap_qvl::{PckCertFlag, QuoteClaims, TcbStatus};
use serde_json::{Value, json};

use super::documents::DocumentKind;
use super::rfc3339;
use super::unverified::{Culprit, Unverified};
use crate::attest::hash::hex;
use crate::verdict::ClaimsReport;

/// Of the attributes' first byte, the TD under debug.
const DEBUG: u8 = 0x01;
const PROFILING: u8 = 0x70;

/// Authentic claims of a trust domain.
#[derive(Clone, Debug)]
pub struct TdxClaims {
    pub tcb_status: String,
    pub advisory_ids: Vec<String>,
    /// Unix time of the platform's TCB level, and of the quoting enclave's where that one is out of date.
    pub tcb_date: u64,
    pub platform_out_of_date: bool,
    pub qe_out_of_date_since: Option<u64>,
    pub evaluation_number: u32,
    pub fmspc: [u8; 6],
    pub ppid: Vec<u8>,
    pub platform_instance: Option<[u8; 16]>,
    pub smt: Option<bool>,
    pub cached_keys: Option<bool>,
    pub dynamic_platform: Option<bool>,
    pub pck_crl_number: u32,
    pub root_crl_number: u32,
    /// Window in which every collateral object is valid, unix seconds.
    pub issued: u64,
    pub expires: u64,
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
    pub(super) fn new(claims: QuoteClaims) -> Result<TdxClaims, Unverified> {
        let td = claims.report.as_td10().ok_or_else(|| Unverified::quote("not the report of a trust domain"))?;
        let attributes = TDAttributes::parse(td.td_attributes).map_err(|error| Unverified::quote(error.to_string()))?;
        let mr_service_td = claims.report.as_td15().map(|td| td.mr_service_td);
        let pck = &claims.platform.pck;
        let qe = &claims.qe.tcb_level;
        let platform_status = claims.platform.tcb_level.tcb_status;
        let qe_out_of_date_since = match out_of_date(qe.tcb_status) {
            true => Some(rfc3339::parse(&qe.tcb_date).ok_or_else(|| {
                let why = format!("tcbDate {:?} is not YYYY-MM-DDThh:mm:ssZ", qe.tcb_date);
                Unverified::new(Culprit::Document(DocumentKind::QeIdentity), why)
            })?),
            false => None,
        };
        Ok(TdxClaims {
            tcb_status: claims.tcb.status.to_string(),
            advisory_ids: claims.tcb.advisory_ids.clone(),
            tcb_date: claims.platform.tcb_date_tag,
            platform_out_of_date: out_of_date(platform_status),
            qe_out_of_date_since,
            evaluation_number: claims.tcb.eval_data_number,
            fmspc: pck.fmspc,
            ppid: pck.ppid.clone(),
            platform_instance: pck.platform_instance_id,
            smt: flag(pck.smt_enabled),
            cached_keys: flag(pck.cached_keys),
            dynamic_platform: flag(pck.dynamic_platform),
            pck_crl_number: claims.platform.pck_crl_num,
            root_crl_number: claims.platform.root_ca_crl_num,
            issued: claims.latest_issue_date,
            expires: claims.earliest_expiration_date,
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
        ClaimsReport {
            tcb_status: self.tcb_status.clone(),
            advisory_ids: self.advisory_ids.clone(),
            measurements: self.measurements(),
            platform: self.platform(),
            collateral: self.collateral(),
        }
    }

    fn measurements(&self) -> Value {
        json!({
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

    fn platform(&self) -> Value {
        json!({
            "fmspc": hex(&self.fmspc), "ppid": hex(&self.ppid),
            "platform_instance": self.platform_instance.map(|value| hex(&value)),
            "tcb_date": self.tcb_date, "smt": self.smt, "cached_keys": self.cached_keys,
            "dynamic_platform": self.dynamic_platform,
        })
    }

    fn collateral(&self) -> Value {
        json!({
            "issued": self.issued, "expires": self.expires, "evaluation_number": self.evaluation_number,
            "pck_crl_number": self.pck_crl_number, "root_crl_number": self.root_crl_number,
        })
    }
}

/// Statuses that a grace period speaks of.
pub(crate) fn is_out_of_date(status: &str) -> bool {
    status == "OutOfDate" || status == "OutOfDateConfigurationNeeded"
}

fn out_of_date(status: TcbStatus) -> bool {
    is_out_of_date(&status.to_string())
}

fn flag(flag: PckCertFlag) -> Option<bool> {
    match flag {
        PckCertFlag::True => Some(true),
        PckCertFlag::False => Some(false),
        PckCertFlag::Undefined => None,
    }
}
