//! Real documents of Nitro enclaves: each with a policy that pins what it has, with each pin changed, and with each byte changed.
//!
//! The evidence is no part of the project: it is found through ATLS_FIXTURES, else at ../shared/fixtures.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use std::path::PathBuf;

use serde_json::{Value, json};
use support::nitro::Question;

fn folder() -> Option<PathBuf> {
    let path = std::env::var_os("ATLS_FIXTURES")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures"), PathBuf::from);
    if path.join("expected-families.json").exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "no fixtures at {}", path.display());
    println!("skipped: no fixtures at {}", path.display());
    None
}

fn read(path: &str) -> Vec<u8> {
    std::fs::read(folder().unwrap().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn cases() -> Vec<Value> {
    if folder().is_none() {
        return Vec::new();
    }
    let all: Value = serde_json::from_slice(&read("expected-families.json")).unwrap();
    all["cases"].as_array().unwrap().iter().filter(|case| case["family"] == "nitro").cloned().collect()
}

/// The files carry other things behind the document.
fn length(file: &str) -> usize {
    match file {
        "nitro/dstack/nitro_attestation.bin" => 4526,
        "nitro/dstack/nitro_attestation_dbg.bin" => 4529,
        "nitro/dstack/nsm-qvl-nitro_attestation.bin" => 4527,
        other => panic!("{other}"),
    }
}

const ZERO: usize = 96;

/// The case, with a policy that pins what the recorded claims say of it; of registers that are zero, something else.
fn question(case: &Value) -> Question {
    let file = case["document"].as_str().unwrap();
    let document = read(file)[case["offset"].as_u64().unwrap() as usize..][..length(file)].to_vec();
    let mut pcrs = json!({});
    for (number, value) in case["claims"]["pcrs"].as_object().unwrap() {
        match value.as_str().unwrap() {
            zero if zero == "0".repeat(ZERO) && ["0", "1", "2"].contains(&number.as_str()) => {
                pcrs[number] = json!(["1".repeat(ZERO)])
            }
            zero if zero == "0".repeat(ZERO) => {}
            value => pcrs[number] = json!([value]),
        }
    }
    let policy = json!({"type": "nitro", "pcrs": pcrs, "module_id": [case["claims"]["module_id"]], "max_age_s": 10800});
    Question::real(document, policy, case["now"].as_u64().unwrap())
}

fn honest() -> Vec<Question> {
    cases().iter().filter(|case| case["expect"]["ok"] == true).map(question).collect()
}

fn debug() -> Option<Question> {
    cases().iter().find(|case| case["expect"]["ok"] == false).map(question)
}

#[test]
fn outcomes_that_are_recorded() {
    let cases = cases();
    assert!(cases.is_empty() || cases.len() >= 3);
    for case in &cases {
        let (name, question) = (case["name"].as_str().unwrap(), question(case));
        let found = question.ask();
        let (claims, verdict) = (&case["claims"], &found.verdict);
        if case["expect"]["ok"] == false {
            question.refused("MEASUREMENT_MISMATCH", "debug");
        } else {
            assert_eq!((found.status.as_str(), &verdict["trusted"]), ("OK", &json!(true)), "{name}: {found:?}");
            let mut drafted = question.clone();
            drafted.rest.policy = found.draft();
            drafted.trusted();
        }
        assert_eq!((&verdict["tee_type"], &verdict["trust_anchor"]), (&json!("nitro"), &json!("aws")), "{name}");
        assert_eq!((&verdict["tcb_status"], &verdict["bound_to_session"]), (&Value::Null, &json!(false)), "{name}");
        assert_eq!(verdict["platform"]["module_id"], claims["module_id"], "{name}");
        assert_eq!(verdict["measurements"]["nonce"], Value::Null, "{name}");
        assert_eq!(verdict["measurements"]["user_data"].as_str().unwrap().len(), 128, "{name}");
        for (number, value) in claims["pcrs"].as_object().unwrap() {
            assert_eq!(verdict["measurements"]["pcrs"][number], *value, "{name}: {number}");
        }
        let window = [&verdict["collateral"]["leaf_not_before"], &verdict["collateral"]["leaf_not_after"]];
        assert_eq!(window, [&case["window"][0], &case["window"][1]], "{name}");
    }
}

#[test]
fn a_debug_enclave_needs_the_consent_of_the_policy() {
    let Some(mut question) = debug() else { return };
    let found = question.refused("MEASUREMENT_MISMATCH", "debug");
    assert_eq!(found.verdict["platform"]["debug"], true);
    question.rest.policy["allow_debug"] = true.into();
    let checks = question.trusted().verdict["checks"].clone();
    let outcome = |name: &str| checks.as_array().unwrap().iter().find(|check| check["name"] == name).unwrap().clone();
    for pin in ["pcr:0", "pcr:1", "pcr:2"] {
        assert_eq!(outcome(pin)["outcome"], "skipped", "{checks}");
    }
    assert!(outcome("debug")["expected"].as_str().unwrap().contains("allow_debug"), "{checks}");
    // Other registers count all the same.
    question.rest.policy["pcrs"]["4"] = json!(["1".repeat(ZERO)]);
    question.refused("MEASUREMENT_MISMATCH", "pcr:4");
    // And the consent is to nothing about enclaves that are measured.
    for mut question in honest() {
        question.rest.policy["allow_debug"] = true.into();
        question.trusted();
        question.rest.policy["pcrs"]["0"] = json!(["1".repeat(ZERO)]);
        question.refused("MEASUREMENT_MISMATCH", "pcr:0");
    }
}

#[test]
fn one_bit_of_any_byte_of_a_document() {
    for honest in honest() {
        for at in 0..honest.document.len() {
            let mut bent = honest.clone();
            bent.document[at] ^= 1 << (at % 8);
            let found = bent.ask();
            let is_early = matches!(found.check.as_str(), "" | "chain" | "signature");
            let is_refused = matches!(found.status.as_str(), "QUOTE_INVALID" | "EVIDENCE_INVALID");
            assert!(is_refused && is_early, "{at:x}: {found:?}");
            assert_eq!(found.verdict["measurements"], Value::Null, "{at:x}: {found:?}");
        }
    }
}

#[test]
fn a_document_has_one_length() {
    for honest in honest() {
        for length in (0..honest.document.len()).step_by(97).chain([honest.document.len() - 1]) {
            let mut bent = honest.clone();
            bent.document.truncate(length);
            bent.refused("EVIDENCE_INVALID", "");
        }
        let mut bent = honest.clone();
        bent.document.push(0);
        let found = bent.refused("EVIDENCE_INVALID", "");
        assert!(found.message.contains("1 bytes after its end"), "{found:?}");
    }
}

#[test]
fn a_certificate_holds_from_its_first_second_to_its_last() {
    for case in cases().iter().filter(|case| case["expect"]["ok"] == true) {
        let [from, to] = [0, 1].map(|index| case["window"][index].as_u64().unwrap());
        for (now, holds) in [(from - 1, false), (from, true), (to, true), (to + 1, false)] {
            let mut at = question(case);
            at.rest.now = now;
            if holds {
                at.trusted()
            } else {
                at.refused("QUOTE_INVALID", "chain")
            };
        }
    }
}

#[test]
fn each_pin_of_the_policy_refuses() {
    for honest in honest() {
        for number in ["0", "1", "2", "4", "8", "15", "16", "31"] {
            let mut bent = honest.clone();
            bent.rest.policy["pcrs"][number] = json!(["1".repeat(ZERO), "2".repeat(ZERO)]);
            bent.refused("MEASUREMENT_MISMATCH", &format!("pcr:{number}"));
        }
        let mut bent = honest.clone();
        bent.rest.policy["module_id"] = json!(["i-0"]);
        bent.refused("MEASUREMENT_MISMATCH", "module_id");
        let mut bent = honest.clone();
        bent.rest.policy["max_age_s"] = 300.into();
        bent.trusted();
        bent.rest.now += 301;
        bent.refused("BINDING_MISMATCH", "timestamp");
    }
}

#[test]
fn evidence_under_a_policy_of_another_kind() {
    for honest in honest() {
        let mut bent = honest.clone();
        bent.rest.policy = json!({"type": "dstack_tdx", "disable_runtime_verification": true});
        bent.refused("EVIDENCE_INVALID", "tee");
        for kind in ["tdx", "snp", "nitro_tpm", "sgx"] {
            let mut relabelled = honest.evidence();
            relabelled["tee"] = kind.into();
            assert_eq!(honest.rest.ask_with(&relabelled.to_string()).status, "EVIDENCE_INVALID", "{kind}");
        }
    }
}
