//! Intel's documents: where they are fetched, how they look, how long they hold (Intel PCS v4; a PCCS serves the same). No I/O.

use serde::Deserialize;
use serde_json::value::RawValue;
use x509_cert::crl::CertificateList;
use x509_cert::der::{Decode, asn1::UintRef, oid::ObjectIdentifier};

use super::kept_document::{KeptDocument, Window};
use super::vendor::{Authority, VendorModule};
use crate::attest::dcap::{DocumentKind, Issuer, QuoteKind, rfc3339};
use crate::attest::hash::unhex;
use crate::attest::policy::INTEL_PCS;
use crate::attest::{Document, DocumentId};

pub struct Intel;

impl VendorModule for Intel {
    fn id(&self, name: &str) -> Option<DocumentId> {
        let is_set = |set: &str| matches!(set, "standard" | "early");
        let is_digit = |digit: u8| digit.is_ascii_digit() || (b'A'..=b'F').contains(&digit);
        let is_fmspc = |fmspc: &str| fmspc.len() == 12 && fmspc.bytes().all(is_digit);
        let (kind, subject) = name.split_once('/').unwrap_or((name, ""));
        let kind = DocumentKind::from_name(kind)?;
        let is_known = match kind {
            DocumentKind::TcbInfo(_) => {
                subject.split_once('/').is_some_and(|(fmspc, set)| is_fmspc(fmspc) && is_set(set))
            }
            DocumentKind::QeIdentity(_) => is_set(subject),
            DocumentKind::PckCrl => matches!(subject, "platform" | "processor"),
            DocumentKind::RootCrl => name == kind.name(),
        };
        is_known.then(|| kind.id(subject))
    }

    fn url(&self, id: &DocumentId, base: &str) -> Result<String, String> {
        let subject = &id.subject;
        Ok(match kind(id)? {
            DocumentKind::TcbInfo(quotes) => {
                let (fmspc, set) = tcb_subject(id)?;
                format!("{base}/{}/certification/v4/tcb?fmspc={fmspc}&update={set}", path(quotes))
            }
            DocumentKind::QeIdentity(quotes) => {
                format!("{base}/{}/certification/v4/qe/identity?update={subject}", path(quotes))
            }
            DocumentKind::PckCrl => format!("{base}/sgx/certification/v4/pckcrl?ca={subject}&encoding=der"),
            // Intel serves the root CRL in one place only, as DER.
            DocumentKind::RootCrl if base == INTEL_PCS => {
                "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der".into()
            }
            DocumentKind::RootCrl => format!("{base}/sgx/certification/v4/rootcacrl"),
        })
    }

    fn chain_headers(&self, id: &DocumentId) -> &'static [&'static str] {
        match kind(id) {
            Ok(DocumentKind::TcbInfo(_)) => &["tcb-info-issuer-chain", "sgx-tcb-info-issuer-chain"],
            Ok(DocumentKind::QeIdentity(_)) => &["sgx-enclave-identity-issuer-chain"],
            Ok(DocumentKind::PckCrl) => &["sgx-pck-crl-issuer-chain"],
            Ok(DocumentKind::RootCrl) | Err(_) => &[],
        }
    }

    /// A PCCS gives CRLs as hex text where Intel gives DER; both become DER.
    fn read(&self, id: &DocumentId, mut body: Vec<u8>, chain: &str) -> Result<(Vec<u8>, Window), String> {
        let kind = kind(id)?;
        let window = match kind {
            DocumentKind::TcbInfo(_) => json_window(&signed_tcb_info(&body)?.0)?,
            DocumentKind::QeIdentity(_) => json_window(&signed_qe_identity(&body)?.0)?,
            DocumentKind::PckCrl | DocumentKind::RootCrl => {
                if body.first() != Some(&0x30) {
                    let text = std::str::from_utf8(&body).map_err(|_| "neither DER nor hex text")?;
                    body = unhex(text.trim().trim_matches('"')).ok_or("neither DER nor hex text")?;
                }
                crl_window(&body)?
            }
        };
        if kind != DocumentKind::RootCrl && !chain.contains("BEGIN CERTIFICATE") {
            return Err("no issuer chain came with it".into());
        }
        Ok((body, window))
    }

    fn revoked_by(&self, id: &DocumentId) -> Option<DocumentId> {
        (id.kind != DocumentKind::RootCrl.name()).then(|| DocumentKind::RootCrl.id(""))
    }

    fn authenticate(&self, id: &DocumentId, object: &KeptDocument, by: Authority<'_>, at: u64) -> Result<(), String> {
        let issuer = Issuer { root: by.root, root_crl: by.revoked };
        let (body, chain) = (&object.body, object.chain.as_str());
        match kind(id)? {
            DocumentKind::RootCrl => issuer.root_crl(body),
            DocumentKind::PckCrl => issuer.pck_crl(body, chain, &id.subject, at),
            DocumentKind::TcbInfo(quotes) => {
                let (text, signature) = signed_tcb_info(body)?;
                issuer.tcb_info(quotes, (&text, &signature), (chain, at), tcb_subject(id)?.0)
            }
            DocumentKind::QeIdentity(quotes) => {
                let (text, signature) = signed_qe_identity(body)?;
                issuer.qe_identity(quotes, (&text, &signature), (chain, at))
            }
        }
    }

    fn document(&self, id: &DocumentId, object: &KeptDocument) -> Result<Document, String> {
        let (body, signature) = match kind(id)? {
            DocumentKind::RootCrl | DocumentKind::PckCrl => (object.body.clone(), Vec::new()),
            DocumentKind::TcbInfo(_) => {
                signed_tcb_info(&object.body).map(|(text, signature)| (text.into(), signature))?
            }
            DocumentKind::QeIdentity(_) => {
                signed_qe_identity(&object.body).map(|(text, signature)| (text.into(), signature))?
            }
        };
        Ok(Document::new(body, signature, object.chain.clone()).from_source(object.source.shown()))
    }
}

fn kind(id: &DocumentId) -> Result<DocumentKind, String> {
    DocumentKind::from_name(id.kind).ok_or_else(|| format!("{id} is not one of Intel's documents"))
}

/// The part of a service's paths that its documents are under.
fn path(quotes: QuoteKind) -> &'static str {
    match quotes {
        QuoteKind::TrustDomain => "tdx",
        QuoteKind::Enclave => "sgx",
    }
}

/// FMSPC and evaluation set that TCB info is about.
fn tcb_subject(id: &DocumentId) -> Result<(&str, &str), String> {
    id.subject.split_once('/').ok_or_else(|| format!("{id} names no evaluation set"))
}

/// A document as its signature covers it, byte for byte, and the signature.
fn signed_tcb_info(body: &[u8]) -> Result<(String, Vec<u8>), String> {
    #[derive(Deserialize)]
    struct Document<'a> {
        #[serde(borrow, rename = "tcbInfo")]
        inner: &'a RawValue,
        signature: &'a str,
    }
    let document: Document = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    Ok((document.inner.get().into(), unhex(document.signature).ok_or("signature is not hex")?))
}

fn signed_qe_identity(body: &[u8]) -> Result<(String, Vec<u8>), String> {
    #[derive(Deserialize)]
    struct Document<'a> {
        #[serde(borrow, rename = "enclaveIdentity")]
        inner: &'a RawValue,
        signature: &'a str,
    }
    let document: Document = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    Ok((document.inner.get().into(), unhex(document.signature).ok_or("signature is not hex")?))
}

fn json_window(text: &str) -> Result<Window, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Dates {
        issue_date: String,
        next_update: String,
        tcb_evaluation_data_number: u64,
    }
    let dates: Dates = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let time = |text: &str| rfc3339::parse(text).ok_or_else(|| format!("date {text:?} is not YYYY-MM-DDThh:mm:ssZ"));
    Ok(Window {
        issued: time(&dates.issue_date)?,
        expires: time(&dates.next_update)?,
        number: dates.tcb_evaluation_data_number,
    })
}

fn crl_window(der: &[u8]) -> Result<Window, String> {
    const CRL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");
    let crl: CertificateList = CertificateList::from_der(der).map_err(|error| format!("CRL: {error}"))?;
    let list = &crl.tbs_cert_list;
    let expires = list.next_update.ok_or("CRL without nextUpdate")?;
    let extension = list.crl_extensions.iter().flatten().find(|extension| extension.extn_id == CRL_NUMBER);
    let number = match extension {
        None => 0,
        Some(extension) => {
            let number =
                UintRef::from_der(extension.extn_value.as_bytes()).map_err(|error| format!("CRL number: {error}"))?;
            number.as_bytes().iter().fold(0u64, |sum, byte| sum.saturating_mul(256).saturating_add((*byte).into()))
        }
    };
    Ok(Window {
        issued: list.this_update.to_unix_duration().as_secs(),
        expires: expires.to_unix_duration().as_secs(),
        number,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_have_names_that_no_path_can_be() {
        for name in [
            "tcb_info/00906ED50000/standard",
            "qe_identity/early",
            "sgx_tcb_info/00906ED50000/early",
            "sgx_qe_identity/standard",
            "pck_crl/platform",
            "root_crl",
        ] {
            assert_eq!(Intel.id(name).unwrap().to_string(), name);
        }
        for bad in [
            "",
            "tcb_info/../standard",
            "tcb_info/00906ed50000/standard",
            "sgx_tcb_info/00906ED50000",
            "qe_identity/..",
            "sgx_pck_crl/platform",
            "pck_crl/x",
            "root_crl/",
        ] {
            assert_eq!(Intel.id(bad), None, "{bad}");
        }
    }
}
