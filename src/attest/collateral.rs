//! Endorsements for TDX quotes: CRLs, TCB info and QE identity, each signed by the vendor.
//!
//! The JSON form is that of `QuoteCollateralV3` in dcap-qvl: PEM chains and signed documents as text, DER as hex.

use std::fmt;

use dcap_qvl::QuoteCollateralV3;

use super::json;

/// One of the vendor's documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    RootCrl,
    PckCrl,
    TcbInfo,
    QeIdentity,
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Document::RootCrl => "root CRL",
            Document::PckCrl => "PCK CRL",
            Document::TcbInfo => "TCB info",
            Document::QeIdentity => "QE identity",
        })
    }
}

/// A complete set for one platform. Never holds a PCK chain: that belongs to one machine and comes with its quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collateral {
    set: QuoteCollateralV3,
    /// Where each document came from, if that is known.
    sources: Vec<(Document, String)>,
}

impl Collateral {
    /// Takes a set apart from its PCK chain, which is dropped: a chain kept from another machine of the same FMSPC would make
    /// its quotes fail, and must never stand in for the one in the quote.
    pub fn new(mut set: QuoteCollateralV3) -> Collateral {
        set.pck_certificate_chain = None;
        Collateral { set, sources: Vec::new() }
    }

    /// Notes where a document came from, for messages.
    pub fn from_source(mut self, document: Document, source: &str) -> Collateral {
        self.sources.push((document, source.to_owned()));
        self
    }

    pub(super) fn source(&self, document: Document) -> Option<&str> {
        self.sources.iter().find(|(known, _)| *known == document).map(|(_, source)| source.as_str())
    }

    /// Without any document: nothing verifies with it.
    pub fn none() -> Collateral {
        let (text, bytes) = (String::new, Vec::new);
        Collateral::new(QuoteCollateralV3 {
            pck_crl_issuer_chain: text(),
            root_ca_crl: bytes(),
            pck_crl: bytes(),
            tcb_info_issuer_chain: text(),
            tcb_info: text(),
            tcb_info_signature: bytes(),
            qe_identity_issuer_chain: text(),
            qe_identity: text(),
            qe_identity_signature: bytes(),
            pck_certificate_chain: None,
        })
    }

    pub fn from_json(text: &[u8]) -> Result<Collateral, String> {
        let document = json::parse(text)?;
        serde_json::from_value(document).map(Collateral::new).map_err(|error| error.to_string())
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.set).unwrap_or_default()
    }

    pub(super) fn set(&self) -> &QuoteCollateralV3 {
        &self.set
    }
}
