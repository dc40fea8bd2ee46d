//! One test for each check of the judgement that could be switched off: evidence that is true but for one thing, and the check that must notice.

mod support;

use serde_json::json;
use simtee::{Guest, SimTee};
use support::offline::{Session, honest, of_client};

#[test]
fn the_truth_is_trusted() {
    let tee = SimTee::new();
    for version in [1, 2] {
        honest(&tee, &Guest::booted(version)).trusted();
    }
}

#[test]
fn words_about_a_missing_certificate_are_no_certificate() {
    let tee = SimTee::new();
    for words in ["a certificate", "no certificate was shown", "no certificate event", ""] {
        let question =
            of_client(&tee, &Guest::booted(1), |guest| guest.emit(1, "New TLS Certificate", words.as_bytes()));
        question.refused("BINDING_MISMATCH", "certificate_event");
    }
    // The same client passes where the policy is content with the binder.
    let mut question = of_client(&tee, &Guest::booted(1), |_| ());
    question.policy["identity"] = json!({"require_key_event": false});
    question.trusted();
}

#[test]
fn a_pinned_key_is_not_met_by_no_certificate() {
    let tee = SimTee::new();
    let mut question = of_client(&tee, &Guest::booted(1), |_| ());
    question.policy["identity"] = json!({"require_key_event": false, "spki_sha256": ["00".repeat(32)]});
    assert_eq!(question.refused("BINDING_MISMATCH", "spki").message, "no certificate was shown");
}

#[test]
fn a_key_provider_that_the_log_does_not_name() {
    let tee = SimTee::new();
    let guest = Guest::booted(1);
    let ask = |guest: &Guest, provider: serde_json::Value| {
        let mut question = honest(&tee, guest);
        question.policy["key_provider"] = provider;
        question
    };
    ask(&guest, json!({"name": "kms", "id": "abcd"})).trusted();
    ask(&guest, json!({"name": "kms"})).trusted();
    ask(&guest, json!({"name": "local"})).refused("MEASUREMENT_MISMATCH", "key_provider");
    ask(&guest, json!({"name": "kms", "id": "abce"})).refused("MEASUREMENT_MISMATCH", "key_provider");
    ask(&guest, json!({"name": "kms", "id": ""})).refused("MEASUREMENT_MISMATCH", "key_provider");
    let mut without = guest.clone();
    without.events.retain(|event| event.name != "key-provider");
    ask(&without, json!({"name": "kms"})).refused("MEASUREMENT_MISMATCH", "key_provider");
    let mut nameless = guest.clone();
    nameless.event_mut("key-provider").payload = br#"{"id":"abcd"}"#.to_vec();
    ask(&nameless, json!({"name": "kms", "id": "abcd"})).refused("MEASUREMENT_MISMATCH", "key_provider");
}

#[test]
fn an_empty_log_is_no_replay_of_an_empty_register() {
    let tee = SimTee::new();
    let mut guest = Guest::booted(1);
    let mut question = honest(&tee, &guest);
    question.session = Session::None;
    guest.events.retain(|event| event.imr != 3);
    question.quote = guest.quote(&tee, &[0; 64]);
    question.log = Some(guest.log().to_string());
    question.refused("EVENT_LOG_INVALID", "rtmr3");
}
