//! The four vendor documents behind a TDX quote, one by one: where they are fetched, how they look, how long they hold. No I/O.

use serde::Deserialize;
use serde_json::value::RawValue;
use x509_cert::crl::CertificateList;
use x509_cert::der::{Decode, asn1::UintRef, oid::ObjectIdentifier};

use crate::attest::hash::unhex;
use crate::attest::tdx::rfc3339;

/// What an object is about; equal keys are interchangeable between connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    TcbInfo { fmspc: String, set: String },
    QeIdentity { set: String },
    PckCrl { ca: String },
    RootCrl,
}

/// One document as fetched, with what it says about its own validity. Not authenticated: that is appraisal's job.
#[derive(Clone, Debug)]
pub struct Object {
    pub body: Vec<u8>,
    /// PEM chain of the issuer; empty for the root CRL.
    pub chain: String,
    pub window: Window,
    /// Unix seconds.
    pub fetched: u64,
}

/// Unix seconds from and to which a document holds, and the number that grows from issue to issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub issued: u64,
    pub expires: u64,
    pub number: u64,
}

impl Key {
    /// Path and query under a service's base URL (Intel PCS v4; a PCCS serves the same).
    pub fn path(&self) -> String {
        match self {
            Key::TcbInfo { fmspc, set } => format!("/tdx/certification/v4/tcb?fmspc={fmspc}&update={set}"),
            Key::QeIdentity { set } => format!("/tdx/certification/v4/qe/identity?update={set}"),
            Key::PckCrl { ca } => format!("/sgx/certification/v4/pckcrl?ca={ca}&encoding=der"),
            Key::RootCrl => "/sgx/certification/v4/rootcacrl".into(),
        }
    }

    /// Response headers that may carry the issuer chain, as URL-encoded PEM.
    pub fn chain_headers(&self) -> &'static [&'static str] {
        match self {
            Key::TcbInfo { .. } => &["tcb-info-issuer-chain", "sgx-tcb-info-issuer-chain"],
            Key::QeIdentity { .. } => &["sgx-enclave-identity-issuer-chain"],
            Key::PckCrl { .. } => &["sgx-pck-crl-issuer-chain"],
            Key::RootCrl => &[],
        }
    }

    /// For messages and bundles.
    pub fn name(&self) -> String {
        match self {
            Key::TcbInfo { fmspc, set } => format!("tcb_info/{fmspc}/{set}"),
            Key::QeIdentity { set } => format!("qe_identity/{set}"),
            Key::PckCrl { ca } => format!("pck_crl/{ca}"),
            Key::RootCrl => "root_crl".into(),
        }
    }

    pub fn from_name(name: &str) -> Option<Key> {
        let parts: Vec<_> = name.split('/').collect();
        match parts[..] {
            ["tcb_info", fmspc, set] => Some(Key::TcbInfo { fmspc: fmspc.into(), set: set.into() }),
            ["qe_identity", set] => Some(Key::QeIdentity { set: set.into() }),
            ["pck_crl", ca] => Some(Key::PckCrl { ca: ca.into() }),
            ["root_crl"] => Some(Key::RootCrl),
            _ => None,
        }
    }

    /// Reads a document's own dates. A PCCS gives CRLs as hex text where Intel gives DER; both become DER.
    pub fn object(&self, mut body: Vec<u8>, chain: String, fetched: u64) -> Result<Object, String> {
        let window = match self {
            Key::TcbInfo { .. } => json_window(&Signed::tcb_info(&body)?.0)?,
            Key::QeIdentity { .. } => json_window(&Signed::qe_identity(&body)?.0)?,
            Key::PckCrl { .. } | Key::RootCrl => {
                if body.first() != Some(&0x30) {
                    let text = std::str::from_utf8(&body).map_err(|_| "neither DER nor hex text")?;
                    body = unhex(text.trim().trim_matches('"')).ok_or("neither DER nor hex text")?;
                }
                crl_window(&body)?
            }
        };
        if !matches!(self, Key::RootCrl) && !chain.contains("BEGIN CERTIFICATE") {
            return Err("no issuer chain came with it".into());
        }
        Ok(Object { body, chain, window, fetched })
    }
}

/// A vendor document as its signature covers it, byte for byte, and the signature.
pub struct Signed;

impl Signed {
    pub fn tcb_info(body: &[u8]) -> Result<(String, Vec<u8>), String> {
        #[derive(Deserialize)]
        struct Document<'a> {
            #[serde(borrow, rename = "tcbInfo")]
            inner: &'a RawValue,
            signature: &'a str,
        }
        let document: Document = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        Ok((document.inner.get().into(), unhex(document.signature).ok_or("signature is not hex")?))
    }

    pub fn qe_identity(body: &[u8]) -> Result<(String, Vec<u8>), String> {
        #[derive(Deserialize)]
        struct Document<'a> {
            #[serde(borrow, rename = "enclaveIdentity")]
            inner: &'a RawValue,
            signature: &'a str,
        }
        let document: Document = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        Ok((document.inner.get().into(), unhex(document.signature).ok_or("signature is not hex")?))
    }
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
