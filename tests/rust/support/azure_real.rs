//! Real evidence of Azure's virtual machines, as questions whose policy pins what it has.

use atls::attest::hash::{hex, unhex};
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::azure::Question;
use super::evidence::{folder, read, yaml_to_json};

pub const SNP: &str = "azure/trustee/snp-evidence-v2.json";
pub const TDX: &str = "azure/trustee/tdx-evidence-v1.json";
pub const CERTIFIED: &str = "azure/flashbots/azure-tdx-with-ak-intermediates-1780922561.yaml";
pub const COLLATERAL: &str = "azure/flashbots/azure-collateral-with-ak-intermediates-1780922561.yaml";
/// Where the parts of the paravisor's report are.
pub const HARDWARE: usize = 32;
pub const DATA: usize = 1236;
/// Of a quote, where its certificates begin.
pub const CHAIN: usize = 1258;

pub fn unbase64(text: &str) -> Vec<u8> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&URL_SAFE, config).decode(text).unwrap()
}

pub fn case(evidence: &str) -> Value {
    let all: Value = serde_json::from_slice(&read("expected-families.json")).unwrap();
    all["cases"].as_array().unwrap().iter().find(|case| case["evidence"] == evidence).unwrap().clone()
}

/// Registers from a list in the order of their numbers.
pub fn registers(values: impl Iterator<Item = String>) -> Value {
    let members = values.enumerate().map(|(number, value)| (number.to_string(), value.into()));
    Value::Object(members.collect::<serde_json::Map<_, _>>())
}

/// Each register that something was measured into, as a policy pins it.
pub fn pins(pcrs: &Value) -> Value {
    let members = pcrs.as_object().unwrap().iter();
    let members = members.filter(|(_, value)| !["00", "ff"].contains(&&value.as_str().unwrap()[..2]));
    Value::Object(members.map(|(number, value)| (number.clone(), json!([value]))).collect())
}

/// Evidence as Confidential Containers stores it.
pub fn stored(file: &str, now: u64) -> Question {
    let document: Value = serde_json::from_slice(&read(file)).unwrap();
    let (part, hexes) = (|member: &str| document[member].as_str().map(unbase64), &document["tpm_quote"]);
    let bytes = |member: &str| unhex(hexes[member].as_str().unwrap()).unwrap();
    let values = hexes["pcrs"].as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned());
    let (leaf, quote) = (part("vcek"), part("td_quote"));
    let pcrs = registers(values);
    Question {
        tee: if leaf.is_some() { "azure_snp_vtpm" } else { "azure_tdx_vtpm" },
        hcl: part("hcl_report").unwrap(),
        message: bytes("message"),
        signature: bytes("signature"),
        policy: json!({"pcrs": pins(&pcrs), "ak_certificate": "off"}),
        pcrs,
        ak: vec![],
        quote,
        leaf,
        collateral: None,
        roots: vec![],
        session: None,
        now,
    }
}

/// An SEV-SNP guest, whose key has no certificate.
pub fn snp() -> Option<Question> {
    folder()?;
    let mut question = stored(SNP, 1_780_000_000);
    let measurement = hex(&question.hcl[HARDWARE + 0x90..HARDWARE + 0xc0]);
    let tcb = &question.hcl[HARDWARE + 0x1e0..HARDWARE + 0x1e8];
    let floor = json!({"bootloader": tcb[0], "tee": tcb[1], "snp": tcb[6], "microcode": tcb[7]});
    let rules = json!({
        "products": ["Milan"], "min_tcb": {"Milan": floor}, "crl": "off",
    });
    question.policy["type"] = "azure_snp_vtpm".into();
    question.policy["paravisor"] = json!([measurement]);
    question.policy["snp"] = rules;
    Some(question)
}

pub fn numbers(lines: &[&str]) -> Vec<u8> {
    lines.iter().map(|line| line.trim_start_matches([' ', '-']).parse().unwrap()).collect()
}

/// A trust domain whose key has a certificate.
pub fn certified() -> Option<Question> {
    folder()?;
    let text = String::from_utf8(read(CERTIFIED)).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let scalar = |name: &str| unbase64(yaml_to_json(&text)[name].as_str().unwrap());
    let at = |name: &str| lines.iter().position(|line| line.trim() == name).unwrap();
    let (signature_at, message_at, pcrs_at) = (at("signature:"), at("message:"), at("pcrs:"));
    let registers_at = &lines[pcrs_at + 1..at("event_log:")];
    let values = registers_at.chunks(32).map(|register| hex(&numbers(register)));
    let pem: Vec<_> = lines.iter().map(|line| line.trim()).collect();
    let pem = pem.join("\n");
    let ak = CertificateDer::pem_slice_iter(pem.as_bytes()).map(|der| der.unwrap().to_vec()).collect();
    let hcl = scalar("hcl_report_base64");
    let pcrs = registers(values);
    Some(Question {
        tee: "azure_tdx_vtpm",
        message: numbers(&lines[message_at + 1..pcrs_at]),
        signature: numbers(&lines[signature_at + 1..message_at]),
        policy: json!({
            "type": "azure_tdx_vtpm", "pcrs": pins(&pcrs), "paravisor": [hex(&hcl[HARDWARE + 528..HARDWARE + 576])],
        }),
        hcl,
        pcrs,
        ak,
        quote: Some(scalar("tdx_quote_base64")),
        leaf: None,
        collateral: Some(yaml_to_json(&String::from_utf8(read(COLLATERAL)).unwrap()).to_string()),
        roots: vec![],
        session: None,
        now: case(CERTIFIED)["now"].as_u64().unwrap(),
    })
}
