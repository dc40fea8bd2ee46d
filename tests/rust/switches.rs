//! One test for each check of the judgement that could be switched off: evidence that is true but for one thing, and the check that must notice.

mod support;

use serde_json::{Value, json};
use simtee::guest::{answer, report_data};
use simtee::{Guest, SimTee};
use support::World;
use support::offline::{Question, Session, honest, of_client};

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

/// A question about `guest` under the policy of the one that it was made of.
fn pinned(tee: &SimTee, change: impl FnOnce(&mut Guest)) -> Question {
    let mut guest = Guest::booted(1);
    let policy = guest.policy("");
    change(&mut guest);
    Question { policy, ..honest(tee, &guest) }
}

#[test]
fn each_register_of_a_boot_chain() {
    let tee = SimTee::new();
    let found = pinned(&tee, |guest| guest.mrtd = [0xee; 48]).refused("MEASUREMENT_MISMATCH", "bootchain");
    assert!(found.message.starts_with("mrtd "), "{found:?}");
    for register in 0..3 {
        let question = pinned(&tee, |guest| guest.events[register].digest = Some([0xee; 48]));
        let found = question.refused("MEASUREMENT_MISMATCH", "bootchain");
        assert!(found.message.starts_with(&format!("rtmr{register} ")), "{found:?}");
    }
}

#[test]
fn registers_of_two_boot_chains_do_not_make_one() {
    let tee = SimTee::new();
    for register in ["mrtd", "rtmr0", "rtmr1", "rtmr2"] {
        let mut question = honest(&tee, &Guest::booted(1));
        let mut chain = question.policy["expected_bootchain"].take();
        let true_value = chain[register].take();
        let mut other = json!({"mrtd": "ee".repeat(48), "rtmr0": "ee".repeat(48), "rtmr1": "ee".repeat(48), "rtmr2": "ee".repeat(48)});
        other[register] = true_value;
        chain[register] = "ee".repeat(48).into();
        question.policy["bootchains"] = json!([chain, other]);
        question.refused("MEASUREMENT_MISMATCH", "bootchain");
    }
}

/// A guest whose application recorded `events`, and a policy with this rule.
fn ruled(tee: &SimTee, events: &[(&str, &[u8])], rule: Value) -> Question {
    let mut guest = Guest::booted(1);
    events.iter().for_each(|(name, payload)| guest.emit(1, name, payload));
    let mut question = honest(tee, &guest);
    question.policy["events"] = json!([rule]);
    question
}

#[test]
fn an_event_that_must_come_before_another() {
    let tee = SimTee::new();
    let rule = json!({"name": "weights", "before": "serving"});
    let ask = |events: &[(&str, &[u8])]| ruled(&tee, events, rule.clone());
    ask(&[("weights", b"w"), ("serving", b"")]).trusted();
    ask(&[("serving", b""), ("weights", b"w")]).refused("MEASUREMENT_MISMATCH", "event:weights");
    ask(&[("weights", b"w")]).refused("MEASUREMENT_MISMATCH", "event:weights");
    // The first of the later ones counts.
    let again = ask(&[("serving", b""), ("weights", b"w"), ("serving", b"")]);
    again.refused("MEASUREMENT_MISMATCH", "event:weights");
}

#[test]
fn an_event_with_another_payload_or_number() {
    let tee = SimTee::new();
    let digest = simtee::hex(&atls::attest::hash::sha256(b"w"));
    let rule = json!({"name": "weights", "payload_sha256": digest});
    ruled(&tee, &[("weights", b"w")], rule.clone()).trusted();
    ruled(&tee, &[("weights", b"x")], rule.clone()).refused("MEASUREMENT_MISMATCH", "event:weights");
    ruled(&tee, &[], rule.clone()).refused("MEASUREMENT_MISMATCH", "event:weights");
    ruled(&tee, &[("weights", b"w"), ("weights", b"w")], rule).refused("MEASUREMENT_MISMATCH", "event:weights");
    let twice = json!({"name": "weights", "count": 2, "payload_sha256": digest});
    ruled(&tee, &[("weights", b"w"), ("weights", b"w")], twice.clone()).trusted();
    // Every one of them, not the first.
    let second = ruled(&tee, &[("weights", b"w"), ("weights", b"x")], twice);
    second.refused("MEASUREMENT_MISMATCH", "event:weights");
    let never = json!({"name": "shell", "count": 0});
    ruled(&tee, &[], never.clone()).trusted();
    ruled(&tee, &[("shell", b"")], never).refused("MEASUREMENT_MISMATCH", "event:shell");
}

#[test]
fn a_pinned_mr_config_id() {
    let tee = SimTee::new();
    let guest = Guest::booted(1);
    let ask = |pins: Value| {
        let mut question = honest(&tee, &guest);
        question.policy["td"] = json!({"mr_config_id": pins});
        question
    };
    ask(json!(["00".repeat(48), simtee::hex(&guest.mr_config_id)])).trusted();
    ask(json!(["00".repeat(48)])).refused("MEASUREMENT_MISMATCH", "td_mr_config_id");
}

#[test]
fn an_mr_config_id_that_nobody_can_read_where_one_is_required() {
    let tee = SimTee::new();
    let mut guest = Guest::booted(1);
    guest.mr_config_id[0] = 3;
    let mut question = honest(&tee, &guest);
    question.trusted();
    question.policy["require_mr_config_id"] = true.into();
    question.refused("MEASUREMENT_MISMATCH", "mr_config_id");
    // None at all is no better.
    guest.mr_config_id = [0; 48];
    let policy = question.policy;
    Question { policy, ..honest(&tee, &guest) }.refused("MEASUREMENT_MISMATCH", "mr_config_id");
}

#[test]
fn a_quote_without_its_log_where_the_policy_asks_for_what_only_the_log_has() {
    let tee = SimTee::new();
    let ask = |extra: Value| {
        let mut question = of_client(&tee, &Guest::booted(1), |_| ());
        question.log = None;
        question.policy = json!({
            "type": "dstack_tdx", "disable_runtime_verification": true, "allow_simulated": true,
            "bootchains": [question.policy["expected_bootchain"]],
            "binding": {"protocols": ["exporter-v1"]}, "identity": {"require_key_event": false},
        });
        question.policy.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        question
    };
    ask(json!({})).trusted();
    let compose = simtee::guest::APP_COMPOSE;
    for demand in [
        json!({"identity": {"require_key_event": true}}),
        json!({"app_compose": compose}),
        json!({"os_image_hash": simtee::hex(&simtee::guest::OS_IMAGE_HASH)}),
        json!({"app_id": [simtee::hex(&atls::attest::hash::sha256(compose.as_bytes())[..20])]}),
        json!({"key_provider": {"name": "kms"}}),
        json!({"events": [{"name": "system-ready"}]}),
        json!({"require_mr_config_id": true}),
    ] {
        let question = ask(demand.clone());
        let found = question.ask();
        assert_eq!((&*found.status, &*found.check), ("EVENT_LOG_INVALID", "event_log"), "{demand}: {found:?}");
        // With the log, each is met, but for the certificate that a client without one cannot have.
        let with_log = Question { log: of_client(&tee, &Guest::booted(1), |_| ()).log, ..question };
        let status = if demand.get("identity").is_some() { "BINDING_MISMATCH" } else { "OK" };
        assert_eq!(with_log.ask().status, status, "{demand}");
    }
    // Its boot chain is in the quote itself.
    let mut other = ask(json!({}));
    other.policy["bootchains"][0]["rtmr2"] = "ee".repeat(48).into();
    other.refused("MEASUREMENT_MISMATCH", "bootchain");
}

#[test]
fn a_service_td_is_refused_unless_the_policy_allows_it() {
    let bound: [fn(&mut Guest); 2] = [|guest| guest.mr_service_td = [7; 48], |guest| guest.td_attributes[2] |= 2];
    for change in bound {
        let world = World::with_guest(|guest| {
            guest.td15 = true;
            change(guest);
        });
        assert_eq!(world.refused("MEASUREMENT_MISMATCH").check, "service_td");
        let mut policy = world.policy.clone();
        policy["td"] = json!({"allow_service_td": true});
        assert!(world.connect_with(&policy, |_| ()).is_ok());
    }
    // A report of TDX 1.0 has no place for its measurement: no policy can allow it.
    let mut world = World::with_guest(|guest| guest.td_attributes[2] |= 2);
    world.policy["td"] = json!({"allow_service_td": true});
    assert_eq!(world.refused("MEASUREMENT_MISMATCH").check, "td_attributes");
}

#[test]
fn a_td_that_its_host_can_disturb_or_move() {
    for (byte, bit) in [(3, 0x10), (3, 0x20), (4, 0x01)] {
        for td15 in [false, true] {
            let mut world = World::with_guest(|guest| {
                guest.td15 = td15;
                guest.td_attributes[byte] ^= bit;
            });
            world.policy["td"] = json!({"allow_debug": true, "allow_service_td": true});
            assert_eq!(world.refused("MEASUREMENT_MISMATCH").check, "td_attributes", "byte {byte} bit {bit:#x}");
        }
    }
}

/// An answer whose text is changed after it was written.
fn rewritten(change: impl Fn(String) -> String + Send + Sync + 'static) -> World {
    World::lying(move |session| change(String::from_utf8(session.honest()).unwrap()).into_bytes())
}

/// An honest quote beside a log whose text is changed.
fn relogged(change: impl Fn(String) -> String + Send + Sync + 'static) -> World {
    World::lying(move |session| {
        let mut guest = session.guest.clone();
        guest.emit_certificate(&session.leaf);
        let quote = guest.quote(&session.tee, &report_data(&session.nonce, &session.exporter));
        let mut answer = answer(&quote, &guest.log());
        let log = change(guest.log().to_string());
        answer["quote"]["event_log"] = log.into();
        answer.to_string().into_bytes()
    })
}

fn replaced(text: String, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} in {text}");
    text.replacen(from, to, 1)
}

#[test]
fn members_that_are_given_twice() {
    let world = rewritten(|text| replaced(text, r#""quote":{"#, r#""quote":{"quote":"00","#));
    world.refused("EVIDENCE_INVALID");
    let world = rewritten(|text| replaced(text, r#""success":true"#, r#""success":true,"success":true"#));
    world.refused("EVIDENCE_INVALID");
    for member in [r#""event":"compose-hash""#, r#""imr":3"#, r#""event_type":134217729"#] {
        let world = relogged(move |text| replaced(text, member, &format!("{member},{member}")));
        assert_eq!(world.refused("EVENT_LOG_INVALID").check, "event_log", "{member}");
    }
}

#[test]
fn numbers_written_as_text_are_refused() {
    for (from, to) in [
        (r#""imr":3"#, r#""imr":"3""#),
        (r#""imr":0"#, r#""imr":"0""#),
        (r#""event_type":134217729"#, r#""event_type":"134217729""#),
        (r#""imr":3"#, r#""imr":3.0"#),
    ] {
        let world = relogged(move |text| replaced(text, from, to));
        assert_eq!(world.refused("EVENT_LOG_INVALID").check, "event_log", "{to}");
    }
}

#[test]
fn system_ready_missing_or_twice() {
    let world = World::with_guest(|guest| guest.events.retain(|event| event.name != "system-ready"));
    assert_eq!(world.refused("EVENT_LOG_INVALID").check, "event_order");
    let world = World::with_guest(|guest| guest.emit(1, "system-ready", b""));
    assert_eq!(world.refused("EVENT_LOG_INVALID").check, "event_order");
}

#[test]
fn grace_of_the_quoting_enclave() {
    let world = World::honest();
    world.pccs.set(|knobs| knobs.issue.qe_status = "OutOfDate");
    let mut policy = world.policy.clone();
    policy["allowed_tcb_status"] = json!(["UpToDate", "OutOfDate"]);
    assert!(world.connect_with(&policy, |_| ()).is_ok());
    // Its TCB date is 100 days ago.
    policy["tcb"] = json!({"qe_grace_period": 99 * 86_400});
    assert_eq!(world.refused_after(&policy, "TCB_REJECTED").check, "qe_grace_period");
    policy["tcb"] = json!({"qe_grace_period": 101 * 86_400});
    assert!(world.connect_with(&policy, |_| ()).is_ok());
    // Without one of its own, that of the platform is meant.
    policy.as_object_mut().unwrap().remove("tcb");
    policy["grace_period"] = (99 * 86_400).into();
    assert_eq!(world.refused_after(&policy, "TCB_REJECTED").check, "qe_grace_period");
}

#[test]
fn a_quoting_enclave_that_is_revoked_or_too_old() {
    let changes: [fn(&mut simtee::collateral::Issue); 2] =
        [|issue| issue.qe_status = "Revoked", |issue| issue.qe_isvsvn = 9];
    for change in changes {
        let world = World::honest();
        world.pccs.set(|knobs| change(&mut knobs.issue));
        let mut policy = world.policy.clone();
        policy["allowed_tcb_status"] = json!(["UpToDate", "OutOfDate", "Revoked"]);
        assert_eq!(world.refused_with(&policy, "TCB_REJECTED").check, "quote");
    }
}

#[test]
fn a_tdx_module_that_is_missing_or_revoked() {
    let ask = |modules: &[(u8, &'static str)]| {
        let world = World::with_guest(|guest| guest.module_version = 1);
        world.pccs.set(|knobs| knobs.issue.modules = modules.to_vec());
        world
    };
    assert!(ask(&[(1, "UpToDate")]).connect().is_ok());
    assert_eq!(ask(&[]).refused("TCB_REJECTED").check, "quote");
    assert_eq!(ask(&[(2, "UpToDate")]).refused("TCB_REJECTED").check, "quote");
    assert_eq!(ask(&[(1, "Revoked")]).refused("TCB_REJECTED").check, "quote");
    assert_eq!(ask(&[(1, "OutOfDate")]).refused("TCB_REJECTED").check, "tcb_status");
}

#[test]
fn signers_on_the_roots_list() {
    let revoked = |change: fn(&mut simtee::collateral::Issue)| {
        let world = World::honest();
        world.pccs.set(|knobs| change(&mut knobs.issue));
        world
    };
    let refusal = revoked(|issue| issue.revoke_tcb_signer = true).refused("COLLATERAL_INVALID");
    assert!(refusal.message.contains("revocation list"), "{refusal:?}");
    assert_eq!(revoked(|issue| issue.revoke_pck_ca = true).refused("TCB_REJECTED").check, "quote");
    assert_eq!(revoked(|issue| issue.revoke_platform = true).refused("TCB_REJECTED").check, "quote");
}

#[test]
fn forged_revocation_lists() {
    for (part, name) in [("rootcacrl", "root_crl"), ("pckcrl", "pck_crl")] {
        let world = World::honest();
        world.pccs.set(|knobs| knobs.impostor = Some(part));
        let refusal = world.refused("COLLATERAL_INVALID");
        assert!(refusal.message.contains(name), "{refusal:?}");
    }
}

#[test]
fn a_simulators_root_needs_the_policys_consent_offline_too() {
    let tee = SimTee::new();
    let mut question = honest(&tee, &Guest::booted(1));
    question.policy["allow_simulated"] = false.into();
    question.refused("TRUST_ANCHOR", "");
}

#[test]
fn a_log_that_never_says_system_ready() {
    // Without a certificate event either, which would come too early.
    let tee = SimTee::new();
    let mut guest = Guest::booted(1);
    guest.events.retain(|event| event.name != "system-ready");
    let mut question = honest(&tee, &guest);
    question.session = Session::None;
    question.quote = guest.quote(&tee, &[0; 64]);
    question.log = Some(guest.log().to_string());
    question.refused("EVENT_LOG_INVALID", "event_order");
}
