//! The four vendor documents behind a TDX quote, one by one: where they are fetched, how they look, how long they hold. No I/O.

use serde::Deserialize;
use serde_json::value::RawValue;
use x509_cert::crl::CertificateList;
use x509_cert::der::{Decode, asn1::UintRef, oid::ObjectIdentifier};

use crate::attest::hash::unhex;
use crate::attest::tdx::{Vendor, rfc3339};

/// What an object is about; equal keys are interchangeable between connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    TcbInfo { fmspc: String, set: String },
    QeIdentity { set: String },
    PckCrl { ca: String },
    RootCrl,
}

/// Where a document came from. What only another policy's service said does not count for a policy that names its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Base URL of a service.
    Service(String),
    /// A bundle that the host imported: counts for every policy.
    Bundle,
}

impl Source {
    /// For files.
    pub fn name(&self) -> &str {
        match self {
            Source::Service(base) => base,
            Source::Bundle => "bundle",
        }
    }

    /// For messages, which logs repeat: without a path, where some have a key.
    pub fn shown(&self) -> &str {
        let name = self.name();
        let host = name.find("://").map_or(0, |at| at + 3);
        name[host..].find('/').map_or(name, |path| &name[..host + path])
    }

    pub fn from_name(name: &str) -> Source {
        match name {
            "bundle" => Source::Bundle,
            base => Source::Service(base.to_owned()),
        }
    }
}

/// One document as fetched, with what it says about its own validity. Authentic only once [`Key::authenticate`] said so.
#[derive(Clone, Debug)]
pub struct Object {
    pub body: Vec<u8>,
    /// PEM chain of the issuer; empty for the root CRL.
    pub chain: String,
    pub window: Window,
    /// Unix seconds.
    pub fetched: u64,
    pub source: Source,
}

/// Unix seconds from and to which a document holds, and the number that grows from issue to issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub issued: u64,
    pub expires: u64,
    pub number: u64,
}

impl Window {
    /// Whether using this one after the other was seen would be going back. A total order: of any two documents one may be used.
    pub fn is_older_than(&self, seen: &Window) -> bool {
        (self.number, self.issued) < (seen.number, seen.issued)
    }

    /// Whether a document holds at that time.
    pub fn check(&self, now: u64) -> Result<(), String> {
        match () {
            _ if now < self.issued => Err(format!("issued at {}, which is after now ({now})", self.issued)),
            _ if now >= self.expires => Err(format!("expired at {}, now is {now}", self.expires)),
            _ => Ok(()),
        }
    }
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
        let is_set = |set: &str| matches!(set, "standard" | "early");
        let is_digit = |digit: u8| digit.is_ascii_digit() || (b'A'..=b'F').contains(&digit);
        let is_fmspc = |fmspc: &str| fmspc.len() == 12 && fmspc.bytes().all(is_digit);
        let parts: Vec<_> = name.split('/').collect();
        match parts[..] {
            ["tcb_info", fmspc, set] if is_fmspc(fmspc) && is_set(set) => {
                Some(Key::TcbInfo { fmspc: fmspc.into(), set: set.into() })
            }
            ["qe_identity", set] if is_set(set) => Some(Key::QeIdentity { set: set.into() }),
            ["pck_crl", ca @ ("platform" | "processor")] => Some(Key::PckCrl { ca: ca.into() }),
            ["root_crl"] => Some(Key::RootCrl),
            _ => None,
        }
    }

    /// Reads a document's own dates. A PCCS gives CRLs as hex text where Intel gives DER; both become DER.
    pub fn object(&self, mut body: Vec<u8>, chain: String, fetched: u64, source: Source) -> Result<Object, String> {
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
        Ok(Object { body, chain, window, fetched, source })
    }

    /// Whether the document is about this key, and signed by the vendor; its signer's certificate must hold at `at`.
    pub fn authenticate(&self, object: &Object, vendor: &Vendor<'_>, at: u64) -> Result<(), String> {
        let (body, chain) = (&object.body, object.chain.as_str());
        match self {
            Key::RootCrl => vendor.root_crl(body),
            Key::PckCrl { ca } => vendor.pck_crl(body, chain, ca, at),
            Key::TcbInfo { fmspc, .. } => {
                let (text, signature) = Signed::tcb_info(body)?;
                vendor.tcb_info((&text, &signature), chain, fmspc, at)
            }
            Key::QeIdentity { .. } => {
                let (text, signature) = Signed::qe_identity(body)?;
                vendor.qe_identity((&text, &signature), chain, at)
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_and_their_order() {
        let window = |issued, number| Window { issued, expires: 1000, number };
        assert!(window(10, 5).check(10).is_ok());
        assert!(window(10, 5).check(9).unwrap_err().contains("after now"));
        assert!(window(10, 5).check(1000).unwrap_err().contains("expired"));
        assert!(window(10, 4).is_older_than(&window(10, 5)) && window(9, 5).is_older_than(&window(10, 5)));
        assert!(!window(10, 5).is_older_than(&window(10, 5)) && !window(9, 6).is_older_than(&window(10, 5)));
    }

    #[test]
    fn a_source_is_shown_without_its_path() {
        for (base, shown) in [
            ("https://p.example/key-1/v2", "https://p.example"),
            ("http://[::1]:8081", "http://[::1]:8081"),
            ("bundle", "bundle"),
        ] {
            assert_eq!(Source::from_name(base).shown(), shown);
        }
    }

    #[test]
    fn names_of_keys() {
        for name in ["tcb_info/00906ED50000/standard", "qe_identity/early", "pck_crl/platform", "root_crl"] {
            assert_eq!(Key::from_name(name).unwrap().name(), name);
        }
        for bad in
            ["", "tcb_info/../standard", "tcb_info/00906ed50000/standard", "qe_identity/..", "pck_crl/x", "root_crl/"]
        {
            assert_eq!(Key::from_name(bad), None, "{bad}");
        }
    }
}
