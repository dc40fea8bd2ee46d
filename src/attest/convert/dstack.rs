//! dstack's own documents about its machines: version 0 in SCALE, version 1 in MessagePack, or the agent's answer, JSON with one of them in hex. Of what
//! they say beside the evidence, such as runtime events of machines that bind them to nothing, no part is taken over. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::Object;
use super::msgpack::Encoded;
use super::scale;
use crate::attest::hash::{hex, unhex};
use crate::attest::json;
use crate::attest::snp::Leaf;

/// As many as the family reads.
const MAX_EVENTS: usize = 4096;
/// Of a report's key and its issuers.
const MAX_CERTIFICATES: usize = 16;

pub fn read(document: &[u8]) -> Result<Object, String> {
    match document.first() {
        Some(b'{') => {
            let answer = json::parse(document)?;
            let text = answer.get("attestation").and_then(Value::as_str).ok_or("attestation is missing")?;
            read_binary(&unhex(text).ok_or("attestation is not hexadecimal")?)
        }
        _ => read_binary(document),
    }
}

/// As certificates carry it.
pub fn read_binary(document: &[u8]) -> Result<Object, String> {
    match document.split_first() {
        Some((0, rest)) => read_version_0(rest),
        Some((0x80..=0x8f | 0xde | 0xdf, _)) => read_version_1(Encoded::read(document)?),
        _ => Err("neither version 0 nor version 1 of dstack's attestations".into()),
    }
}

fn read_version_0(body: &[u8]) -> Result<Object, String> {
    let mut reader = scale::Reader::new(body);
    let object = match reader.byte()? {
        0 => {
            let quote = reader.bytes()?;
            tdx(quote, reader.list(MAX_EVENTS, scale_event)?)
        }
        1 => return Err("version 0 of a TDX guest of Google's, whose TPM part is not read".into()),
        2 => aws("nitro", reader.bytes()?),
        3 => {
            let report = reader.bytes()?;
            let certificates = reader.list(MAX_CERTIFICATES, |reader| reader.bytes())?;
            snp(report, &certificates, reader.text()?)?
        }
        4 => aws("nitro_tpm", reader.bytes()?),
        other => return Err(format!("a machine of kind {other}, which is not known")),
    };
    // Events, report data and configuration: nothing ties them to the evidence.
    reader.list(MAX_EVENTS, |reader| Ok((reader.text()?, reader.bytes()?)))?;
    reader.take(64)?;
    reader.text()?;
    reader.end()?;
    Ok(object)
}

fn scale_event(reader: &mut scale::Reader<'_>) -> Result<Value, String> {
    let (register, kind) = (reader.u32()?, reader.u32()?);
    let (digest, name, payload) = (reader.bytes()?, reader.text()?, reader.bytes()?);
    Ok(event((register.into(), kind.into()), digest, name, payload, None))
}

fn read_version_1(document: Encoded<'_>) -> Result<Object, String> {
    let document = document.members()?;
    match document.need("version")?.number()? {
        1 => {}
        other => return Err(format!("version {other}, not 1")),
    }
    let stack = document.need("stack")?.members()?;
    match stack.need("kind")?.text()? {
        "dstack" | "dstack-pod" => stack.need("data")?.members()?,
        other => return Err(format!("a stack of kind {other:?}, which is not known")),
    };
    let platform = document.need("platform")?.members()?;
    let data = platform.need("data")?.members()?;
    match platform.need("kind")?.text()? {
        "tdx" | "gcp-tdx" => {
            let events: Result<Vec<_>, String> =
                data.need("event_log")?.items(MAX_EVENTS)?.into_iter().map(msgpack_event).collect();
            Ok(tdx(&data.need("quote")?.bytes()?, events?))
        }
        "nitro-enclave" => Ok(aws("nitro", &data.need("nsm_quote")?.bytes()?)),
        "aws-nitro-tpm" => Ok(aws("nitro_tpm", &data.need("attestation_doc")?.bytes()?)),
        "sev-snp" => {
            let certificates: Result<Vec<_>, String> =
                data.need("cert_chain")?.items(MAX_CERTIFICATES)?.into_iter().map(Encoded::bytes).collect();
            let certificates = certificates?;
            let certificates: Vec<_> = certificates.iter().map(|one| &one[..]).collect();
            snp(&data.need("report")?.bytes()?, &certificates, data.need("mr_config")?.text()?)
        }
        other => Err(format!("a machine of kind {other:?}, which is not known")),
    }
}

fn msgpack_event(entry: Encoded<'_>) -> Result<Value, String> {
    let members = entry.members()?;
    let need = |name: &str| members.need(name).map_err(|why| format!("event: {why}"));
    let kind = (need("imr")?.number()?, need("event_type")?.number()?);
    let digest = members.get("digest").map_or(Ok(Vec::new()), Encoded::bytes)?;
    let version = members.get("version").map(Encoded::number).transpose()?;
    Ok(event(kind, &digest, need("event")?.text()?, &need("event_payload")?.bytes()?, version))
}

fn event((register, kind): (u64, u64), digest: &[u8], name: &str, payload: &[u8], version: Option<u64>) -> Value {
    let mut event = json!({
        "imr": register, "event_type": kind, "digest": hex(digest), "event": name, "event_payload": hex(payload),
    });
    if let Some(version) = version {
        event["version"] = version.into();
    }
    event
}

fn tdx(quote: &[u8], events: Vec<Value>) -> Object {
    ("tdx", json!({"quote": hex(quote), "event_log": events}))
}

fn aws(kind: &'static str, document: &[u8]) -> Object {
    (kind, json!({"document": STANDARD.encode(document)}))
}

/// Of the certificates (PEM or DER) only the one of the key that signed is of use. An intermediate of AMD's issued it, and the root those.
fn snp(report: &[u8], certificates: &[&[u8]], mr_config: &str) -> Result<Object, String> {
    let mut leaves = Vec::new();
    for text in certificates {
        let pem: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
        let pem = pem.map_err(|error| format!("a certificate: {error}"))?;
        let all = if pem.is_empty() { vec![CertificateDer::from(*text)] } else { pem };
        leaves.extend(all.into_iter().filter(|der| Leaf::read(der).is_ok_and(|leaf| leaf.issuer.is_some())));
    }
    let mut object = json!({"report": STANDARD.encode(report)});
    match &leaves[..] {
        [] => {}
        [leaf] => object["leaf"] = STANDARD.encode(leaf).into(),
        several => return Err(format!("{} certificates that an intermediate of AMD's issued", several.len())),
    }
    if !mr_config.is_empty() {
        object["mr_config"] = mr_config.into();
    }
    Ok(("snp", object))
}
