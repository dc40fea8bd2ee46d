//! A real quote of an SGX enclave: judged by a policy that pins what it has, with each pin changed, each byte changed, and at the ends of its documents' time.
//!
//! The evidence is no part of the project: it is found through ATLS_FIXTURES, else at ../shared/fixtures.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use std::path::PathBuf;

use atls::attest::hash::hex;
use serde_json::{Value, json};
use support::offline::{Question, Session};

/// The first and the last second at which all of its documents hold.
const FIRST: u64 = 1_750_330_571;
const LAST: u64 = 1_752_919_278;

fn folder() -> Option<PathBuf> {
    let path = std::env::var_os("ATLS_FIXTURES")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures"), PathBuf::from);
    if path.join("sgx/dcap-qvl/sgx_quote").exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "no fixtures at {}", path.display());
    println!("skipped: no fixtures at {}", path.display());
    None
}

fn real() -> Option<Question> {
    let read = |name: &str| std::fs::read(folder()?.join("sgx/dcap-qvl").join(name)).ok();
    let quote = read("sgx_quote")?;
    let report = &quote[48..432];
    let policy = json!({
        "type": "sgx", "mr_enclave": [hex(&report[64..96])], "mr_signer": [hex(&report[128..160])], "isv_prod_id": [0],
        "min_isv_svn": 0, "config_id": ["00".repeat(64)], "isv_family_id": ["00".repeat(16)],
        "isv_ext_prod_id": ["00".repeat(16)], "allowed_tcb_status": ["ConfigurationAndSWHardeningNeeded"],
        "attributes": {"mask": "ff".repeat(16), "value": hex(&report[48..64])},
    });
    Some(Question {
        collateral: String::from_utf8(read("sgx_quote_collateral.json")?).unwrap(),
        quote,
        log: None,
        stored: None,
        policy,
        root: None,
        session: Session::None,
        now: LAST,
    })
}

#[test]
fn its_outcome_is_the_recorded_one() {
    let Some(question) = real() else { return };
    let found = question.trusted();
    Question { policy: found.draft(), ..real().unwrap() }.trusted();
    let verdict = found.verdict;
    assert_eq!((&verdict["tee_type"], &verdict["trust_anchor"]), (&json!("sgx"), &json!("intel")));
    assert_eq!(verdict["tcb_status"], "ConfigurationAndSWHardeningNeeded");
    assert_eq!(verdict["advisory_ids"], json!(["INTEL-SA-00289", "INTEL-SA-00615"]));
    let measured = &verdict["measurements"];
    assert_eq!(measured["mr_enclave"], "33d8736db756ed4997e04ba358d27833188f1932ff7b1d156904d3f560452fbb");
    assert_eq!(measured["mr_signer"], "815f42f11cf64430c30bab7816ba596a1da0130c3b028b673133a66cf9a3e0e6");
    let text = hex(b"Hello, world!");
    assert_eq!(measured["report_data"], format!("{text:0<128}"));
    assert_eq!(verdict["platform"]["fmspc"], "00a067110000");
}

#[test]
fn platforms_that_need_hardening_need_the_policys_consent() {
    let Some(mut question) = real() else { return };
    question.policy.as_object_mut().unwrap().remove("allowed_tcb_status");
    let found = question.refused("TCB_REJECTED", "tcb_status");
    assert_eq!(found.message, "ConfigurationAndSWHardeningNeeded");
}

#[test]
fn each_pin_refuses() {
    for (pin, other, check) in [
        ("mr_enclave", json!(["00".repeat(32)]), "mr_enclave"),
        ("mr_signer", json!(["00".repeat(32)]), "mr_signer"),
        ("isv_prod_id", json!([1]), "isv_prod_id"),
        ("min_isv_svn", json!(1), "isv_svn"),
        ("config_id", json!(["01".repeat(64)]), "config_id"),
        ("isv_family_id", json!(["01".repeat(16)]), "isv_family_id"),
        ("isv_ext_prod_id", json!(["01".repeat(16)]), "isv_ext_prod_id"),
        ("attributes", json!({"mask": format!("04{}", "00".repeat(15)), "value": "00".repeat(16)}), "attributes"),
    ] {
        let Some(mut question) = real() else { return };
        question.policy[pin] = other;
        question.refused("MEASUREMENT_MISMATCH", check);
    }
}

#[test]
fn the_seconds_around_the_time_in_which_all_documents_hold() {
    let Some(question) = real() else { return };
    let at = |now: u64| Question { now, ..real().unwrap() }.ask().status;
    let window = question.trusted().verdict["collateral"].clone();
    assert_eq!([&window["issued"], &window["expires"]], [&json!(FIRST), &json!(LAST)]);
    let found = [FIRST - 1, FIRST, LAST - 1, LAST, LAST + 1].map(at);
    assert_eq!(found, ["COLLATERAL_INVALID", "OK", "OK", "OK", "COLLATERAL_INVALID"]);
}

#[test]
fn one_bit_of_any_byte_of_the_quote() {
    let Some(honest) = real() else { return };
    let stored = |quote: &[u8]| Some(json!({"tee": "sgx", "evidence": {"quote": hex(quote)}}));
    Question { stored: stored(&honest.quote), ..real().unwrap() }.trusted();
    const END: &[u8] = b"-----END CERTIFICATE-----";
    let at = |what: &[u8], from: usize| {
        honest.quote[from..].windows(what.len()).position(|found| found == what).unwrap() + from
    };
    let begin = at(b"-----BEGIN", 0);
    // The last certificate is a copy of the root, which is not looked at: the root that counts is built in.
    let end = at(END, at(END, begin) + 1) + END.len();
    let mut question = real().unwrap();
    for at in (0..begin).chain((begin..end).step_by(7)) {
        let mut bent = honest.quote.clone();
        bent[at] ^= 1 << (at % 8);
        question.stored = stored(&bent);
        let found = question.ask();
        let free = is_line_end(&honest.quote, at) && is_line_end(&bent, at);
        assert!(free || (found.status == "QUOTE_INVALID" && found.check == "quote"), "{at}: {found:?}");
    }
}

fn is_line_end(quote: &[u8], at: usize) -> bool {
    matches!(quote[at], b'\r' | b'\n')
}

#[test]
fn one_bit_of_any_byte_of_a_signed_document() {
    let Some(question) = real() else { return };
    let set: Value = serde_json::from_str(&question.collateral).unwrap();
    for (member, is_text) in [("tcb_info", true), ("qe_identity", true), ("root_ca_crl", false), ("pck_crl", false)] {
        let text = set[member].as_str().unwrap();
        let whole = if is_text { text.as_bytes().to_vec() } else { atls::attest::hash::unhex(text).unwrap() };
        for at in (0..whole.len()).step_by(if is_text { 31 } else { 3 }) {
            let mut bent = whole.clone();
            bent[at] ^= 1;
            let mut set = set.clone();
            set[member] = if is_text { String::from_utf8(bent).unwrap().into() } else { hex(&bent).into() };
            let found = Question { collateral: set.to_string(), ..real().unwrap() }.ask();
            let status = found.status.as_str();
            assert!(matches!(status, "COLLATERAL_INVALID" | "COLLATERAL_UNAVAILABLE"), "{member} {at}: {found:?}");
        }
    }
}
