//! Documents of other stacks, given to the verifier by the name of their format: real ones, and what must not come out of bent ones.
//!
//! The evidence is no part of the project: it is found through ATLS_FIXTURES, else at ../shared/fixtures.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use std::path::PathBuf;

use atls::attest::convert::object;
use atls::attest::hash::{hex, unhex};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use support::nitro::{Machine, Question as Aws};
use support::snp::Question;

const DSTACK: &str = "dstack-attestation";

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

fn read(path: &str) -> Option<Vec<u8>> {
    Some(std::fs::read(folder()?.join(path)).unwrap_or_else(|error| panic!("{path}: {error}")))
}

fn case(name: &str) -> Option<Value> {
    let all: Value = serde_json::from_slice(&read("expected-families.json")?).unwrap();
    Some(all["cases"].as_array().unwrap().iter().find(|case| case["name"] == name).unwrap().clone())
}

/// A guest of dstack on SEV-SNP, by what is recorded of it; its document says which application it runs.
fn snp_question(report: &[u8]) -> Option<Question> {
    let case = case("dstack on SNP, report at byte 4")?;
    let claims = &case["claims"];
    let least = |at: usize| report[0x180 + at].min(report[0x1e0 + at]);
    let floor = json!({"bootloader": least(0), "tee": least(1), "snp": least(6), "microcode": least(7)});
    let app = "86e59625be93207bc2351c4d1bba20037cec8e168da6b18f559af5af657b7a23";
    let policy = json!({
        "type": "snp", "products": ["Milan"], "measurement": [claims["measurement"]], "min_tcb": {"Milan": floor},
        "mr_config": {"app_compose_hash": [app]}, "crl": "off",
    });
    let (report, vendor, now) = (Vec::new(), "amd", case["now"].as_u64().unwrap());
    Some(Question {
        report,
        leaf: None,
        mr_config: None,
        bundle: None,
        policy,
        vendor,
        roots: None,
        session: None,
        client: Vec::new(),
        now,
    })
}

/// The binary document of that guest, and the one that its agent gave, in JSON, with certificates in it.
fn snp_documents() -> Option<[Vec<u8>; 2]> {
    Some([read("snp/dstack/sev_snp_attestation.bin")?, read("snp/dstack/sev-snp-attestation.json")?])
}

#[test]
fn a_guest_of_dstack_on_snp() {
    let Some([binary, answer]) = snp_documents() else { return };
    let mut question = snp_question(&binary[4..]).unwrap();
    // Its certificate does not come along; it is one of AMD's documents.
    assert_eq!(question.ask_document(DSTACK, &binary).check, "leaf");
    let report = &binary[4..][..1184];
    let leaf = CertificateDer::from_pem_slice(&read("snp/dstack/sev_snp_vcek.pem").unwrap()).unwrap().to_vec();
    let name = format!("amd/leaf/Milan/{}/{}", hex(&report[0x1a0..][..64]), hex(&report[0x180..][..8]));
    question.bundle = Some(vec![(name, leaf.clone())]);
    let found = question.ask_document(DSTACK, &binary);
    assert_eq!((found.status.as_str(), &found.verdict["trusted"]), ("OK", &json!(true)), "{found:?}");
    assert_eq!(found.verdict["application"]["app-id"], "86e59625be93207bc2351c4d1bba20037cec8e16");
    // In the agent's answer it does, beside the intermediate, which is of no use.
    let object = object(DSTACK, &answer).unwrap().unwrap().1;
    assert!(object["leaf"].is_string(), "{object}");
    let of_answer = STANDARD.decode(object["report"].as_str().unwrap()).unwrap();
    let question = snp_question(&of_answer).unwrap();
    let found = question.ask_document(DSTACK, &answer);
    assert_eq!(found.status, "OK", "{found:?}");
}

#[test]
fn what_of_a_document_of_dstacks_is_bound() {
    let Some([binary, answer]) = snp_documents() else { return };
    let report = STANDARD.decode(object(DSTACK, &answer).unwrap().unwrap().1["report"].as_str().unwrap()).unwrap();
    let question = snp_question(&report).unwrap();
    let raw = unhex(serde_json::from_slice::<Value>(&answer).unwrap()["attestation"].as_str().unwrap()).unwrap();
    let at = |needle: &[u8]| raw.windows(needle.len()).position(|window| window == needle).unwrap();
    let bent = |at: usize| {
        let mut bent = raw.clone();
        bent[at] ^= 1;
        question.ask_document(DSTACK, &bent)
    };
    assert_eq!(question.ask_document(DSTACK, &raw).status, "OK");
    // One byte of the configuration document.
    let found = bent(at(b"\"instance_id\":\"") + 16);
    assert_eq!((found.status.as_str(), found.check.as_str()), ("MEASUREMENT_MISMATCH", "mr_config"), "{found:?}");
    // One of an event: nothing ties it to the report, and nothing is decided by it.
    assert_eq!(bent(at(b"storage-fs") + 12).status, "OK");
    // One of the report.
    assert_eq!(bent(4 + 0x90).status, "QUOTE_INVALID");
    let [cut, longer] = [raw[..raw.len() - 1].to_vec(), [&raw[..], &[0]].concat()];
    for bad in [cut, longer, binary[1..].to_vec(), b"{}".to_vec(), b"{\"attestation\":\"0x00\"}".to_vec(), vec![1; 9]] {
        assert_eq!(question.ask_document(DSTACK, &bad).status, "EVIDENCE_INVALID");
    }
    // By the name of another format.
    for format in ["snp-report", "tdx-quote", "coco-az", "coco-tdx", "nitro-document"] {
        assert_ne!(question.ask_document(format, &raw).status, "OK", "{format}");
    }
    for format in ["", "dstack", "DSTACK-ATTESTATION", "tinfoil"] {
        let found = question.ask_document(format, &raw);
        assert!(found.status == "UNSUPPORTED" && found.message.contains("\"coco-az\""), "{found:?}");
    }
}

#[test]
fn enclaves_of_dstack() {
    for (name, status) in [
        ("dstack on Nitro Enclaves", "OK"),
        ("nsm-qvl sample", "OK"),
        ("debug enclave: PCR0..2 all zero", "MEASUREMENT_MISMATCH"),
    ] {
        let Some(case) = case(name) else { return };
        let document = read(case["document"].as_str().unwrap()).unwrap();
        let pin = match status {
            "OK" => case["claims"]["pcrs"]["0"].clone(),
            _ => "1".repeat(96).into(),
        };
        let policy = json!({"type": "nitro", "pcrs": {"0": [pin]}});
        let question = Aws::real(Vec::new(), policy, case["now"].as_u64().unwrap());
        let found = question.rest.ask_document(DSTACK, &document);
        assert_eq!(found.status, status, "{name}: {found:?}");
        assert_eq!(found.verdict["platform"]["module_id"], case["claims"]["module_id"], "{name}");
        // The document alone is behind four bytes.
        let (kind, object) = object(DSTACK, &document).unwrap().unwrap();
        let alone = STANDARD.decode(object["document"].as_str().unwrap()).unwrap();
        assert_eq!((kind, question.rest.ask_document("nitro-document", &alone).status.as_str()), ("nitro", status));
    }
}

/// A number or length in SCALE.
fn compact(value: usize) -> Vec<u8> {
    match value {
        0..64 => vec![(value as u8) << 2],
        64..16384 => ((value as u16) << 2 | 1).to_le_bytes().to_vec(),
        _ => ((value as u32) << 2 | 2).to_le_bytes().to_vec(),
    }
}

fn scale(data: &[u8]) -> Vec<u8> {
    [&compact(data.len())[..], data].concat()
}

/// The end of a document of version 0: one event, report data and configuration.
fn scale_end() -> Vec<u8> {
    [&compact(1)[..], &scale(b"app-id"), &scale(&[1]), &[0; 64], &scale(b"{}")].concat()
}

#[test]
fn version_0_of_other_machines() {
    let event = [&3u32.to_le_bytes()[..], &0x0800_0001u32.to_le_bytes(), &scale(b""), &scale(b"app-id"), &scale(&[7])];
    let tdx = [&[0, 0][..], &scale(&[4, 0, 2]), &compact(1), &event.concat(), &scale_end()].concat();
    let (kind, made) = object(DSTACK, &tdx).unwrap().unwrap();
    let logged = json!([{"imr": 3, "event_type": 0x0800_0001, "digest": "", "event": "app-id", "event_payload": "07"}]);
    assert_eq!((kind, made), ("tdx", json!({"quote": "040002", "event_log": logged})));
    let tpm = [&[0, 4][..], &scale(b"\x84"), &scale_end()].concat();
    assert_eq!(object(DSTACK, &tpm).unwrap().unwrap(), ("nitro_tpm", json!({"document": "hA=="})));
    for (variant, why) in [(1, "Google"), (5, "kind 5")] {
        let error = object(DSTACK, &[&[0, variant][..], &scale(b"x"), &scale_end()].concat()).unwrap().unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

/// Values in MessagePack.
fn pack(value: &Value) -> Vec<u8> {
    let sized = |short: u8, long: u8, length: usize| match length {
        0..16 => vec![short | length as u8],
        _ => [&[long][..], &(length as u16).to_be_bytes()].concat(),
    };
    match value {
        Value::Number(number) => [&[0xcf][..], &number.as_u64().unwrap().to_be_bytes()].concat(),
        Value::String(text) => [&[0xda][..], &(text.len() as u16).to_be_bytes(), text.as_bytes()].concat(),
        Value::Array(items) => [sized(0x90, 0xdc, items.len()), items.iter().flat_map(pack).collect()].concat(),
        Value::Object(members) => {
            let all = members.iter().flat_map(|(key, value)| [pack(&key.as_str().into()), pack(value)].concat());
            [sized(0x80, 0xde, members.len()), all.collect()].concat()
        }
        Value::Null => vec![0xc0],
        Value::Bool(value) => vec![0xc2 | u8::from(*value)],
    }
}

fn version_1(kind: &str, data: Value) -> Value {
    let stack = json!({"report_data": vec![0; 64], "runtime_events": [], "config": "{}"});
    json!({"version": 1, "platform": {"kind": kind, "data": data}, "stack": {"kind": "dstack", "data": stack}})
}

#[test]
fn version_1_of_each_machine() {
    let of = |document: &Value| object(DSTACK, &pack(document)).unwrap();
    let event = json!({"imr": 3, "event_type": 0x0800_0001, "digest": [], "event": "app-id", "event_payload": [7], "version": 2});
    let shown = json!([{"imr": 3, "event_type": 0x0800_0001, "digest": "", "event": "app-id", "event_payload": "07", "version": 2}]);
    for (kind, data) in [
        ("tdx", json!({"quote": [4, 0], "event_log": [event]})),
        ("gcp-tdx", json!({"event_log": [event], "tpm_quote": {"message": [1]}, "quote": [4, 0]})),
    ] {
        let made = of(&version_1(kind, data)).unwrap();
        assert_eq!(made, ("tdx", json!({"quote": "0400", "event_log": shown})), "{kind}");
    }
    let nitro = of(&version_1("nitro-enclave", json!({"nsm_quote": [0x84]}))).unwrap();
    assert_eq!(nitro, ("nitro", json!({"document": "hA=="})));
    let tpm = of(&version_1("aws-nitro-tpm", json!({"attestation_doc": [0x84]}))).unwrap();
    assert_eq!(tpm, ("nitro_tpm", json!({"document": "hA=="})));
    let snp = version_1("sev-snp", json!({"report": [7], "cert_chain": [], "mr_config": "{}"}));
    assert_eq!(of(&snp).unwrap(), ("snp", json!({"report": "Bw==", "mr_config": "{}"})));
    type Change = fn(&mut Value);
    let changes: [(Change, &str); 7] = [
        (|document| document["version"] = 2.into(), "version 2"),
        (|document| document["stack"]["kind"] = "pod".into(), "stack of kind"),
        (|document| document["platform"]["kind"] = "sgx".into(), "machine of kind"),
        (|document| drop(document.as_object_mut().unwrap().remove("stack")), "stack is missing"),
        (|document| document["platform"]["data"]["report"] = "x".into(), "not bytes"),
        (|document| document["platform"]["data"]["report"] = json!([256]), "not a byte"),
        (|document| document["platform"]["data"]["mr_config"] = 7.into(), "not text"),
    ];
    for (change, why) in changes {
        let mut bent = snp.clone();
        change(&mut bent);
        let error = of(&bent).unwrap_err();
        assert!(error.contains(why), "{why}: {error}");
    }
}

#[test]
fn real_evidence_in_version_1() {
    let Some([binary, _]) = snp_documents() else { return };
    // The certificates as the agent has them: the intermediate first.
    let [ask, vcek] = ["ask", "vcek"].map(|name| read(&format!("snp/dstack/sev_snp_{name}.pem")).unwrap());
    let made = object(DSTACK, &binary).unwrap().unwrap().1;
    let data = |certificates: &[&Vec<u8>]| {
        let report = STANDARD.decode(made["report"].as_str().unwrap()).unwrap();
        version_1("sev-snp", json!({"report": report, "cert_chain": certificates, "mr_config": made["mr_config"]}))
    };
    let question = snp_question(&binary[4..]).unwrap();
    let found = question.ask_document(DSTACK, &pack(&data(&[&ask, &vcek])));
    assert_eq!(found.status, "OK", "{found:?}");
    assert_eq!(question.ask_document(DSTACK, &pack(&data(&[&ask]))).check, "leaf");
    let found = question.ask_document(DSTACK, &pack(&data(&[&vcek, &vcek])));
    assert!(found.status == "EVIDENCE_INVALID" && found.message.contains("2 certificates"), "{found:?}");
}

#[test]
fn what_the_hardware_signed_alone() {
    let Some(report) = read("snp/ms-tav/milan_attestation_report.bin") else { return };
    let (kind, made) = object("snp-report", &report).unwrap().unwrap();
    assert_eq!((kind, made), ("snp", json!({"report": STANDARD.encode(&report)})));
    let machine = Machine::new();
    let mut question = machine.tpm_question(|_| ());
    question.rest.session = None;
    let found = question.rest.ask_document("nitro-tpm-document", &question.document);
    assert_eq!((found.status.as_str(), &found.verdict["bound_to_session"]), ("OK", &json!(false)), "{found:?}");
    assert_eq!(question.rest.ask_document("nitro-document", &question.document).status, "EVIDENCE_INVALID");
}

#[test]
fn machines_of_azure() {
    for (file, kind, part) in [
        ("azure/trustee/snp-evidence-v2.json", "azure_snp_vtpm", "leaf"),
        ("azure/trustee/tdx-evidence-v1.json", "azure_tdx_vtpm", "td_quote"),
    ] {
        let Some(document) = read(file) else { return };
        let (found, made) = object("coco-az", &document).unwrap().unwrap();
        assert_eq!(found, kind);
        let decoded = |value: &Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
        assert!(decoded(&made["hcl_report"]).starts_with(b"HCLA"), "{file}");
        assert!(decoded(&made["tpm_quote"]["message"]).starts_with(b"\xffTCG\x80\x18"), "{file}");
        assert_eq!(
            (decoded(&made["tpm_quote"]["signature"]).len(), made["tpm_quote"]["pcrs"].as_object().unwrap().len()),
            (256, 24)
        );
        assert!(!decoded(&made[part]).is_empty() && made["ak_certificates"].is_null(), "{file}");
    }
}
