//! The appraisal itself: every rule, in order, as one line of the verdict each.

use super::binding::{Binding, certificate_digest, report_data};
use super::collateral::Collateral;
use super::dstack::event_log::EventLog;
use super::dstack::mr_config::{self, MrConfig};
use super::evidence::Evidence;
use super::hash::{hex, sha256};
use super::policy::{DstackTdx, EventRule, MaskedValue, Policy};
use super::tdx::{self, Claims, Leniency};
use super::verdict::{Check, Outcome, Verdict};
use crate::error::{Error, Phase, Result, Status};

/// Roots that quotes may end in. The production root is built in; a simulated one replaces it and needs the policy's consent too.
#[derive(Clone, Debug, Default)]
pub struct TrustAnchors {
    /// DER certificate of a simulator's root.
    pub simulated: Option<Vec<u8>>,
}

/// Everything that an appraisal depends on.
pub struct Request<'a> {
    pub evidence: &'a Evidence,
    pub collateral: &'a Collateral,
    pub policy: &'a Policy,
    pub anchors: &'a TrustAnchors,
    pub binding: &'a Binding,
    /// Unix seconds.
    pub now: u64,
}

/// Judges evidence. An error means that the question itself was wrong; a refusal is a verdict with `trusted == false`.
pub fn appraise(request: &Request<'_>) -> Result<Verdict> {
    let (root, trust_anchor) = match &request.anchors.simulated {
        None => (tdx::INTEL_ROOT_DER, "intel"),
        Some(root) if request.policy.allow_simulated => (&root[..], "simulated"),
        Some(_) => {
            let message = "a simulated root was given, but the policy does not say \"allow_simulated\": true";
            return Err(Error::new(Status::TrustAnchor, message).phase(Phase::Verify));
        }
    };
    let mut checks = Vec::new();
    let mut last = None;
    for (index, member) in request.policy.any_of.iter().enumerate() {
        let mut appraisal = Appraisal::new(request, member, root);
        appraisal.run();
        let trusted = appraisal.trusted();
        let verdict = appraisal.into_verdict(request, trust_anchor, trusted.then_some(index));
        if trusted {
            return Ok(verdict);
        }
        let prefix = if request.policy.any_of.len() > 1 { format!("any_of[{index}].") } else { String::new() };
        checks.extend(verdict.checks.iter().cloned().map(|mut check| {
            check.name.insert_str(0, &prefix);
            check
        }));
        last = Some(verdict);
    }
    let mut verdict = last.ok_or_else(|| Error::new(Status::PolicyInvalid, "policy.any_of: has no member"))?;
    verdict.checks = checks;
    Ok(verdict)
}

/// The appraisal under one member of the policy.
struct Appraisal<'a> {
    request: &'a Request<'a>,
    member: &'a DstackTdx,
    root: &'a [u8],
    checks: Vec<Check>,
    claims: Option<Claims>,
    log: Option<EventLog>,
}

/// Checks without which nothing may be trusted, whatever else passed.
const MANDATORY: [&str; 2] = ["quote", "tcb_status"];
/// The same, for all but a quote that is judged on its own.
const MANDATORY_LOG: [&str; 3] = ["event_log", "rtmr3", "event_order"];

impl<'a> Appraisal<'a> {
    fn new(request: &'a Request<'a>, member: &'a DstackTdx, root: &'a [u8]) -> Self {
        Appraisal { request, member, root, checks: Vec::new(), claims: None, log: None }
    }

    fn run(&mut self) {
        self.quote();
        let Some(claims) = self.claims.clone() else {
            self.skip("event_log", "the quote does not hold");
            return;
        };
        self.tcb(&claims);
        self.platform(&claims);
        self.td(&claims);
        self.report_data(&claims);
        if self.quote_alone() {
            self.skip("event_log", "a quote on its own, without its log");
            return self.bootchain(&claims);
        }
        self.event_log();
        let Some(log) = self.log.clone() else { return };
        self.registers(&claims, &log);
        self.event_order(&log);
        self.certificate(&log);
        self.spki();
        self.bootchain(&claims);
        self.application(&claims, &log);
        self.event_rules(&log);
    }

    fn trusted(&self) -> bool {
        let passed = |name: &str| self.checks.iter().any(|check| check.name == name && check.outcome == Outcome::Pass);
        let bound = match self.request.binding {
            Binding::Skip => true,
            Binding::Session { .. } => passed("report_data") && passed("certificate_event"),
        };
        let logged = self.quote_alone() || MANDATORY_LOG.iter().all(|name| passed(name));
        bound
            && logged
            && MANDATORY.iter().all(|name| passed(name))
            && self.checks.iter().all(|check| check.outcome != Outcome::Fail)
    }

    /// Whether the caller judges a stored quote of which there is no log. Possible only where nothing asked for depends on one.
    fn quote_alone(&self) -> bool {
        let member = self.member;
        self.request.evidence.event_log.is_none()
            && matches!(self.request.binding, Binding::Skip)
            && member.applications.is_empty()
            && member.os_image_hash.is_none()
            && member.app_id.is_none()
            && member.key_provider.is_none()
            && member.events.is_empty()
            && !member.require_mr_config_id
    }

    fn into_verdict(self, request: &Request<'_>, trust_anchor: &'static str, accepted: Option<usize>) -> Verdict {
        let application = match &self.log {
            Some(log)
                if self.checks.iter().any(|check| check.name == "event_order" && check.outcome == Outcome::Pass) =>
            {
                identity(log)
            }
            _ => Vec::new(),
        };
        Verdict {
            trusted: accepted.is_some(),
            checks: self.checks,
            claims: self.claims,
            trust_anchor,
            accepted_member: accepted,
            bound_to_session: !matches!(request.binding, Binding::Skip),
            application,
            time: request.now,
        }
    }

    // Lines of the verdict.

    fn judge(&mut self, name: &str, ok: bool, status: Status, expected: impl Into<String>, actual: impl Into<String>) {
        self.checks.push(Check {
            name: name.into(),
            outcome: if ok { Outcome::Pass } else { Outcome::Fail },
            expected: expected.into(),
            actual: actual.into(),
            status,
        });
    }

    fn skip(&mut self, name: &str, why: &str) {
        self.checks.push(Check {
            name: name.into(),
            outcome: Outcome::Skipped,
            expected: String::new(),
            actual: why.into(),
            status: Status::Ok,
        });
    }

    fn quote(&mut self) {
        let leniency = Leniency { debug: self.member.td.allow_debug, service_td: self.member.td.allow_service_td };
        let request = self.request;
        match tdx::verify_quote(&request.evidence.quote, request.collateral, self.root, request.now, leniency) {
            Ok(claims) => {
                self.judge("quote", true, Status::Ok, "signed by a genuine platform", "it is");
                self.claims = Some(claims);
            }
            Err((status, why)) => self.judge("quote", false, status, "signed by a genuine platform", why),
        }
    }

    fn tcb(&mut self, claims: &Claims) {
        let tcb = &self.member.tcb;
        let allowed = tcb.allowed.contains(&claims.tcb_status);
        self.judge("tcb_status", allowed, Status::TcbRejected, tcb.allowed.join(" or "), &claims.tcb_status);
        if tdx::is_out_of_date(&claims.tcb_status) {
            self.grace_periods(claims);
        }
        if let Some(least) = tcb.min_evaluation_number {
            let ok = u64::from(claims.evaluation_number) >= least;
            self.judge(
                "tcb_evaluation",
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
            self.judge("tcb_advisories", hit.is_none(), Status::TcbRejected, expected, actual);
        }
    }

    fn grace_periods(&mut self, claims: &Claims) {
        let tcb = &self.member.tcb;
        let parts = [
            ("tcb_grace_period", tcb.grace_period, claims.platform_out_of_date.then_some(claims.tcb_date)),
            ("qe_grace_period", tcb.qe_grace_period.or(tcb.grace_period), claims.qe_out_of_date_since),
        ];
        for (name, grace, date) in parts {
            let (Some(grace), Some(date)) = (grace, date) else { continue };
            let end = date.saturating_add(grace);
            let now = self.request.now;
            let expected = format!("not after {end} ({grace} s after the TCB date {date})");
            self.judge(name, now <= end, Status::TcbRejected, expected, now.to_string());
        }
    }

    fn platform(&mut self, claims: &Claims) {
        let tcb = &self.member.tcb;
        for (name, allowed, flag) in [
            ("smt", tcb.allow_smt, claims.smt),
            ("cached_keys", tcb.allow_cached_keys, claims.cached_keys),
            ("dynamic_platform", tcb.allow_dynamic_platform, claims.dynamic_platform),
        ] {
            if !allowed {
                self.judge(name, flag == Some(false), Status::TcbRejected, "false", format!("{flag:?}"));
            }
        }
        let hardware = &self.member.hardware;
        if let Some(allowed) = &hardware.allowed_ppid {
            let ok = allowed.iter().any(|ppid| ppid[..] == claims.ppid);
            self.judge(
                "hardware_ppid",
                ok,
                Status::MeasurementMismatch,
                "one of hardware.allowed_ppid",
                hex(&claims.ppid),
            );
        }
        if !hardware.denied_ppid.is_empty() {
            let ok = !hardware.denied_ppid.iter().any(|ppid| ppid[..] == claims.ppid);
            self.judge(
                "hardware_denied",
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
                "hardware_instance",
                ok,
                Status::MeasurementMismatch,
                "one of hardware.allowed_platform_instance",
                actual,
            );
        }
    }

    fn td(&mut self, claims: &Claims) {
        let td = &self.member.td;
        self.masked("td_attributes", td.attributes, claims.td_attributes);
        self.masked("xfam", td.xfam, claims.xfam);
        for (name, allowed, actual) in [
            ("mr_seam", &td.mr_seam, claims.mr_seam),
            ("mr_owner", &td.mr_owner, claims.mr_owner),
            ("td_mr_config_id", &td.mr_config_id, claims.mr_config_id),
        ] {
            if let Some(allowed) = allowed {
                self.judge(name, allowed.contains(&actual), Status::MeasurementMismatch, one_of(allowed), hex(&actual));
            }
        }
    }

    fn masked(&mut self, name: &str, rule: Option<MaskedValue>, actual: [u8; 8]) {
        let Some(MaskedValue { mask, value }) = rule else { return };
        let ok = (0..8).all(|i| actual[i] & mask[i] == value[i] & mask[i]);
        let expected = format!("{} under mask {}", hex(&value), hex(&mask));
        self.judge(name, ok, Status::MeasurementMismatch, expected, hex(&actual));
    }

    fn report_data(&mut self, claims: &Claims) {
        match self.request.binding {
            Binding::Skip => self.skip("report_data", "the caller asked for no session binding"),
            Binding::Session { nonce, exporter, .. } => {
                let expected = report_data(nonce, exporter);
                let ok = claims.report_data == expected;
                self.judge("report_data", ok, Status::BindingMismatch, hex(&expected), hex(&claims.report_data));
            }
        }
    }

    fn event_log(&mut self) {
        let text = self.request.evidence.event_log.as_deref();
        match text.ok_or_else(|| "there is none".to_owned()).and_then(EventLog::parse) {
            Ok(log) => {
                let actual = format!("{} runtime events, all recomputed", log.runtime.len());
                self.judge("event_log", true, Status::Ok, "digests follow from payloads", actual);
                self.log = Some(log);
            }
            Err(why) => self.judge("event_log", false, Status::EventLogInvalid, "digests follow from payloads", why),
        }
    }

    fn registers(&mut self, claims: &Claims, log: &EventLog) {
        for (index, replayed) in log.replayed.iter().enumerate() {
            let name = format!("rtmr{index}");
            match replayed {
                // Boot events may be stripped; the runtime register is what makes the log's names and payloads true.
                None if index < 3 => self.skip(&name, "the log holds no event of this register"),
                _ => {
                    let replayed = replayed.unwrap_or([0; 48]);
                    let ok = replayed == claims.rtmr[index];
                    self.judge(&name, ok, Status::EventLogInvalid, hex(&claims.rtmr[index]), hex(&replayed));
                }
            }
        }
    }

    fn event_order(&mut self, log: &EventLog) {
        let expected = "system events once and before system-ready";
        match log.check_order() {
            Ok(()) => self.judge("event_order", true, Status::Ok, expected, "they are"),
            Err(why) => self.judge("event_order", false, Status::EventLogInvalid, expected, why),
        }
    }

    fn certificate(&mut self, log: &EventLog) {
        let Binding::Session { leaf_certificate, .. } = self.request.binding else {
            return self.skip("certificate_event", "the caller asked for no session binding");
        };
        let expected = certificate_digest(leaf_certificate);
        let actual = match log.newest_certificate() {
            None => "no certificate event".into(),
            Some(payload) => String::from_utf8_lossy(payload).escape_debug().to_string(),
        };
        self.judge("certificate_event", actual == expected, Status::BindingMismatch, expected, actual);
    }

    fn spki(&mut self) {
        let pins = &self.request.policy.spki_sha256;
        if pins.is_empty() {
            return;
        }
        let Binding::Session { leaf_certificate, .. } = self.request.binding else {
            return self.skip("spki", "the caller asked for no session binding");
        };
        let leaf = rustls_pki_types::CertificateDer::from(leaf_certificate.as_slice());
        let digest = webpki::EndEntityCert::try_from(&leaf).map(|leaf| sha256(&leaf.subject_public_key_info()));
        let (ok, actual) = match digest {
            Ok(digest) => (pins.contains(&digest), hex(&digest)),
            Err(error) => (false, format!("{error:?}")),
        };
        self.judge("spki", ok, Status::BindingMismatch, one_of(pins), actual);
    }

    fn bootchain(&mut self, claims: &Claims) {
        let chains = &self.member.bootchains;
        if chains.is_empty() {
            return self.skip("bootchain", "the policy names none");
        }
        let actual = [claims.mr_td, claims.rtmr[0], claims.rtmr[1], claims.rtmr[2]];
        let expected = |chain: &super::policy::Bootchain| [chain.mrtd, chain.rtmr[0], chain.rtmr[1], chain.rtmr[2]];
        if let Some(chain) = chains.iter().find(|chain| expected(chain) == actual) {
            return self.judge("bootchain", true, Status::Ok, "a listed boot chain", &chain.label);
        }
        // With several alternatives the first one's difference is shown: the usual case is one.
        let first = expected(&chains[0]);
        let register = (0..4).find(|i| first[*i] != actual[*i]).unwrap_or(0);
        let name = ["mrtd", "rtmr0", "rtmr1", "rtmr2"][register];
        let wanted = format!("{name} {} ({})", hex(&first[register]), chains[0].label);
        self.judge(
            "bootchain",
            false,
            Status::MeasurementMismatch,
            wanted,
            format!("{name} {}", hex(&actual[register])),
        );
    }

    fn application(&mut self, claims: &Claims, log: &EventLog) {
        let member = self.member;
        let event = |name| log.system_event(name).map_or("no such event".into(), hex);
        if member.applications.is_empty() {
            self.skip("app_compose", "the policy names none");
        } else {
            let found = log.system_event("compose-hash");
            let matched = member.applications.iter().find(|app| found == Some(&app.hash[..]));
            let hashes: Vec<_> = member.applications.iter().map(|app| app.hash).collect();
            let actual = event("compose-hash") + &matched.map_or(String::new(), |app| format!(" ({})", app.origin));
            self.judge("app_compose", matched.is_some(), Status::MeasurementMismatch, one_of(&hashes), actual);
        }
        if let Some(ids) = &member.app_id {
            let ok = ids.iter().any(|id| log.system_event("app-id") == Some(&id[..]));
            self.judge("app_id", ok, Status::MeasurementMismatch, one_of(ids), event("app-id"));
        }
        match &member.os_image_hash {
            None => self.skip("os_image_hash", "the policy names none"),
            Some(hash) => {
                let ok = log.system_event("os-image-hash") == Some(&hash[..]);
                self.judge("os_image_hash", ok, Status::MeasurementMismatch, hex(hash), event("os-image-hash"));
            }
        }
        self.key_provider(log);
        self.mr_config_id(claims, log);
    }

    fn key_provider(&mut self, log: &EventLog) {
        let Some(wanted) = &self.member.key_provider else { return };
        let payload = log.system_event("key-provider").unwrap_or_default();
        let actual = super::json::parse(payload).unwrap_or_default();
        let ok =
            actual["name"] == wanted.name.as_str() && wanted.id.as_ref().is_none_or(|id| actual["id"] == id.as_str());
        let expected = format!("{} {}", wanted.name, wanted.id.as_deref().unwrap_or("(any id)"));
        let shown = String::from_utf8_lossy(payload).escape_debug().to_string();
        self.judge("key_provider", ok, Status::MeasurementMismatch, expected, shown);
    }

    fn mr_config_id(&mut self, claims: &Claims, log: &EventLog) {
        let required = self.member.require_mr_config_id;
        let expected = "agrees with the event log";
        match mr_config::check(&claims.mr_config_id, log) {
            MrConfig::Matches(how) => self.judge("mr_config_id", true, Status::Ok, expected, how),
            MrConfig::Differs(why) => self.judge("mr_config_id", false, Status::MeasurementMismatch, expected, why),
            MrConfig::Unset if required => {
                self.judge("mr_config_id", false, Status::MeasurementMismatch, "set", "all zero")
            }
            MrConfig::Opaque(why) if required => {
                self.judge("mr_config_id", false, Status::MeasurementMismatch, expected, why)
            }
            MrConfig::Unset => self.skip("mr_config_id", "all zero: not used by this guest"),
            MrConfig::Opaque(why) => self.skip("mr_config_id", why),
        }
    }

    fn event_rules(&mut self, log: &EventLog) {
        for rule in &self.member.events {
            let verdict = check_event(rule, log);
            let name = format!("event:{}", rule.name);
            match verdict {
                Ok(actual) => self.judge(&name, true, Status::Ok, "as the policy says", actual),
                Err(why) => self.judge(&name, false, Status::MeasurementMismatch, "as the policy says", why),
            }
        }
    }
}

/// Applies one rule of the policy's `events`; without a count the event must stand exactly once.
fn check_event(rule: &EventRule, log: &EventLog) -> std::result::Result<String, String> {
    let found: Vec<_> = log.positions(&rule.name).collect();
    let wanted = rule.count.unwrap_or(1);
    if found.len() as u64 != wanted {
        return Err(format!("stands {} times, expected {wanted}", found.len()));
    }
    if let Some(barrier) = &rule.before {
        let barrier_at = log.positions(barrier).next().ok_or_else(|| format!("no {barrier:?} event"))?;
        if found.iter().any(|index| *index > barrier_at) {
            return Err(format!("stands after {barrier:?}"));
        }
    }
    if let Some(digest) = &rule.payload_sha256 {
        for index in &found {
            let actual = sha256(&log.runtime[*index].payload);
            if actual != *digest {
                return Err(format!("payload hashes to {}, expected {}", hex(&actual), hex(digest)));
            }
        }
    }
    Ok(format!("stands {wanted} times"))
}

/// Identity for the verdict's reader, not used in any judgement.
fn identity(log: &EventLog) -> Vec<(String, String)> {
    super::dstack::event_log::SYSTEM_EVENTS
        .iter()
        .filter_map(|name| {
            let payload = log.system_event(name)?;
            let text = match *name {
                "key-provider" => String::from_utf8_lossy(payload).into_owned(),
                _ => hex(payload),
            };
            Some((name.to_string(), text))
        })
        .collect()
}

fn one_of<const N: usize>(values: &[[u8; N]]) -> String {
    values.iter().map(|value| hex(value)).collect::<Vec<_>>().join(" or ")
}
