//! Real quotes and documents of Intel's, one bit changed at a time: no byte that somebody signed is free. And the seconds around the time in which they hold.
//!
//! The evidence is no part of the project: it is found through ATLS_FIXTURES, else at ../shared/fixtures.

use std::collections::BTreeSet;
use std::path::PathBuf;

use atls::attest::dcap::{self, Culprit, DocumentKind, QuoteKind};
use atls::attest::hash::{hex, unhex};
use atls::attest::{Documents, tdx};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Map, Value};
use x509_cert::Certificate;
use x509_cert::der::Decode;

fn folder() -> Option<PathBuf> {
    let path = std::env::var_os("ATLS_FIXTURES")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures"), PathBuf::from);
    if path.join("expected.json").exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "no fixtures at {}", path.display());
    println!("skipped: no fixtures at {}", path.display());
    None
}

fn read(path: &str) -> Vec<u8> {
    std::fs::read(folder().unwrap().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A quote that holds at a time, with the set that says so.
struct Case {
    name: String,
    quote: Vec<u8>,
    set: Value,
    now: u64,
}

/// Of the recorded outcomes those that are good, one for each quote. A set in YAML is another test's to read.
fn cases() -> Vec<Case> {
    if folder().is_none() {
        return Vec::new();
    }
    let expected: Value = serde_json::from_slice(&read("expected.json")).unwrap();
    let (mut seen, mut cases) = (BTreeSet::new(), Vec::new());
    for case in expected["dcap"].as_array().unwrap() {
        let (spec, collateral) = (&case["quote"], case["collateral"].as_str().unwrap());
        if case["expect"]["ok"] != true || collateral.ends_with(".yaml") || !seen.insert(spec["file"].to_string()) {
            continue;
        }
        let bytes = read(spec["file"].as_str().unwrap());
        let quote = match spec["format"].as_str() {
            Some("raw") => bytes,
            _ => {
                let document: Value = serde_json::from_slice(&bytes).unwrap();
                unhex(document[spec["field"].as_str().unwrap()].as_str().unwrap()).unwrap()
            }
        };
        let mut set: Map<String, Value> = serde_json::from_slice(&read(collateral)).unwrap();
        set.remove("pck_certificate_chain");
        let (name, now) = (case["name"].as_str().unwrap().to_owned(), case["now"].as_u64().unwrap());
        cases.push(Case { name, quote, set: set.into(), now });
    }
    assert!(cases.len() >= 3, "{}", cases.len());
    cases
}

fn documents(set: &Value) -> Documents {
    dcap::documents::from_json(set.to_string().as_bytes()).unwrap()
}

impl Case {
    fn verify(&self, quote: &[u8], documents: &Documents, now: u64) -> Result<(u64, u64), Culprit> {
        let verified = tdx::verify_quote(quote, (documents, "standard"), dcap::INTEL_ROOT_DER, now);
        verified.map(|claims| (claims.platform.issued, claims.platform.expires)).map_err(|fault| fault.culprit)
    }
}

#[test]
fn one_bit_of_any_signed_byte_of_a_quote() {
    for case in cases() {
        let documents = documents(&case.set);
        // All else of it is known from here on.
        assert!(case.verify(&case.quote, &documents, case.now).is_ok());
        let find = |what: &[u8], from: usize| {
            case.quote[from..].windows(what.len()).position(|found| found == what).unwrap() + from
        };
        const END: &[u8] = b"-----END CERTIFICATE-----";
        let begin = find(b"-----BEGIN", 0);
        // The last certificate is a copy of the root, which is not looked at: the root that counts is built in.
        let end = find(END, find(END, begin) + 1) + END.len();
        for at in (0..begin).chain((begin..end).step_by(13)) {
            let mut bent = case.quote.clone();
            bent[at] ^= 1 << (at % 8);
            let is_line_end = |byte: u8| matches!(byte, b'\r' | b'\n');
            if is_line_end(case.quote[at]) && is_line_end(bent[at]) {
                continue;
            }
            let found = case.verify(&bent, &documents, case.now);
            assert_eq!(found, Err(Culprit::Quote), "{}: byte {at}", case.name);
        }
    }
}

#[test]
fn one_bit_of_any_signed_byte_of_a_document() {
    for case in cases() {
        assert!(case.verify(&case.quote, &documents(&case.set), case.now).is_ok());
        let (tcb, qe) =
            (DocumentKind::TcbInfo(QuoteKind::TrustDomain), DocumentKind::QeIdentity(QuoteKind::TrustDomain));
        for (member, kind, step) in [
            ("tcb_info", tcb, 97),
            ("tcb_info_signature", tcb, 1),
            ("qe_identity", qe, 23),
            ("qe_identity_signature", qe, 1),
            ("root_ca_crl", DocumentKind::RootCrl, 3),
            ("pck_crl", DocumentKind::PckCrl, 5),
        ] {
            let text = case.set[member].as_str().unwrap();
            let is_text = matches!(member, "tcb_info" | "qe_identity");
            let whole = if is_text { text.as_bytes().to_vec() } else { unhex(text).unwrap() };
            for at in (0..whole.len()).step_by(step) {
                let (mut bent, mut set) = (whole.clone(), case.set.clone());
                bent[at] ^= 1;
                set[member] = if is_text { String::from_utf8(bent).unwrap().into() } else { hex(&bent).into() };
                let found = case.verify(&case.quote, &documents(&set), case.now).unwrap_err();
                // A document that says that it is of another kind is none of this one.
                let blamed = matches!(found, Culprit::Document(_) | Culprit::Missing(_));
                assert!(blamed, "{}: {member} {at} ({kind}): {found:?}", case.name);
            }
        }
    }
}

/// A chain that is known to lead to the root does so from the first second of its certificates to their last.
#[test]
fn the_seconds_around_the_time_in_which_a_known_chain_holds() {
    for case in cases() {
        let begin = case.quote.windows(10).position(|found| found == b"-----BEGIN").unwrap();
        let (mut from, mut until) = (0, u64::MAX);
        for der in CertificateDer::pem_slice_iter(&case.quote[begin..]).map_while(Result::ok) {
            let read = Certificate::from_der(&der).unwrap();
            let validity = read.tbs_certificate().validity();
            from = from.max(validity.not_before.to_unix_duration().as_secs());
            until = until.min(validity.not_after.to_unix_duration().as_secs());
        }
        let holds = |now: u64| tdx::genuine(&case.quote, dcap::INTEL_ROOT_DER, now).is_ok();
        for _ in 0..2 {
            assert!(holds(case.now), "{}", case.name);
            let found = [0, from - 1, from, until, until + 1, 1 << 40].map(holds);
            assert_eq!(found, [false, false, true, true, false, false], "{}: {from} {until}", case.name);
        }
        assert!(tdx::genuine(&case.quote, &simtee::SimTee::new().root_der, case.now).is_err());
    }
}

#[test]
fn the_seconds_around_the_time_in_which_everything_holds() {
    for case in cases() {
        let documents = documents(&case.set);
        let (first, last) = case.verify(&case.quote, &documents, case.now).unwrap();
        assert!((first..=last).contains(&case.now), "{}", case.name);
        let holds = |now: u64| case.verify(&case.quote, &documents, now).is_ok();
        // The last second is already too late for revocation lists.
        let found = [first - 1, first, first + 1, last - 1, last + 1].map(holds);
        assert_eq!(found, [false, true, true, true, false], "{}: {first} {last}", case.name);
    }
}
