//! Checks of what runs inside: the event log, the session it is bound to, and the application.

use super::{Appraisal, one_of};
use crate::attest::binding::{Binding, certificate_digest, public_key};
use crate::attest::dstack::event_log::EventLog;
use crate::attest::dstack::key_provider::KeyProvider;
use crate::attest::dstack::mr_config;
use crate::attest::dstack::mr_config::MrConfig;
use crate::attest::hash::{hex, sha256, unhex_array};
use crate::attest::policy::{Bootchain, EventRule};
use crate::attest::tdx::Claims;
use crate::status::Status;
use crate::verdict::CheckId;

const NO_EVENT: &str = "no such event";
const UNBOUND: &str = "the caller asked for no session binding";

impl Appraisal<'_> {
    pub(super) fn report_data(&mut self, claims: &Claims) {
        self.judge_report_data(Some(claims.report_data));
    }

    /// `None` if the quote has none.
    pub(super) fn judge_report_data(&mut self, actual: Option<[u8; 64]>) {
        match self.request.binding.report_data() {
            None => self.skip(CheckId::ReportData, UNBOUND),
            Some(Ok(expected)) => {
                let (ok, actual) = (actual == Some(expected), actual.map_or_else(|| "none".into(), |data| hex(&data)));
                self.judge(CheckId::ReportData, ok, Status::BindingMismatch, hex(&expected), actual);
            }
            Some(Err(why)) => self.judge(CheckId::ReportData, false, Status::BindingMismatch, "a binding", why),
        }
    }

    pub(super) fn event_log(&mut self) {
        let text = self.request.evidence.event_log.as_deref();
        match text.ok_or_else(|| "there is none".to_owned()).and_then(EventLog::parse) {
            Ok(log) => {
                let actual = format!("{} runtime events, all recomputed", log.runtime.len());
                self.judge(CheckId::EventLog, true, Status::Ok, "digests follow from payloads", actual);
                self.log = Some(log);
            }
            Err(why) => {
                self.judge(CheckId::EventLog, false, Status::EventLogInvalid, "digests follow from payloads", why)
            }
        }
    }

    pub(super) fn registers(&mut self, claims: &Claims, log: &EventLog) {
        for (index, replayed) in log.replayed.iter().enumerate() {
            let (id, wanted) = (CheckId::Rtmr(index), claims.rtmr[index]);
            match replayed {
                Some(replayed) => {
                    self.judge(id, *replayed == wanted, Status::EventLogInvalid, hex(&wanted), hex(replayed));
                }
                // Boot events may be stripped; the runtime register is what makes the log's names and payloads true.
                None if index < 3 => self.skip(id, "the log holds no event of this register"),
                None => self.judge(id, false, Status::EventLogInvalid, hex(&wanted), "no event of this register"),
            }
        }
    }

    pub(super) fn event_order(&mut self, log: &EventLog) {
        let expected = "system events once and before system-ready";
        match log.check_order() {
            Ok(()) => self.judge(CheckId::EventOrder, true, Status::Ok, expected, "they are"),
            Err(why) => self.judge(CheckId::EventOrder, false, Status::EventLogInvalid, expected, why),
        }
    }

    pub(super) fn certificate(&mut self, log: &EventLog) {
        match self.request.binding {
            Binding::Skip => return self.skip(CheckId::CertificateEvent, UNBOUND),
            _ if !self.needs_key_event() => {
                return self.skip(CheckId::CertificateEvent, "the policy says \"require_key_event\": false");
            }
            _ => {}
        }
        let Some(leaf) = self.request.binding.leaf() else {
            let why = "no certificate was shown";
            return self.judge(CheckId::CertificateEvent, false, Status::BindingMismatch, "a certificate", why);
        };
        let expected = certificate_digest(leaf);
        let (ok, actual) = match log.newest_certificate() {
            None => (false, "no certificate event".into()),
            Some(payload) => {
                let ok = payload == expected.as_bytes();
                self.other_certificate = !ok && names_a_certificate(payload);
                (ok, String::from_utf8_lossy(payload).escape_debug().to_string())
            }
        };
        self.judge(CheckId::CertificateEvent, ok, Status::BindingMismatch, expected, actual);
    }

    pub(super) fn spki(&mut self) {
        let pins = &self.request.policy.spki_sha256;
        if pins.is_empty() {
            return;
        }
        if matches!(self.request.binding, Binding::Skip) {
            return self.skip(CheckId::Spki, UNBOUND);
        }
        let (ok, actual) = match self.request.binding.leaf().map(public_key) {
            Some(Ok(key)) => (pins.contains(&sha256(&key)), hex(&sha256(&key))),
            Some(Err(why)) => (false, why),
            None => (false, "no certificate was shown".into()),
        };
        self.judge(CheckId::Spki, ok, Status::BindingMismatch, one_of(pins), actual);
    }

    pub(super) fn bootchain(&mut self, claims: &Claims) {
        let chains = &self.member.bootchains;
        if chains.is_empty() {
            return self.skip(CheckId::Bootchain, "the policy names none");
        }
        let actual = [claims.mr_td, claims.rtmr[0], claims.rtmr[1], claims.rtmr[2]];
        let expected = |chain: &Bootchain| [chain.mrtd, chain.rtmr[0], chain.rtmr[1], chain.rtmr[2]];
        if let Some(chain) = chains.iter().find(|chain| expected(chain) == actual) {
            return self.judge(CheckId::Bootchain, true, Status::Ok, "a listed boot chain", &chain.label);
        }
        // With several alternatives the first one's difference is shown: the usual case is one.
        let first = expected(&chains[0]);
        let register = (0..4).find(|i| first[*i] != actual[*i]).unwrap_or(0);
        let name = ["mrtd", "rtmr0", "rtmr1", "rtmr2"][register];
        let wanted = format!("{name} {} ({})", hex(&first[register]), chains[0].label);
        self.judge(
            CheckId::Bootchain,
            false,
            Status::MeasurementMismatch,
            wanted,
            format!("{name} {}", hex(&actual[register])),
        );
    }

    pub(super) fn application(&mut self, claims: &Claims, log: &EventLog) {
        let member = self.member;
        let event = |name| log.system_event(name).map_or(NO_EVENT.into(), hex);
        if member.applications.is_empty() {
            self.skip(CheckId::AppCompose, "the policy names none");
        } else {
            let found = log.system_event("compose-hash");
            let matched = member.applications.iter().find(|app| found == Some(&app.hash[..]));
            let hashes: Vec<_> = member.applications.iter().map(|app| app.hash).collect();
            let actual = event("compose-hash") + &matched.map_or(String::new(), |app| format!(" ({})", app.origin));
            self.judge(CheckId::AppCompose, matched.is_some(), Status::MeasurementMismatch, one_of(&hashes), actual);
        }
        if let Some(ids) = &member.app_id {
            let ok = ids.iter().any(|id| log.system_event("app-id") == Some(&id[..]));
            self.judge(CheckId::AppId, ok, Status::MeasurementMismatch, one_of(ids), event("app-id"));
        }
        match &member.os_image_hash {
            None => self.skip(CheckId::OsImageHash, "the policy names none"),
            Some(hash) => {
                let ok = log.system_event("os-image-hash") == Some(&hash[..]);
                self.judge(CheckId::OsImageHash, ok, Status::MeasurementMismatch, hex(hash), event("os-image-hash"));
            }
        }
        self.key_provider(log);
        self.mr_config_id(claims, log);
    }

    pub(super) fn key_provider(&mut self, log: &EventLog) {
        let Some(wanted) = &self.member.key_provider else { return };
        let expected = format!("{} {}", wanted.name, wanted.id.as_deref().unwrap_or("(any id)"));
        let (ok, actual) = match log.system_event("key-provider") {
            None => (false, NO_EVENT.into()),
            Some(payload) => {
                let ok = KeyProvider::parse(payload).is_ok_and(|provider| {
                    provider.name == wanted.name && wanted.id.as_ref().is_none_or(|id| provider.id.as_ref() == Some(id))
                });
                (ok, String::from_utf8_lossy(payload).escape_debug().to_string())
            }
        };
        self.judge(CheckId::KeyProvider, ok, Status::MeasurementMismatch, expected, actual);
    }

    pub(super) fn mr_config_id(&mut self, claims: &Claims, log: &EventLog) {
        let required = self.member.require_mr_config_id;
        let expected = "agrees with the event log";
        match mr_config::check(&claims.mr_config_id, log) {
            MrConfig::Matches(how) => self.judge(CheckId::MrConfigId, true, Status::Ok, expected, how),
            MrConfig::Differs(why) => {
                self.judge(CheckId::MrConfigId, false, Status::MeasurementMismatch, expected, why)
            }
            MrConfig::Unset if required => {
                self.judge(CheckId::MrConfigId, false, Status::MeasurementMismatch, "set", "all zero")
            }
            MrConfig::Opaque(why) if required => {
                self.judge(CheckId::MrConfigId, false, Status::MeasurementMismatch, expected, why)
            }
            MrConfig::Unset => self.skip(CheckId::MrConfigId, "all zero: not used by this guest"),
            MrConfig::Opaque(why) => self.skip(CheckId::MrConfigId, why),
        }
    }

    pub(super) fn event_rules(&mut self, log: &EventLog) {
        for rule in &self.member.events {
            let verdict = check_event(rule, log);
            let id = CheckId::Event(rule.name.clone());
            match verdict {
                Ok(actual) => self.judge(id, true, Status::Ok, "as the policy says", actual),
                Err(why) => self.judge(id, false, Status::MeasurementMismatch, "as the policy says", why),
            }
        }
    }
}

/// Whether an event's payload is the digest of some certificate.
fn names_a_certificate(payload: &[u8]) -> bool {
    std::str::from_utf8(payload).is_ok_and(|text| unhex_array::<32>(text).is_some())
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
