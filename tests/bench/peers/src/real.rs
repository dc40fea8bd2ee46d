//! Real evidence for the peers, which know no roots but the vendors', and for the library beside them.

use std::path::PathBuf;

use atls::attest::Documents;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bench::families::Question;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use sev::certs::snp::{Certificate, Chain, Verifiable, builtin, ca};
use sev::firmware::guest::AttestationReport;
use sev::parser::ByteParser;

use crate::clock;

fn folder() -> PathBuf {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/fixtures");
    std::env::var_os("ATLS_FIXTURES").map_or_else(beside, PathBuf::from)
}

pub fn is_there() -> bool {
    folder().join("expected-families.json").is_file()
}

fn read(path: &str) -> Vec<u8> {
    std::fs::read(folder().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn case(name: &str) -> Value {
    let all: Value = serde_json::from_slice(&read("expected-families.json")).unwrap();
    all["cases"].as_array().unwrap().iter().find(|case| case["name"] == name).unwrap().clone()
}

/// One verification of a report's signature by the library's crypto.
pub fn p384() -> impl FnMut(usize) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let signature = pair.sign(&SystemRandom::new(), &[7; 672]).unwrap();
    let key = pair.public_key().as_ref().to_vec();
    move |_| UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, &key).verify(&[7; 672], signature.as_ref()).unwrap()
}

/// What a process pays once is not a judgement's.
pub fn warm_up() {
    (0..20).for_each(p384());
    bench::families::cases(4).for_each(|case| case.known[0].judge());
}

/// Something to do again and again.
pub fn job(name: &str) -> Box<dyn Fn()> {
    match name {
        "snp" => {
            let question = snp();
            Box::new(move || question.judge())
        }
        "nitro" => {
            let question = nitro();
            Box::new(move || question.judge())
        }
        "sev" => {
            let (report, leaf) = (read("snp/ms-tav/milan_attestation_report.bin"), der("snp/ms-tav/milan_vcek.pem"));
            Box::new(move || {
                let ca = ca::Chain { ark: builtin::milan::ark().unwrap(), ask: builtin::milan::ask().unwrap() };
                let chain = Chain { ca, vek: Certificate::from_der(&leaf).unwrap() };
                (&chain, &AttestationReport::from_bytes(&report).unwrap()).verify().unwrap();
            })
        }
        "sev-known" => {
            let (report, leaf) = (read("snp/ms-tav/milan_attestation_report.bin"), der("snp/ms-tav/milan_vcek.pem"));
            let leaf = Certificate::from_der(&leaf).unwrap();
            Box::new(move || (&leaf, &AttestationReport::from_bytes(&report).unwrap()).verify().unwrap())
        }
        "attestation-doc-validation" => {
            let (document, now) = document();
            Box::new(move || {
                clock::set(now as i64);
                attestation_doc_validation::validate_attestation_doc(&document).unwrap();
                clock::set(0);
            })
        }
        other => panic!("{other:?} is nothing to judge"),
    }
}

fn der(path: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(&read(path)).unwrap().to_vec()
}

fn snp() -> Question {
    let case = case("bare Milan, report v3");
    let (report, claims) = (read("snp/ms-tav/milan_attestation_report.bin"), &case["claims"]);
    let policy = json!({
        "type": "snp", "products": ["Milan"], "measurement": [claims["measurement"]], "crl": "off",
        "min_tcb": {"Milan": {"bootloader": 0, "tee": 0, "snp": 0, "microcode": 0}},
    });
    let evidence = json!({"report": STANDARD.encode(report), "leaf": STANDARD.encode(der("snp/ms-tav/milan_vcek.pem"))});
    let now = case["now"].as_u64().unwrap();
    Question::new(json!({"tee": "snp", "evidence": evidence}), Documents::none(), &policy, &[], now)
}

/// The document alone, and when it held.
fn document() -> (Vec<u8>, u64) {
    let case = case("dstack on Nitro Enclaves");
    let file = read("nitro/dstack/nitro_attestation.bin");
    (file[4..][..4526].to_vec(), case["now"].as_u64().unwrap())
}

fn nitro() -> Question {
    let (document, now) = document();
    let pcr = case("dstack on Nitro Enclaves")["claims"]["pcrs"]["0"].clone();
    let policy = json!({"type": "nitro", "pcrs": {"0": [pcr]}});
    let evidence = json!({"document": STANDARD.encode(document)});
    Question::new(json!({"tee": "nitro", "evidence": evidence}), Documents::none(), &policy, &[], now)
}
