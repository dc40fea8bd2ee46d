//! A draft of a policy about a dstack guest: its boot chain and the application that its log names. Pure.

use serde_json::{Map, Value, json};

use super::checks::{CERTIFICATE_EVENT, EVENT_ORDER, RTMR};
use super::key_provider::KeyProvider;
use crate::attest::binding::Protocol;
use crate::attest::draft::{has_passed, members, only};
use crate::attest::tdx::draft::{common, registers};
use crate::verdict::Verdict;

/// `None` if there is no log that the quote vouches for, or none that names an application.
pub fn draft(verdict: &Verdict) -> Option<Map<String, Value>> {
    let report = verdict.claims.as_ref()?;
    let [.., rtmr3] = &RTMR;
    if !has_passed(verdict, rtmr3.rule()) || !has_passed(verdict, EVENT_ORDER.rule()) {
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

fn key_provider(payload: &Value) -> Value {
    let read = payload.as_str().and_then(|text| KeyProvider::parse(text.as_bytes()).ok());
    let named = read.filter(|provider| !provider.name.is_empty());
    named.map_or(Value::Null, |provider| members([("name", provider.name.into()), ("id", provider.id.into())]).into())
}
