//! Lies about a Nitro enclave, each told by a simulated AWS with everything else true, and the check that must notice.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use serde_json::{Value, json};
use simtee::SimTee;
use simtee::exporter::Binder;
use simtee::nitro::{Aws, Document, bytes, head, text};
use support::nitro::{Machine, Question};
use support::offline::{EXPORTER, NONCE};
use support::snp_guest::{NOW, binder_of, server};

/// A document that cannot be read, whoever signed it.
#[track_caller]
fn unreadable(change: impl FnOnce(&mut Document), why: &str) {
    let found = Machine::new().question(change).refused("EVIDENCE_INVALID", "");
    assert!(found.message.contains(why), "{found:?}");
}

fn leak(aws: Aws) -> &'static Aws {
    Box::leak(Box::new(aws))
}

#[test]
fn the_truth_is_trusted() {
    let found = Machine::new().honest().trusted();
    let verdict = &found.verdict;
    assert_eq!((&verdict["trust_anchor"], &verdict["protocol"]), (&json!("simulated"), &json!("exporter-v1")));
    assert_eq!((&verdict["bound_to_session"], &verdict["platform"]["debug"]), (&json!(true), &json!(false)));
    // An agent may give what it was asked for as user data, and leave the other empty.
    for nonce in [None, Some(Vec::new())] {
        let swap = |document: &mut Document| document.user_data = std::mem::replace(&mut document.nonce, nonce);
        Machine::new().question(swap).trusted();
    }
    // Members that are not known, within bounds; and ones that may be absent.
    let more = [text("more"), vec![0x81, 0x81, 0x80], text("pi"), vec![0xf9, 0, 0]].concat();
    Machine::new().question(|document| document.more = more).trusted();
    Machine::new().question(|document| document.without = vec!["public_key", "user_data"]).trusted();
    for count in [1, 4] {
        Machine::of(leak(Aws::new(count))).honest().trusted();
    }
}

#[test]
fn binder_of_another_kind_or_session() {
    for data in [binder_of([0, 1]), binder_of([0, 2]), binder_of([0, 5]), [0; 64]] {
        let question = Machine::new().question(|document| document.nonce = Some(data.to_vec()));
        question.refused("BINDING_MISMATCH", "report_data");
    }
    for nonce in
        [None, Some(Vec::new()), Some(binder_of([0, 4])[..63].to_vec()), Some([&binder_of([0, 4])[..], &[0]].concat())]
    {
        Machine::new().question(|document| document.nonce = nonce).refused("BINDING_MISMATCH", "report_data");
    }
    let mut elsewhere = Machine::new().honest();
    elsewhere.rest.session = Some(SimTee::new().web_certificate(&["localhost"], -1, 1).0);
    elsewhere.refused("BINDING_MISMATCH", "report_data");
}

#[test]
fn nonce_and_user_data_both_filled() {
    for other in [b"chosen by a caller".to_vec(), binder_of([0, 4]).to_vec()] {
        let beside = Machine::new().question(|document| document.user_data = Some(other.clone()));
        beside.refused("BINDING_MISMATCH", "report_data");
        let swapped = Machine::new().question(|document| {
            document.user_data = document.nonce.replace(other);
        });
        swapped.refused("BINDING_MISMATCH", "report_data");
    }
}

/// In a session in which the client has shown a certificate, with that key in the document, or another.
fn with_key(key: impl FnOnce(&[u8]) -> Vec<u8>) -> Question {
    let client = SimTee::new().web_certificate(&["client"], -1, 1).0;
    let binder = Binder {
        role: b'C',
        nonce: NONCE.to_vec(),
        exporter: EXPORTER,
        attester: Some(client.clone()),
        verifier: Some(server().to_vec()),
        server_name: "localhost".into(),
    };
    let leaf = rustls_pki_types::CertificateDer::from(&client[..]);
    let spki = webpki::EndEntityCert::try_from(&leaf).unwrap().subject_public_key_info().to_vec();
    let mut question = Machine::new().question(|document| {
        document.nonce = Some(binder.report_data_of([0, 4]).to_vec());
        document.public_key = Some(key(&spki));
    });
    question.rest.client = client;
    question
}

#[test]
fn a_key_that_is_not_the_sessions() {
    with_key(<[u8]>::to_vec).trusted();
    with_key(|_| Vec::new()).trusted();
    with_key(|key| key[1..].to_vec()).refused("BINDING_MISMATCH", "public_key");
    with_key(|key| [key, &[0]].concat()).refused("BINDING_MISMATCH", "public_key");
    // In a session without a certificate no key is the right one.
    let question = Machine::new().question(|document| document.public_key = Some(vec![1]));
    question.refused("BINDING_MISMATCH", "public_key");
}

#[test]
fn a_root_of_its_own_in_the_bundle() {
    let (genuine, forged) = (Machine::new(), Machine::of(leak(Aws::new(3))));
    let mut question = forged.honest();
    question.rest.roots = genuine.honest().rest.roots;
    question.refused("QUOTE_INVALID", "chain");
    // The genuine root before a chain that does not lead to it.
    let mut question = forged.question(|document| document.cabundle[0] = genuine.aws.root_der.clone());
    question.rest.roots = Some(genuine.aws.root_pem.clone());
    question.refused("QUOTE_INVALID", "chain");
    // What stands there is not looked at.
    genuine.question(|document| document.cabundle[0] = forged.aws.root_der.clone()).trusted();
    genuine.question(|document| document.cabundle[0] = vec![0]).trusted();
}

#[test]
fn a_simulated_root_needs_the_consent_of_the_policy() {
    let mut question = Machine::new().honest();
    question.rest.policy["allow_simulated"] = false.into();
    assert_eq!(question.ask().status, "TRUST_ANCHOR");
    question.rest.roots = None;
    question.refused("QUOTE_INVALID", "chain");
    let pem = Aws::get().root_pem.clone();
    for bad in [pem.replace("BEGIN", "BEGUN"), format!("{pem}{pem}")] {
        question.rest.roots = Some(bad);
        assert_eq!(question.ask().status, "INVALID_ARGUMENT");
    }
    // Another vendor's root says nothing about this one.
    let mut question = Machine::new().honest();
    question.rest.vendor = "amd";
    assert_eq!(question.ask().status, "INVALID_ARGUMENT");
}

#[test]
fn a_bundle_that_is_not_the_chain() {
    let machine = Machine::new();
    machine.question(|document| document.cabundle.swap(1, 2)).refused("QUOTE_INVALID", "chain");
    machine.question(|document| document.cabundle.reverse()).refused("QUOTE_INVALID", "chain");
    machine.question(|document| drop(document.cabundle.remove(0))).refused("QUOTE_INVALID", "chain");
    machine.question(|document| drop(document.cabundle.pop())).refused("QUOTE_INVALID", "chain");
    machine.question(|document| document.cabundle.truncate(1)).refused("QUOTE_INVALID", "chain");
    let double = |document: &mut Document| document.cabundle.push(document.cabundle[3].clone());
    machine.question(double).refused("QUOTE_INVALID", "chain");
    let itself = |document: &mut Document| document.certificate = document.cabundle[3].clone();
    machine.question(itself).refused("QUOTE_INVALID", "chain");
    for count in [0, 5] {
        let long = Machine::of(leak(Aws::new(count)));
        long.honest().refused("QUOTE_INVALID", "chain");
    }
}

#[test]
fn weaker_algorithms() {
    let weak = Machine::of(leak(Aws::weak()));
    weak.honest().refused("QUOTE_INVALID", "chain");
    for protected in [&b"\xa1\x01\x26"[..], b"\xa1\x01\x38\x23", b"\xa2\x01\x38\x22\x04\x41a", b"\xa0", b""] {
        unreadable(|document| document.protected = protected.to_vec(), "its protected header");
    }
    for unprotected in [&b"\xa1\x01\x38\x22"[..], b"\xbf\xff", b"\x80"] {
        unreadable(|document| document.unprotected = unprotected.to_vec(), "unprotected header");
    }
}

#[test]
fn another_enclaves_signature() {
    let (own, other) = (Machine::new(), Machine::new());
    let theirs = other.enclave.document(NOW, &[]).certificate;
    own.question(|document| document.certificate = theirs).refused("QUOTE_INVALID", "signature");
}

#[test]
fn one_bit_of_any_byte_of_a_document() {
    let honest = Machine::new().honest();
    for at in 0..honest.document.len() {
        let mut bent = honest.clone();
        bent.document[at] ^= 1 << (at % 8);
        // The root in the bundle is signed like all the rest.
        let found = bent.ask();
        assert!(matches!(found.status.as_str(), "QUOTE_INVALID" | "EVIDENCE_INVALID"), "{at:x}: {found:?}");
    }
}

#[test]
fn a_certificate_out_of_its_time() {
    for (from, to, holds) in [(NOW, NOW, true), (NOW + 1, NOW + 9, false), (NOW - 9, NOW - 1, false)] {
        let machine = Machine { aws: Aws::get(), enclave: Aws::get().enclave(from, to) };
        match holds {
            true => machine.honest().trusted(),
            false => machine.honest().refused("QUOTE_INVALID", "chain"),
        };
    }
}

#[test]
fn a_document_made_long_ago_or_in_the_future() {
    for (made, age, holds) in [
        ((NOW - 300) * 1000, None, true),
        ((NOW - 300) * 1000 - 1, None, false),
        ((NOW - 301) * 1000, None, false),
        ((NOW + 60) * 1000, None, true),
        ((NOW + 60) * 1000 + 1, None, false),
        ((NOW - 1) * 1000, Some(1), true),
        ((NOW - 2) * 1000, Some(1), false),
        (u64::MAX, Some(10800), false),
        (0, Some(10800), false),
    ] {
        let mut question = Machine::new().question(|document| document.timestamp = made);
        if let Some(age) = age {
            question.rest.policy["max_age_s"] = age.into();
        }
        match holds {
            true => question.trusted(),
            false => question.refused("BINDING_MISMATCH", "timestamp"),
        };
    }
}

#[test]
fn an_enclave_that_the_host_can_read() {
    let zero = |numbers: &'static [usize]| {
        move |document: &mut Document| numbers.iter().for_each(|number| document.pcrs[*number].1 = vec![0; 48])
    };
    let machine = Machine::new();
    let only = |mut question: Question, number: &str, digits: &str| {
        question.rest.policy["pcrs"] = json!({number: [digits.repeat(48)]});
        question
    };
    only(machine.question(zero(&[0, 1, 2])), "8", "09").refused("MEASUREMENT_MISMATCH", "debug");
    only(machine.question(zero(&[0, 1])), "8", "09").trusted();
    // Registers that are left out are as good as zero.
    let without = |document: &mut Document| drop(document.pcrs.drain(0..3));
    only(machine.question(without), "8", "09").refused("MEASUREMENT_MISMATCH", "debug");
    let mut allowed = only(machine.question(zero(&[0, 1, 2])), "0", "01");
    allowed.refused("MEASUREMENT_MISMATCH", "debug");
    allowed.rest.policy["allow_debug"] = true.into();
    allowed.trusted();
    allowed.rest.policy["pcrs"]["3"] = json!(["01".repeat(48)]);
    allowed.refused("MEASUREMENT_MISMATCH", "pcr:3");
}

#[test]
fn registers_of_two_releases_are_not_mixed() {
    let set = |first: &str, second: &str| json!({"0": [first.repeat(48)], "1": [second.repeat(48)]});
    let mut question = Machine::new().honest();
    question.rest.policy.as_object_mut().unwrap().remove("pcrs");
    question.rest.policy["pcr_sets"] = json!([set("01", "aa"), set("bb", "02")]);
    let found = question.ask();
    assert_eq!((found.status.as_str(), found.check.as_str()), ("MEASUREMENT_MISMATCH", "pcr:1"), "{found:?}");
    question.rest.policy["pcr_sets"] = json!([set("01", "aa"), set("bb", "02"), set("01", "02")]);
    question.trusted();
    // Nor are those of two members, whose other rules differ.
    let mut members = Machine::new().honest();
    let (mut strong, mut weak) = (members.rest.policy.clone(), members.rest.policy.clone());
    for member in [&mut strong, &mut weak] {
        member.as_object_mut().unwrap().remove("allow_simulated");
    }
    strong["module_id"] = json!(["another"]);
    weak["pcrs"]["0"] = json!(["aa".repeat(48)]);
    members.rest.policy = json!({"any_of": [strong, weak], "allow_simulated": true});
    members.refused("MEASUREMENT_MISMATCH", "any_of[0].module_id");
}

#[test]
fn documents_that_cannot_be_read() {
    unreadable(|document| document.digest = "SHA256".into(), "digest is");
    unreadable(|document| document.module_id.clear(), "module_id is missing or empty");
    unreadable(|document| document.module_id = "x".repeat(257), "257 bytes, at most 256");
    unreadable(|document| document.pcrs.clear(), "pcrs is missing or empty");
    unreadable(|document| document.pcrs[3].1.truncate(32), "register 3 has 32 bytes");
    unreadable(|document| document.pcrs[3].0 = 32, "there is no register 32");
    unreadable(|document| document.pcrs[3].0 = 256, "there is no register 256");
    unreadable(|document| document.pcrs[3].0 = 4, "register 4 is duplicated");
    unreadable(|document| document.certificate = vec![0; 1025], "certificate: 1025 bytes");
    unreadable(|document| document.certificate.clear(), "certificate is missing or empty");
    unreadable(|document| document.cabundle[1] = vec![0; 1025], "cabundle: 1025 bytes");
    unreadable(|document| document.cabundle[1].clear(), "cabundle: an empty certificate");
    unreadable(|document| document.cabundle.clear(), "cabundle is missing or empty");
    unreadable(|document| document.cabundle = vec![vec![0]; 9], "more than 8 certificates");
    unreadable(|document| document.public_key = Some(vec![0; 1025]), "public_key: 1025 bytes");
    unreadable(|document| document.user_data = Some(vec![0; 513]), "user_data: 513 bytes");
    unreadable(|document| document.nonce = Some(vec![0; 513]), "nonce: 513 bytes");
    for name in ["module_id", "timestamp", "pcrs", "certificate", "cabundle"] {
        unreadable(|document| document.without = vec![name], &format!("{name} is missing"));
    }
    unreadable(|document| document.without = vec!["digest"], "digest is None");
    for (more, why) in [
        ([text("nonce"), vec![0xf6]].concat(), "\"nonce\" is duplicated"),
        ([text("x"), vec![0], text("x"), vec![0]].concat(), "\"x\" is duplicated"),
        ([text("x"), vec![0x81; 300], vec![0]].concat(), "more than 4 containers"),
        ([text("x"), vec![0x9f; 300], vec![0xff; 300]].concat(), "more than 4 containers"),
        ([text("x"), vec![0xc0, 0]].concat(), "a tag"),
        ([head(0, 1), vec![0]].concat(), "a member's name"),
        ((0..32).flat_map(|n| [text(&format!("m{n}")), vec![0]].concat()).collect(), "more than 32 members"),
        ([text("x"), bytes(&vec![0; 16 << 10])].concat(), "more than 16384 bytes"),
    ] {
        unreadable(|document| document.more = more, why);
    }
}

#[test]
fn documents_in_another_form() {
    let honest = Machine::new().honest();
    let mut tagged = honest.clone();
    tagged.document.insert(0, 0xd2);
    tagged.refused("EVIDENCE_INVALID", "");
    let mut five = honest.clone();
    five.document[0] = 0x85;
    five.refused("EVIDENCE_INVALID", "");
    for evidence in [json!({}), json!({"document": 7}), json!({"document": ""}), json!({"document": "hA"})] {
        let stored = json!({"tee": "nitro", "evidence": evidence}).to_string();
        assert_eq!(honest.rest.ask_with(&stored).status, "EVIDENCE_INVALID", "{stored}");
    }
    let mut spaced = honest.evidence();
    spaced["evidence"]["document"] = format!(" {}", spaced["evidence"]["document"].as_str().unwrap()).into();
    assert_eq!(honest.rest.ask_with(&spaced.to_string()).status, "EVIDENCE_INVALID");
}

#[test]
fn policies_that_check_less_than_they_say() {
    let zero = "0".repeat(96);
    let one = "1".repeat(96);
    for (policy, path) in [
        (json!({}), "policy.pcrs: missing"),
        (json!({"pcrs": {}}), "policy.pcrs.0: neither"),
        (json!({"pcrs": {"1": [one], "2": [one]}}), "policy.pcrs.0: neither"),
        (json!({"pcrs": {"0": []}}), "policy.pcrs.0: is an empty list"),
        (json!({"pcrs": {"0": [one, zero]}}), "policy.pcrs.0[1]: is zero"),
        (json!({"pcrs": {"0": [one], "3": [zero]}}), "policy.pcrs.3[0]: is zero"),
        (json!({"pcrs": {"0": ["11"]}}), "policy.pcrs.0[0]"),
        (json!({"pcrs": {"0": [one], "32": [one]}}), "policy.pcrs.32: unknown field"),
        (json!({"pcrs": {"0": [one], "00": [one]}}), "policy.pcrs.00: unknown field"),
        (json!({"pcrs": {"0": vec![one.clone(); 65]}}), "policy.pcrs.0: 65 of them"),
        (json!({"pcrs": {"0": [one]}, "pcr_sets": [{"0": [one]}]}), "policy.pcrs: there is"),
        (json!({"pcr_sets": []}), "policy.pcr_sets: is an empty list"),
        (json!({"pcr_sets": [{"0": [one]}, {"4": [one]}]}), "policy.pcr_sets[1].0: neither"),
        (json!({"pcr_sets": vec![json!({"0": [one]}); 65]}), "policy.pcr_sets: 65 of them"),
        (json!({"pcrs": {"0": [one]}, "max_age_s": 0}), "policy.max_age_s: 0"),
        (json!({"pcrs": {"0": [one]}, "max_age_s": 10801}), "policy.max_age_s: 10801"),
        (json!({"pcrs": {"0": [one]}, "module_id": []}), "policy.module_id"),
        (json!({"pcrs": {"0": [one]}, "measurement": []}), "policy.measurement: unknown field"),
        (json!({"pcrs": {"0": [one]}, "binding": {"protocols": ["atlas-v1"]}}), "policy.binding.protocols"),
    ] {
        let mut whole: Value = policy;
        whole["type"] = "nitro".into();
        let error = atls::attest::Policy::from_json(whole.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.status.name(), "POLICY_INVALID", "{whole}: {error}");
        assert!(error.message.starts_with(path), "{whole}: {error}");
    }
}
