//! A draft of a policy about a dstack guest: its boot chain and the application that its log names. Pure.

use serde_json::{Map, Value, json};

use super::checks::{CERTIFICATE_EVENT, EVENT_LOG, EVENT_ORDER, NO_CERTIFICATE, NO_CERTIFICATE_EVENT, NO_LOG, RTMR};
use super::key_provider::KeyProvider;
use crate::attest::binding::Protocol;
use crate::attest::draft::{failed, has_passed, members, only};
use crate::attest::tdx::draft::{common, registers};
use crate::status::Status;
use crate::verdict::Verdict;

/// `None` if there is no log that the quote vouches for, or none that names an application.
pub fn draft(verdict: &Verdict) -> Option<Map<String, Value>> {
    let report = verdict.claims.as_ref()?;
    if !has_log(verdict) {
        return None;
    }
    let shown = |name: &str| {
        let found = verdict.application.iter().find(|(known, _)| known == name);
        found.map_or(Value::Null, |(_, value)| value.as_str().into())
    };
    // Of another length it is nothing that a policy can pin.
    let digest = |name: &str, bytes: usize| match shown(name) {
        Value::String(text) if text.len() == 2 * bytes => text.into(),
        _ => Value::Null,
    };
    let compose = digest("compose-hash", 32);
    if compose.is_null() {
        return None;
    }
    let mut draft = members([
        ("bootchains", json!([registers(&report.measurements, ["mrtd", "rtmr0", "rtmr1", "rtmr2"])])),
        ("app_compose_hash", only(&compose)),
        ("os_image_hash", digest("os-image-hash", 32)),
        ("app_id", only(&digest("app-id", 20))),
        ("key_provider", key_provider(&shown("key-provider"))),
    ]);
    if verdict.protocol == Some(Protocol::ExporterV1.name()) {
        draft.insert("binding".into(), json!({"protocols": [Protocol::ExporterV1.name()]}));
        if !has_passed(verdict, CERTIFICATE_EVENT.rule()) {
            draft.insert("identity".into(), json!({"require_key_event": false}));
        }
    }
    draft.extend(common(verdict, &report.measurements));
    Some(draft)
}

/// Of a log that came: it is not the quote's, it is none of dstack, it names another certificate than the session has shown, or no application. The registers alone
/// would hide all of that. A log that did not come, or that names no certificate at all, says nothing wrong.
pub fn objection(verdict: &Verdict) -> Option<(Status, String)> {
    let [rtmr0, rtmr1, rtmr2, rtmr3] = RTMR.map(|id| id.rule());
    let rules = [EVENT_LOG.rule(), rtmr0, rtmr1, rtmr2, rtmr3, EVENT_ORDER.rule(), CERTIFICATE_EVENT.rule()];
    let says = |actual: &str| ![NO_LOG, NO_CERTIFICATE, NO_CERTIFICATE_EVENT].contains(&actual);
    if let Some(check) = failed(verdict, &rules).find(|check| says(&check.actual)) {
        return Some((
            check.status,
            format!("the event log that came is not to be believed: {}: {}", check.id, check.actual),
        ));
    }
    let nothing = has_log(verdict) && draft(verdict).is_none();
    nothing.then(|| (Status::MeasurementMismatch, "the event log names no application that a policy can pin".into()))
}

/// Whether the quote vouches for a log.
fn has_log(verdict: &Verdict) -> bool {
    let [.., rtmr3] = &RTMR;
    has_passed(verdict, rtmr3.rule()) && has_passed(verdict, EVENT_ORDER.rule())
}

fn key_provider(payload: &Value) -> Value {
    let read = payload.as_str().and_then(|text| KeyProvider::parse(text.as_bytes()).ok());
    let named = read.filter(|provider| !provider.name.is_empty());
    named.map_or(Value::Null, |provider| members([("name", provider.name.into()), ("id", provider.id.into())]).into())
}
