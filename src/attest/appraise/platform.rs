//! Checks of the quote and of the platform that made it.

use super::{Appraisal, Request, one_of};
use crate::attest::hash::hex;
use crate::attest::policy::MaskedValue;
use crate::attest::tdx;
use crate::attest::tdx::{Claims, Culprit};
use crate::status::Status;
use crate::verdict::CheckId;

impl Appraisal<'_> {
    pub(super) fn quote(&mut self) {
        const EXPECTED: &str = "signed by a genuine platform";
        let Request { evidence, collateral, policy, now, .. } = *self.request;
        let (size, limit) = (evidence.quote.len(), policy.max_evidence_bytes);
        if size > limit {
            let expected = format!("at most {limit} bytes (binding.max_evidence_bytes)");
            return self.judge(CheckId::Quote, false, Status::QuoteInvalid, expected, format!("{size} bytes"));
        }
        let verified = match self.known.not_genuine {
            Some(fault) => Err(fault.clone()),
            None => tdx::verify_quote(&evidence.quote, collateral, self.root, now),
        };
        match verified {
            Ok(claims) => {
                self.judge(CheckId::Quote, true, Status::Ok, EXPECTED, "it is");
                self.claims = Some(claims);
            }
            Err(fault) => {
                let (id, expected) = match fault.culprit {
                    Culprit::Kind | Culprit::Quote => (CheckId::Quote, EXPECTED),
                    Culprit::Document(_) => (CheckId::Quote, "documents that are authentic and hold now"),
                    Culprit::Platform => (CheckId::Quote, "a platform that the vendor's documents vouch for"),
                    Culprit::TrustDomain => (CheckId::TdAttributes, "a TD that its host can neither disturb nor move"),
                };
                let source = match fault.culprit {
                    Culprit::Document(document) => collateral.source(document),
                    _ => None,
                };
                let from = source.map_or(String::new(), |source| format!(" (from {source})"));
                self.judge(id, false, fault.culprit.status(), expected, format!("{fault}{from}"));
            }
        }
    }

    /// A TD that its host or another TD can interfere with.
    pub(super) fn isolation(&mut self, claims: &Claims) {
        let td = &self.member.td;
        for (id, field, allowed, found) in [
            (CheckId::Debug, "td.allow_debug", td.allow_debug, claims.debug),
            (CheckId::ServiceTd, "td.allow_service_td", td.allow_service_td, claims.service_td),
        ] {
            let expected = if allowed { format!("either, by {field}") } else { "false".into() };
            self.judge(id, allowed || !found, Status::MeasurementMismatch, expected, found.to_string());
        }
    }

    pub(super) fn tcb(&mut self, claims: &Claims) {
        let tcb = &self.member.tcb;
        let allowed = tcb.allowed.contains(&claims.tcb_status);
        self.judge(CheckId::TcbStatus, allowed, Status::TcbRejected, tcb.allowed.join(" or "), &claims.tcb_status);
        if tdx::is_out_of_date(&claims.tcb_status) {
            self.grace_periods(claims);
        }
        if let Some(least) = tcb.min_evaluation_number {
            let ok = u64::from(claims.evaluation_number) >= least;
            self.judge(
                CheckId::TcbEvaluation,
                ok,
                Status::TcbRejected,
                format!("at least {least}"),
                claims.evaluation_number.to_string(),
            );
        }
        if !tcb.rejected_advisories.is_empty() {
            let hit = claims.advisory_ids.iter().find(|id| tcb.rejected_advisories.contains(id));
            let actual = hit.cloned().unwrap_or_else(|| "none of them".into());
            let expected = format!("none of {}", tcb.rejected_advisories.join(", "));
            self.judge(CheckId::TcbAdvisories, hit.is_none(), Status::TcbRejected, expected, actual);
        }
    }

    pub(super) fn grace_periods(&mut self, claims: &Claims) {
        let tcb = &self.member.tcb;
        let parts = [
            (CheckId::TcbGracePeriod, tcb.grace_period, claims.platform_out_of_date.then_some(claims.tcb_date)),
            (CheckId::QeGracePeriod, tcb.qe_grace_period.or(tcb.grace_period), claims.qe_out_of_date_since),
        ];
        for (id, grace, date) in parts {
            let (Some(grace), Some(date)) = (grace, date) else { continue };
            let end = date.saturating_add(grace);
            let now = self.request.now;
            let expected = format!("not after {end} ({grace} s after the TCB date {date})");
            self.judge(id, now <= end, Status::TcbRejected, expected, now.to_string());
        }
    }

    pub(super) fn platform(&mut self, claims: &Claims) {
        let tcb = &self.member.tcb;
        for (id, allowed, flag) in [
            (CheckId::Smt, tcb.allow_smt, claims.smt),
            (CheckId::CachedKeys, tcb.allow_cached_keys, claims.cached_keys),
            (CheckId::DynamicPlatform, tcb.allow_dynamic_platform, claims.dynamic_platform),
        ] {
            if !allowed {
                self.judge(id, flag == Some(false), Status::TcbRejected, "false", format!("{flag:?}"));
            }
        }
        let hardware = &self.member.hardware;
        if let Some(allowed) = &hardware.allowed_ppid {
            let ok = allowed.iter().any(|ppid| ppid[..] == claims.ppid);
            self.judge(
                CheckId::HardwarePpid,
                ok,
                Status::MeasurementMismatch,
                "one of hardware.allowed_ppid",
                hex(&claims.ppid),
            );
        }
        if !hardware.denied_ppid.is_empty() {
            let ok = !hardware.denied_ppid.iter().any(|ppid| ppid[..] == claims.ppid);
            self.judge(
                CheckId::HardwareDenied,
                ok,
                Status::MeasurementMismatch,
                "none of hardware.denied_ppid",
                hex(&claims.ppid),
            );
        }
        if let Some(allowed) = &hardware.allowed_platform_instance {
            let ok = claims.platform_instance.is_some_and(|id| allowed.contains(&id));
            let actual = claims.platform_instance.map_or("none".into(), |id| hex(&id));
            self.judge(
                CheckId::HardwareInstance,
                ok,
                Status::MeasurementMismatch,
                "one of hardware.allowed_platform_instance",
                actual,
            );
        }
    }

    pub(super) fn td(&mut self, claims: &Claims) {
        let td = &self.member.td;
        self.masked(CheckId::TdAttributes, td.attributes, claims.td_attributes);
        self.masked(CheckId::Xfam, td.xfam, claims.xfam);
        for (id, allowed, actual) in [
            (CheckId::MrSeam, &td.mr_seam, claims.mr_seam),
            (CheckId::MrOwner, &td.mr_owner, claims.mr_owner),
            (CheckId::TdMrConfigId, &td.mr_config_id, claims.mr_config_id),
        ] {
            if let Some(allowed) = allowed {
                self.judge(id, allowed.contains(&actual), Status::MeasurementMismatch, one_of(allowed), hex(&actual));
            }
        }
    }

    pub(super) fn masked(&mut self, id: CheckId, rule: Option<MaskedValue>, actual: [u8; 8]) {
        let Some(MaskedValue { mask, value }) = rule else { return };
        let ok = (0..8).all(|i| actual[i] & mask[i] == value[i] & mask[i]);
        let expected = format!("{} under mask {}", hex(&value), hex(&mask));
        self.judge(id, ok, Status::MeasurementMismatch, expected, hex(&actual));
    }
}
