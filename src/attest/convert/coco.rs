//! Evidence as Confidential Containers' attestation agent writes it: of Azure's machines (`coco-az`), versions 0 to 2, and of TDX guests (`coco-tdx`). Its
//! evidence of bare SEV-SNP guests is a parsed structure, from which the signed bytes cannot be rebuilt with certainty: it is not read. Pure.

use base64::Engine;
use base64::alphabet::{STANDARD as PLAIN, URL_SAFE};
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Map, Value, json};

use super::Object;
use crate::attest::hash::{hex, unhex};
use crate::attest::json;

/// Writers of it differ in their padding.
const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, ANY_PADDING);
const TEXT: GeneralPurpose = GeneralPurpose::new(&PLAIN, ANY_PADDING);

/// PCRs of a TPM.
const PCRS: usize = 24;

/// A quote, and the boot log if there is one.
pub fn read_tdx(document: &[u8]) -> Result<Object, String> {
    let document = json::parse(document)?;
    let decoded = |member: &str| match &document[member] {
        Value::Null => Ok(None),
        value => base64(value, &TEXT).map(Some).map_err(|why| format!("{member}: {why}")),
    };
    let quote = decoded("quote")?.ok_or("quote is missing")?;
    let mut object = json!({"quote": hex(&quote)});
    if let Some(log) = decoded("cc_eventlog")? {
        object["ccel"] = STANDARD.encode(log).into();
    }
    Ok(("tdx", object))
}

/// A report of the paravisor, and a quote of its TPM.
pub fn read_azure(document: &[u8]) -> Result<Object, String> {
    let document = json::parse(document)?;
    match document.get("version") {
        None => read_version_0(&document),
        Some(version) if matches!(version.as_u64(), Some(1 | 2)) => read_later(&document),
        Some(other) => Err(format!("version {other}, 0 to 2 are read")),
    }
}

fn read_later(document: &Value) -> Result<Object, String> {
    let member = |name: &str| document.get(name).filter(|value| !value.is_null());
    let decoded = |name: &str| -> Result<Option<Vec<u8>>, String> {
        member(name).map(|value| base64(value, &URL).map_err(|why| format!("{name}: {why}"))).transpose()
    };
    let report = decoded("hcl_report")?.ok_or("hcl_report is missing")?;
    let quote = tpm_quote(member("tpm_quote").ok_or("tpm_quote is missing")?, hex_bytes)?;
    match (decoded("td_quote")?, decoded("vcek")?) {
        (Some(td), None) => Ok(tdx_guest(&report, quote, &td)),
        (None, Some(leaf)) => Ok(snp_guest(&report, quote, &leaf)),
        (Some(_), Some(_)) => Err("both a TD quote and a VCEK".into()),
        (None, None) => Err("neither a TD quote nor a VCEK".into()),
    }
}

/// The first form, of SEV-SNP guests alone.
fn read_version_0(document: &Value) -> Result<Object, String> {
    let report = numbers(&document["report"]).map_err(|why| format!("report: {why}"))?;
    let quote = tpm_quote(&document["quote"], numbers)?;
    let pem = document["vcek"].as_str().ok_or("vcek is not a string")?;
    let leaf = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| format!("vcek: {error}"))?;
    Ok(snp_guest(&report, quote, &leaf))
}

fn tdx_guest(report: &[u8], quote: Value, td: &[u8]) -> Object {
    let (report, td) = (STANDARD.encode(report), STANDARD.encode(td));
    ("azure_tdx_vtpm", json!({"hcl_report": report, "tpm_quote": quote, "td_quote": td}))
}

fn snp_guest(report: &[u8], quote: Value, leaf: &[u8]) -> Object {
    let (report, leaf) = (STANDARD.encode(report), STANDARD.encode(leaf));
    ("azure_snp_vtpm", json!({"hcl_report": report, "tpm_quote": quote, "leaf": leaf}))
}

fn tpm_quote(quote: &Value, bytes: fn(&Value) -> Result<Vec<u8>, String>) -> Result<Value, String> {
    let part = |name: &str| bytes(&quote[name]).map_err(|why| format!("tpm_quote.{name}: {why}"));
    let values = quote["pcrs"].as_array().ok_or("tpm_quote.pcrs is not a list")?;
    if values.len() != PCRS {
        return Err(format!("{} PCRs, there are {PCRS}", values.len()));
    }
    let mut pcrs = Map::new();
    for (number, value) in values.iter().enumerate() {
        let value = bytes(value).map_err(|why| format!("tpm_quote.pcrs[{number}]: {why}"))?;
        pcrs.insert(number.to_string(), hex(&value).into());
    }
    let (message, signature) = (STANDARD.encode(part("message")?), STANDARD.encode(part("signature")?));
    Ok(json!({"message": message, "signature": signature, "pcrs": pcrs}))
}

fn base64(value: &Value, engine: &GeneralPurpose) -> Result<Vec<u8>, String> {
    engine.decode(value.as_str().ok_or("not a string")?).map_err(|error| format!("not base64: {error}"))
}

fn hex_bytes(value: &Value) -> Result<Vec<u8>, String> {
    value.as_str().and_then(unhex).ok_or_else(|| "not hexadecimal".into())
}

fn numbers(value: &Value) -> Result<Vec<u8>, String> {
    let byte = |item: &Value| item.as_u64().and_then(|number| u8::try_from(number).ok());
    let items = value.as_array().ok_or("not a list of numbers")?;
    items.iter().map(|item| byte(item).ok_or_else(|| format!("{item} is not a byte"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pcrs() -> Vec<String> {
        (0..PCRS).map(|number| format!("{number:064x}")).collect()
    }

    fn azure(change: impl FnOnce(&mut Value)) -> Result<Object, String> {
        let mut document = json!({
            "version": 2, "hcl_report": "_-8=", "vcek": "AQI",
            "tpm_quote": {"signature": "00ff", "message": "ff54", "pcrs": pcrs()},
        });
        change(&mut document);
        read_azure(document.to_string().as_bytes())
    }

    #[test]
    fn machines_of_azure() {
        let (kind, object) = azure(|_| ()).unwrap();
        assert_eq!((kind, &object["hcl_report"], &object["leaf"]), ("azure_snp_vtpm", &json!("/+8="), &json!("AQI=")));
        assert_eq!(
            (&object["tpm_quote"]["message"], &object["tpm_quote"]["signature"]),
            (&json!("/1Q="), &json!("AP8="))
        );
        assert_eq!(object["tpm_quote"]["pcrs"]["23"], format!("{:064x}", 23));
        let tdx = |document: &mut Value| {
            (document["vcek"], document["td_quote"], document["version"]) = (Value::Null, "BAA".into(), 1.into());
        };
        assert_eq!(azure(tdx).unwrap().1["td_quote"], "BAA=");
        for (change, why) in [
            (
                Box::new(|document: &mut Value| document["version"] = 3.into()) as Box<dyn FnOnce(&mut Value)>,
                "version 3",
            ),
            (Box::new(|document| document["td_quote"] = "BAA".into()), "both"),
            (Box::new(|document| document["vcek"] = Value::Null), "neither"),
            (Box::new(|document| document["hcl_report"] = "/+8=".into()), "hcl_report: not base64"),
            (Box::new(|document| drop(document["tpm_quote"]["pcrs"].as_array_mut().unwrap().pop())), "23 PCRs"),
            (Box::new(|document| document["tpm_quote"]["pcrs"][4] = 4.into()), "pcrs[4]: not hexadecimal"),
            (Box::new(|document| document["tpm_quote"]["message"] = Value::Null), "message: not hexadecimal"),
        ] {
            let error = azure(change).unwrap_err();
            assert!(error.contains(why), "{why}: {error}");
        }
    }

    #[test]
    fn the_first_version_of_azures() {
        let pem = "-----BEGIN CERTIFICATE-----\nAQI=\n-----END CERTIFICATE-----\n";
        let of = |report: Value| {
            let quote = json!({"message": [255, 84], "signature": [0], "pcrs": vec![vec![7; 32]; PCRS]});
            read_azure(json!({"quote": quote, "report": report, "vcek": pem}).to_string().as_bytes())
        };
        let (kind, object) = of(json!([1, 255])).unwrap();
        assert_eq!((kind, &object["hcl_report"], &object["leaf"]), ("azure_snp_vtpm", &json!("Af8="), &json!("AQI=")));
        assert_eq!(object["tpm_quote"]["pcrs"]["0"], "07".repeat(32));
        assert!(of(json!([1, 256])).unwrap_err().contains("256 is not a byte"));
        assert!(of(json!("AQ==")).unwrap_err().contains("not a list"));
    }

    #[test]
    fn guests_of_tdx() {
        let of = |document: Value| read_tdx(document.to_string().as_bytes());
        assert_eq!(of(json!({"quote": "BAA="})).unwrap(), ("tdx", json!({"quote": "0400"})));
        let logged = of(json!({"quote": "BAA", "cc_eventlog": "_w"}));
        assert!(logged.unwrap_err().contains("cc_eventlog: not base64"));
        assert_eq!(of(json!({"quote": "BAA=", "cc_eventlog": "/w=="})).unwrap().1["ccel"], "/w==");
        assert!(of(json!({})).is_err() && of(json!({"quote": 4})).is_err());
    }
}
