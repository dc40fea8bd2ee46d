//! Instances with a NitroTPM: true documents of a simulated AWS, and lies that the policy type `nitro_tpm` must notice. There is no real document to try.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use serde_json::{Value, json};
use simtee::nitro::{Aws, Document};
use support::nitro::Machine;
use support::snp_guest::{NOW, binder_of};

#[test]
fn the_truth_is_trusted() {
    let found = Machine::new().tpm_question(|_| ()).trusted();
    let verdict = &found.verdict;
    assert_eq!((&verdict["tee_type"], &verdict["trust_anchor"]), (&json!("nitro_tpm"), &json!("simulated")));
    assert_eq!((&verdict["tcb_status"], &verdict["bound_to_session"]), (&Value::Null, &json!(true)));
    assert_eq!(verdict["measurements"]["pcrs"]["4"], "05".repeat(48));
    assert_eq!(verdict["platform"], json!({"module_id": "i-0-tpm0", "timestamp_ms": NOW * 1000}));
    // An agent may give what it was asked for as user data.
    let swap = |document: &mut Document| document.user_data = document.nonce.take();
    Machine::new().tpm_question(swap).trusted();
}

#[test]
fn each_pin_of_the_policy_refuses() {
    for number in ["0", "4", "7", "11", "12", "14", "23"] {
        let mut question = Machine::new().tpm_question(|_| ());
        question.rest.policy["pcrs"][number] = json!(["aa".repeat(48)]);
        question.refused("MEASUREMENT_MISMATCH", &format!("pcr:{number}"));
    }
    // Somebody has given the kernel another command line.
    let question = Machine::new().tpm_question(|document| document.pcrs[12].1 = vec![7; 48]);
    question.refused("MEASUREMENT_MISMATCH", "pcr:12");
    let without = Machine::new().tpm_question(|document| document.pcrs.retain(|(number, _)| *number != 12));
    without.refused("MEASUREMENT_MISMATCH", "pcr:12");
    let mut question = Machine::new().tpm_question(|_| ());
    question.rest.policy["module_id"] = json!(["i-1"]);
    question.refused("MEASUREMENT_MISMATCH", "module_id");
}

#[test]
fn registers_that_an_enclave_would_be_debugged_by() {
    // Of an instance the first three say nothing of the kind.
    let zero = |document: &mut Document| document.pcrs[0..3].iter_mut().for_each(|(_, value)| value.fill(0));
    let found = Machine::new().tpm_question(zero).trusted();
    assert!(!found.verdict["checks"].to_string().contains("\"debug\""), "{found:?}");
}

#[test]
fn documents_of_the_other_kind() {
    // Of an enclave, with what an enclave's binder would be, or this kind's.
    for code in [[0, 4], [0, 5]] {
        let as_instance = |document: &mut Document| {
            let enclave = Machine::new().enclave.document(NOW, &binder_of(code));
            (document.registers, document.nonce) = (enclave.registers, enclave.nonce);
        };
        let found = Machine::new().tpm_question(as_instance).refused("EVIDENCE_INVALID", "");
        assert!(found.message.contains("nitrotpm_pcrs is missing"), "{found:?}");
        let as_enclave = |document: &mut Document| {
            (document.registers, document.nonce) = ("nitrotpm_pcrs", Some(binder_of(code).to_vec()));
        };
        let found = Machine::new().question(as_enclave).refused("EVIDENCE_INVALID", "");
        assert!(found.message.contains("pcrs is missing"), "{found:?}");
    }
    // Under a policy about the other kind alone.
    let mut question = Machine::new().tpm_question(|_| ());
    question.rest.policy = Machine::new().honest().rest.policy;
    question.refused("EVIDENCE_INVALID", "tee");
    // A weaker member of another kind does not help.
    let mut mixed = Machine::new().tpm_question(|document| document.pcrs[4].1.fill(9));
    let member = |mut policy: Value| {
        policy.as_object_mut().unwrap().remove("allow_simulated");
        policy
    };
    let members = [member(mixed.rest.policy), member(Machine::new().honest().rest.policy)];
    mixed.rest.policy = json!({"any_of": members, "allow_simulated": true});
    mixed.refused("MEASUREMENT_MISMATCH", "any_of[0].pcr:4");
}

#[test]
fn lies_that_are_told_of_enclaves_too() {
    let machine = Machine::new();
    for code in [[0, 1], [0, 4], [0x11, 0x12]] {
        let question = machine.tpm_question(|document| document.nonce = Some(binder_of(code).to_vec()));
        question.refused("BINDING_MISMATCH", "report_data");
    }
    machine.tpm_question(|document| document.user_data = Some(vec![1])).refused("BINDING_MISMATCH", "report_data");
    machine.tpm_question(|document| document.public_key = Some(vec![1])).refused("BINDING_MISMATCH", "public_key");
    machine.tpm_question(|document| document.timestamp -= 300_001).refused("BINDING_MISMATCH", "timestamp");
    machine.tpm_question(|document| document.cabundle.swap(1, 2)).refused("QUOTE_INVALID", "chain");
    let stranger = Machine::of(Box::leak(Box::new(Aws::new(3))));
    let mut question = stranger.tpm_question(|_| ());
    question.rest.roots = Some(Aws::get().root_pem.clone());
    question.refused("QUOTE_INVALID", "chain");
    let theirs = Machine::new().enclave.document(NOW, &[]).certificate;
    machine.tpm_question(|document| document.certificate = theirs).refused("QUOTE_INVALID", "signature");
    let short = |document: &mut Document| document.pcrs[4].1.truncate(32);
    machine.tpm_question(short).refused("EVIDENCE_INVALID", "");
}

#[test]
fn one_bit_of_any_byte_of_a_document() {
    let honest = Machine::new().tpm_question(|_| ());
    for at in 0..honest.document.len() {
        let mut bent = honest.clone();
        bent.document[at] ^= 1 << (at % 8);
        let found = bent.ask();
        assert!(matches!(found.status.as_str(), "QUOTE_INVALID" | "EVIDENCE_INVALID"), "{at:x}: {found:?}");
    }
}

#[test]
fn policies_that_check_less_than_they_say() {
    let (zero, one) = ("0".repeat(96), "1".repeat(96));
    let pcrs = |change: fn(&mut Value, &str)| {
        let mut pcrs = json!({"4": [one], "7": [one], "12": [one]});
        change(&mut pcrs, &zero);
        json!({"pcrs": pcrs})
    };
    fn without(pcrs: &mut Value, number: &str) {
        pcrs.as_object_mut().unwrap().remove(number);
    }
    for (policy, path) in [
        (json!({}), "policy.pcrs: missing"),
        (pcrs(|pcrs, _| without(pcrs, "4")), "policy.pcrs.4: is missing"),
        (pcrs(|pcrs, _| without(pcrs, "7")), "policy.pcrs.7: is missing"),
        (pcrs(|pcrs, _| without(pcrs, "12")), "policy.pcrs.12: is missing"),
        (pcrs(|pcrs, zero| pcrs["4"] = json!([zero])), "policy.pcrs.4[0]: is zero"),
        (pcrs(|pcrs, zero| pcrs["7"] = json!([zero])), "policy.pcrs.7[0]: is zero"),
        (pcrs(|pcrs, zero| pcrs["24"] = json!([zero])), "policy.pcrs.24: unknown field"),
        (
            json!({"pcr_sets": [{"4": [one], "7": [one], "12": [one]}, {"4": [one]}]}),
            "policy.pcr_sets[1].7: is missing",
        ),
        (json!({"pcrs": {"4": [one], "7": [one], "12": [one]}, "allow_debug": true}), "policy.allow_debug: unknown"),
    ] {
        let mut whole: Value = policy;
        whole["type"] = "nitro_tpm".into();
        let error = atls::attest::Policy::from_json(whole.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.status.name(), "POLICY_INVALID", "{whole}: {error}");
        assert!(error.message.starts_with(path), "{whole}: {error}");
    }
    let good = pcrs(|pcrs, zero| (pcrs["12"], pcrs["14"]) = (json!([zero]), json!([zero])));
    let mut good: Value = good;
    good["type"] = "nitro_tpm".into();
    assert!(atls::attest::Policy::from_json(good.to_string().as_bytes()).is_ok());
}
