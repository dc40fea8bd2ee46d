//! The rules about what runs inside a dstack guest, each as one line of the verdict: the event log, the session that it is bound to, and the application.
//! Pure.

use super::event_log::{EventLog, SYSTEM_EVENTS};
use super::event_rules::EventRule;
use super::key_provider::KeyProvider;
use super::mr_config;
use super::mr_config::MrConfig;
use super::policy::Bootchain;
use super::{DstackTdx, needs_key_event};
use crate::attest::binding::{Binding, certificate_digest};
use crate::attest::family::Question;
use crate::attest::hash::{hex, sha256, unhex_array};
use crate::attest::lines::{Lines, UNBOUND, one_of};
use crate::attest::tdx::TdxClaims;
use crate::status::Status;
use crate::verdict::CheckId;

pub const EVENT_LOG: CheckId = CheckId::new("event_log");
pub const EVENT_ORDER: CheckId = CheckId::new("event_order");
pub const CERTIFICATE_EVENT: CheckId = CheckId::new("certificate_event");
pub const BOOTCHAIN: CheckId = CheckId::new("bootchain");
pub const APP_COMPOSE: CheckId = CheckId::new("app_compose");
pub const APP_ID: CheckId = CheckId::new("app_id");
pub const OS_IMAGE_HASH: CheckId = CheckId::new("os_image_hash");
pub const KEY_PROVIDER: CheckId = CheckId::new("key_provider");
pub const MR_CONFIG_ID: CheckId = CheckId::new("mr_config_id");
/// The runtime measurement registers.
pub const RTMR: [CheckId; 4] =
    [CheckId::new("rtmr0"), CheckId::new("rtmr1"), CheckId::new("rtmr2"), CheckId::new("rtmr3")];
/// A rule of the policy's `events`, by the event's name.
const EVENT: &str = "event";

const NO_EVENT: &str = "no such event";
/// What is not there, and so is not wrong. Nothing that came is shown by these words.
pub const NO_LOG: &str = "there is none";
pub const NO_CERTIFICATE: &str = "no certificate was shown";
pub const NO_CERTIFICATE_EVENT: &str = "no certificate event";

/// The rules of one member, as they are applied to one guest.
pub struct GuestChecks<'a> {
    pub lines: &'a mut Lines,
    pub of: &'a Question<'a, DstackTdx>,
}

impl GuestChecks<'_> {
    /// The log, if it can be read.
    pub fn event_log<'l>(&mut self, log: &'l std::result::Result<EventLog, String>) -> Option<&'l EventLog> {
        const EXPECTED: &str = "digests follow from payloads";
        match log {
            Ok(log) => {
                let actual = format!("{} runtime events, all recomputed", log.runtime.len());
                self.lines.judge(EVENT_LOG, true, Status::Ok, EXPECTED, actual);
                Some(log)
            }
            Err(why) => {
                self.lines.judge(EVENT_LOG, false, Status::EventLogInvalid, EXPECTED, why);
                None
            }
        }
    }

    pub fn registers(&mut self, claims: &TdxClaims, log: &EventLog) {
        for (index, replayed) in log.replayed.iter().enumerate() {
            let (id, wanted) = (RTMR[index].clone(), claims.rtmr[index]);
            match replayed {
                Some(replayed) => {
                    self.lines.judge(id, *replayed == wanted, Status::EventLogInvalid, hex(&wanted), hex(replayed));
                }
                // Boot events may be stripped; the runtime register is what makes the log's names and payloads true.
                None if index < 3 => self.lines.skip(id, "the log holds no event of this register"),
                None => self.lines.judge(id, false, Status::EventLogInvalid, hex(&wanted), "no event of this register"),
            }
        }
    }

    pub fn event_order(&mut self, log: &EventLog) {
        let expected = "system events once and before system-ready";
        match log.check_order() {
            Ok(()) => {
                self.lines.judge(EVENT_ORDER, true, Status::Ok, expected, "they are");
                self.lines.application = identity(log);
            }
            Err(why) => self.lines.judge(EVENT_ORDER, false, Status::EventLogInvalid, expected, why),
        }
    }

    pub fn certificate(&mut self, log: &EventLog) {
        match self.of.binding {
            Binding::Skip => return self.lines.skip(CERTIFICATE_EVENT, UNBOUND),
            Binding::Certificate(_) => {
                return self.lines.skip(CERTIFICATE_EVENT, "the evidence came in the certificate");
            }
            _ if !needs_key_event(self.of) => {
                return self.lines.skip(CERTIFICATE_EVENT, "the policy says \"require_key_event\": false");
            }
            _ => {}
        }
        let Some(leaf) = self.of.binding.leaf() else {
            let (wanted, why) = ("a certificate", NO_CERTIFICATE);
            return self.lines.judge(CERTIFICATE_EVENT, false, Status::BindingMismatch, wanted, why);
        };
        let expected = certificate_digest(leaf);
        let (ok, actual) = match log.newest_certificate() {
            None => (false, NO_CERTIFICATE_EVENT.into()),
            Some(payload) => {
                let (ok, named) = (payload == expected.as_bytes(), names_a_certificate(payload));
                self.lines.other_certificate = (!ok && named).then_some(CERTIFICATE_EVENT);
                let text = String::from_utf8_lossy(payload);
                (ok, if named { text.into_owned() } else { format!("{text:?}") })
            }
        };
        self.lines.judge(CERTIFICATE_EVENT, ok, Status::BindingMismatch, expected, actual);
    }

    pub fn bootchain(&mut self, claims: &TdxClaims) {
        let chains = &self.of.member.bootchains;
        if chains.is_empty() {
            return self.lines.skip(BOOTCHAIN, "the policy names none");
        }
        let actual = [claims.mr_td, claims.rtmr[0], claims.rtmr[1], claims.rtmr[2]];
        let expected = |chain: &Bootchain| [chain.mrtd, chain.rtmr[0], chain.rtmr[1], chain.rtmr[2]];
        if let Some(chain) = chains.iter().find(|chain| expected(chain) == actual) {
            return self.lines.judge(BOOTCHAIN, true, Status::Ok, "a listed boot chain", &chain.label);
        }
        // With several alternatives the first one's difference is shown: the usual case is one.
        let first = expected(&chains[0]);
        let register = (0..4).find(|i| first[*i] != actual[*i]).unwrap_or(0);
        let name = ["mrtd", "rtmr0", "rtmr1", "rtmr2"][register];
        let wanted = format!("{name} {} ({})", hex(&first[register]), chains[0].label);
        self.lines.judge(
            BOOTCHAIN,
            false,
            Status::MeasurementMismatch,
            wanted,
            format!("{name} {}", hex(&actual[register])),
        );
    }

    pub fn application(&mut self, claims: &TdxClaims, log: &EventLog) {
        let member = self.of.member;
        let event = |name| log.system_event(name).map_or(NO_EVENT.into(), hex);
        if member.applications.is_empty() {
            self.lines.skip(APP_COMPOSE, "the policy names none");
        } else {
            let found = log.system_event("compose-hash");
            let matched = member.applications.iter().find(|app| found == Some(&app.hash[..]));
            let hashes: Vec<_> = member.applications.iter().map(|app| app.hash).collect();
            let actual = event("compose-hash") + &matched.map_or(String::new(), |app| format!(" ({})", app.origin));
            self.lines.judge(APP_COMPOSE, matched.is_some(), Status::MeasurementMismatch, one_of(&hashes), actual);
        }
        if let Some(ids) = &member.app_id {
            let ok = ids.iter().any(|id| log.system_event("app-id") == Some(&id[..]));
            self.lines.judge(APP_ID, ok, Status::MeasurementMismatch, one_of(ids), event("app-id"));
        }
        match &member.os_image_hash {
            None => self.lines.skip(OS_IMAGE_HASH, "the policy names none"),
            Some(hash) => {
                let ok = log.system_event("os-image-hash") == Some(&hash[..]);
                self.lines.judge(OS_IMAGE_HASH, ok, Status::MeasurementMismatch, hex(hash), event("os-image-hash"));
            }
        }
        self.key_provider(log);
        self.mr_config_id(claims, log);
    }

    fn key_provider(&mut self, log: &EventLog) {
        let Some(wanted) = &self.of.member.key_provider else { return };
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
        self.lines.judge(KEY_PROVIDER, ok, Status::MeasurementMismatch, expected, actual);
    }

    fn mr_config_id(&mut self, claims: &TdxClaims, log: &EventLog) {
        let required = self.of.member.require_mr_config_id;
        let expected = "agrees with the event log";
        match mr_config::check(&claims.mr_config_id, log) {
            MrConfig::Matches(how) => self.lines.judge(MR_CONFIG_ID, true, Status::Ok, expected, how),
            MrConfig::Differs(why) => self.lines.judge(MR_CONFIG_ID, false, Status::MeasurementMismatch, expected, why),
            MrConfig::Unset if required => {
                self.lines.judge(MR_CONFIG_ID, false, Status::MeasurementMismatch, "set", "all zero")
            }
            MrConfig::Opaque(why) if required => {
                self.lines.judge(MR_CONFIG_ID, false, Status::MeasurementMismatch, expected, why)
            }
            MrConfig::Unset => self.lines.skip(MR_CONFIG_ID, "all zero: not used by this guest"),
            MrConfig::Opaque(why) => self.lines.skip(MR_CONFIG_ID, why),
        }
    }

    pub fn event_rules(&mut self, log: &EventLog) {
        for rule in &self.of.member.events {
            let verdict = check_event(rule, log);
            let id = CheckId::about(EVENT, rule.name.as_str());
            match verdict {
                Ok(actual) => self.lines.judge(id, true, Status::Ok, "as the policy says", actual),
                Err(why) => self.lines.judge(id, false, Status::MeasurementMismatch, "as the policy says", why),
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
        return Err(format!("occurs {} times, expected {wanted}", found.len()));
    }
    if let Some(barrier) = &rule.before {
        let barrier_at = log.positions(barrier).next().ok_or_else(|| format!("no {barrier:?} event"))?;
        if found.iter().any(|index| *index > barrier_at) {
            return Err(format!("comes after {barrier:?}"));
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
    Ok(format!("occurs {wanted} times"))
}

/// Identity for the verdict's reader, not used in any judgement.
fn identity(log: &EventLog) -> Vec<(String, String)> {
    let shown = |name: &&str| {
        let payload = log.system_event(name)?;
        let text = match *name {
            "key-provider" => String::from_utf8_lossy(payload).into_owned(),
            _ => hex(payload),
        };
        Some((name.to_string(), text))
    };
    SYSTEM_EVENTS.iter().filter_map(shown).collect()
}
