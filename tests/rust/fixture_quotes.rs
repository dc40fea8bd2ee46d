//! The form of real quotes: what may follow them, and that every byte of them counts.

#![allow(unsafe_code)] // The tests' support is a client of the C ABI.

mod support;

use atls::attest::dcap::Culprit;
use atls::attest::tdx::TdxEvidence;
use atls::attest::{AppraisalRequest, Binding, Documents, Policy, TrustAnchors, appraise, dcap, tdx};
use atls::error::Status;
use serde_json::{Value, json};
use support::evidence::{collateral, folder, read};

/// A published quote, its collateral and a time at which both hold.
fn published() -> (Vec<u8>, Documents, u64) {
    (read("tdx/dcap-qvl/tdx_quote"), collateral("tdx/dcap-qvl/tdx_quote_collateral.json"), 1752919234)
}

/// The verdict on a quote alone.
fn alone(quote: Vec<u8>, policy: Value) -> atls::attest::Result<atls::verdict::Verdict> {
    let (_, collateral, now) = published();
    let mut members = json!({"type": "dstack_tdx", "disable_runtime_verification": true});
    members.as_object_mut().unwrap().extend(policy.as_object().unwrap().clone());
    appraise(&AppraisalRequest {
        evidence: &TdxEvidence { quote, event_log: None, ccel: None }.into(),
        documents: &collateral,
        policy: &Policy::from_json(members.to_string().as_bytes()).unwrap(),
        anchors: &TrustAnchors::default(),
        binding: &Binding::Skip,
        received: now,
        now,
    })
}

#[test]
fn zeros_behind_a_quote_are_a_buffers_and_nothing_else_is() {
    if folder().is_none() {
        return;
    }
    let (quote, collateral, now) = published();
    let verify = |quote: &[u8]| tdx::verify_quote(quote, (&collateral, "standard"), dcap::INTEL_ROOT_DER, now);
    let end = quote.iter().rposition(|byte| *byte != 0).unwrap() + 2;
    let mut padded = quote[..end].to_vec();
    // Buffers of the sizes that guests use, and none.
    for size in [end, quote.len(), 8000, 64 << 10, 1 << 20] {
        padded.resize(size, 0);
        assert!(verify(&padded).is_ok(), "{size}");
        for at in [end, (end + size) / 2, size - 1].into_iter().filter(|at| (end..size).contains(at)) {
            padded[at] = 1;
            let fault = verify(&padded).unwrap_err();
            assert!(fault.why.contains("only zeros may follow"), "{size} {at}: {fault:?}");
            padded[at] = 0;
        }
    }
    padded.truncate(4000);
    assert!(verify(&padded).unwrap_err().why.contains("cut short"));
}

#[test]
fn padding_ends_at_the_evidence_limit() {
    if folder().is_none() {
        return;
    }
    let (mut quote, _, _) = published();
    quote.resize(8000, 0);
    let limited = |limit: u64| alone(quote.clone(), json!({"binding": {"max_evidence_bytes": limit}})).unwrap();
    assert!(limited(8000).trusted);
    let refused = limited(7999);
    assert_eq!(refused.first_failure().unwrap().status, Status::QuoteInvalid);
    assert!(refused.error().unwrap().message.contains("at most 7999 bytes"));
}

#[test]
fn live_quotes_have_a_form_that_is_accepted() {
    if folder().is_none() {
        return;
    }
    // No collateral of its platform is at hand, but what needs none holds: form, chain and signatures.
    let quote = read("tdx/attestation-rs/tdx_quote_live.dat");
    let platform = tdx::genuine(&quote, dcap::INTEL_ROOT_DER, 1790000000).unwrap();
    assert_eq!(platform.ca, "platform");
}

#[test]
fn bytes_behind_the_pck_chain() {
    if folder().is_none() {
        return;
    }
    let (quote, collateral, now) = published();
    let verify = |quote: &[u8]| tdx::verify_quote(quote, (&collateral, "standard"), dcap::INTEL_ROOT_DER, now);
    const END: &[u8] = b"-----END CERTIFICATE-----";
    let chain_end = quote.windows(END.len()).rposition(|window| window == END).unwrap() + END.len();
    let begin = quote.windows(10).position(|window| window == b"-----BEGIN").unwrap();
    assert_eq!(quote[chain_end..chain_end + 2], *b"\n\0");
    // Other bytes at the same place, and more of them with all the lengths around made to fit.
    for (tail, good) in [
        (&b"\n"[..], true),
        (b"", true),
        (b"\r\n\n\0\0\0\0", true),
        (b" \0", false),
        (b"\0\n", false),
        (b"\n\0x", false),
        (b"\n\0\n\0", false),
        (b"\nrider\n", false),
    ] {
        let mut bent = [&quote[..chain_end], tail].concat();
        for (at, start) in [(begin - 4, begin), (766, 770), (632, 636)] {
            let length = (bent.len() - start) as u32;
            bent[at..at + 4].copy_from_slice(&length.to_le_bytes());
        }
        assert_eq!(verify(&bent).is_ok(), good, "{tail:?}: {:?}", verify(&bent).err());
    }
}

#[test]
fn an_enclaves_quote_is_none_of_a_trust_domain() {
    if folder().is_none() {
        return;
    }
    let quote = read("sgx/dcap-qvl/sgx_quote");
    let verdict = alone(quote.clone(), json!({})).unwrap();
    let failed = verdict.first_failure().unwrap();
    assert_eq!((failed.name().as_str(), failed.status), ("quote", Status::QuoteInvalid), "{failed:?}");
    assert!(failed.actual.contains("TEE type 0x0"), "{failed:?}");
    assert_eq!(tdx::genuine(&quote, dcap::INTEL_ROOT_DER, 1752919234).unwrap_err().culprit, Culprit::Quote);
}

#[test]
fn no_byte_of_a_quote_is_free() {
    if folder().is_none() {
        return;
    }
    let collateral = collateral("tdx/dcap-qvl/tdx_quote_collateral.json");
    let quote = read("tdx/dcap-qvl/tdx_quote");
    let signed = 1258;
    for index in (0..signed).step_by(7).chain(0..48) {
        let mut bent = quote.clone();
        bent[index] ^= 1;
        let result = tdx::verify_quote(&bent, (&collateral, "standard"), dcap::INTEL_ROOT_DER, 1752919234);
        assert!(result.is_err(), "byte {index}");
    }
}
