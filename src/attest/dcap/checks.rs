//! The rules about a quote and the platform that made it, each as one line of the verdict. They are the same for all policies about quotes. Pure.

use super::policy::DcapRules;
use super::{Culprit, PlatformClaims, Unverified, is_out_of_date};
use crate::attest::hash::hex;
use crate::attest::lines::Lines;
use crate::status::Status;
use crate::verdict::CheckId;

pub const QUOTE: CheckId = CheckId::new("quote");
pub const TCB_STATUS: CheckId = CheckId::new("tcb_status");
pub const TCB_GRACE_PERIOD: CheckId = CheckId::new("tcb_grace_period");
pub const QE_GRACE_PERIOD: CheckId = CheckId::new("qe_grace_period");
pub const TCB_EVALUATION: CheckId = CheckId::new("tcb_evaluation");
pub const TCB_ADVISORIES: CheckId = CheckId::new("tcb_advisories");
pub const SMT: CheckId = CheckId::new("smt");
pub const CACHED_KEYS: CheckId = CheckId::new("cached_keys");
pub const DYNAMIC_PLATFORM: CheckId = CheckId::new("dynamic_platform");
pub const HARDWARE_PPID: CheckId = CheckId::new("hardware_ppid");
pub const HARDWARE_DENIED: CheckId = CheckId::new("hardware_denied");
pub const HARDWARE_INSTANCE: CheckId = CheckId::new("hardware_instance");
/// Of trust domains alone; here because a quote may be refused for them before it has claims.
pub const TD_ATTRIBUTES: CheckId = CheckId::new("td_attributes");

/// The line about a quote as a whole, after it was verified, or refused for its size alone (`limit` in bytes); its claims, if it holds.
pub fn quote<C>(
    lines: &mut Lines,
    (size, limit): (usize, usize),
    verify: impl FnOnce() -> Result<C, Unverified>,
) -> Option<C> {
    const EXPECTED: &str = "signed by a genuine platform";
    if size > limit {
        let expected = format!("at most {limit} bytes (binding.max_evidence_bytes)");
        lines.judge(QUOTE, false, Status::QuoteInvalid, expected, format!("{size} bytes"));
        return None;
    }
    match verify() {
        Ok(claims) => {
            lines.judge(QUOTE, true, Status::Ok, EXPECTED, "it is");
            Some(claims)
        }
        Err(unverified) => {
            let (id, expected) = match unverified.culprit {
                Culprit::Quote => (QUOTE, EXPECTED),
                Culprit::Document(_) => (QUOTE, "documents that are authentic and hold now"),
                Culprit::Missing(_) => (QUOTE, "documents about the platform"),
                Culprit::Platform => (QUOTE, "a platform that the vendor's documents vouch for"),
                Culprit::TrustDomain => (TD_ATTRIBUTES, "a TD that its host can neither disturb nor move"),
            };
            lines.judge(id, false, unverified.culprit.status(), expected, unverified.to_string());
            None
        }
    }
}

/// The rules of one member about a platform.
pub struct PlatformChecks<'a> {
    pub lines: &'a mut Lines,
    pub rules: &'a DcapRules,
    /// Unix seconds.
    pub now: u64,
}

impl PlatformChecks<'_> {
    pub fn all(&mut self, claims: &PlatformClaims) {
        self.tcb(claims);
        self.flags(claims);
        self.hardware(claims);
    }

    fn tcb(&mut self, claims: &PlatformClaims) {
        let tcb = &self.rules.tcb;
        let allowed = tcb.allowed.contains(&claims.tcb_status);
        self.lines.judge(TCB_STATUS, allowed, Status::TcbRejected, tcb.allowed.join(" or "), &claims.tcb_status);
        if is_out_of_date(&claims.tcb_status) {
            self.grace_periods(claims);
        }
        if let Some(least) = tcb.min_evaluation_number {
            let ok = u64::from(claims.evaluation_number) >= least;
            self.lines.judge(
                TCB_EVALUATION,
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
            self.lines.judge(TCB_ADVISORIES, hit.is_none(), Status::TcbRejected, expected, actual);
        }
    }

    fn grace_periods(&mut self, claims: &PlatformClaims) {
        let tcb = &self.rules.tcb;
        let parts = [
            (TCB_GRACE_PERIOD, tcb.grace_period, claims.platform_out_of_date.then_some(claims.tcb_date)),
            (QE_GRACE_PERIOD, tcb.qe_grace_period.or(tcb.grace_period), claims.qe_out_of_date_since),
        ];
        for (id, grace, date) in parts {
            let (Some(grace), Some(date)) = (grace, date) else { continue };
            let end = date.saturating_add(grace);
            let now = self.now;
            let expected = format!("not after {end} ({grace} s after the TCB date {date})");
            self.lines.judge(id, now <= end, Status::TcbRejected, expected, now.to_string());
            self.lines.passes_until(end);
        }
    }

    fn flags(&mut self, claims: &PlatformClaims) {
        let tcb = &self.rules.tcb;
        for (id, allowed, flag) in [
            (SMT, tcb.allow_smt, claims.smt),
            (CACHED_KEYS, tcb.allow_cached_keys, claims.cached_keys),
            (DYNAMIC_PLATFORM, tcb.allow_dynamic_platform, claims.dynamic_platform),
        ] {
            if !allowed {
                self.lines.judge(id, flag == Some(false), Status::TcbRejected, "false", format!("{flag:?}"));
            }
        }
    }

    fn hardware(&mut self, claims: &PlatformClaims) {
        let hardware = &self.rules.hardware;
        if let Some(allowed) = &hardware.allowed_ppid {
            let ok = allowed.iter().any(|ppid| ppid[..] == claims.ppid);
            self.lines.judge(
                HARDWARE_PPID,
                ok,
                Status::MeasurementMismatch,
                "one of hardware.allowed_ppid",
                hex(&claims.ppid),
            );
        }
        if !hardware.denied_ppid.is_empty() {
            let ok = !hardware.denied_ppid.iter().any(|ppid| ppid[..] == claims.ppid);
            self.lines.judge(
                HARDWARE_DENIED,
                ok,
                Status::MeasurementMismatch,
                "none of hardware.denied_ppid",
                hex(&claims.ppid),
            );
        }
        if let Some(allowed) = &hardware.allowed_platform_instance {
            let ok = claims.platform_instance.is_some_and(|id| allowed.contains(&id));
            let actual = claims.platform_instance.map_or("none".into(), |id| hex(&id));
            self.lines.judge(
                HARDWARE_INSTANCE,
                ok,
                Status::MeasurementMismatch,
                "one of hardware.allowed_platform_instance",
                actual,
            );
        }
    }
}
