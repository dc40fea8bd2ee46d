//! Real evidence from real platforms, with the outcomes that `expected.json` of the fixtures' folder records.
//!
//! The folder is no part of the project: it is found through ATLS_FIXTURES, else at ../shared/fixtures.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use atls::attest::dcap::{Culprit, DocumentKind, QuoteKind};
use atls::attest::tdx::TdxEvidence;
use atls::attest::{AppraisalRequest, Binding, Document, Policy, TrustAnchors, appraise, dcap, tdx};
use atls::verdict::Outcome;
use serde_json::{Value, json};
use support::evidence::{collateral, folder, read, yaml_to_json};
use support::offline::{Question, Session};

fn quote(spec: &Value) -> Vec<u8> {
    let bytes = read(spec["file"].as_str().unwrap());
    if spec["format"] == "raw" {
        return bytes;
    }
    let document: Value = serde_json::from_slice(&bytes).unwrap();
    atls::attest::hash::unhex(document[spec["field"].as_str().unwrap()].as_str().unwrap()).unwrap()
}

#[test]
fn outcomes_of_quote_verification() {
    if folder().is_none() {
        return;
    }
    let expected: Value = serde_json::from_slice(&read("expected.json")).unwrap();
    let cases = expected["dcap"].as_array().unwrap();
    assert!(cases.len() >= 11);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let collateral = collateral(case["collateral"].as_str().unwrap());
        let now = case["now"].as_u64().unwrap();
        let result = tdx::verify_quote(&quote(&case["quote"]), (&collateral, "standard"), dcap::INTEL_ROOT_DER, now);
        let expect = &case["expect"];
        // This vector keeps another machine's PCK chain in the set. Ours never holds one, so the quote's own chain counts.
        let chain_dropped = name.starts_with("cached collateral of ANOTHER machine");
        match result {
            Ok(claims) => {
                assert!(expect["ok"] == true || chain_dropped, "{name}: verified");
                if !chain_dropped {
                    assert_eq!(claims.platform.tcb_status, expect["status"].as_str().unwrap(), "{name}");
                    assert_eq!(
                        claims.platform.advisory_ids.len() as u64,
                        expect["advisories"].as_u64().unwrap(),
                        "{name}"
                    );
                }
            }
            Err(fault) => {
                assert_eq!(expect["ok"], false, "{name}: {fault:?}");
                assert!(fault.why.contains(expect["error"].as_str().unwrap()), "{name}: {fault:?}");
                let culprit = match name {
                    "tdx v5, TCB below every level" => Culprit::Platform,
                    "dstack 0.6, PCK not yet valid" => Culprit::Quote,
                    _ => Culprit::Document(DocumentKind::PckCrl),
                };
                assert_eq!(fault.culprit, culprit, "{name}: {fault:?}");
            }
        }
    }
}

/// The case's quote alone, through the C ABI, under a policy of type `tdx` with these measurements.
fn bare(case: &Value, measurements: Value) -> Question {
    let path = case["collateral"].as_str().unwrap();
    let mut documents = match path.ends_with(".yaml") {
        true => yaml_to_json(std::str::from_utf8(&read(path)).unwrap()),
        false => serde_json::from_slice(&read(path)).unwrap(),
    };
    documents.as_object_mut().unwrap().remove("pck_certificate_chain");
    Question {
        quote: quote(&case["quote"]),
        log: None,
        stored: None,
        collateral: documents.to_string(),
        policy: json!({
            "type": "tdx", "measurements": [measurements], "allowed_tcb_status": ["UpToDate", "OutOfDate"],
        }),
        root: None,
        session: Session::None,
        now: case["now"].as_u64().unwrap(),
    }
}

#[test]
fn outcomes_under_a_policy_that_pins_the_quotes_own_registers() {
    if folder().is_none() {
        return;
    }
    let expected: Value = serde_json::from_slice(&read("expected.json")).unwrap();
    let mut trusted = 0;
    for case in expected["dcap"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let hex = |at: usize| atls::attest::hash::hex(&quote(&case["quote"])[at..at + 48]);
        // A report of TDX 1.5 begins six bytes later: its type and length come before it.
        let body = if quote(&case["quote"])[0] == 5 { 54 } else { 48 };
        let mut pins = json!({"mrtd": hex(body + 136)});
        for index in 0..4 {
            pins[format!("rtmr{index}")] = hex(body + 328 + 48 * index).into();
        }
        let question = bare(case, pins.clone());
        let dropped = name.starts_with("cached collateral of ANOTHER machine");
        if case["expect"]["ok"] == false && !dropped {
            assert_ne!(question.ask().status, "OK", "{name}");
            continue;
        }
        let found = question.trusted();
        Question { policy: found.draft(), ..bare(case, pins.clone()) }.trusted();
        let status = case["expect"]["status"].as_str().unwrap_or("OutOfDate");
        assert_eq!(found.verdict["tcb_status"], status, "{name}");
        assert_eq!(found.verdict["trust_anchor"], "intel", "{name}");
        for register in ["mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"] {
            let mut changed = pins.clone();
            changed[register] = "ee".repeat(48).into();
            bare(case, changed).refused("MEASUREMENT_MISMATCH", "measurement");
        }
        trusted += 1;
    }
    assert!(trusted >= 7, "{trusted}");
}

#[test]
fn the_seconds_around_the_time_in_which_all_documents_hold() {
    if folder().is_none() {
        return;
    }
    let expected: Value = serde_json::from_slice(&read("expected.json")).unwrap();
    let case = &expected["dcap"][0];
    let hex = |at: usize| atls::attest::hash::hex(&quote(&case["quote"])[at..at + 48]);
    let pins = json!({"mrtd": hex(184), "rtmr1": hex(424), "rtmr2": hex(472)});
    let at = |now: u64| Question { now, ..bare(case, pins.clone()) }.ask();
    let window = at(case["now"].as_u64().unwrap()).verdict["collateral"].clone();
    let (first, last) = (window["issued"].as_u64().unwrap(), window["expires"].as_u64().unwrap());
    let found = [first - 1, first, last - 1, last, last + 1].map(|now| at(now).status);
    assert_eq!(found, ["COLLATERAL_INVALID", "OK", "OK", "COLLATERAL_INVALID", "COLLATERAL_INVALID"], "{first} {last}");
}

/// A whole guest, judged under a policy that pins what it measured.
fn guest(file: &str, collateral_file: &str, now: u64, extra: Value) -> atls::verdict::Verdict {
    let document: Value = serde_json::from_slice(&read(file)).unwrap();
    let evidence = TdxEvidence::from_json(document.to_string().as_bytes()).unwrap();
    let collateral = collateral(collateral_file);
    let claims = tdx::verify_quote(&evidence.quote, (&collateral, "standard"), dcap::INTEL_ROOT_DER, now).unwrap();
    let hex = atls::attest::hash::hex;
    let log = atls::attest::dstack::event_log::EventLog::parse(evidence.event_log.as_deref().unwrap()).unwrap();
    let mut policy = json!({
        "type": "dstack_tdx",
        "bootchains": [{"label": "as measured", "mrtd": hex(&claims.mr_td), "rtmr0": hex(&claims.rtmr[0]),
                        "rtmr1": hex(&claims.rtmr[1]), "rtmr2": hex(&claims.rtmr[2])}],
        "app_compose_hash": [hex(log.system_event("compose-hash").unwrap())],
    });
    policy.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    appraise(&AppraisalRequest {
        evidence: &evidence.into(),
        documents: &collateral,
        policy: &Policy::from_json(policy.to_string().as_bytes()).unwrap(),
        anchors: &TrustAnchors::default(),
        binding: &Binding::Skip,
        received: now,
        now,
    })
    .unwrap()
}

#[test]
fn real_documents_are_authentic_each_by_itself() {
    if folder().is_none() {
        return;
    }
    let expected: Value = serde_json::from_slice(&read("expected.json")).unwrap();
    let mut seen = 0;
    for case in expected["dcap"].as_array().unwrap() {
        let (name, now) = (case["name"].as_str().unwrap(), case["now"].as_u64().unwrap());
        let set = collateral(case["collateral"].as_str().unwrap());
        let of = |kind: DocumentKind| kind.alone(&set).unwrap().clone();
        let text = |document: &Document| String::from_utf8(document.body().to_vec()).unwrap();
        let list = of(DocumentKind::RootCrl).body().to_vec();
        let vendor = dcap::Issuer { root: dcap::INTEL_ROOT_DER, root_crl: Some(&list) };
        assert_eq!(vendor.root_crl(&list), Ok(()), "{name}");
        let crl = of(DocumentKind::PckCrl);
        let by = |ca: &str| vendor.pck_crl(crl.body(), crl.chain(), ca, now);
        assert!(by("platform").is_ok() != by("processor").is_ok(), "{name}: {:?}", by("platform"));
        let tcb_info = of(DocumentKind::TcbInfo(QuoteKind::TrustDomain));
        let (info, chain) = (text(&tcb_info), tcb_info.chain());
        let signed = (&*info, tcb_info.signature());
        let fmspc = serde_json::from_str::<Value>(&info).unwrap()["fmspc"].as_str().unwrap().to_owned();
        assert_eq!(vendor.tcb_info(QuoteKind::TrustDomain, signed, (chain, now), &fmspc), Ok(()), "{name}");
        assert!(vendor.tcb_info(QuoteKind::TrustDomain, signed, (chain, now), "000000000001").is_err());
        assert!(vendor.tcb_info(QuoteKind::Enclave, signed, (chain, now), &fmspc).is_err());
        assert!(vendor.qe_identity(QuoteKind::TrustDomain, signed, (chain, now)).is_err());
        let qe_identity = of(DocumentKind::QeIdentity(QuoteKind::TrustDomain));
        let (identity, chain) = (text(&qe_identity), qe_identity.chain());
        let signed = (&*identity, qe_identity.signature());
        assert_eq!(vendor.qe_identity(QuoteKind::TrustDomain, signed, (chain, now)), Ok(()), "{name}");
        assert!(vendor.qe_identity(QuoteKind::Enclave, signed, (chain, now)).is_err());
        let stranger = dcap::Issuer { root: &simtee::SimTee::new().root_der, root_crl: None };
        assert!(
            stranger.root_crl(&list).is_err()
                && stranger.qe_identity(QuoteKind::TrustDomain, signed, (chain, now)).is_err()
        );
        seen += 1;
    }
    assert!(seen >= 11);
}

#[test]
fn a_real_guest_with_its_whole_log() {
    if folder().is_none() {
        return;
    }
    let judge = |extra| {
        guest("tdx/dstack/quote-report.json", "tdx/dcap-qvl/tdx_quote_outdated_collateral.json", 1772707803, extra)
    };
    let verdict = judge(json!({}));
    assert!(verdict.trusted, "{}", verdict.to_json());
    for register in ["rtmr0", "rtmr1", "rtmr2", "rtmr3"] {
        let check = verdict.checks.iter().find(|check| check.name() == register).unwrap();
        assert_eq!(check.outcome, Outcome::Pass, "{register}");
    }
    assert!(verdict.protocol.is_none());
    let wrong = judge(json!({"app_compose_hash": ["00".repeat(32)]}));
    assert_eq!(wrong.first_failure().unwrap().name(), "app_compose");
    let image = judge(json!({"os_image_hash": "00".repeat(32)}));
    assert_eq!(image.first_failure().unwrap().actual, "no such event");
}

#[test]
fn a_newer_guest_with_empty_digests_and_mr_config_id() {
    if folder().is_none() {
        return;
    }
    let collateral = "azure/flashbots/azure-collateral-with-ak-intermediates-1780922561.yaml";
    let judge = |extra| guest("tdx/dstack/tdx-lite-getquote.json", collateral, 1782215795, extra);
    let verdict = judge(json!({"require_mr_config_id": true, "key_provider": {"name": "kms"}}));
    assert!(verdict.trusted, "{}", verdict.to_json());
    assert!(verdict.application.iter().any(|(name, _)| name == "os-image-hash"));
    assert_eq!(judge(json!({"key_provider": {"name": "local"}})).first_failure().unwrap().name(), "key_provider");
}
