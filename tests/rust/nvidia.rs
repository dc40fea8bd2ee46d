//! A real report of a GPU: with a policy that pins what it has, with each pin changed, and with each byte changed.
//!
//! The evidence is no part of the project: it is found through ATLS_FIXTURES, else at ../shared/fixtures.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use std::path::PathBuf;

use atls::attest::hash::{hex, unhex};
use atls::attest::nvidia::GpuEvidence;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use support::nvidia::{Composite, outcome};

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

fn read(path: &Value) -> String {
    let path = folder().unwrap().join(path.as_str().unwrap());
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A recorded report, with the claims that another tool read from it.
struct Recorded {
    case: Value,
    report: Vec<u8>,
    chain: String,
    claims: Value,
}

fn recorded() -> Vec<Recorded> {
    if folder().is_none() {
        return Vec::new();
    }
    let all: Value = serde_json::from_str(&read(&"expected-families.json".into())).unwrap();
    let cases: Vec<_> = all["cases"].as_array().unwrap().iter().filter(|case| case["family"] == "nvidia").collect();
    assert!(!cases.is_empty());
    let read = |case: &Value| Recorded {
        case: case.clone(),
        report: unhex(read(&case["report"]).trim()).unwrap(),
        chain: read(&case["chain"]),
        claims: serde_json::from_str(&read(&case["claims_file"])).unwrap(),
    };
    cases.into_iter().map(read).collect()
}

impl Recorded {
    fn entry(&self, report: &[u8], chain: &str) -> Value {
        let nonce = hex(&self.report[4..36]);
        json!([{
            "arch": "HOPPER", "nonce": nonce, "evidence": STANDARD.encode(report), "certificate": STANDARD.encode(chain),
        }])
    }

    /// Beside a machine, with all that the report has pinned.
    fn question(&self) -> Composite {
        let mut question = Composite::honest();
        let config = &self.claims["config"];
        question.machine.rest.policy["gpu"] = json!({"required": 1, "arch": ["HOPPER"], "measurements": [{
            "driver_version": config["driver_version"], "vbios_version": config["vbios_version"],
            "values": self.claims["measurements"],
        }]});
        question.attached = json!([{"tee": "nvidia", "evidence": self.entry(&self.report, &self.chain)}]);
        question.root = None;
        question.machine.rest.session = None;
        question
    }

    /// `honest` with another report.
    fn with_report(&self, honest: &Composite, report: &[u8]) -> Composite {
        Composite {
            attached: json!([{"tee": "nvidia", "evidence": self.entry(report, &self.chain)}]),
            ..honest.clone()
        }
    }

    /// `honest` with other certificates.
    fn with_chain(&self, honest: &Composite, certificates: &[Vec<u8>]) -> Composite {
        let entry = self.entry(&self.report, &pem(certificates));
        Composite { attached: json!([{"tee": "nvidia", "evidence": entry}]), ..honest.clone() }
    }
}

#[test]
fn outcomes_that_are_recorded() {
    for recorded in recorded() {
        assert_eq!(recorded.case["expect"]["ok"], true);
        let found = recorded.question().trusted();
        let mut drafted = recorded.question();
        drafted.machine.rest.policy = found.draft();
        drafted.trusted();
        let (verdict, config) = (&found.verdict, &recorded.claims["config"]);
        assert_eq!((&verdict["tee_type"], &verdict["bound_to_session"]), (&json!("nitro"), &json!(false)));
        let attached = &verdict["attached"];
        assert_eq!(attached.as_array().unwrap().len(), 1);
        assert_eq!((&attached[0]["tee_type"], &attached[0]["trust_anchor"]), (&json!("nvidia"), &json!("nvidia")));
        assert_eq!(attached[0]["measurements"], recorded.claims["measurements"]);
        let platform = &attached[0]["platform"];
        for claim in ["driver_version", "vbios_version", "fwid", "chip_sku", "project", "project_sku"] {
            assert_eq!(platform[claim], config[claim], "{claim}");
        }
        assert_eq!((&platform["arch"], &platform["nvdec0_off"]), (&json!("HOPPER"), &json!(true)));
        let prefix = recorded.case["claims"]["nonce_prefix"].as_str().unwrap();
        assert!(platform["nonce"].as_str().unwrap().starts_with(prefix));
        assert_eq!(outcome(&found, "nvidia[0].nonce"), "skipped");
    }
}

#[test]
fn each_pin_of_the_policy_refuses() {
    for recorded in recorded() {
        let honest = recorded.question();
        let with = |change: &dyn Fn(&mut Value)| {
            let mut bent = honest.clone();
            change(bent.gpu());
            bent
        };
        for index in (1..=64).filter(|index| *index != 36) {
            let bent = with(&|gpu| gpu["measurements"][0]["values"][index.to_string()] = "7".repeat(96).into());
            let found = bent.refused("MEASUREMENT_MISMATCH", "nvidia[0].measurements");
            assert!(found.message.ends_with(&format!("of index {index}")), "{found:?}");
        }
        // The video decoder is off in this report.
        with(&|gpu| gpu["measurements"][0]["values"]["36"] = "7".repeat(96).into()).trusted();
        for pin in ["driver_version", "vbios_version"] {
            let bent = with(&|gpu| gpu["measurements"][0][pin] = "1.2.3".into());
            bent.refused("TCB_REJECTED", "nvidia[0].firmware");
        }
        with(&|gpu| gpu["arch"] = json!(["BLACKWELL"])).refused("MEASUREMENT_MISMATCH", "nvidia[0].arch");
        with(&|gpu| gpu["required"] = 2.into()).refused("MEASUREMENT_MISMATCH", "gpu_count");
    }
}

#[test]
fn a_real_gpu_is_of_no_other_session_and_no_other_root() {
    for recorded in recorded() {
        let mut bent = recorded.question();
        bent.machine.rest.session = Composite::honest().machine.rest.session;
        bent.refused("BINDING_MISMATCH", "nvidia[0].nonce");
        let mut bent = recorded.question();
        bent.root = Composite::honest().root;
        bent.refused("QUOTE_INVALID", "nvidia[0].chain");
    }
}

fn certificates(pem: &str) -> Vec<Vec<u8>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).map(|der| der.unwrap().to_vec()).collect()
}

fn pem(certificates: &[Vec<u8>]) -> String {
    let one =
        |der: &Vec<u8>| format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der));
    certificates.iter().map(one).collect()
}

/// Each of these devices is refused for what it is: it cannot be read, or has no claims. Several at a time, because each takes some signatures.
fn refused_early(honest: &Composite, bent: impl Iterator<Item = Value>) -> usize {
    let (readable, unreadable): (Vec<_>, Vec<_>) = bent.partition(|entry| GpuEvidence::from_json(entry).is_ok());
    for devices in readable.chunks(16) {
        let question = Composite { attached: json!([{"tee": "nvidia", "evidence": devices}]), ..honest.clone() };
        let found = question.ask();
        assert_eq!((found.status.as_str(), &found.verdict["trusted"]), ("QUOTE_INVALID", &json!(false)), "{found:?}");
        for number in 0..devices.len() {
            assert_eq!(found.verdict["attached"][number]["measurements"], Value::Null, "{number}: {found:?}");
        }
        assert_eq!(outcome(&found, "gpu_count"), "fail");
    }
    if let Some(one) = unreadable.first() {
        let question = Composite { attached: json!([{"tee": "nvidia", "evidence": [one]}]), ..honest.clone() };
        question.refused("EVIDENCE_INVALID", "");
    }
    readable.len()
}

#[test]
fn one_bit_of_any_byte_of_a_report() {
    for recorded in recorded() {
        let bent = (0..recorded.report.len()).map(|at| {
            let mut report = recorded.report.clone();
            report[at] ^= 1 << (at % 8);
            recorded.entry(&report, &recorded.chain)[0].take()
        });
        assert!(refused_early(&recorded.question(), bent) > 3000);
    }
}

#[test]
fn one_bit_of_any_byte_of_its_certificates() {
    for recorded in recorded() {
        let parsed = certificates(&recorded.chain);
        let places = parsed.iter().enumerate().flat_map(|(number, der)| (0..der.len()).map(move |at| (number, at)));
        let bent = places.map(|(number, at)| {
            let mut all = parsed.clone();
            all[number][at] ^= 1 << (at % 8);
            recorded.entry(&recorded.report, &pem(&all))[0].take()
        });
        assert!(refused_early(&recorded.question(), bent) > 3000);
    }
}

#[test]
fn a_report_ends_where_it_ends() {
    for recorded in recorded() {
        let honest = recorded.question();
        for length in (0..recorded.report.len()).step_by(61).chain([recorded.report.len() - 1]) {
            recorded.with_report(&honest, &recorded.report[..length]).refused("EVIDENCE_INVALID", "");
        }
        for (count, padding, is_read) in [(16, 0, true), (17, 0, false), (1, 1, false)] {
            let longer = [&recorded.report[..], &vec![padding; count]].concat();
            // The recorded one may have zeros of its own.
            let question = recorded.with_report(&honest, &longer);
            if is_read {
                question.trusted()
            } else {
                question.refused("EVIDENCE_INVALID", "")
            };
        }
    }
}

#[test]
fn certificates_in_order_and_all_of_them() {
    for recorded in recorded() {
        let (honest, parsed) = (recorded.question(), certificates(&recorded.chain));
        let with = |order: &[usize]| {
            let all: Vec<_> = order.iter().map(|index| parsed[*index].clone()).collect();
            recorded.with_chain(&honest, &all)
        };
        with(&[0, 1, 2, 3, 4]).trusted();
        for order in
            [[0, 2, 1, 3, 4], [0, 1, 3, 2, 4], [1, 0, 2, 3, 4], [0, 1, 2, 4, 3], [0, 1, 2, 3, 3], [1, 1, 2, 3, 4]]
        {
            with(&order).refused("QUOTE_INVALID", "nvidia[0].chain");
        }
        for order in [&[0, 1, 2, 3][..], &[0, 1, 2, 3, 4, 4], &[]] {
            with(order).refused("EVIDENCE_INVALID", "");
        }
    }
}
