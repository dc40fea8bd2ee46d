//! What is remembered of a platform once its quote was found good: no more than what every byte of the next quote and of the documents says again, within
//! the dates of all of them. Each quote's own signature is checked each time.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use serde_json::{Value, json};
use simtee::collateral::Issue;
use simtee::{Guest, SimTee};
use support::enclave;
use support::offline::{Question, honest, now};

const DAY: u64 = 86400;

/// A trust domain and an enclave of that vendor, both known already.
fn known(tee: &SimTee) -> [Question; 2] {
    let both = [honest(tee, &Guest::booted(2)), enclave::question(tee, |_| ())];
    both.iter().for_each(|question| _ = question.trusted());
    both
}

fn documents(tee: &SimTee, issue: &Issue) -> [String; 2] {
    [tee.collateral_json(issue), tee.sgx_collateral_json(issue)]
}

#[test]
fn one_other_bit_of_a_known_quote() {
    let tee = SimTee::new();
    for question in known(&tee) {
        // Certificates have bytes that say nothing (the last one is a copy of the root); what signs, and what is signed, has none.
        let begin = question.quote.windows(10).position(|found| found == b"-----BEGIN").unwrap();
        for at in 0..begin {
            let quote = bent(&question.quote, at);
            let found = Question { quote, ..again(&question) }.ask();
            assert_ne!(found.status, "OK", "byte {at}");
        }
        question.trusted();
    }
}

/// The signature of one quote says nothing about another, though all else of both is known.
#[test]
fn each_quote_has_its_own_signature() {
    let tee = SimTee::new();
    let guest = Guest::booted(2);
    let question = honest(&tee, &guest);
    question.trusted();
    let other = guest.quote(&tee, &[7; 64]);
    // Header and report are 632 bytes, their length field 4.
    const SIGNATURE: std::ops::Range<usize> = 636..700;
    assert_eq!(other.len(), question.quote.len());
    let mut quote = question.quote.clone();
    quote[SIGNATURE].copy_from_slice(&other[SIGNATURE]);
    Question { quote, ..again(&question) }.refused("QUOTE_INVALID", "quote");
    // What another session asked for, with the signature as it was.
    let mut quote = question.quote.clone();
    quote[48 + 520..48 + 584].copy_from_slice(&[7; 64]);
    Question { quote, ..again(&question) }.refused("QUOTE_INVALID", "quote");
    let mut replayed = again(&question);
    replayed.quote = other;
    assert_ne!(replayed.ask().status, "OK");
    question.trusted();
}

/// A report that the same key signed well is judged by itself, however well its platform is known.
#[test]
fn each_report_speaks_for_itself() {
    let tee = SimTee::new();
    let good = honest(&tee, &Guest::booted(2));
    for _ in 0..2 {
        good.trusted();
        for bit in [28, 29] {
            let mut guest = Guest::booted(2);
            guest.td_attributes[bit / 8] ^= 1 << (bit % 8);
            Question { collateral: good.collateral.clone(), ..honest(&tee, &guest) }
                .refused("MEASUREMENT_MISMATCH", "td_attributes");
            good.trusted();
        }
        // A module of which the documents say nothing.
        let other = Guest { module_version: 1, ..Guest::booted(2) };
        Question { collateral: good.collateral.clone(), ..honest(&tee, &other) }.refused("TCB_REJECTED", "quote");
    }
}

#[test]
fn one_other_bit_of_a_known_document() {
    let tee = SimTee::new();
    for question in known(&tee) {
        let set: Value = serde_json::from_str(&question.collateral).unwrap();
        for (member, text) in set.as_object().unwrap() {
            let text = text.as_str().unwrap().as_bytes();
            // The end of a chain is a copy of the root, which is not looked at; and the list's chain is judged where the list is fetched.
            let end = if member.ends_with("chain") { 200 } else { text.len() };
            for at in (0..end).step_by(37).filter(|_| member != "pck_crl_issuer_chain") {
                let mut set = set.clone();
                let mut changed = text.to_vec();
                changed[at] = if changed[at] == b'1' { b'2' } else { b'1' };
                set[member] = String::from_utf8(changed).unwrap().into();
                let found = Question { collateral: set.to_string(), ..again(&question) }.ask();
                assert_ne!(found.status, "OK", "{member} {at}");
            }
        }
        question.trusted();
    }
}

/// The first of the dates counts, whichever document has it.
#[test]
fn dates_count_each_time() {
    let tee = SimTee::new();
    for (issue, days) in [
        (Issue { expires: 5, ..Issue::default() }, 6),
        (Issue { crl_expires: 3, ..Issue::default() }, 4),
        (Issue::default(), 30),
    ] {
        for (question, collateral) in known(&tee).into_iter().zip(documents(&tee, &issue)) {
            let mut question = Question { collateral, ..question };
            for _ in 0..2 {
                question.now = now();
                question.trusted();
                question.now = now() + days * DAY;
                question.refused("COLLATERAL_INVALID", "quote");
                // Before any of them was issued.
                question.now = now() - 2 * DAY;
                question.refused("COLLATERAL_INVALID", "quote");
            }
        }
    }
}

/// Other documents about a known platform: what they say now is what counts.
#[test]
fn documents_count_each_time() {
    let tee = SimTee::new();
    let cases: [(Issue, &str); 6] = [
        (Issue { revoke_platform: true, ..Issue::default() }, "TCB_REJECTED"),
        (Issue { revoke_pck_ca: true, ..Issue::default() }, "TCB_REJECTED"),
        (Issue { revoke_tcb_signer: true, ..Issue::default() }, "COLLATERAL_INVALID"),
        (Issue { status: "OutOfDate", ..Issue::default() }, "TCB_REJECTED"),
        (Issue { qe_status: "OutOfDate", ..Issue::default() }, "TCB_REJECTED"),
        (Issue { tamper: true, ..Issue::default() }, "COLLATERAL_INVALID"),
    ];
    for _ in 0..2 {
        for (issue, status) in &cases {
            for (question, collateral) in known(&tee).into_iter().zip(documents(&tee, issue)) {
                let found = Question { collateral, ..again(&question) }.ask();
                assert_eq!(found.status, *status, "{issue:?}: {found:?}");
                question.trusted();
            }
        }
    }
}

/// What one root vouches for, another does not; and without any there is nothing.
#[test]
fn roots_count_each_time() {
    let (tee, other) = (SimTee::new(), SimTee::new());
    for question in known(&tee) {
        Question { root: Some(other.root_der.clone()), ..again(&question) }.refused("QUOTE_INVALID", "quote");
        Question { root: None, ..again(&question) }.ask();
        assert_ne!(Question { root: None, ..again(&question) }.ask().status, "OK");
        question.trusted();
    }
}

/// A quote is verified once for members that ask alike; what each of them makes of it is its own, and is said as if it had been asked alone.
#[test]
fn each_member_says_what_it_would_say_alone() {
    let tee = SimTee::new();
    let mut bad = honest(&tee, &Guest::booted(2));
    bad.quote = bent(&bad.quote, 100);
    let mut unread = honest(&tee, &Guest::booted(2));
    unread.log = Some("[{}]".into());
    for question in [honest(&tee, &Guest::booted(2)), bad, unread] {
        let alone = |change: fn(&mut Value)| {
            let mut policy = question.policy.clone();
            change(&mut policy);
            policy
        };
        let members = [
            alone(|policy| policy["os_image_hash"] = json!("00".repeat(32))),
            alone(|policy| policy["allowed_tcb_status"] = json!(["SWHardeningNeeded"])),
            alone(|policy| policy["app_id"] = json!(["00".repeat(20)])),
            alone(|policy| policy["tcb"] = json!({"min_evaluation_number": 99})),
        ];
        let mut expected = Vec::new();
        for (index, member) in members.iter().enumerate() {
            let found = Question { policy: member.clone(), ..again(&question) }.ask();
            for check in found.verdict["checks"].as_array().unwrap_or_else(|| panic!("{found:?}")) {
                let mut check = check.clone();
                check["name"] = format!("any_of[{index}].{}", check["name"].as_str().unwrap()).into();
                expected.push(check);
            }
        }
        let mut together = members[0].clone();
        let shared = ["allow_simulated", "binding", "identity", "collateral", "version"];
        let mut policy = json!({"version": 1});
        for name in shared {
            if let Some(value) = together.as_object_mut().unwrap().remove(name) {
                policy[name] = value;
            }
        }
        let member = |member: &Value| {
            let mut member = member.clone();
            shared.iter().for_each(|name| _ = member.as_object_mut().unwrap().remove(*name));
            member
        };
        policy["any_of"] = members.iter().map(member).collect();
        let found = Question { policy, ..again(&question) }.ask();
        assert_eq!(found.verdict["checks"], Value::from(expected), "{found:?}");
    }
}

fn bent(whole: &[u8], at: usize) -> Vec<u8> {
    let mut bent = whole.to_vec();
    bent[at] ^= 1 << (at % 8);
    bent
}

/// The same question.
fn again(question: &Question) -> Question {
    let Question { quote, log, stored, collateral, policy, root, session, now } = question;
    let session = match session {
        support::offline::Session::None => support::offline::Session::None,
        support::offline::Session::Atlas { leaf } => support::offline::Session::Atlas { leaf: leaf.clone() },
        support::offline::Session::Client { server_leaf, client_leaf } => {
            support::offline::Session::Client { server_leaf: server_leaf.clone(), client_leaf: client_leaf.clone() }
        }
    };
    Question {
        quote: quote.clone(),
        log: log.clone(),
        stored: stored.clone(),
        collateral: collateral.clone(),
        policy: policy.clone(),
        root: root.clone(),
        session,
        now: *now,
    }
}
