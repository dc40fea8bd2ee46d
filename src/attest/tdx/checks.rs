//! The rules about a quote and the platform that made it, each as one line of the verdict. They are the same for all policies about TDX quotes.

use super::policy::{MaskedValue, TdxRules};
use super::{Culprit, TdxClaims, Unverified, is_out_of_date, verify_quote};
use crate::attest::documents::Documents;
use crate::attest::hash::hex;
use crate::attest::lines::{Lines, one_of};
use crate::status::Status;
use crate::verdict::CheckId;

pub const QUOTE: CheckId = CheckId::new("quote");
pub const DEBUG: CheckId = CheckId::new("debug");
pub const SERVICE_TD: CheckId = CheckId::new("service_td");
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
pub const TD_ATTRIBUTES: CheckId = CheckId::new("td_attributes");
pub const XFAM: CheckId = CheckId::new("xfam");
pub const MR_SEAM: CheckId = CheckId::new("mr_seam");
pub const MR_OWNER: CheckId = CheckId::new("mr_owner");
pub const TD_MR_CONFIG_ID: CheckId = CheckId::new("td_mr_config_id");

/// The rules of one member, as they are applied to one quote.
pub struct QuoteChecks<'a> {
    pub lines: &'a mut Lines,
    pub rules: &'a TdxRules,
    /// Unix seconds.
    pub now: u64,
}

impl QuoteChecks<'_> {
    /// The claims, if the quote holds: signed by a genuine platform, whose root is `root` (DER).
    pub fn quote(&mut self, quote: &[u8], documents: &Documents, (root, limit): (&[u8], usize)) -> Option<TdxClaims> {
        const EXPECTED: &str = "signed by a genuine platform";
        let size = quote.len();
        if size > limit {
            let expected = format!("at most {limit} bytes (binding.max_evidence_bytes)");
            self.lines.judge(QUOTE, false, Status::QuoteInvalid, expected, format!("{size} bytes"));
            return None;
        }
        match verify_quote(quote, documents, root, self.now) {
            Ok(claims) => {
                self.lines.judge(QUOTE, true, Status::Ok, EXPECTED, "it is");
                Some(claims)
            }
            Err(unverified) => {
                let (id, expected) = match unverified.culprit {
                    Culprit::Kind | Culprit::Quote => (QUOTE, EXPECTED),
                    Culprit::Document(_) => (QUOTE, "documents that are authentic and hold now"),
                    Culprit::Platform => (QUOTE, "a platform that the vendor's documents vouch for"),
                    Culprit::TrustDomain => (TD_ATTRIBUTES, "a TD that its host can neither disturb nor move"),
                };
                let actual = format!("{unverified}{}", source(&unverified, documents));
                self.lines.judge(id, false, unverified.culprit.status(), expected, actual);
                None
            }
        }
    }

    /// Every rule about a quote that holds.
    pub fn all(&mut self, claims: &TdxClaims) {
        self.isolation(claims);
        self.tcb(claims);
        self.platform(claims);
        self.td(claims);
    }

    /// A TD that its host or another TD can interfere with.
    fn isolation(&mut self, claims: &TdxClaims) {
        let td = &self.rules.td;
        for (id, field, allowed, found) in [
            (DEBUG, "td.allow_debug", td.allow_debug, claims.debug),
            (SERVICE_TD, "td.allow_service_td", td.allow_service_td, claims.service_td),
        ] {
            let expected = if allowed { format!("either, by {field}") } else { "false".into() };
            self.lines.judge(id, allowed || !found, Status::MeasurementMismatch, expected, found.to_string());
        }
    }

    fn tcb(&mut self, claims: &TdxClaims) {
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

    fn grace_periods(&mut self, claims: &TdxClaims) {
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
        }
    }

    fn platform(&mut self, claims: &TdxClaims) {
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

    fn td(&mut self, claims: &TdxClaims) {
        let td = &self.rules.td;
        self.masked(TD_ATTRIBUTES, td.attributes, claims.td_attributes);
        self.masked(XFAM, td.xfam, claims.xfam);
        for (id, allowed, actual) in [
            (MR_SEAM, &td.mr_seam, claims.mr_seam),
            (MR_OWNER, &td.mr_owner, claims.mr_owner),
            (TD_MR_CONFIG_ID, &td.mr_config_id, claims.mr_config_id),
        ] {
            if let Some(allowed) = allowed {
                self.lines.judge(
                    id,
                    allowed.contains(&actual),
                    Status::MeasurementMismatch,
                    one_of(allowed),
                    hex(&actual),
                );
            }
        }
    }

    fn masked(&mut self, id: CheckId, rule: Option<MaskedValue>, actual: [u8; 8]) {
        let Some(MaskedValue { mask, value }) = rule else { return };
        let ok = (0..8).all(|i| actual[i] & mask[i] == value[i] & mask[i]);
        let expected = format!("{} under mask {}", hex(&value), hex(&mask));
        self.lines.judge(id, ok, Status::MeasurementMismatch, expected, hex(&actual));
    }
}

/// Where the document that is to blame came from, if that is known.
fn source(unverified: &Unverified, documents: &Documents) -> String {
    let Culprit::Document(kind) = unverified.culprit else { return String::new() };
    match kind.of(documents).map(|document| document.source.as_str()) {
        None | Some("") => String::new(),
        Some(source) => format!(" (from {source})"),
    }
}
