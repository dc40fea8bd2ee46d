//! What a verified quote and its collateral say of the platform, in our own words so that the verifying crate stays behind `dcap`. Pure.

use dcap_qvl::{PckCertFlag, QuoteClaims, TcbStatus};
use serde_json::Value;

use super::documents::DocumentKind;
use super::layout::QuoteKind;
use super::unverified::{Culprit, Unverified};
use super::{qe_status, rfc3339};
use crate::attest::hash::hex;
use crate::attest::json::object;
use crate::verdict::ClaimsReport;

/// Authentic claims of the machine that made a quote.
#[derive(Clone, Debug)]
pub struct PlatformClaims {
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
}

impl PlatformClaims {
    pub(super) fn new(kind: QuoteKind, claims: &QuoteClaims) -> Result<PlatformClaims, Unverified> {
        let pck = &claims.platform.pck;
        let qe = &claims.qe.tcb_level;
        let qe_out_of_date_since = match out_of_date(qe.tcb_status) {
            true => Some(rfc3339::parse(&qe.tcb_date).ok_or_else(|| {
                let why = format!("tcbDate {:?} is not YYYY-MM-DDThh:mm:ssZ", qe.tcb_date);
                Unverified::new(Culprit::Document(DocumentKind::QeIdentity(kind)), why)
            })?),
            false => None,
        };
        Ok(PlatformClaims {
            tcb_status: qe_status::converge(claims.tcb.status, qe.tcb_status).to_string(),
            advisory_ids: claims.tcb.advisory_ids.clone(),
            tcb_date: claims.platform.tcb_date_tag,
            platform_out_of_date: out_of_date(claims.platform.tcb_level.tcb_status),
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
        })
    }

    /// For readers of the verdict, with what the report itself measures.
    pub fn report(&self, measurements: Value) -> ClaimsReport {
        ClaimsReport {
            tcb_status: self.tcb_status.clone(),
            advisory_ids: self.advisory_ids.clone(),
            measurements,
            platform: self.platform(),
            collateral: self.collateral(),
        }
    }

    fn platform(&self) -> Value {
        object!({
            "fmspc": hex(&self.fmspc), "ppid": hex(&self.ppid),
            "platform_instance": self.platform_instance.map(|value| hex(&value)),
            "tcb_date": self.tcb_date, "smt": self.smt, "cached_keys": self.cached_keys,
            "dynamic_platform": self.dynamic_platform,
        })
    }

    fn collateral(&self) -> Value {
        object!({
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
