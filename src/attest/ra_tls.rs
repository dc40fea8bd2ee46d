//! Certificates that carry evidence (RA-TLS). The evidence names the key of the certificate, and no session: it is as old as the certificate, and whoever
//! has the key can show it. So it is judged only under a policy that names this weak binding. Pure.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::asn1::OctetStringRef;
use x509_cert::der::oid::ObjectIdentifier;

use super::binding::public_key;
use super::convert;
use super::evidence::Evidence;
use super::hash::{hex, sha512};
use super::policy::policy_fields::PolicyFields;
use super::tee::Tee;
use super::{Fault, Result};

const ATTESTATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.62397.1.8");
const TDX_QUOTE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.62397.1.1");
const EVENT_LOG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.62397.1.2");

/// Before the key in what is hashed. The same machines sign other things under other tags, which are not accepted.
const TAG: &[u8] = b"ratls-cert:";

/// A form in which a certificate carries evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaTlsFormat {
    Dstack,
}

impl RaTlsFormat {
    pub const ALL: [RaTlsFormat; 1] = [RaTlsFormat::Dstack];

    pub fn name(self) -> &'static str {
        match self {
            RaTlsFormat::Dstack => "dstack",
        }
    }

    fn from_name(name: &str) -> Option<RaTlsFormat> {
        RaTlsFormat::ALL.into_iter().find(|format| format.name() == name)
    }

    fn evidence(self, extensions: &Extensions<'_>) -> std::result::Result<Option<Evidence>, String> {
        match self {
            RaTlsFormat::Dstack => dstack(extensions),
        }
    }
}

/// What a policy says of such certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaTlsRules {
    pub formats: Vec<RaTlsFormat>,
    /// How long ago the certificate may have begun to hold.
    pub max_age_s: u64,
}

impl RaTlsRules {
    pub fn read(mut fields: PolicyFields) -> Result<RaTlsRules> {
        let missing = |fields: &PolicyFields, field: &str| -> Fault { fields.invalid(field, "is missing".into()) };
        let names = fields.strings("formats")?.ok_or_else(|| missing(&fields, "formats"))?;
        let mut formats = Vec::new();
        for name in &names {
            match RaTlsFormat::from_name(name) {
                None => return Err(fields.invalid("formats", format!("{name:?} is unknown"))),
                Some(known) if formats.contains(&known) => {
                    return Err(fields.invalid("formats", format!("{name:?} is duplicated")));
                }
                Some(known) => formats.push(known),
            }
        }
        let max_age_s = fields.u64("max_age_s")?.ok_or_else(|| missing(&fields, "max_age_s"))?;
        if max_age_s == 0 {
            return Err(fields.invalid("max_age_s", "0 accepts nothing".into()));
        }
        fields.finish()?;
        Ok(RaTlsRules { formats, max_age_s })
    }
}

/// A certificate that carries evidence. Whether anybody trusts its issuer is not said here.
#[derive(Clone, Debug)]
pub struct RaTlsCertificate {
    pub der: Vec<u8>,
    pub format: RaTlsFormat,
    /// Unix seconds: the first and the last that it holds at.
    pub not_before: u64,
    pub not_after: u64,
}

impl RaTlsCertificate {
    /// A certificate (DER) and the evidence in it, in the first of these formats that it has; `None` if it has none. Errors: a sentence.
    pub fn read(
        der: &[u8],
        formats: &[RaTlsFormat],
    ) -> std::result::Result<Option<(RaTlsCertificate, Evidence)>, String> {
        let certificate = Certificate::from_der(der).map_err(|error| error.to_string())?;
        let validity = certificate.tbs_certificate().validity();
        let extensions = Extensions(&certificate);
        for format in formats {
            if let Some(evidence) = format.evidence(&extensions)? {
                let (not_before, not_after) =
                    (validity.not_before.to_unix_duration().as_secs(), validity.not_after.to_unix_duration().as_secs());
                return Ok(Some((
                    RaTlsCertificate { der: der.to_vec(), format: *format, not_before, not_after },
                    evidence,
                )));
            }
        }
        Ok(None)
    }

    /// A certificate as DER, of which it is the DER, or the first one in PEM.
    pub fn der(text: &[u8]) -> std::result::Result<Vec<u8>, String> {
        let der = match text.first() {
            Some(0x30) => text.to_vec(),
            _ => CertificateDer::from_pem_slice(text).map_err(|error| error.to_string())?.to_vec(),
        };
        Certificate::from_der(&der).map(|_| der).map_err(|error| error.to_string())
    }

    /// What the evidence must hold of the key.
    pub fn report_data(&self) -> std::result::Result<[u8; 64], String> {
        Ok(sha512(&[TAG, &public_key(&self.der)?]))
    }
}

struct Extensions<'a>(&'a Certificate);

impl<'a> Extensions<'a> {
    /// The content of the OCTET STRING that is the extension's value.
    fn get(&self, oid: ObjectIdentifier) -> std::result::Result<Option<&'a [u8]>, String> {
        let all = self.0.tbs_certificate().extensions().into_iter().flatten();
        let mut found = all.filter(|extension| extension.extn_id == oid);
        let Some(extension) = found.next() else { return Ok(None) };
        if found.next().is_some() {
            return Err(format!("extension {oid} is duplicated"));
        }
        let content: std::result::Result<&OctetStringRef, _> =
            <&OctetStringRef>::from_der(extension.extn_value.as_bytes());
        content.map(|content| Some(content.as_bytes())).map_err(|error| format!("extension {oid}: {error}"))
    }
}

/// The whole attestation; or, as older certificates have it, a quote and the log beside it.
fn dstack(extensions: &Extensions<'_>) -> std::result::Result<Option<Evidence>, String> {
    if let Some(document) = extensions.get(ATTESTATION)? {
        return convert::dstack_binary(document).map(Some);
    }
    let Some(quote) = extensions.get(TDX_QUOTE)? else { return Ok(None) };
    let log = extensions.get(EVENT_LOG)?.ok_or("there is a quote, and no event log")?;
    let log = std::str::from_utf8(log).map_err(|_| "the event log is not UTF-8")?;
    Evidence::read(Tee::Tdx, &json!({"quote": hex(quote), "event_log": log})).map(Some)
}
