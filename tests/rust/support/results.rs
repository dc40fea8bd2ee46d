//! What is made of a verdict: a draft of a policy, and an attestation result. Every verdict that a test sees goes through here.

use std::ptr::null_mut;

use serde_json::Value;

use super::abi::*;
use super::schema;

/// Of a verdict that the C ABI gave.
#[derive(Clone, Debug)]
pub struct Results {
    /// A policy, or why there is none.
    pub draft: Result<Value, String>,
    /// Claims of an attestation result.
    pub claims: Value,
}

pub const ISSUED: u64 = 1_800_000_000;

pub fn take(buf: *mut atls_buf) -> String {
    let text = unsafe { std::slice::from_raw_parts(atls_buf_data(buf), atls_buf_len(buf)) }.to_vec();
    unsafe { atls_buf_free(buf) };
    String::from_utf8(text).unwrap()
}

/// An attestation result of a verdict, to be freed.
pub fn ear(verdict: *const atls_verdict) -> *mut atls_ear {
    let mut ear = null_mut();
    assert_eq!(unsafe { atls_ear_new(verdict, ISSUED, &mut ear, null_mut()) }, 0);
    ear
}

#[track_caller]
pub fn of(verdict: *const atls_verdict) -> Results {
    let text: Value = serde_json::from_str(&super::text(unsafe { atls_verdict_json(verdict) })).unwrap();
    schema::hold(&text);
    let (mut buf, mut error, ear) = (null_mut(), null_mut(), ear(verdict));
    let claims = unsafe {
        assert_eq!(atls_ear_claims(ear, &mut buf, null_mut()), 0);
        atls_ear_free(ear);
        serde_json::from_str(&take(buf)).unwrap()
    };
    check(&text, &claims);
    let draft = unsafe {
        match atls_verdict_draft_policy(verdict, &mut buf, &mut error) {
            0 => Ok(serde_json::from_str(&take(buf)).unwrap()),
            _ => Err(super::text(atls_error_message(error))),
        }
    };
    unsafe { atls_error_free(error) };
    if text["measurements"].is_null() {
        assert!(draft.as_ref().is_err_and(|why| why.contains("is not authentic")), "{draft:?}\n{text}");
    }
    Results { draft, claims }
}

/// What holds of every result, whatever the verdict is.
#[track_caller]
fn check(verdict: &Value, claims: &Value) {
    let kind = verdict["tee_type"].as_str().unwrap();
    let part = &claims["submods"][kind];
    let devices = verdict["attached"].as_array().map_or(&[][..], |devices| devices);
    assert_eq!(claims["submods"].as_object().unwrap().len(), 1 + devices.len(), "{claims}");
    for (index, device) in devices.iter().enumerate() {
        let beside = &claims["submods"][format!("{}[{index}]", device["tee_type"].as_str().unwrap())];
        assert_eq!(beside["ear_verifier_claims"]["trust_anchor"], device["trust_anchor"], "{claims}");
        assert_eq!(beside["ear_attester_claims"]["measurements"], device["measurements"], "{claims}");
        if verdict["trusted"] != true || device["trust_anchor"] == "simulated" {
            assert_eq!(beside["ear_status"], "contraindicated", "{claims}");
        }
    }
    if devices.is_empty() {
        assert_eq!(claims["ear_status"], part["ear_status"], "{claims}");
    }
    let is_refused = verdict["trusted"] != true || verdict["trust_anchor"] == "simulated";
    if is_refused {
        assert_eq!(claims["ear_status"], "contraindicated", "{claims}");
    }
    if verdict["bound_to_session"] != true {
        assert_ne!(claims["ear_status"], "affirming", "{claims}");
    }
    let vector = part["ear_trustworthiness_vector"].as_object().expect("a vector");
    for (name, value) in vector {
        let known = ["instance-identity", "configuration", "executables", "hardware", "runtime-opaque"];
        assert!(known.contains(&name.as_str()) && value.as_i64().is_some_and(|value| value >= 2), "{claims}");
    }
    assert!(!is_refused || vector.values().any(|value| value.as_i64() >= Some(96)), "nothing says why: {claims}");
    // The verdict is whole in it.
    for (name, value) in verdict.as_object().unwrap().iter().filter(|(name, _)| *name != "attached") {
        let said = ["ear_attester_claims", "ear_verifier_claims"].into_iter().find_map(|of| part[of].get(name));
        let is_empty = value.is_null() || value.as_object().is_some_and(|value| value.is_empty());
        assert!(said == Some(value) || said.is_none() && is_empty, "{name}: {said:?}, {value}");
    }
}
