//! Real evidence of SEV-SNP guests: each with a policy that pins what it has, with each pin changed, and with each byte changed.
//!
//! The evidence is no part of the project: it is found through ATLS_FIXTURES, else at ../shared/fixtures.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use std::path::PathBuf;

use atls::attest::hash::{hex, unhex};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use support::snp::Question;

fn folder() -> Option<PathBuf> {
    let path = std::env::var_os("ATLS_FIXTURES")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures"), PathBuf::from);
    if path.join("expected-families.json").exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "no fixtures at {}", path.display());
    println!("skipped: no fixtures at {}", path.display());
    None
}

fn read(path: &str) -> Vec<u8> {
    std::fs::read(folder().unwrap().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn certificate(path: &str) -> Vec<u8> {
    let bytes = read(path);
    if path.ends_with(".pem") { CertificateDer::from_pem_slice(&bytes).unwrap().to_vec() } else { bytes }
}

fn cases() -> Vec<Value> {
    if folder().is_none() {
        return Vec::new();
    }
    let all: Value = serde_json::from_slice(&read("expected-families.json")).unwrap();
    all["cases"].as_array().unwrap().iter().filter(|case| case["family"] == "snp").cloned().collect()
}

/// The case, with a policy that pins what the recorded claims say of it.
fn question(case: &Value) -> Question {
    let file = case["report"].as_str().unwrap();
    let mut report = match case["encoding"].as_str().unwrap() {
        "hex" => unhex(std::str::from_utf8(&read(file)).unwrap().trim()).unwrap(),
        _ => read(file),
    };
    if file.starts_with("snp/dstack") {
        report = report[4..][..1184].to_vec();
    }
    let claims = &case["claims"];
    let product = match claims["product"].as_str().unwrap() {
        "milan" => "Milan",
        "genoa" => "Genoa",
        other => panic!("{other}"),
    };
    let version = claims["version"].as_u64().unwrap();
    let mut policy = json!({
        "type": "snp",
        "products": [product],
        "measurement": [claims["measurement"]],
        "host_data": [claims["host_data"]],
        "min_tcb": {product: floor(&report)},
        "signing_key": [claims["signing_key"]],
        "vmpl": [claims["vmpl"]],
        "platform": {"require_alias_check": version > 2},
        "min_report_version": version,
        "crl": "off",
    });
    match claims["signing_key"].as_str().unwrap() {
        "vlek" => policy["csp_id"] = json!(["CN=cc-us-east-2.amazonaws.com"]),
        _ => policy["allowed_chip_id"] = json!([claims["chip_id"]]),
    }
    Question {
        report,
        leaf: Some(certificate(case["leaf"].as_str().unwrap())),
        mr_config: None,
        bundle: None,
        policy,
        vendor: "amd",
        roots: None,
        session: None,
        client: Vec::new(),
        now: case["now"].as_u64().unwrap(),
    }
}

/// The lower of reported and committed, each component (Milan and Genoa).
fn floor(report: &[u8]) -> Value {
    let least = |at: usize| report[0x180 + at].min(report[0x1e0 + at]);
    json!({"bootloader": least(0), "tee": least(1), "snp": least(6), "microcode": least(7)})
}

fn named(name: &str) -> Option<Question> {
    cases().iter().find(|case| case["name"] == name).map(question)
}

const MILAN: &str = "bare Milan, report v3";
const VLEK: &str = "VLEK (cloud provider key), VMPL 1";

#[test]
fn outcomes_that_are_recorded() {
    let cases = cases();
    assert!(cases.is_empty() || cases.len() >= 9);
    for case in &cases {
        let (name, question) = (case["name"].as_str().unwrap(), question(case));
        let found = question.ask();
        if case["expect"]["ok"] == false {
            assert_eq!(found.status, "QUOTE_INVALID", "{name}: {found:?}");
            assert_eq!(found.check, "chain", "{name}: {found:?}");
            assert_eq!(found.verdict["measurements"], Value::Null, "{name}: no claims");
            continue;
        }
        assert_eq!(found.status, "OK", "{name}: {found:?}");
        Question { policy: found.draft(), ..question.clone() }.trusted();
        let (claims, verdict) = (&case["claims"], &found.verdict);
        assert_eq!((&verdict["trusted"], &verdict["tee_type"]), (&json!(true), &json!("snp")), "{name}");
        assert_eq!((&verdict["trust_anchor"], &verdict["tcb_status"]), (&json!("amd"), &Value::Null), "{name}");
        assert_eq!((&verdict["protocol"], &verdict["bound_to_session"]), (&Value::Null, &json!(false)), "{name}");
        for field in ["measurement", "host_data", "report_data", "vmpl"] {
            assert_eq!(verdict["measurements"][field], claims[field], "{name}: {field}");
        }
        for field in ["chip_id", "signing_key"] {
            assert_eq!(verdict["platform"][field], claims[field], "{name}: {field}");
        }
        let platform_info = format!("{:016x}", claims["platform_info"].as_u64().unwrap());
        assert_eq!(verdict["platform"]["platform_info"], platform_info.as_str(), "{name}");
        assert_eq!(verdict["platform"]["policy_bits"]["debug"], claims["debug"], "{name}");
        assert_eq!(verdict["platform"]["cpuid"], claims["cpuid_fms"], "{name}");
    }
}

#[test]
fn one_bit_of_any_byte_that_is_signed_or_must_be_zero() {
    for case in cases().iter().filter(|case| case["expect"]["ok"] == true) {
        let honest = question(case);
        for at in 0..honest.report.len() {
            let mut bent = honest.clone();
            bent.report[at] ^= 1 << (at % 8);
            let found = bent.ask();
            // The product and the kind of key are read before anything is verified.
            let early = ["report", "products", "signing_key", "chain", "signature"];
            assert!(found.status != "OK" && early.contains(&found.check.as_str()), "{at:x}: {found:?}");
            assert_eq!(found.verdict["measurements"], Value::Null, "{at:x}: {found:?}");
        }
    }
}

#[test]
fn one_bit_of_any_byte_of_a_certificate() {
    for case in cases().iter().filter(|case| case["expect"]["ok"] == true) {
        let honest = question(case);
        for at in 0..honest.leaf.as_ref().unwrap().len() {
            let mut bent = honest.clone();
            bent.leaf.as_mut().unwrap()[at] ^= 1 << (at % 8);
            let found = bent.ask();
            assert!(matches!(found.status.as_str(), "QUOTE_INVALID" | "EVIDENCE_INVALID"), "{at:x}: {found:?}");
        }
    }
}

#[test]
fn a_report_has_one_length() {
    let Some(honest) = named(MILAN) else { return };
    for length in [0, 1183, 1185] {
        let mut bent = honest.clone();
        bent.report.resize(length, 0);
        assert_eq!(bent.ask().status, "EVIDENCE_INVALID", "{length}");
    }
}

#[test]
fn each_pin_of_the_policy_refuses() {
    let Some(honest) = named(MILAN) else { return };
    let change = |field: &str, value: Value| {
        let mut bent = honest.clone();
        bent.policy[field] = value;
        bent
    };
    let zeros = |digits: usize| json!(["0".repeat(digits)]);
    for (field, value, status, check) in [
        ("measurement", zeros(96), "MEASUREMENT_MISMATCH", "measurement"),
        ("host_data", zeros(64), "MEASUREMENT_MISMATCH", "host_data"),
        ("id_key_digest", json!(["1".repeat(96)]), "MEASUREMENT_MISMATCH", "id_key_digest"),
        // There is no author's key, so the digest, which is zero, says nothing.
        ("author_key_digest", zeros(96), "MEASUREMENT_MISMATCH", "author_key_digest"),
        ("family_id", json!(["1".repeat(32)]), "MEASUREMENT_MISMATCH", "family_id"),
        ("image_id", json!(["1".repeat(32)]), "MEASUREMENT_MISMATCH", "image_id"),
        ("min_guest_svn", json!(1 << 20), "MEASUREMENT_MISMATCH", "guest_svn"),
        ("vmpl", json!([1, 2, 3]), "MEASUREMENT_MISMATCH", "vmpl"),
        ("allowed_chip_id", zeros(128), "MEASUREMENT_MISMATCH", "hardware_instance"),
        ("denied_chip_id", json!([hex(&honest.report[0x1a0..0x1e0])]), "MEASUREMENT_MISMATCH", "hardware_instance"),
        ("guest_policy", json!({"require_single_socket": true}), "MEASUREMENT_MISMATCH", "guest_policy"),
        ("guest_policy", json!({"forbid_smt": true}), "MEASUREMENT_MISMATCH", "guest_policy"),
        ("platform", json!({"forbid_smt": true}), "TCB_REJECTED", "platform_info"),
        ("platform", json!({"require_tsme": true}), "TCB_REJECTED", "platform_info"),
        ("platform", json!({"require_ciphertext_hiding": true}), "TCB_REJECTED", "platform_info"),
        ("required_mitigations", json!("0000000000000001"), "TCB_REJECTED", "mitigations"),
        ("min_abi", json!("1.99"), "TCB_REJECTED", "abi"),
        ("min_report_version", json!(4), "QUOTE_INVALID", "report"),
        ("crl", json!("require"), "COLLATERAL_UNAVAILABLE", "crl"),
        ("mr_config", json!({"app_id": ["0".repeat(40)]}), "MEASUREMENT_MISMATCH", "mr_config"),
    ] {
        change(field, value).refused(status, check);
    }
    change("crl", json!("if_available")).trusted();
    for component in ["bootloader", "tee", "snp", "microcode"] {
        let mut high = honest.clone();
        let floor = &mut high.policy["min_tcb"]["Milan"][component];
        *floor = (floor.as_u64().unwrap() + 1).into();
        high.refused("TCB_REJECTED", "tcb_minimum");
        let mut launch = honest.clone();
        launch.policy["min_launch_tcb"] = launch.policy["min_tcb"].clone();
        launch.policy["min_launch_tcb"]["Milan"][component] = if component == "microcode" { 255 } else { 127 }.into();
        launch.refused("TCB_REJECTED", "launch_tcb");
    }
    let mut other = honest.clone();
    other.policy["products"] = json!(["Genoa"]);
    other.policy["min_tcb"] = json!({"Genoa": other.policy["min_tcb"]["Milan"]});
    other.refused("TCB_REJECTED", "products");
}

#[test]
fn a_provider_key_is_not_a_chip_key_and_back() {
    let (Some(vlek), Some(vcek)) = (named(VLEK), named(MILAN)) else { return };
    vlek.trusted();
    let mut bent = vlek.clone();
    bent.policy["signing_key"] = json!(["vcek"]);
    bent.policy.as_object_mut().unwrap().remove("csp_id");
    bent.refused("TCB_REJECTED", "signing_key");
    let mut bent = vlek.clone();
    bent.policy["csp_id"] = json!(["CN=cc-us-east-1.amazonaws.com"]);
    bent.refused("MEASUREMENT_MISMATCH", "csp_id");
    let mut bent = vlek.clone();
    bent.policy["allow_provisional"] = false.into();
    bent.refused("TCB_REJECTED", "tcb_order");
    let mut bent = vlek.clone();
    bent.leaf = None;
    bent.refused("EVIDENCE_INVALID", "leaf");
    let mut bent = vlek.clone();
    bent.policy["allowed_chip_id"] = json!(["0".repeat(128)]);
    bent.refused("MEASUREMENT_MISMATCH", "hardware_instance");
    // Each certificate beside the other's report.
    let mut swapped = vlek.clone();
    swapped.leaf = vcek.leaf.clone();
    swapped.refused("QUOTE_INVALID", "chain");
    let mut swapped = vcek.clone();
    swapped.leaf = vlek.leaf.clone();
    swapped.now = vlek.now;
    swapped.refused("QUOTE_INVALID", "chain");
}

#[test]
fn a_certificate_holds_from_its_first_second_to_its_last() {
    for case in cases().iter().filter(|case| case["expect"]["ok"] == true) {
        let honest = question(case);
        let [from, to] = [0, 1].map(|index| case["leaf_valid"][index].as_u64().unwrap());
        for (now, holds) in [(from - 1, false), (from, true), (to, true), (to + 1, false)] {
            let mut at = honest.clone();
            at.now = now;
            if holds {
                at.trusted()
            } else {
                at.refused("QUOTE_INVALID", "chain")
            };
        }
    }
}

#[test]
fn a_certificate_of_another_product_or_chip() {
    let (Some(milan), Some(genoa)) = (named(MILAN), named("bare Genoa, report v3")) else { return };
    let mut bent = milan.clone();
    bent.leaf = genoa.leaf.clone();
    bent.refused("QUOTE_INVALID", "chain");
    let Some(sibling) = named("dstack on SNP, report at byte 4") else { return };
    let mut bent = milan.clone();
    bent.leaf = sibling.leaf.clone();
    bent.now = 1_790_000_000;
    bent.refused("QUOTE_INVALID", "signature");
    // The store has none for it.
    let mut without = milan.clone();
    without.leaf = None;
    without.refused("COLLATERAL_UNAVAILABLE", "leaf");
}

#[test]
fn a_certificate_from_a_bundle() {
    let Some(honest) = named(MILAN) else { return };
    let name = |report: &[u8]| format!("amd/leaf/Milan/{}/{}", hex(&report[0x1a0..0x1e0]), hex(&report[0x180..0x188]));
    let mut bundled = honest.clone();
    bundled.bundle = Some(vec![(name(&honest.report), honest.leaf.clone().unwrap())]);
    bundled.leaf = None;
    bundled.trusted();
    // One of another name is not the one that is asked for.
    let mut other = bundled.clone();
    other.bundle.as_mut().unwrap()[0].0 = format!("amd/leaf/Milan/{}/{}", "0".repeat(128), "0".repeat(16));
    other.refused("COLLATERAL_UNAVAILABLE", "leaf");
    // What a bundle says is judged as what came with the evidence.
    let Some(sibling) = named("dstack on SNP, report at byte 4") else { return };
    let mut wrong = bundled.clone();
    wrong.bundle.as_mut().unwrap()[0].1 = sibling.leaf.unwrap();
    wrong.now = 1_790_000_000;
    wrong.refused("QUOTE_INVALID", "signature");
}

#[test]
fn the_document_of_dstack_is_bound_by_host_data() {
    let Some(mut honest) = named("dstack on SNP, report at byte 4") else { return };
    let whole = read("snp/dstack/sev_snp_attestation.bin");
    let text = String::from_utf8_lossy(&whole).into_owned();
    let (start, end) = (text.find("{\"app_id\"").unwrap(), text.find("\"version\":3}").unwrap());
    let document = text[start..end + "\"version\":3}".len()].to_owned();
    let parsed: Value = serde_json::from_str(&document).unwrap();
    honest.mr_config = Some(document.clone());
    let found = honest.trusted();
    assert_eq!(found.verdict["application"]["compose-hash"], parsed["compose_hash"]);
    let rules = json!({
        "app_compose_hash": [parsed["compose_hash"]], "app_id": [parsed["app_id"]],
        "key_provider": {"name": parsed["key_provider"], "id": parsed["key_provider_id"]},
    });
    honest.policy["mr_config"] = rules.clone();
    honest.trusted();
    for (field, value, check) in [
        ("app_compose_hash", json!(["0".repeat(64)]), "app_compose"),
        ("app_id", json!(["0".repeat(40)]), "app_id"),
        ("key_provider", json!({"name": "none"}), "key_provider"),
        ("key_provider", json!({"name": parsed["key_provider"], "id": "00"}), "key_provider"),
        ("gpu_policy_hash", json!(["1".repeat(64)]), "gpu_policy_hash"),
        ("init_script_hashes", json!([["1".repeat(64)]]), "init_script_hashes"),
    ] {
        let mut bent = honest.clone();
        bent.policy["mr_config"][field] = value;
        bent.refused("MEASUREMENT_MISMATCH", check);
    }
    for at in 0..document.len() {
        let mut bytes = document.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(changed) = String::from_utf8(bytes) else { continue };
        let mut bent = honest.clone();
        bent.mr_config = Some(changed);
        bent.refused("MEASUREMENT_MISMATCH", "mr_config");
    }
    let mut without = honest.clone();
    without.mr_config = None;
    without.refused("MEASUREMENT_MISMATCH", "mr_config");
}

#[test]
fn evidence_under_a_policy_of_another_kind() {
    let Some(mut honest) = named(MILAN) else { return };
    honest.policy = json!({"type": "dstack_tdx", "disable_runtime_verification": true});
    honest.refused("EVIDENCE_INVALID", "tee");
    let Some(honest) = named(MILAN) else { return };
    let mut relabelled = honest.evidence();
    relabelled["tee"] = "tdx".into();
    assert_eq!(honest.ask_with(&relabelled.to_string()).status, "EVIDENCE_INVALID");
    relabelled["tee"] = "sgx".into();
    assert_eq!(honest.ask_with(&relabelled.to_string()).status, "EVIDENCE_INVALID");
}

#[test]
fn members_are_not_mixed() {
    let Some(honest) = named(MILAN) else { return };
    // The first has the measurement and a floor that is too high, the second the floor and another measurement.
    let (mut strong, mut weak) = (honest.policy.clone(), honest.policy.clone());
    strong["min_tcb"]["Milan"]["snp"] = 127.into();
    weak["measurement"] = json!(["0".repeat(96)]);
    let mut bent = honest.clone();
    bent.policy = json!({"any_of": [strong, weak]});
    bent.refused("TCB_REJECTED", "any_of[0].tcb_minimum");
    bent.policy["any_of"].as_array_mut().unwrap().push(honest.policy.clone());
    assert_eq!(bent.trusted().verdict["accepted_member"], 2);
}
