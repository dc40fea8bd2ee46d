//! Documents of other stacks, turned into evidence objects of protocol exporter-v1. What a document is, the caller says by name; nothing is guessed from
//! its content. Converting judges nothing: what the documents say beside the signed parts is dropped, or checked by the family like any other evidence.
//! Pure.

mod coco;
mod dstack;
mod msgpack;
mod scale;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::evidence::Evidence;
use super::hash::hex;
use super::snp;
use super::tee::Tee;

/// Longest document that is read.
const MAX_BYTES: usize = 4 << 20;

/// Name of a kind of evidence, as on the wire, and its object.
pub type Object = (&'static str, Value);

/// dstack's document as its certificates carry it.
pub fn dstack_binary(document: &[u8]) -> Result<Evidence, String> {
    dstack::read_binary(document).and_then(read)
}

type Reader = fn(&[u8]) -> Result<Object, String>;

/// All formats, by the names that callers give.
const FORMATS: &[(&str, Reader)] = &[
    ("dstack-attestation", dstack::read),
    ("coco-az", coco::read_azure),
    ("coco-tdx", coco::read_tdx),
    ("tdx-quote", |quote| Ok(("tdx", json!({"quote": hex(quote)})))),
    ("snp-report", read_report),
    ("nitro-document", |document| Ok(("nitro", json!({"document": STANDARD.encode(document)})))),
    ("nitro-tpm-document", |document| Ok(("nitro_tpm", json!({"document": STANDARD.encode(document)})))),
];

/// The evidence object of a document. Errors: a sentence; `None` for a format that is not known.
pub fn object(format: &str, document: &[u8]) -> Option<Result<Object, String>> {
    let (_, read) = FORMATS.iter().find(|(name, _)| *name == format)?;
    Some(match document.len() {
        0 => Err("it is empty".into()),
        1..=MAX_BYTES => read(document),
        length => Err(format!("{length} bytes, at most {MAX_BYTES} are read")),
    })
}

/// The evidence in a document. `None` for a format that is not known.
pub fn evidence(format: &str, document: &[u8]) -> Option<Result<Evidence, String>> {
    let converted = object(format, document)?;
    Some(converted.and_then(read))
}

fn read((kind, object): Object) -> Result<Evidence, String> {
    let tee = Tee::from_name(kind).ok_or_else(|| format!("evidence of kind {kind:?} is not judged by this version"))?;
    Evidence::read(tee, &object)
}

/// Names of all formats, for messages.
pub fn known_formats() -> String {
    FORMATS.iter().map(|(name, _)| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

/// A report as firmware gives it; buffers are larger, and filled up with zeros.
fn read_report(raw: &[u8]) -> Result<Object, String> {
    match raw.split_at_checked(snp::LENGTH) {
        Some((report, rest)) if rest.iter().all(|byte| *byte == 0) => {
            Ok(("snp", json!({"report": STANDARD.encode(report)})))
        }
        Some(_) => Err(format!("more than the {} bytes of a report, and not zero", snp::LENGTH)),
        None => Err(format!("{} bytes, a report has {}", raw.len(), snp::LENGTH)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_named_and_never_guessed() {
        assert!(
            object("", b"{}").is_none()
                && object("tdx", b"{}").is_none()
                && object("DSTACK-ATTESTATION", b"").is_none()
        );
        for (format, _) in FORMATS {
            assert!(object(format, b"").unwrap().is_err(), "{format}");
            assert!(object(format, &vec![0; MAX_BYTES + 1]).unwrap().unwrap_err().contains("at most"), "{format}");
        }
    }

    #[test]
    fn raw_forms() {
        let of = |format: &str, raw: &[u8]| object(format, raw).unwrap();
        let report = [7; snp::LENGTH];
        let made = of("snp-report", &report).unwrap();
        assert_eq!(made, ("snp", json!({"report": STANDARD.encode(report)})));
        assert_eq!(of("snp-report", &[&report[..], &[0; 9]].concat()).unwrap(), made);
        assert!(of("snp-report", &[&report[..], &[1]].concat()).is_err() && of("snp-report", &report[1..]).is_err());
        assert_eq!(of("tdx-quote", &[4, 0xff]).unwrap(), ("tdx", json!({"quote": "04ff"})));
        assert_eq!(of("nitro-document", b"\x84").unwrap(), ("nitro", json!({"document": "hA=="})));
        assert_eq!(of("nitro-tpm-document", b"\x84").unwrap(), ("nitro_tpm", json!({"document": "hA=="})));
    }
}
