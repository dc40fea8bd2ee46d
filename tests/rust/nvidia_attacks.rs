//! Lies about GPUs, each told by a simulated NVIDIA with everything else true, and the check that must notice.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use serde_json::{Value, json};
use simtee::nvidia::{FWID_BLACKWELL, FWID_HOPPER, Nvidia, nonce};
use support::nitro::Machine;
use support::nvidia::{Composite, outcome, session_nonce, unreadable_list};
use support::snp_guest::binder_of;

#[test]
fn the_truth_is_trusted() {
    let found = Composite::honest().trusted();
    let (verdict, attached) = (&found.verdict, &found.verdict["attached"]);
    assert_eq!((&verdict["tee_type"], &verdict["trust_anchor"]), (&json!("nitro"), &json!("simulated")));
    assert_eq!((&verdict["bound_to_session"], &verdict["protocol"]), (&json!(true), &json!("exporter-v1")));
    assert_eq!((&attached[0]["tee_type"], &attached[0]["trust_anchor"]), (&json!("nvidia"), &json!("simulated")));
    assert_eq!(attached[0]["platform"]["driver_version"], "550.90.07");
    assert_eq!(attached[0]["measurements"]["2"], "02".repeat(48));
    let names: Vec<_> = verdict["checks"].as_array().unwrap().iter().map(|check| check["name"].clone()).collect();
    for name in ["chain", "signature", "fwid", "nonce", "arch", "measurements", "firmware"] {
        assert!(names.contains(&format!("nvidia[0].{name}").into()), "{names:?}");
    }
    assert_eq!((outcome(&found, "gpu_count"), outcome(&found, "gpu_distinct")), ("pass".into(), "pass".into()));
}

#[test]
fn a_machine_alone_has_no_word_of_devices() {
    let question = Machine::new().honest();
    let verdict = question.trusted().verdict;
    assert!(verdict.get("attached").is_none(), "{verdict}");
    let checks = verdict["checks"].to_string();
    assert!(!checks.contains("attached") && !checks.contains("gpu"), "{checks}");
}

#[test]
fn gpu_nonce_of_another_session() {
    for other in [nonce(&[7; 64]), nonce(&binder_of([0, 1])), nonce(&binder_of([0, 0x21])), [0; 32]] {
        Composite::bent(|report| report.nonce = other.to_vec()).refused("BINDING_MISMATCH", "nvidia[0].nonce");
    }
    // The list says what it should be, and the report does not.
    let mut question = Composite::bent(|report| report.nonce[0] ^= 1);
    question.device(0)["nonce"] = atls::attest::hash::hex(&session_nonce()).into();
    question.refused("BINDING_MISMATCH", "nvidia[0].nonce");
    let mut question = Composite::honest();
    question.device(0)["nonce"] = "00".repeat(32).into();
    question.refused("BINDING_MISMATCH", "nvidia[0].nonce");
    // The machine is of another session, and the GPU of this one.
    let mut question = Composite::honest();
    let mut elsewhere = Machine::new().question(|document| document.nonce = Some(vec![7; 64]));
    elsewhere.rest.policy = question.machine.rest.policy.clone();
    question.machine = elsewhere;
    question.refused("BINDING_MISMATCH", "report_data");
}

#[test]
fn without_a_session_the_nonce_is_not_judged() {
    let mut question = Composite::bent(|report| report.nonce = vec![7; 32]);
    question.machine.rest.session = None;
    assert_eq!(outcome(&question.trusted(), "nvidia[0].nonce"), "skipped");
    // But that the list and the report agree.
    question.device(0)["nonce"] = "00".repeat(32).into();
    question.refused("BINDING_MISMATCH", "nvidia[0].nonce");
}

#[test]
fn gpu_part_left_out_where_the_policy_wants_one() {
    let mut question = Composite::honest();
    question.attached = Value::Null;
    let found = question.refused("MEASUREMENT_MISMATCH", "gpu_count");
    assert!(found.verdict.get("attached").is_none());
    let mut question = Composite::honest();
    question.gpu()["required"] = 2.into();
    question.refused("MEASUREMENT_MISMATCH", "gpu_count");
}

#[test]
fn two_gpus_that_are_one() {
    let nvidia = Nvidia::get();
    let (one, same, other) = (nvidia.gpu("1"), nvidia.gpu("1"), nvidia.gpu("2"));
    let honest = |gpu: &simtee::nvidia::Gpu| gpu.honest(&session_nonce());
    let found = Composite::of(vec![honest(&one), honest(&other)]).trusted();
    assert_eq!(found.verdict["attached"].as_array().unwrap().len(), 2);
    // The same report, another report of the same key, and another key of the same device.
    for again in [honest(&one), honest(&same)] {
        let question = Composite::of(vec![honest(&other), honest(&one), again]);
        let found = question.refused("MEASUREMENT_MISMATCH", "gpu_distinct");
        assert_eq!(found.message, "1 and 2 are one");
    }
    // In lists of their own too.
    let mut question = Composite::of(vec![honest(&one), honest(&other)]);
    let list = |gpu| json!({"tee": "nvidia", "evidence": [gpu]});
    question.attached = json!([list(honest(&one)), list(honest(&one))]);
    question.refused("MEASUREMENT_MISMATCH", "gpu_distinct");
    question.attached = json!([list(honest(&one)), list(honest(&other))]);
    question.trusted();
}

#[test]
fn two_gpus_that_are_one_without_a_serial_number() {
    let of = || Nvidia::get().gpu_with("", |leaf| leaf.names_device = false);
    let (one, other) = (of(), of());
    let honest = |gpu: &simtee::nvidia::Gpu| gpu.honest(&session_nonce());
    Composite::of(vec![honest(&one), honest(&other)]).trusted();
    Composite::of(vec![honest(&one), honest(&one)]).refused("MEASUREMENT_MISMATCH", "gpu_distinct");
}

#[test]
fn attached_part_of_a_kind_that_was_not_asked_for() {
    let mut question = Composite::honest();
    question.machine.rest.policy.as_object_mut().unwrap().remove("gpu");
    question.refused("EVIDENCE_INVALID", "attached");
    for kind in ["nitro", "tdx", "tpm", ""] {
        unreadable_list(|question| question.attached[0]["tee"] = kind.into(), "does not attach");
    }
    unreadable_list(|question| question.attached[0]["tee"] = 7.into(), "not a string");
    // And as the main part.
    let mut question = Composite::honest();
    let devices = question.attached[0]["evidence"].clone();
    let alone = json!({"tee": "nvidia", "evidence": devices[0]});
    let found = question.machine.rest.ask_with(&alone.to_string());
    assert_eq!(found.status, "EVIDENCE_INVALID", "{found:?}");
    question.machine.rest.policy = json!({"type": "gpu", "required": 1, "unmeasured": true});
    assert_eq!(question.ask().status, "POLICY_INVALID");
}

#[test]
fn one_gpu_that_is_refused_refuses_all() {
    let nvidia = Nvidia::get();
    let (one, other) = (nvidia.gpu("1"), nvidia.gpu("2"));
    let mut report = other.report(&session_nonce());
    report.measurements[1].1[0] ^= 1;
    let bad = other.entry(&other.sign(&report), &session_nonce());
    let mut question = Composite::of(vec![one.honest(&session_nonce()), bad]);
    question.gpu()["required"] = 1.into();
    let found = question.refused("MEASUREMENT_MISMATCH", "nvidia[1].measurements");
    assert_eq!(outcome(&found, "nvidia[0].measurements"), "pass");
}

#[test]
fn devices_beside_a_machine_that_is_refused_are_not_looked_at() {
    let mut question = Composite::bent(|report| report.nonce = vec![7; 32]);
    question.machine.rest.policy["pcrs"]["0"] = json!(["77".repeat(48)]);
    let found = question.refused("MEASUREMENT_MISMATCH", "pcr:0");
    assert_eq!(outcome(&found, "attached"), "skipped");
    assert!(found.verdict.get("attached").is_none());
}

#[test]
fn the_strongest_member_and_the_device_of_another_are_no_mixture() {
    // The first member accepts the machine; devices count for each alike.
    let mut question = Composite::bent(|report| report.measurements[1].1[0] ^= 1);
    let gpu = question.gpu().take();
    let mut members = vec![question.machine.rest.policy.clone(), question.machine.rest.policy.clone()];
    for member in &mut members {
        member.as_object_mut().unwrap().retain(|name, _| !["gpu", "allow_simulated"].contains(&name.as_str()));
    }
    members[0]["pcrs"]["0"] = json!(["77".repeat(48)]);
    question.machine.rest.policy = json!({"any_of": members, "gpu": gpu, "allow_simulated": true});
    let found = question.refused("MEASUREMENT_MISMATCH", "any_of[0].pcr:0");
    assert_eq!(outcome(&found, "any_of[0].attached"), "skipped");
    assert_eq!(outcome(&found, "any_of[1].nvidia[0].measurements"), "fail");
    assert_eq!(outcome(&found, "any_of[1].gpu_count"), "pass");
    question.attached = Composite::honest().attached;
    let found = question.trusted();
    assert_eq!((&found.verdict["accepted_member"], outcome(&found, "nvidia[0].chain")), (&json!(1), "pass".into()));
}

#[test]
fn another_root() {
    let forger: &'static Nvidia = Box::leak(Box::new(Nvidia::of("GH100", FWID_HOPPER)));
    Composite::with_gpu(&forger.gpu("1")).refused("QUOTE_INVALID", "nvidia[0].chain");
    let mut question = Composite::with_gpu(&forger.gpu("1"));
    question.root = Some(forger.root_pem.clone());
    question.trusted();
    // The genuine root at the end of a chain that does not lead to it.
    let mut gpu = forger.gpu("1");
    gpu.certificates[4] = Nvidia::get().root_pem.clone();
    Composite::with_gpu(&gpu).refused("QUOTE_INVALID", "nvidia[0].chain");
    // A simulated root is none where nobody gave it, and needs the policy's consent.
    let mut question = Composite::honest();
    question.root = None;
    question.refused("QUOTE_INVALID", "nvidia[0].chain");
}

#[test]
fn a_simulated_root_needs_the_consent_of_the_policy() {
    let mut question = Composite::honest();
    question.machine.rest.policy["allow_simulated"] = false.into();
    question.refused("TRUST_ANCHOR", "");
}

#[test]
fn a_simulated_root_of_devices_alone() {
    // The machine is held to the root that is built in, and the verdict says that not all of it is production.
    let mut question = Composite::honest();
    question.machine.rest.roots = None;
    let found = question.refused("QUOTE_INVALID", "chain");
    assert_eq!(found.verdict["trust_anchor"], "simulated");
    question.machine.rest.policy["allow_simulated"] = false.into();
    question.refused("TRUST_ANCHOR", "");
}

#[test]
fn weaker_keys() {
    let weak: &'static Nvidia = Box::leak(Box::new(Nvidia::weak()));
    let mut question = Composite::with_gpu(&weak.gpu("1"));
    question.root = Some(weak.root_pem.clone());
    question.refused("QUOTE_INVALID", "nvidia[0].chain");
}

#[test]
fn another_gpus_signature() {
    let (one, other) = (Nvidia::get().gpu("1"), Nvidia::get().gpu("2"));
    let report = one.sign(&one.report(&session_nonce()));
    Composite::of(vec![other.entry(&report, &session_nonce())]).refused("QUOTE_INVALID", "nvidia[0].signature");
}

#[test]
fn certificates_hold_from_their_first_second_to_their_last() {
    let now = support::snp_guest::NOW;
    for (from, to, holds) in [(now, now, true), (now + 1, now + 9, false), (now - 9, now - 1, false)] {
        let question = Composite::with_gpu(&Nvidia::get().gpu_with("1", |leaf| leaf.holds = Some((from, to))));
        if holds {
            question.trusted()
        } else {
            question.refused("QUOTE_INVALID", "nvidia[0].chain")
        };
    }
}

#[test]
fn firmware_that_is_not_the_certificates() {
    Composite::bent(|report| report.field(20)[0] ^= 1).refused("QUOTE_INVALID", "nvidia[0].fwid");
    Composite::bent(|report| report.fields.retain(|(kind, _)| *kind != 20)).refused("QUOTE_INVALID", "nvidia[0].fwid");
    let of = |byte: u8, length: usize| vec![byte; length];
    for fwids in [
        vec![],
        vec![(FWID_HOPPER, of(0xf2, 48))],
        vec![(FWID_HOPPER, of(0xf1, 49))],
        // Which of the two counts, nobody knows.
        vec![(FWID_HOPPER, of(0xf1, 48)), (FWID_BLACKWELL, of(0xf1, 48))],
    ] {
        let gpu = Nvidia::get().gpu_with("1", |leaf| leaf.fwids = fwids);
        Composite::with_gpu(&gpu).refused("QUOTE_INVALID", "nvidia[0].fwid");
    }
}

#[test]
fn firmware_that_neither_names() {
    let gpu = Nvidia::get().gpu_with("1", |leaf| leaf.fwids.clear());
    let mut report = gpu.report(&session_nonce());
    report.fields.retain(|(kind, _)| *kind != 20);
    let question = Composite::of(vec![gpu.entry(&gpu.sign(&report), &session_nonce())]);
    question.refused("QUOTE_INVALID", "nvidia[0].fwid");
}

#[test]
fn another_generation_or_another_sort_of_device() {
    for (chip, oid, listed) in
        [("GB100", FWID_BLACKWELL, "HOPPER"), ("GH100", FWID_HOPPER, "BLACKWELL"), ("LS10", FWID_HOPPER, "HOPPER")]
    {
        let nvidia: &'static Nvidia = Box::leak(Box::new(Nvidia::of(chip, oid)));
        let mut question = Composite::with_gpu(&nvidia.gpu("1"));
        question.root = Some(nvidia.root_pem.clone());
        question.gpu()["arch"] = json!(["HOPPER", "BLACKWELL"]);
        question.device(0)["arch"] = listed.into();
        question.refused("MEASUREMENT_MISMATCH", "nvidia[0].arch");
        question.gpu().as_object_mut().unwrap().remove("arch");
        question.refused("MEASUREMENT_MISMATCH", "nvidia[0].arch");
    }
    let nvidia: &'static Nvidia = Box::leak(Box::new(Nvidia::of("GB100", FWID_BLACKWELL)));
    let mut question = Composite::with_gpu(&nvidia.gpu("1"));
    question.root = Some(nvidia.root_pem.clone());
    question.device(0)["arch"] = "BLACKWELL".into();
    question.refused("MEASUREMENT_MISMATCH", "nvidia[0].arch");
    question.gpu()["arch"] = json!(["BLACKWELL"]);
    question.trusted();
}

#[test]
fn measurements_that_are_others_or_missing() {
    for index in [0, 1, 63] {
        let bent = Composite::bent(|report| report.measurements[index].1[47] ^= 1);
        bent.refused("MEASUREMENT_MISMATCH", "nvidia[0].measurements");
        let bent = Composite::bent(|report| drop(report.measurements.remove(index)));
        bent.refused("MEASUREMENT_MISMATCH", "nvidia[0].measurements");
    }
    // What the policy does not pin may be anything.
    Composite::bent(|report| report.measurements[2].1[0] ^= 1).trusted();
}

#[test]
fn what_the_accepted_set_leaves_open_is_listed() {
    let open = |question: &Composite| {
        let verdict = question.trusted().verdict;
        let mut lines = verdict["checks"].as_array().unwrap().clone();
        lines.retain(|line| line["name"] == "nvidia[0].open_measurements");
        assert!(lines.len() < 2 && lines.iter().all(|line| line["outcome"] == "skipped"), "{lines:?}");
        lines.first().map(|line| line["actual"].as_str().unwrap().to_owned())
    };
    let says = |indices: Vec<String>| format!("the policy's measurements do not name index {}", indices.join(", "));
    let all = || (1..=64).filter(|index| ![10, 20, 36].contains(index));
    let unnamed = |named: &[u8]| all().filter(|index| !named.contains(index)).map(|index| index.to_string()).collect();
    // Of the simulator's, 10 and 20 are not measured, and the video decoder is off.
    let mut question = Composite::honest();
    assert_eq!(open(&question), Some(says(unnamed(&[1, 2, 64]))));
    let set = question.gpu()["measurements"][0].clone();
    let mut one = set.clone();
    one["values"] = json!({"2": "02".repeat(48)});
    question.gpu()["measurements"] = json!([one]);
    assert_eq!(open(&question), Some(says(unnamed(&[2]))));
    // Of the set that is accepted.
    let mut whole = set.clone();
    whole["values"] = all().map(|index| (index.to_string(), json!(format!("{index:02x}").repeat(48)))).collect();
    question.gpu()["measurements"] = json!([whole]);
    assert_eq!(open(&question), None);
    whole["values"]["1"] = "77".repeat(48).into();
    question.gpu()["measurements"] = json!([whole, one]);
    assert_eq!(open(&question), Some(says(unnamed(&[2]))));
    // With the video decoder, if it is on.
    let mut decoding = Composite::bent(|report| *report.field(11) = vec![0xaa]);
    whole["values"]["1"] = "01".repeat(48).into();
    decoding.gpu()["measurements"] = json!([whole]);
    assert_eq!(open(&decoding), Some(says(vec!["36".into()])));
    whole["values"]["1"] = "77".repeat(48).into();
    // A report that is refused says what differs.
    question.gpu()["measurements"] = json!([whole]);
    let refused = question.refused("MEASUREMENT_MISMATCH", "nvidia[0].measurements");
    assert!(!refused.verdict.to_string().contains("open_measurements"), "{refused:?}");
}

#[test]
fn sets_of_two_releases_are_not_mixed() {
    let mut question = Composite::honest();
    let set = question.gpu()["measurements"][0].clone();
    let (mut one, mut other) = (set.clone(), set.clone());
    one["values"]["1"] = "77".repeat(48).into();
    other["values"]["2"] = "77".repeat(48).into();
    question.gpu()["measurements"] = json!([one, other]);
    question.refused("MEASUREMENT_MISMATCH", "nvidia[0].measurements");
    // The measurements of one, and the versions of the other.
    let mut newer = set.clone();
    newer["driver_version"] = "550.90.08".into();
    question.gpu()["measurements"] = json!([one, newer]);
    question.refused("TCB_REJECTED", "nvidia[0].firmware");
    question.gpu()["measurements"] = json!([one, newer, set]);
    question.trusted();
    // Alternatives of one index, and a set without versions.
    let mut loose = set;
    loose["values"]["1"] = json!(["77".repeat(48), "01".repeat(48)]);
    loose.as_object_mut().unwrap().retain(|name, _| name == "values");
    question.gpu()["measurements"] = json!([loose]);
    assert_eq!(outcome(&question.trusted(), "nvidia[0].firmware"), "skipped");
}

#[test]
fn other_versions_of_driver_and_vbios() {
    Composite::bent(|report| *report.field(3) = b"550.90.08\0".to_vec()).refused("TCB_REJECTED", "nvidia[0].firmware");
    Composite::bent(|report| report.field(6)[4] = 2).refused("TCB_REJECTED", "nvidia[0].firmware");
    for kind in [3, 6] {
        let without = Composite::bent(|report| report.fields.retain(|(known, _)| *known != kind));
        without.refused("TCB_REJECTED", "nvidia[0].firmware");
    }
}

#[test]
fn the_video_decoder_counts_unless_it_is_off() {
    let with = |state: &[u8]| {
        let mut question = Composite::bent(|report| *report.field(11) = state.to_vec());
        question.gpu()["measurements"][0]["values"]["36"] = "77".repeat(48).into();
        question
    };
    with(&[0x55]).trusted();
    for state in [&[0xaa][..], &[0], &[0x55, 0], &[]] {
        with(state).refused("MEASUREMENT_MISMATCH", "nvidia[0].measurements");
    }
}

#[test]
fn unmeasured_in_so_many_words() {
    let mut question = Composite::bent(|report| report.measurements[1].1[0] ^= 1);
    *question.gpu() = json!({"required": 1, "unmeasured": true});
    let found = question.trusted();
    assert_eq!(outcome(&found, "nvidia[0].measurements"), "skipped");
    assert_eq!(outcome(&found, "nvidia[0].firmware"), "skipped");
}
