//! Who is to blame for a refusal: the evidence, one of the vendor's documents, or the platform. Each by the kind of what was wrong.

mod support;

use serde_json::{Value, json};
use simtee::collateral::Issue;
use simtee::{Guest, SimTee};
use support::offline::{Question, honest};

/// A question about an honest guest with these documents.
fn with(tee: &SimTee, change: impl FnOnce(&mut Issue)) -> Question {
    let mut issue = Issue::default();
    change(&mut issue);
    Question { collateral: tee.collateral_json(&issue), ..honest(tee, &Guest::booted(2)) }
}

/// The same, with members of the set taken from another vendor's.
fn forged(tee: &SimTee, members: &[&str]) -> Question {
    let mut question = honest(tee, &Guest::booted(1));
    let mut set: Value = serde_json::from_str(&question.collateral).unwrap();
    let other: Value = serde_json::from_str(&SimTee::new().collateral_json(&Issue::default())).unwrap();
    for member in members {
        set[member] = other[member].clone();
    }
    question.collateral = set.to_string();
    question
}

#[track_caller]
fn blames(question: &Question, status: &str, part: &str) {
    let found = question.refused(status, "quote");
    assert!(found.message.contains(part), "wanted {part:?}: {found:?}");
}

#[test]
fn nobody_where_all_holds() {
    let tee = SimTee::new();
    assert_eq!(honest(&tee, &Guest::booted(1)).trusted().check, "");
}

#[test]
fn each_document_that_is_not_the_vendors() {
    let tee = SimTee::new();
    blames(&forged(&tee, &["root_ca_crl"]), "COLLATERAL_INVALID", "root CRL: ");
    blames(&forged(&tee, &["pck_crl"]), "COLLATERAL_INVALID", "PCK CRL: ");
    blames(&forged(&tee, &["pck_crl", "pck_crl_issuer_chain"]), "COLLATERAL_INVALID", "PCK CRL: ");
    blames(&forged(&tee, &["tcb_info_signature"]), "COLLATERAL_INVALID", "TCB info: ");
    let signer = ["tcb_info", "tcb_info_signature", "tcb_info_issuer_chain"];
    blames(&forged(&tee, &signer), "COLLATERAL_INVALID", "TCB info: the issuer chain");
    blames(&forged(&tee, &["qe_identity_signature"]), "COLLATERAL_INVALID", "QE identity: ");
    let signer = ["qe_identity", "qe_identity_signature", "qe_identity_issuer_chain"];
    blames(&forged(&tee, &signer), "COLLATERAL_INVALID", "QE identity: the issuer chain");
    blames(&with(&tee, |issue| issue.tamper = true), "COLLATERAL_INVALID", "TCB info: ");
}

#[test]
fn documents_about_something_else() {
    let tee = SimTee::new();
    blames(&with(&tee, |issue| issue.fmspc = [1; 6]), "COLLATERAL_INVALID", "TCB info: it is about");
    blames(&with(&tee, |issue| issue.pce_id = [1, 0]), "COLLATERAL_INVALID", "TCB info: for PCEID");
}

#[test]
fn documents_out_of_their_time() {
    let tee = SimTee::new();
    blames(&with(&tee, |issue| (issue.issued, issue.expires) = (-9, -2)), "COLLATERAL_INVALID", "TCB info: expired");
    blames(&with(&tee, |issue| issue.issued = 1), "COLLATERAL_INVALID", "TCB info: issued at");
    // The lists began a day ago, certificates of this simulator long before.
    let mut early = honest(&tee, &Guest::booted(1));
    early.now -= 2 * 86_400;
    blames(&early, "COLLATERAL_INVALID", "root CRL: issued at");
}

#[test]
fn revocation_lists_that_hold_from_tomorrow() {
    // All else was issued before.
    let tee = SimTee::new();
    let mut question = with(&tee, |issue| issue.issued = -9);
    question.trusted();
    question.now -= 2 * 86_400;
    blames(&question, "COLLATERAL_INVALID", "root CRL: issued at");
    // Each by itself.
    let tomorrow = with(&tee, |issue| issue.crl_issued = 1).collateral;
    for (member, part) in [("root_ca_crl", "root CRL: issued at"), ("pck_crl", "PCK CRL: issued at")] {
        let mut question = with(&tee, |_| ());
        let mut set: Value = serde_json::from_str(&question.collateral).unwrap();
        set[member] = serde_json::from_str::<Value>(&tomorrow).unwrap()[member].clone();
        question.collateral = set.to_string();
        blames(&question, "COLLATERAL_INVALID", part);
        question.now += 2 * 86_400;
        question.trusted();
    }
    blames(&with(&tee, |issue| issue.crl_expires = -1), "COLLATERAL_INVALID", "root CRL: expired");
}

#[test]
fn a_signer_on_the_roots_list() {
    let tee = SimTee::new();
    blames(&with(&tee, |issue| issue.revoke_tcb_signer = true), "COLLATERAL_INVALID", "TCB info: the signer");
    blames(&with(&tee, |issue| issue.revoke_pck_ca = true), "TCB_REJECTED", "revoked a certificate");
}

#[test]
fn a_revoked_or_outdated_platform_is_what_is_blamed() {
    let tee = SimTee::new();
    blames(&with(&tee, |issue| issue.qe_status = "Revoked"), "TCB_REJECTED", "Revoked");
    blames(&with(&tee, |issue| issue.qe_isvsvn = 9), "TCB_REJECTED", "ISVSVN");
    blames(&with(&tee, |issue| issue.revoke_platform = true), "TCB_REJECTED", "revoked a certificate");
    blames(&with(&tee, |issue| issue.status = "Revoked"), "TCB_REJECTED", "Revoked");
}

#[test]
fn a_quote_that_was_changed_is_what_is_blamed() {
    let tee = SimTee::new();
    let honest = |guest: &Guest| honest(&tee, guest);
    for at in [50, 300, 640, 700, 800, 1200] {
        let mut bent = honest(&Guest::booted(1));
        bent.quote[at] ^= 1;
        bent.refused("QUOTE_INVALID", "quote");
    }
    // The signatures of another vendor: not the fault of the documents, which are this one's.
    let mut strange = honest(&Guest::booted(1));
    strange.quote = Guest::booted(1).quote(&SimTee::new(), &[0; 64]);
    blames(&strange, "QUOTE_INVALID", "PCK chain");
    let mut vendor = honest(&Guest::booted(1));
    vendor.root = None;
    blames(&vendor, "QUOTE_INVALID", "PCK chain");
    let mut cut = honest(&Guest::booted(1));
    cut.quote.truncate(3000);
    blames(&cut, "QUOTE_INVALID", "cut short");
    let mut enclave = honest(&Guest::booted(1));
    (enclave.quote[0], enclave.quote[4]) = (3, 0);
    enclave.refused("QUOTE_INVALID", "quote");
}

#[test]
fn a_td_that_is_not_alone() {
    let tee = SimTee::new();
    for (bit, words) in [(28, "SEPT_VE_DISABLE"), (29, "migrated"), (40, "reserved"), (1, "reserved")] {
        let mut guest = Guest::booted(2);
        guest.td_attributes[bit / 8] ^= 1 << (bit % 8);
        let found = honest(&tee, &guest).refused("MEASUREMENT_MISMATCH", "td_attributes");
        assert!(found.message.contains(words), "{found:?}");
    }
}

#[test]
fn a_debug_td_is_refused_as_one_with_its_claims_shown() {
    let tee = SimTee::new();
    let mut guest = Guest::booted(2);
    guest.td_attributes[0] = 1;
    let mut question = honest(&tee, &guest);
    let found = question.refused("MEASUREMENT_MISMATCH", "debug");
    assert_eq!(found.verdict["tcb_status"], "UpToDate");
    assert_eq!(found.verdict["measurements"]["td_attributes"], "0100001000000000");
    let line = |name: &str| {
        let checks = found.verdict["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name}"))["outcome"].clone()
    };
    assert_eq!((line("quote"), line("debug"), line("service_td")), (json!("pass"), json!("fail"), json!("pass")));
    question.policy["td"] = json!({"allow_debug": true});
    question.trusted();
}
