//! What a genuine report says, for the rules about it and for readers of the verdict. Pure.

use serde_json::{Map, Value};

use super::bits::{platform_bit, policy_bit};
use super::crl::CrlDates;
use super::layout::{Report, TcbOf};
use super::leaf::{Holder, LeafFacts};
use super::product::Product;
use super::tcb::Tcb;
use crate::attest::hash::hex;
use crate::attest::json::object;
use crate::verdict::ClaimsReport;

/// Authentic claims of a guest, its machine and the machine's firmware.
#[derive(Clone, Debug)]
pub struct SnpClaims {
    pub report: Report,
    pub product: Product,
    pub leaf: LeafFacts,
    /// Unix seconds, of the leaf.
    pub not_before: u64,
    pub not_after: u64,
    /// Of the revocation list, if one was used.
    pub crl: Option<CrlDates>,
}

impl SnpClaims {
    /// Whether the host can read the guest's memory.
    pub fn is_exposed(&self) -> bool {
        self.report.policy() & policy_bit::DEBUG != 0
    }

    pub fn tcb(&self, of: TcbOf) -> Tcb {
        self.report.tcb(of, self.product)
    }

    /// The cloud provider whose key has signed; `None` for a chip's own.
    pub fn provider(&self) -> Option<&str> {
        match &self.leaf.holder {
            Holder::Provider(name) => Some(name),
            Holder::Chip(_) => None,
        }
    }

    pub fn to_report(&self) -> ClaimsReport {
        ClaimsReport {
            tcb_status: String::new(),
            advisory_ids: Vec::new(),
            measurements: self.measurements(),
            platform: self.platform(),
            collateral: self.collateral(),
        }
    }

    fn measurements(&self) -> Value {
        let report = &self.report;
        object!({
            "measurement": hex(&report.measurement()), "host_data": hex(&report.host_data()),
            "id_key_digest": hex(&report.id_key_digest()),
            "author_key_digest": report.author_key_digest().map(|digest| hex(&digest)),
            "family_id": hex(&report.family_id()), "image_id": hex(&report.image_id()),
            "report_id": hex(&report.report_id()), "report_data": hex(&report.report_data()),
            "guest_svn": report.guest_svn(), "vmpl": report.vmpl(),
        })
    }

    fn platform(&self) -> Value {
        let report = &self.report;
        let mitigations = report.mitigations();
        object!({
            "product": self.product.name(), "cpuid": report.cpuid().map(|bytes| hex(&bytes)),
            "chip_id": hex(&report.chip_id()), "signing_key": report.signing_key.name(), "csp_id": self.provider(),
            "report_version": report.version,
            "current_tcb": self.tcb(TcbOf::Current).to_json(), "committed_tcb": self.tcb(TcbOf::Committed).to_json(),
            "reported_tcb": self.tcb(TcbOf::Reported).to_json(), "launch_tcb": self.tcb(TcbOf::Launch).to_json(),
            "current_firmware": report.current_firmware().to_string(),
            "committed_firmware": report.committed_firmware().to_string(),
            "policy": format!("{:016x}", report.policy()), "policy_bits": bits(report.policy(), &policy_bit::NAMES),
            "platform_info": format!("{:016x}", report.platform_info()),
            "platform_bits": bits(report.platform_info(), &platform_bit::NAMES),
            "launch_mitigations": mitigations.map(|[launch, _]| format!("{launch:016x}")),
            "current_mitigations": mitigations.map(|[_, current]| format!("{current:016x}")),
        })
    }

    fn collateral(&self) -> Value {
        object!({
            "leaf_not_before": self.not_before, "leaf_not_after": self.not_after,
            "crl_number": self.crl.map(|dates| dates.number), "crl_issued": self.crl.map(|dates| dates.issued),
            "crl_expires": self.crl.map(|dates| dates.expires),
        })
    }
}

fn bits(value: u64, names: &[(&str, u64)]) -> Value {
    let named = names.iter().map(|(name, bit)| ((*name).to_owned(), Value::Bool(value & bit != 0)));
    Value::Object(named.collect::<Map<_, _>>())
}
