//! Policies that only measure: they accept nothing, say ONLY_MEASURED of evidence with which nothing is wrong, and else what is.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use std::ptr::null_mut;

use serde_json::{Value, json};
use simtee::exporter::Binder;
use simtee::nvidia::Nvidia;
use simtee::snp::Product;
use simtee::{Guest, SimTee};
use support::abi::*;
use support::azure_machine::Hardware;
use support::nvidia::{Composite, session_nonce};
use support::offline::{EXPORTER, Found, NONCE, Question, Session, honest, of_client};
use support::snp_guest::{Machine as Snp, with_vlek};
use support::{azure, azure_machine, enclave, nitro, parse_policy, snp, text};

fn measuring() -> Value {
    json!({"measuring": {"allow_simulated": true}})
}

/// Only measured; the draft.
#[track_caller]
fn measured(verdict: &Value, status: &str, draft: Result<Value, String>) -> Value {
    assert_eq!(status, "ONLY_MEASURED", "{verdict}");
    assert_eq!((&verdict["trusted"], &verdict["accepted_member"]), (&json!(false), &Value::Null));
    let failed: Vec<_> =
        verdict["checks"].as_array().unwrap().iter().filter(|check| check["outcome"] == "fail").collect();
    assert_eq!(failed.len(), 1, "{verdict}");
    assert_eq!(failed[0]["name"], "measured");
    draft.unwrap()
}

fn of(found: Found) -> Value {
    measured(&found.verdict, &found.status, found.results.unwrap().draft)
}

#[test]
fn a_guest_of_dstack_is_measured_by_its_log() {
    let (tee, guest) = (SimTee::new(), Guest::booted(2));
    for question in [honest(&tee, &guest), of_client(&tee, &guest, |_| ())] {
        let expected = question.ask().draft();
        let draft = of(Question { policy: measuring(), ..question }.ask());
        assert_eq!(draft["type"], "dstack_tdx");
        assert_eq!(draft["app_compose_hash"], expected["app_compose_hash"]);
    }
    let draft = of(Question { policy: measuring(), ..honest(&tee, &guest) }.ask());
    let found = Question { policy: draft.clone(), ..honest(&tee, &guest) }.trusted();
    assert_eq!(found.draft(), draft);
    let mut other = guest.clone();
    other.event_mut("compose-hash").payload[0] ^= 1;
    other.mr_config_id = [0; 48];
    Question { policy: draft, ..honest(&tee, &other) }.refused("MEASUREMENT_MISMATCH", "td_mr_config_id");
}

#[test]
fn another_guest_in_a_trust_domain_is_measured_by_its_registers() {
    let (tee, guest) = (SimTee::new(), Guest::booted(2));
    let bare = |policy: Value| Question { log: None, policy, ..of_client(&tee, &guest, |_| ()) };
    let draft = of(bare(measuring()).ask());
    assert_eq!(draft["type"], "tdx");
    bare(draft).trusted();
}

#[test]
fn guests_of_sev_snp_and_documents_of_aws_are_measured() {
    for machine in [Snp::new(Product::Milan, 3), Snp::new(Product::Genoa, 5), Snp::new(Product::Turin, 5)] {
        let question = machine.honest();
        let draft = question.trusted().draft();
        let found = snp::Question { policy: measuring(), ..question }.ask();
        assert_eq!(measured(&found.verdict, &found.status, found.results.unwrap().draft), draft);
    }
    let vlek = with_vlek(Snp::new(Product::Genoa, 3).with(0x48, &[1 << 2, 0, 0, 0]).honest());
    let draft = vlek.trusted().draft();
    let found = snp::Question { policy: measuring(), ..vlek }.ask();
    assert_eq!(measured(&found.verdict, &found.status, found.results.unwrap().draft), draft);
    let machine = nitro::Machine::new();
    for mut question in [machine.question(|_| ()), machine.tpm_question(|_| ())] {
        let draft = question.trusted().draft();
        question.rest.policy = measuring();
        let found = question.ask();
        assert_eq!(measured(&found.verdict, &found.status, found.results.unwrap().draft), draft);
    }
}

#[test]
fn what_is_wrong_is_said_instead() {
    let (tee, guest) = (SimTee::new(), Guest::booted(2));
    let question = || Question { policy: measuring(), ..honest(&tee, &guest) };
    let mut forged = question();
    let last = forged.quote.len() / 2;
    forged.quote[last] ^= 1;
    assert_eq!(forged.ask().status, "QUOTE_INVALID");
    // Of another session.
    let other = Question { session: of_client(&tee, &guest, |_| ()).session, ..question() };
    other.refused("BINDING_MISMATCH", "report_data");
    let mut open = guest.clone();
    open.td_attributes[0] = 1;
    let found = Question { policy: measuring(), ..honest(&tee, &open) }.refused("MEASUREMENT_MISMATCH", "measured");
    assert!(found.message.contains("look into"), "{found:?}");
    let expired = Question { now: question().now + 400 * 86400, ..question() }.ask();
    assert_eq!(expired.status, "COLLATERAL_INVALID", "{expired:?}");
    let not_allowed = Question { policy: json!({"measuring": {}}), ..question() }.ask();
    assert_eq!(not_allowed.status, "TRUST_ANCHOR");
}

/// Not only measured: this status in the line `measured`, and no draft.
#[track_caller]
fn objected(question: &Question, status: &str, why: &str) {
    let found = Question { policy: measuring(), ..copy(question) }.refused(status, "measured");
    assert!(found.message.contains(why), "{found:?}");
    assert_eq!(found.verdict["trusted"], false);
    let refused = found.results.unwrap().draft.unwrap_err();
    assert!(refused.contains("not to be believed") || refused.contains("names no application"), "{refused}");
}

fn copy(question: &Question) -> Question {
    let session = match &question.session {
        Session::None => Session::None,
        Session::Atlas { leaf } => Session::Atlas { leaf: leaf.clone() },
        Session::Client { server_leaf, client_leaf } => {
            Session::Client { server_leaf: server_leaf.clone(), client_leaf: client_leaf.clone() }
        }
    };
    Question {
        quote: question.quote.clone(),
        log: question.log.clone(),
        stored: question.stored.clone(),
        collateral: question.collateral.clone(),
        policy: question.policy.clone(),
        root: question.root.clone(),
        session,
        now: question.now,
    }
}

#[test]
fn a_log_that_is_not_the_quotes_is_never_only_measured() {
    let (tee, guest) = (SimTee::new(), Guest::booted(2));
    for question in [honest(&tee, &guest), of_client(&tee, &guest, |_| ())] {
        let with = |change: &dyn Fn(&mut Vec<Value>)| {
            let mut log: Vec<Value> = serde_json::from_str(question.log.as_deref().unwrap()).unwrap();
            change(&mut log);
            Question { log: Some(json!(log).to_string()), ..copy(&question) }
        };
        let at = |log: &[Value], name: &str| log.iter().position(|event| event["event"] == name).unwrap();
        let forged = with(&|log| {
            let compose = at(log, "compose-hash");
            log[compose]["event_payload"] = "22".repeat(32).into();
            log[compose]["digest"] = "44".repeat(48).into();
            log[compose]["preimage"] = Value::Null;
        });
        objected(&forged, "EVENT_LOG_INVALID", "does not follow from its payload");
        let recomputed = with(&|log| {
            let compose = at(log, "compose-hash");
            (log[compose]["event_payload"], log[compose]["digest"]) = ("22".repeat(32).into(), "".into());
            log[compose].as_object_mut().unwrap().remove("preimage");
        });
        objected(&recomputed, "EVENT_LOG_INVALID", "rtmr3");
        let cut = with(&|log| drop(log.remove(at(log, "app-id"))));
        objected(&cut, "EVENT_LOG_INVALID", "rtmr3");
        objected(&with(&|log| log.truncate(3)), "EVENT_LOG_INVALID", "rtmr3");
        objected(&with(&|log| log[1]["digest"] = "33".repeat(48).into()), "EVENT_LOG_INVALID", "rtmr1");
        objected(&Question { log: Some("there is none".into()), ..copy(&question) }, "EVENT_LOG_INVALID", "event_log");
    }
}

#[test]
fn a_log_that_names_no_application_or_an_odd_order_is_not_passed_over() {
    let (tee, guest) = (SimTee::new(), Guest::booted(2));
    let mut nameless = guest.clone();
    nameless.events.retain(|event| event.name != "compose-hash");
    nameless.mr_config_id = [0; 48];
    objected(&honest(&tee, &nameless), "MEASUREMENT_MISMATCH", "names no application");
    let twice = of_client(&tee, &guest, |guest| guest.emit(2, "app-id", &[7; 20]));
    objected(&twice, "EVENT_LOG_INVALID", "event_order");
}

/// A client that proves itself by exporter-v1 and shows a certificate, with this certificate event in its log.
fn of_certified_client(tee: &SimTee, payload: impl FnOnce(&[u8], &mut Guest)) -> Question {
    let (server_leaf, client_leaf) =
        (tee.web_certificate(&["localhost"], -1, 1).0, tee.web_certificate(&["client"], -1, 1).0);
    let mut guest = Guest::booted(2);
    payload(&client_leaf, &mut guest);
    let binder = Binder {
        role: b'C',
        nonce: NONCE.to_vec(),
        exporter: EXPORTER,
        attester: Some(client_leaf.clone()),
        verifier: Some(server_leaf.clone()),
        server_name: "localhost".into(),
    };
    Question {
        quote: guest.quote(tee, &binder.report_data()),
        log: Some(guest.log().to_string()),
        policy: measuring(),
        session: Session::Client { server_leaf, client_leaf },
        ..honest(tee, &guest)
    }
}

#[test]
fn a_log_that_names_another_certificate_is_not_passed_over() {
    let tee = SimTee::new();
    let draft = of(of_certified_client(&tee, |leaf, guest| guest.emit_certificate(leaf)).ask());
    assert_eq!((&draft["type"], &draft["identity"]), (&json!("dstack_tdx"), &Value::Null));
    let draft = of(of_certified_client(&tee, |_, _| ()).ask());
    assert_eq!((&draft["type"], &draft["identity"]["require_key_event"]), (&json!("dstack_tdx"), &json!(false)));
    let other = of_certified_client(&tee, |_, guest| guest.emit_certificate(b"another certificate"));
    objected(&other, "BINDING_MISMATCH", "certificate_event");
    for words in ["no certificate event", "no certificate was shown", "there is none", ""] {
        let other = of_certified_client(&tee, |_, guest| guest.emit(2, "New TLS Certificate", words.as_bytes()));
        objected(&other, "BINDING_MISMATCH", "certificate_event");
    }
}

#[test]
fn a_device_of_which_nothing_can_be_drafted_is_said_in_a_verdict() {
    // Zero is what was not measured, so there is nothing to pin.
    let mut question = Composite::bent(|report| report.measurements.iter_mut().for_each(|(_, value)| value.fill(0)));
    question.machine.rest.policy = measuring();
    let found = question.refused("MEASUREMENT_MISMATCH", "measured");
    assert!(found.message.contains("would not be valid") && found.message.contains("gpu"), "{found:?}");
}

#[test]
fn settings_are_those_of_a_policy_without_members() {
    for (settings, status, message) in [
        (json!({}), "OK", ""),
        (json!({"binding": {"timeout_ms": 500}, "collateral": {"sources": ["https://pccs.example"]}}), "OK", ""),
        (json!({"version": 1, "binding": null, "identity": null}), "OK", ""),
        (json!({"binding": {"protocols": ["atlas-v1"]}}), "OK", ""),
        (json!({"binding": {"protocols": ["exporter-v1"]}}), "OK", ""),
        (json!({"binding": {"protocols": ["ra-tls"]}, "ra_tls": {"formats": ["dstack"], "max_age_s": 3600}}), "OK", ""),
        (
            json!({"binding": {"protocols": ["atlas-v1", "ra-tls"]}, "ra_tls": {"formats": ["dstack"], "max_age_s": 3600}}),
            "OK",
            "",
        ),
        (json!({"binding": {"protocols": ["ra-tls"]}}), "POLICY_INVALID", "policy.binding.protocols: ra-tls is there"),
        (json!({"binding": {"protocols": ["atlas-v2"]}}), "POLICY_INVALID", "\"atlas-v2\" is unknown"),
        (json!({"binding": {"protocols": ["atlas-v1", "x"]}}), "POLICY_INVALID", "\"x\" is unknown"),
        (json!({"identity": {"require_key_event": true}}), "POLICY_INVALID", "settings.identity.require_key_event: "),
        (json!({"identity": {"require_key_event": false}}), "POLICY_INVALID", "settings.identity.require_key_event: "),
        (json!({"type": "snp"}), "POLICY_INVALID", "settings.type: unknown field, known are version, binding"),
        (json!({"any_of": []}), "POLICY_INVALID", "settings.any_of"),
        (json!({"gpu": {"required": 1}}), "POLICY_INVALID", "settings.gpu"),
        (json!({"binding": {"timeout_ms": 0}}), "POLICY_INVALID", "policy.binding.timeout_ms"),
        (json!({"binding": 7}), "POLICY_INVALID", "policy.binding"),
        (json!([]), "POLICY_INVALID", "settings: is not an object"),
    ] {
        let (mut policy, mut error) = (null_mut(), null_mut());
        unsafe {
            let found = parse_policy(&json!({ "measuring": settings }), &mut policy, &mut error);
            assert_eq!(text(atls_status_name(found)), status, "{settings}");
            let said = text(atls_error_message(error));
            assert!(said.contains(message), "{settings}: {said}");
            atls_policy_free(policy);
            atls_error_free(error);
        }
    }
}

#[test]
fn machines_of_azure_enclaves_and_gpus_are_measured() {
    for hardware in [Hardware::Tdx, Hardware::Snp] {
        let question = azure_machine::honest(hardware);
        let draft = question.trusted().draft();
        let found = azure::Question { policy: measuring(), ..question }.ask();
        let of_measured = measured(&found.verdict, &found.status, found.results.unwrap().draft);
        // The certificate of the TPM's key was looked at, so the draft asks for it; and the paravisor is pinned beside it.
        assert_eq!(of_measured, draft);
    }
    let tee = SimTee::new();
    let question = enclave::question(&tee, |_| ());
    let draft = question.trusted().draft();
    assert_eq!(of(Question { policy: measuring(), ..question }.ask()), draft);
    let mut honest = Composite::honest();
    let draft = honest.trusted().draft();
    honest.machine.rest.policy = measuring();
    let found = honest.ask();
    let of_measured = measured(&found.verdict, &found.status, found.results.unwrap().draft);
    assert_eq!((&of_measured["gpu"], &of_measured["pcrs"]), (&draft["gpu"], &draft["pcrs"]));
    // A device that is not genuine.
    *honest.device(0) = Nvidia::weak().gpu("1").honest(&session_nonce());
    let found = honest.ask();
    assert_eq!((found.status.as_str(), found.check.as_str()), ("QUOTE_INVALID", "nvidia[0].chain"));
}
