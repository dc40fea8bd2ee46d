//! The documents that judge a TDX quote: CRLs, TCB info and QE identity, each signed by the vendor.

use std::fmt;

use dcap_qvl::QuoteCollateralV3;

use crate::attest::anchors::Vendor;
use crate::attest::documents::{Document, DocumentId, Documents};
use crate::attest::json;

/// One of the vendor's documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    RootCrl,
    PckCrl,
    TcbInfo,
    QeIdentity,
}

impl fmt::Display for DocumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DocumentKind::RootCrl => "root CRL",
            DocumentKind::PckCrl => "PCK CRL",
            DocumentKind::TcbInfo => "TCB info",
            DocumentKind::QeIdentity => "QE identity",
        })
    }
}

impl DocumentKind {
    /// As bundles and files have it.
    pub fn name(self) -> &'static str {
        match self {
            DocumentKind::RootCrl => "root_crl",
            DocumentKind::PckCrl => "pck_crl",
            DocumentKind::TcbInfo => "tcb_info",
            DocumentKind::QeIdentity => "qe_identity",
        }
    }

    pub fn from_name(name: &str) -> Option<DocumentKind> {
        use DocumentKind::{PckCrl, QeIdentity, RootCrl, TcbInfo};
        [RootCrl, PckCrl, TcbInfo, QeIdentity].into_iter().find(|kind| kind.name() == name)
    }

    /// `subject`: nothing for the root's list, `platform` or `processor` for the PCK's, `<fmspc>/<set>` for TCB info and `<set>` for the QE identity.
    pub fn id(self, subject: impl Into<String>) -> DocumentId {
        DocumentId { vendor: Vendor::Intel, kind: self.name(), subject: subject.into() }
    }

    pub fn of(self, documents: &Documents) -> Option<&Document> {
        documents.get(Vendor::Intel, self.name())
    }
}

/// Takes a set apart. Its form is that of `QuoteCollateralV3` in dcap-qvl: PEM chains and signed documents as text, DER as hex. A PCK chain in it is
/// dropped: a chain kept from another machine of the same FMSPC would make its quotes fail, and must never stand in for the one in the quote.
pub fn from_json(text: &[u8]) -> Result<Documents, String> {
    let document = json::parse(text)?;
    let set: QuoteCollateralV3 = serde_json::from_value(document).map_err(|error| error.to_string())?;
    let mut documents = Documents::none();
    let mut add = |kind: DocumentKind, body: Vec<u8>, signature: Vec<u8>, chain: String| {
        documents.add(kind.id(""), Document { body, signature, chain, source: String::new() });
    };
    add(DocumentKind::RootCrl, set.root_ca_crl, Vec::new(), String::new());
    add(DocumentKind::PckCrl, set.pck_crl, Vec::new(), set.pck_crl_issuer_chain);
    add(DocumentKind::TcbInfo, set.tcb_info.into(), set.tcb_info_signature, set.tcb_info_issuer_chain);
    add(DocumentKind::QeIdentity, set.qe_identity.into(), set.qe_identity_signature, set.qe_identity_issuer_chain);
    Ok(documents)
}

/// The set as the verifying crate takes it. What is not there is empty, and nothing verifies with it.
pub(super) fn set(documents: &Documents) -> QuoteCollateralV3 {
    let of = |kind: DocumentKind| kind.of(documents).cloned().unwrap_or_default();
    // Text that is not UTF-8 was not text when it was signed either.
    let text = |body: Vec<u8>| String::from_utf8(body).unwrap_or_default();
    let (root, pck) = (of(DocumentKind::RootCrl), of(DocumentKind::PckCrl));
    let (tcb, qe) = (of(DocumentKind::TcbInfo), of(DocumentKind::QeIdentity));
    QuoteCollateralV3 {
        pck_crl_issuer_chain: pck.chain,
        root_ca_crl: root.body,
        pck_crl: pck.body,
        tcb_info_issuer_chain: tcb.chain,
        tcb_info: text(tcb.body),
        tcb_info_signature: tcb.signature,
        qe_identity_issuer_chain: qe.chain,
        qe_identity: text(qe.body),
        qe_identity_signature: qe.signature,
        pck_certificate_chain: None,
    }
}
