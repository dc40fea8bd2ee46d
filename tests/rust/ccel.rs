//! TDX guests with a boot log: a real one; and each thing that a log could lie about, with the check that must notice.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use std::path::PathBuf;

use atls::attest::ccel::BootLog;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use simtee::ccel::{BootEvent, Log, NO_ACTION, SHA_256};
use simtee::{Guest, SimTee, hex};
use support::offline::{Question, Session, now, policy_refused};
use support::snp_guest::{binder_of, server};
use support::{World, echo};

/// All digests of a register, for a policy.
fn digests(log: &Log, register: u32) -> Value {
    log.extended(register).iter().map(|digest| Value::from(hex(digest))).collect()
}

/// A policy that knows the firmware by its measurement and the rest by what the log may have.
fn policy(log: &Log) -> Value {
    json!({
        "type": "tdx",
        "measurements": [{"mrtd": "11".repeat(48)}],
        "ccel": {
            "allowed_digests": {"rtmr0": digests(log, 0), "rtmr1": digests(log, 1), "rtmr2": digests(log, 2)},
            "required_digests": {"rtmr1": [hex(&log.extended(1)[0])], "rtmr2": digests(log, 2)},
        },
        "allow_simulated": true,
    })
}

/// The guest that has booted by `log`, showing `shown`, under a policy about `log`.
fn showing(tee: &SimTee, log: &Log, shown: Option<&[u8]>) -> Question {
    let quote = log.guest().quote(tee, &binder_of([0, 1]));
    let mut evidence = json!({"quote": hex(&quote)});
    if let Some(shown) = shown {
        evidence["ccel"] = STANDARD.encode(shown).into();
    }
    Question {
        quote: Vec::new(),
        log: None,
        stored: Some(json!({"tee": "tdx", "evidence": evidence})),
        collateral: tee.collateral_json(&Default::default()),
        policy: policy(log),
        root: Some(tee.root_der.clone()),
        session: Session::Client { server_leaf: server().to_vec(), client_leaf: Vec::new() },
        now: now(),
    }
}

fn honest(tee: &SimTee) -> Question {
    showing(tee, &Log::booted(), Some(&Log::booted().bytes()))
}

fn with(mut question: Question, ccel: Value) -> Question {
    question.policy["ccel"] = ccel;
    question
}

fn outcome<'a>(verdict: &'a Value, name: &str) -> &'a Value {
    let checks = verdict["checks"].as_array().expect("checks");
    &checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name}: {verdict}"))["outcome"]
}

#[test]
fn a_log_that_leads_to_the_registers_tells_what_booted() {
    let tee = SimTee::new();
    let found = honest(&tee).trusted();
    for name in ["ccel", "ccel_rtmr0", "ccel_rtmr1", "ccel_rtmr2", "ccel_digests", "measurement"] {
        assert_eq!(outcome(&found.verdict, name), "pass", "{name}");
    }
    assert_eq!(outcome(&found.verdict, "ccel_rtmr3"), "skipped");
    // With events of the running system too.
    let mut running = Log::booted();
    running.events.push(BootEvent::new(4, 0xd, b"an application"));
    let found = showing(&tee, &running, Some(&running.bytes())).trusted();
    assert_eq!(outcome(&found.verdict, "ccel_rtmr3"), "pass");
    // And beside registers that are pinned.
    let mut question = honest(&tee);
    let rtmr = Log::booted().guest().rtmr();
    question.policy["measurements"][0]["rtmr1"] = hex(&rtmr[1]).into();
    question.trusted();
    question.policy["measurements"][0]["rtmr1"] = "ee".repeat(48).into();
    question.refused("MEASUREMENT_MISMATCH", "measurement");
}

#[test]
fn a_log_that_is_not_there_or_not_asked_for() {
    let tee = SimTee::new();
    let log = Log::booted();
    let found = showing(&tee, &log, None).refused("EVENT_LOG_INVALID", "ccel");
    assert!(found.message.contains("none"), "{found:?}");
    let rtmr = log.guest().rtmr();
    let pinned = |question: Question| {
        let mut question = question;
        question.policy["measurements"][0] =
            json!({"mrtd": "11".repeat(48), "rtmr1": hex(&rtmr[1]), "rtmr2": hex(&rtmr[2])});
        question
    };
    with(pinned(showing(&tee, &log, None)), json!({})).refused("EVENT_LOG_INVALID", "ccel");
    with(pinned(showing(&tee, &log, None)), json!({"require": false})).trusted();
    // One that is there counts, wanted or not.
    with(pinned(showing(&tee, &log, Some(b"no log"))), json!({"require": false})).refused("EVENT_LOG_INVALID", "ccel");
    // A policy that says nothing of logs reads none.
    let mut silent = pinned(showing(&tee, &log, Some(b"no log")));
    silent.policy.as_object_mut().unwrap().remove("ccel");
    assert_eq!(outcome(&silent.trusted().verdict, "ccel"), "skipped");
}

#[test]
fn logs_that_cannot_be_read() {
    let tee = SimTee::new();
    let bent = |change: fn(&mut Log)| {
        let mut log = Log::booted();
        change(&mut log);
        showing(&tee, &Log::booted(), Some(&log.bytes())).refused("EVENT_LOG_INVALID", "ccel")
    };
    for (change, why) in [
        ((|log| log.events[4].register = 0) as fn(&mut Log), "register 0"),
        (|log| log.events[4].register = 5, "register 5"),
        (|log| log.events[1].register = 0, "register 0"),
        (|log| log.events[4].digests[0].0 = SHA_256, "algorithm 0x000b"),
        (
            |log| {
                log.algorithms = vec![(SHA_256, 32)];
                log.events.iter_mut().for_each(|event| event.digests = vec![(SHA_256, vec![1; 32])]);
            },
            "SHA-384",
        ),
        (|log| log.events.last_mut().unwrap().size = Some(1 << 20), "bytes wanted"),
        (|log| log.events.last_mut().unwrap().size = Some(u32::MAX), "bytes wanted"),
        (|log| log.events[0].count = Some(u32::MAX), "digests"),
        (|log| log.events[0].count = Some(0), "no digest of SHA-384"),
        (|log| log.padding = vec![0xff; 17].into_iter().chain([0]).collect(), "register"),
        (|log| log.padding = vec![7; 64], "register"),
        (|log| log.padding = vec![0; 1 << 20], "at most 1048576"),
        (
            |log| {
                let again = log.events[0].digests[0].clone();
                log.algorithms.push((SHA_256, 32));
                log.events[0].digests.push(again);
            },
            "two digests",
        ),
    ] {
        let found = bent(change);
        assert!(found.message.contains(why), "{why}: {found:?}");
    }
    for (text, why) in [("AAA", "base64"), ("AAA=\n", "base64"), ("AAB=", "base64"), ("-_8=", "base64")] {
        let mut question = honest(&tee);
        question.stored.as_mut().unwrap()["evidence"]["ccel"] = text.into();
        let found = question.refused("EVIDENCE_INVALID", "");
        assert!(found.message.contains(why), "{found:?}");
    }
    let mut question = honest(&tee);
    question.stored.as_mut().unwrap()["evidence"]["ccel"] = 7.into();
    question.refused("EVIDENCE_INVALID", "");
}

#[test]
fn logs_that_do_not_lead_to_the_registers() {
    let tee = SimTee::new();
    let shown = |change: fn(&mut Log)| {
        let mut log = Log::booted();
        change(&mut log);
        showing(&tee, &Log::booted(), Some(&log.bytes()))
    };
    for (change, register) in [
        ((|log| log.events[0].digests[0].1[0] ^= 1) as fn(&mut Log), "ccel_rtmr0"),
        (|log| log.events[4].digests[0].1[47] ^= 1, "ccel_rtmr1"),
        (|log| log.events[7].digests[0].1[0] ^= 1, "ccel_rtmr2"),
        (|log| drop(log.events.remove(0)), "ccel_rtmr0"),
        (|log| drop(log.events.remove(4)), "ccel_rtmr1"),
        (|log| drop(log.events.pop()), "ccel_rtmr2"),
        (|log| log.events.retain(|event| event.register != 3), "ccel_rtmr2"),
        (|log| log.events.swap(4, 5), "ccel_rtmr1"),
        (|log| log.events[7].register = 2, "ccel_rtmr1"),
        (|log| log.events[4].event_type = NO_ACTION, "ccel_rtmr1"),
        (|log| log.events[1].event_type = 4, "ccel_rtmr0"),
        (|log| log.events.push(BootEvent::new(4, 0xd, b"nothing that ran")), "ccel_rtmr3"),
    ] {
        shown(change).refused("EVENT_LOG_INVALID", register);
    }
    // What is extended into nothing, and data that nothing covers, do not matter.
    for change in [
        (|log: &mut Log| drop(log.events.remove(1))) as fn(&mut Log),
        |log| log.events[1].digests[0].1[0] ^= 1,
        |log| log.events[7].data = b"another kernel".to_vec(),
        |log| log.events.iter_mut().for_each(|event| event.data = vec![0xee; 300]),
        |log| log.padding = Vec::new(),
        |log| log.padding = vec![0; 65536],
        |log| log.padding = vec![0xff; 3],
        |log| {
            log.algorithms.insert(0, (SHA_256, 32));
            log.events.iter_mut().for_each(|event| event.digests.insert(0, (SHA_256, vec![7; 32])));
        },
    ] {
        shown(change).trusted();
    }
}

#[test]
fn digests_that_the_policy_does_not_allow_or_misses() {
    let tee = SimTee::new();
    let log = Log::booted();
    let under = |change: fn(&mut Value)| {
        let mut question = honest(&tee);
        change(&mut question.policy["ccel"]);
        question
    };
    let other = || Value::from("ee".repeat(48));
    for (change, register) in [
        ((|ccel| drop(ccel["allowed_digests"]["rtmr0"].as_array_mut().unwrap().remove(0))) as fn(&mut Value), "rtmr0"),
        (|ccel| ccel["allowed_digests"]["rtmr1"][1] = "ee".repeat(48).into(), "rtmr1"),
        (
            |ccel| ccel["required_digests"]["rtmr0"] = json!([ccel["allowed_digests"]["rtmr0"][0], "ee".repeat(48)]),
            "rtmr0",
        ),
    ] {
        let mut question = under(change);
        if question.policy["ccel"]["required_digests"]["rtmr0"].is_array() {
            question.policy["ccel"]["allowed_digests"]["rtmr0"].as_array_mut().unwrap().push(other());
        }
        let found = question.refused("MEASUREMENT_MISMATCH", "ccel_digests");
        assert!(found.message.starts_with(register), "{found:?}");
    }
    // A guest that booted something else as well, and tells the truth about it.
    let mut second = log.clone();
    second.events.push(BootEvent::new(3, 6, b"another command line"));
    let found = Question { policy: policy(&log), ..showing(&tee, &second, Some(&second.bytes())) };
    found.refused("MEASUREMENT_MISMATCH", "ccel_digests");
    // One that booted less than it had to.
    let mut less = log.clone();
    less.events.pop();
    let found = Question { policy: policy(&log), ..showing(&tee, &less, Some(&less.bytes())) };
    found.refused("MEASUREMENT_MISMATCH", "ccel_digests");
    // And one that measured nothing at all there: an empty register fits every list.
    let mut nothing = log.clone();
    nothing.events.retain(|event| event.register != 3);
    let mut question = Question { policy: policy(&log), ..showing(&tee, &nothing, Some(&nothing.bytes())) };
    question.policy["ccel"].as_object_mut().unwrap().remove("required_digests");
    question.policy["firmware_only"] = true.into();
    let found = question.refused("MEASUREMENT_MISMATCH", "ccel_digests");
    assert!(found.message.contains("nothing"), "{found:?}");
}

#[test]
fn policies_that_leave_a_hole() {
    let log = Log::booted();
    let change = |change: fn(&mut Value)| {
        let mut document = policy(&log);
        change(&mut document);
        document
    };
    for (document, path) in [
        (change(|document| document["ccel"] = json!({})), "policy.measurements[0].rtmr1:"),
        (
            change(|document| document["ccel"] = json!({"required_digests": document["ccel"]["required_digests"]})),
            "policy.measurements[0].rtmr1:",
        ),
        (
            change(|document| drop(document["ccel"]["allowed_digests"].as_object_mut().unwrap().remove("rtmr2"))),
            "policy.measurements[0].rtmr2:",
        ),
        // Any part of a list would do, such as what every firmware measures.
        (
            change(|document| drop(document["ccel"].as_object_mut().unwrap().remove("required_digests"))),
            "policy.measurements[0].rtmr1:",
        ),
        (
            change(|document| drop(document["ccel"]["required_digests"].as_object_mut().unwrap().remove("rtmr2"))),
            "policy.measurements[0].rtmr2:",
        ),
        (change(|document| document["ccel"]["require"] = false.into()), "policy.ccel.require:"),
        (change(|document| document["ccel"]["allowed_digests"] = json!({})), "policy.ccel.allowed_digests:"),
        (
            change(|document| document["ccel"]["allowed_digests"]["rtmr4"] = json!(["00".repeat(48)])),
            "policy.ccel.allowed_digests.rtmr4:",
        ),
        (
            change(|document| document["ccel"]["allowed_digests"]["rtmr1"] = json!([])),
            "policy.ccel.allowed_digests.rtmr1:",
        ),
        (
            change(|document| document["ccel"]["allowed_digests"]["rtmr1"] = json!(["00"])),
            "policy.ccel.allowed_digests.rtmr1[0]:",
        ),
        (
            change(|document| document["ccel"]["required_digests"]["rtmr1"] = json!(["00".repeat(48)])),
            "policy.ccel.required_digests.rtmr1[0]:",
        ),
        (change(|document| document["ccel"] = true.into()), "policy.ccel:"),
        (change(|document| document["ccel"]["more"] = 1.into()), "policy.ccel.more:"),
        (change(|document| drop(document.as_object_mut().unwrap().remove("measurements"))), "policy.measurements:"),
    ] {
        let (status, message) = policy_refused(&document).unwrap_or_else(|| panic!("{document} was accepted"));
        assert!(status == "POLICY_INVALID" && message.starts_with(path), "{document}: {status} {message}");
    }
    assert_eq!(policy_refused(&policy(&log)), None);
}

#[test]
fn a_server_that_shows_its_boot_log() {
    let serve = |change: fn(&mut Log)| {
        let mut world = World::lying(move |session| {
            let log = Log::booted();
            let quote = log.guest().quote(&session.tee, &session.binder().report_data());
            let mut shown = log;
            change(&mut shown);
            let evidence = json!({"quote": hex(&quote), "ccel": STANDARD.encode(shown.bytes())});
            json!({"protocol": "exporter-v1", "role": "S", "tee": "tdx", "evidence": evidence, "challenge": null})
                .to_string()
                .into_bytes()
        });
        let url = world.pccs.url.clone();
        world.policy = policy(&Log::booted());
        world.policy["pccs_url"] = url.into();
        world
    };
    let world = serve(|_| ());
    let stream = world.connect().unwrap_or_else(|refusal| panic!("{refusal:?}"));
    echo(&stream, b"to what has booted");
    let refusal = serve(|log| log.events[7].digests[0].1[0] ^= 1).refused("EVENT_LOG_INVALID");
    assert_eq!(refusal.check, "ccel_rtmr2");
}

fn folder() -> Option<PathBuf> {
    let path = std::env::var_os("ATLS_FIXTURES")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures"), PathBuf::from);
    if path.join("tdx/attestation-rs").exists() {
        return Some(path.join("tdx/attestation-rs"));
    }
    assert!(std::env::var_os("CI").is_none(), "no fixtures at {}", path.display());
    println!("skipped: no fixtures at {}", path.display());
    None
}

#[test]
fn real_logs_lead_to_the_registers_of_their_machines() {
    let Some(folder) = folder() else { return };
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    // The registers begin at byte 376 of a quote of version 4, and at 720 of a TDREPORT.
    for (log, of, at) in
        [("tdx_ccel_live2.dat", "tdx_quote_live.dat", 376), ("tdx_ccel_live.bin", "tdx_tdreport_live.bin", 720)]
    {
        let (raw, of) = (read(log), read(of));
        let parsed = BootLog::parse(&raw).unwrap();
        for register in 0..4 {
            assert_eq!(parsed.replayed(register)[..], of[at + 48 * register..][..48], "{log} {register}");
        }
        let counts: Vec<_> = parsed.extended.iter().map(Vec::len).collect();
        assert_eq!(counts, [13, 5, 2, 0], "{log}");
        // What the two machines booted is the same up to the kernel.
        let other =
            BootLog::parse(&read(if log.ends_with("dat") { "tdx_ccel_live.bin" } else { "tdx_ccel_live2.dat" }))
                .unwrap();
        assert_ne!(other.replayed(2), parsed.replayed(2));
    }
}

#[test]
fn guests_without_dstack_are_the_only_ones_whose_boot_log_is_read() {
    let tee = SimTee::new();
    let guest = Guest::booted(2);
    let quote = guest.quote(&tee, &binder_of([0, 1]));
    let mut question = honest(&tee);
    question.policy = json!({"type": "dstack_tdx", "disable_runtime_verification": true, "allow_simulated": true,
        "binding": {"protocols": ["exporter-v1"]}, "identity": {"require_key_event": false}});
    question.stored =
        Some(json!({"tee": "tdx", "evidence": {"quote": hex(&quote), "ccel": STANDARD.encode(b"no log")}}));
    question.trusted();
}
