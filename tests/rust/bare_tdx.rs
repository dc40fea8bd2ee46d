//! TDX guests without dstack, under the policy type `tdx`: each thing that they could lie about, and the check that must notice, offline and on connections.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use serde_json::{Value, json};
use simtee::collateral::Issue;
use simtee::exporter::Binder;
use simtee::{Guest, SimTee, hex};
use support::offline::{EXPORTER, NONCE, Question, Session, honest, of_client, policy_refused};
use support::{World, echo};

const REGISTERS: [&str; 5] = ["mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"];

/// What a policy pins of this guest.
fn pins(guest: &Guest) -> Value {
    let rtmr = guest.rtmr();
    json!({"mrtd": hex(&guest.mrtd), "rtmr0": hex(&rtmr[0]), "rtmr1": hex(&rtmr[1]), "rtmr2": hex(&rtmr[2]), "rtmr3": hex(&rtmr[3])})
}

fn policy(sets: Value) -> Value {
    json!({"type": "tdx", "measurements": sets, "allow_simulated": true})
}

/// The truth about a guest whose quote comes alone; `change` comes before the quote, and not into the policy.
fn bare(tee: &SimTee, change: impl FnOnce(&mut Guest)) -> Question {
    let guest = Guest::booted(2);
    Question { log: None, policy: policy(json!([pins(&guest)])), ..of_client(tee, &guest, change) }
}

fn outcome<'a>(verdict: &'a Value, name: &str) -> &'a Value {
    let checks = verdict["checks"].as_array().expect("checks");
    &checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name}: {verdict}"))["outcome"]
}

#[test]
fn a_quote_alone_is_trusted_if_its_registers_are_the_policys() {
    let tee = SimTee::new();
    let mut question = bare(&tee, |_| ());
    let found = question.trusted();
    assert_eq!(found.verdict["tee_type"], "tdx");
    for name in ["quote", "debug", "service_td", "tcb_status", "report_data", "measurement"] {
        assert_eq!(outcome(&found.verdict, name), "pass", "{name}");
    }
    // What the policy says nothing about, the verdict shows.
    for name in ["rtmr0", "rtmr3"] {
        question.policy["measurements"][0].as_object_mut().unwrap().remove(name);
        assert_eq!(outcome(&question.trusted().verdict, name), "skipped");
    }
}

#[test]
fn each_register_counts() {
    let tee = SimTee::new();
    for name in REGISTERS {
        let mut other = bare(&tee, |_| ());
        other.policy["measurements"][0][name] = "ee".repeat(48).into();
        let found = other.refused("MEASUREMENT_MISMATCH", "measurement");
        assert!(found.message.starts_with(name), "{found:?}");
    }
}

#[test]
fn registers_of_two_sets_do_not_make_one() {
    let tee = SimTee::new();
    let mut question = bare(&tee, |_| ());
    let right = question.policy["measurements"][0].clone();
    let (mut first, mut second) = (right.clone(), right.clone());
    first["rtmr1"] = "ee".repeat(48).into();
    second["rtmr2"] = "ee".repeat(48).into();
    question.policy["measurements"] = json!([first, second]);
    question.refused("MEASUREMENT_MISMATCH", "measurement");
    question.policy["measurements"] = json!([first, second, right]);
    question.trusted();
}

#[test]
fn firmware_alone_is_enough_only_if_the_policy_says_so_in_words() {
    let tee = SimTee::new();
    let mut question = bare(&tee, |_| ());
    question.policy["measurements"] = json!([{"mrtd": hex(&Guest::booted(2).mrtd)}]);
    question.policy["firmware_only"] = true.into();
    let found = question.trusted();
    for name in &REGISTERS[1..] {
        assert_eq!(outcome(&found.verdict, name), "skipped", "{name}");
    }
    // What is pinned all the same counts.
    question.policy["measurements"][0]["rtmr2"] = "ee".repeat(48).into();
    question.refused("MEASUREMENT_MISMATCH", "measurement");
}

#[test]
fn policies_that_pin_too_little() {
    let full = pins(&Guest::booted(2));
    let without = |name: &str| {
        let mut set = full.clone();
        set.as_object_mut().unwrap().remove(name);
        json!({"type": "tdx", "measurements": [full, set]})
    };
    let zero = |name: &str| {
        let mut set = full.clone();
        set[name] = "00".repeat(48).into();
        json!({"type": "tdx", "measurements": [full, set]})
    };
    let with = |name: &str, value: Value| {
        let mut document = json!({"type": "tdx", "measurements": [full]});
        document[name] = value;
        document
    };
    for (document, status, path) in [
        (json!({"type": "tdx"}), "POLICY_INVALID", "policy.measurements:"),
        (json!({"type": "tdx", "firmware_only": true}), "POLICY_INVALID", "policy.measurements:"),
        (with("measurements", json!([])), "POLICY_INVALID", "policy.measurements:"),
        (with("measurements", json!([{}])), "POLICY_INVALID", "policy.measurements[0].mrtd:"),
        (without("mrtd"), "POLICY_INVALID", "policy.measurements[1].mrtd:"),
        (without("rtmr1"), "POLICY_INVALID", "policy.measurements[1].rtmr1:"),
        (without("rtmr2"), "POLICY_INVALID", "policy.measurements[1].rtmr2:"),
        (zero("rtmr1"), "POLICY_INVALID", "policy.measurements[1].rtmr1:"),
        (zero("rtmr2"), "POLICY_INVALID", "policy.measurements[1].rtmr2:"),
        (with("app_compose_hash", json!(["00".repeat(32)])), "POLICY_INVALID", "policy.app_compose_hash:"),
        (with("disable_runtime_verification", true.into()), "POLICY_INVALID", "policy.disable_runtime_verification:"),
        (with("binding", json!({"protocols": ["atlas-v1"]})), "POLICY_INVALID", "policy.binding.protocols:"),
        (with("identity", json!({"require_key_event": true})), "POLICY_INVALID", "policy.identity.require_key_event:"),
        (with("ccel", json!({"require": 7})), "POLICY_INVALID", "policy.ccel.require:"),
    ] {
        let (found, message) = policy_refused(&document).unwrap_or_else(|| panic!("{document} was accepted"));
        assert!(found == status && message.starts_with(path), "{document}: {found} {message}");
    }
    assert_eq!(policy_refused(&without("rtmr3")), None);
    assert_eq!(policy_refused(&without("rtmr0")), None);
}

#[test]
fn debug_and_service_trust_domains() {
    let tee = SimTee::new();
    for byte in [0x01, 0x10, 0x20, 0x40] {
        let mut question = bare(&tee, |guest| guest.td_attributes[0] |= byte);
        question.refused("MEASUREMENT_MISMATCH", "debug");
        question.policy["td"] = json!({"allow_debug": true});
        question.trusted();
    }
    bare(&tee, |guest| guest.mr_service_td = [7; 48]).refused("MEASUREMENT_MISMATCH", "service_td");
    bare(&tee, |guest| guest.td_attributes[2] |= 2).refused("MEASUREMENT_MISMATCH", "service_td");
}

#[test]
fn rules_about_domain_and_platform_are_those_of_dstack_guests() {
    let tee = SimTee::new();
    let ask = |extra: Value, issue: Issue| {
        let mut question = bare(&tee, |_| ());
        question.collateral = tee.collateral_json(&issue);
        question.policy.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        question
    };
    let old = || Issue { status: "OutOfDate", advisories: vec!["INTEL-SA-00837"], ..Issue::default() };
    ask(json!({}), old()).refused("TCB_REJECTED", "tcb_status");
    let both = json!(["UpToDate", "OutOfDate"]);
    ask(json!({"allowed_tcb_status": both}), old()).trusted();
    ask(json!({"allowed_tcb_status": both, "grace_period": 86400}), old()).refused("TCB_REJECTED", "tcb_grace_period");
    let rejected = json!({"allowed_tcb_status": both, "tcb": {"rejected_advisories": ["INTEL-SA-00837"]}});
    ask(rejected, old()).refused("TCB_REJECTED", "tcb_advisories");
    let now = Issue::default;
    ask(json!({"tcb": {"min_evaluation_number": 20}}), now()).refused("TCB_REJECTED", "tcb_evaluation");
    let (ppid, zeros) = (json!(["0f".repeat(16)]), json!(["00".repeat(48)]));
    ask(json!({"hardware": {"allowed_ppid": ppid}}), now()).refused("MEASUREMENT_MISMATCH", "hardware_ppid");
    ask(json!({"td": {"mr_config_id": zeros}}), now()).refused("MEASUREMENT_MISMATCH", "td_mr_config_id");
    let masked = json!({"mask": "ff00000000000000", "value": "0100000000000000"});
    ask(json!({"td": {"attributes": masked}}), now()).refused("MEASUREMENT_MISMATCH", "td_attributes");
    // Documents that have ended, or are of another platform.
    let ended = Issue { expires: -1, issued: -3, ..Issue::default() };
    assert_eq!(ask(json!({}), ended).ask().status, "COLLATERAL_INVALID");
    let other = Issue { fmspc: [7; 6], ..Issue::default() };
    assert_ne!(ask(json!({}), other).ask().status, "OK");
}

#[test]
fn the_binder_of_another_kind_or_session() {
    let tee = SimTee::new();
    let question = bare(&tee, |_| ());
    let Session::Client { server_leaf, .. } = &question.session else { panic!("a client") };
    let binder = || Binder {
        role: b'C',
        nonce: NONCE.to_vec(),
        exporter: EXPORTER,
        attester: None,
        verifier: Some(server_leaf.clone()),
        server_name: "localhost".into(),
    };
    let bound_to = |report_data: [u8; 64]| Question {
        quote: Guest::booted(2).quote(&tee, &report_data),
        session: Session::Client { server_leaf: server_leaf.clone(), client_leaf: vec![] },
        ..bare(&tee, |_| ())
    };
    bound_to(binder().report_data_of([0, 1])).trusted();
    for code in [[0, 0], [0, 2], [0, 3], [0, 4], [0, 0x11], [0, 0x21], [1, 0], [0xff, 0xff]] {
        bound_to(binder().report_data_of(code)).refused("BINDING_MISMATCH", "report_data");
    }
    let reflected = Binder { role: b'S', ..binder() };
    bound_to(reflected.report_data()).refused("BINDING_MISMATCH", "report_data");
    bound_to([0; 64]).refused("BINDING_MISMATCH", "report_data");
}

#[test]
fn atlas_v1_does_not_bind_a_guest_without_a_log() {
    let tee = SimTee::new();
    let guest = Guest::booted(2);
    // True in every way, and trusted as the dstack guest that it is.
    let dstack = honest(&tee, &guest);
    dstack.trusted();
    let mut with_event = guest.clone();
    let Session::Atlas { leaf } = &dstack.session else { panic!("atlas-v1") };
    with_event.emit_certificate(leaf);
    let question = Question { policy: policy(json!([pins(&with_event)])), ..honest(&tee, &guest) };
    let found = question.refused("BINDING_MISMATCH", "report_data");
    assert!(found.message.contains("atlas-v1"), "{found:?}");
}

#[test]
fn no_log_is_read() {
    let tee = SimTee::new();
    for log in ["[]", "nothing", r#"[{"imr":3,"event":"compose-hash","event_payload":"00"}]"#] {
        let question = Question { log: Some(log.into()), ..bare(&tee, |_| ()) };
        let found = question.trusted();
        assert_eq!(found.verdict.get("application").and_then(Value::as_object).map_or(0, |shown| shown.len()), 0);
    }
}

/// A policy of both types, where the first wants the application and the second this kernel.
fn mixed(guest: &Guest) -> Value {
    let mut dstack = guest.policy("");
    for top in ["allow_simulated", "pccs_url", "cache_collateral"] {
        dstack.as_object_mut().unwrap().remove(top);
    }
    json!({"any_of": [dstack, {"type": "tdx", "measurements": [pins(guest)]}], "allow_simulated": true})
}

#[test]
fn two_types_of_one_kind_do_not_lend_each_other_what_they_lack() {
    let tee = SimTee::new();
    let guest = Guest::booted(2);
    let mut question = Question { policy: mixed(&guest), ..bare(&tee, |_| ()) };
    question.policy["identity"] = json!({"require_key_event": false});
    assert_eq!(question.trusted().verdict["accepted_member"], 1);
    // The guest has the log as well.
    question.log = Some(guest.log().to_string());
    assert_eq!(question.trusted().verdict["accepted_member"], 0);
    // Another application, and another kernel in the second member: each holds what the other one lacks.
    question.policy["any_of"][0]["app_compose"] = "another".into();
    question.policy["any_of"][1]["measurements"][0]["rtmr1"] = "ee".repeat(48).into();
    let found = question.ask();
    assert_eq!((&*found.status, &*found.check), ("MEASUREMENT_MISMATCH", "any_of[0].app_compose"), "{found:?}");
    assert_eq!(outcome(&found.verdict, "any_of[1].measurement"), "fail");
}

/// A server that has no log, and says what `change` makes of its answer.
fn server(change: impl Fn(&mut Value) + Send + Sync + 'static) -> World {
    let mut world = World::lying(move |session| {
        let mut answer: Value = serde_json::from_slice(&session.bound_to(&session.binder())).unwrap();
        answer["evidence"].as_object_mut().unwrap().remove("event_log");
        change(&mut answer);
        answer.to_string().into_bytes()
    });
    let mut set = pins(&Guest::booted(1));
    // The simulated guest measures its certificate, which differs from session to session.
    set.as_object_mut().unwrap().remove("rtmr3");
    let url = world.pccs.url.clone();
    world.policy = policy(json!([set]));
    world.policy["pccs_url"] = url.into();
    world.policy["cache_collateral"] = true.into();
    world
}

#[test]
fn a_server_without_a_log_is_asked_by_exporter_v1() {
    let world = server(|_| ());
    let stream = world.connect().unwrap_or_else(|refusal| panic!("{refusal:?}"));
    echo(&stream, b"to the guest");
    let heads = world.server.recorded.lock().unwrap();
    assert!(heads[0].starts_with(b"POST /atls/exporter-v1 HTTP/1.1\r\n"));
}

#[test]
fn servers_that_are_not_what_the_policy_names() {
    let mut world = server(|_| ());
    world.policy["measurements"][0]["rtmr1"] = "ee".repeat(48).into();
    assert_eq!(world.refused("MEASUREMENT_MISMATCH").check, "measurement");
    for kind in ["snp", "sgx", "nitro", "TDX", ""] {
        server(move |answer| answer["tee"] = kind.into()).refused("EVIDENCE_INVALID");
    }
    server(|answer| answer["evidence"] = json!({})).refused("EVIDENCE_INVALID");
    let elsewhere = server(|answer| {
        let quote = Guest::booted(1).quote(&SimTee::new(), &[7; 64]);
        answer["evidence"]["quote"] = hex(&quote).into();
    });
    elsewhere.refused("QUOTE_INVALID");
}

#[test]
fn one_policy_for_a_fleet_with_and_without_dstack() {
    let mut world = server(|_| ());
    let mut fleet = mixed(&Guest::booted(1));
    fleet["any_of"][1] = json!({"type": "tdx", "measurements": world.policy["measurements"]});
    fleet["collateral"] = json!({"sources": [world.pccs.url]});
    world.policy = fleet;
    let stream = world.connect().unwrap_or_else(|refusal| panic!("{refusal:?}"));
    echo(&stream, b"to either");
    world.policy["any_of"][1]["measurements"][0]["rtmr2"] = "ee".repeat(48).into();
    let refusal = world.refused_after(&world.policy, "EVENT_LOG_INVALID");
    assert_eq!(refusal.check, "any_of[0].event_log");
}
