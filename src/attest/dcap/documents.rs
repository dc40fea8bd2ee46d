//! The documents that judge a quote: CRLs, TCB info and QE identity, each signed by the vendor. Pure.

use std::fmt;

use dcap_qvl::QuoteCollateralV3;
use serde::Deserialize;

use super::PlatformId;
use super::layout::QuoteKind;
use super::unverified::{Culprit, Unverified};
use crate::attest::anchors::Vendor;
use crate::attest::documents::{Document, DocumentId, Documents};
use crate::attest::json;

/// One of the vendor's documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    RootCrl,
    PckCrl,
    TcbInfo(QuoteKind),
    QeIdentity(QuoteKind),
}

impl fmt::Display for DocumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DocumentKind::RootCrl => "root CRL",
            DocumentKind::PckCrl => "PCK CRL",
            DocumentKind::TcbInfo(_) => "TCB info",
            DocumentKind::QeIdentity(_) => "QE identity",
        })
    }
}

impl DocumentKind {
    /// What it takes to judge a quote, in the order in which it is looked up.
    pub fn all(kind: QuoteKind) -> [DocumentKind; 4] {
        [DocumentKind::RootCrl, DocumentKind::TcbInfo(kind), DocumentKind::QeIdentity(kind), DocumentKind::PckCrl]
    }

    /// As bundles and files have it.
    pub fn name(self) -> &'static str {
        match self {
            DocumentKind::RootCrl => "root_crl",
            DocumentKind::PckCrl => "pck_crl",
            DocumentKind::TcbInfo(QuoteKind::TrustDomain) => "tcb_info",
            DocumentKind::QeIdentity(QuoteKind::TrustDomain) => "qe_identity",
            DocumentKind::TcbInfo(QuoteKind::Enclave) => "sgx_tcb_info",
            DocumentKind::QeIdentity(QuoteKind::Enclave) => "sgx_qe_identity",
        }
    }

    pub fn from_name(name: &str) -> Option<DocumentKind> {
        let mut all = QuoteKind::ALL.into_iter().flat_map(DocumentKind::all);
        all.find(|kind| kind.name() == name)
    }

    /// `subject`: nothing for the root's list, `platform` or `processor` for the PCK's, `<fmspc>/<set>` for TCB info and `<set>` for the QE identity.
    pub fn id(self, subject: impl Into<String>) -> DocumentId {
        DocumentId { vendor: Vendor::Intel, kind: self.name(), subject: subject.into() }
    }

    /// The one about that platform.
    pub fn about(self, platform: &PlatformId, evaluation_set: &str) -> DocumentId {
        match self {
            DocumentKind::RootCrl => self.id(""),
            DocumentKind::PckCrl => self.id(platform.ca),
            DocumentKind::TcbInfo(_) => self.id(format!("{}/{evaluation_set}", platform.fmspc)),
            DocumentKind::QeIdentity(_) => self.id(evaluation_set),
        }
    }

    /// The one of a set that is for one platform, whichever that is (`from_json`).
    pub fn alone(self, documents: &Documents) -> Option<&Document> {
        documents.find(&self.id(""))
    }
}

/// Takes a set apart. Its form is that of `QuoteCollateralV3` in dcap-qvl: PEM chains and signed documents as text, DER as hex. A PCK chain in it is
/// dropped: a chain kept from another machine of the same FMSPC would make its quotes fail, and must never stand in for the one in the quote.
pub fn from_json(text: &[u8]) -> Result<Documents, String> {
    let document = json::parse(text)?;
    let set: QuoteCollateralV3 = serde_json::from_value(document).map_err(|error| error.to_string())?;
    let mut documents = Documents::none();
    let mut add = |kind: DocumentKind, body: Vec<u8>, signature: Vec<u8>, chain: String| {
        documents.add(kind.id(""), Document::new(body, signature, chain));
    };
    let tcb_info = DocumentKind::TcbInfo(named(&set.tcb_info, QuoteKind::tcb_info_id));
    let qe_identity = DocumentKind::QeIdentity(named(&set.qe_identity, QuoteKind::qe_identity_id));
    add(DocumentKind::RootCrl, set.root_ca_crl, Vec::new(), String::new());
    add(DocumentKind::PckCrl, set.pck_crl, Vec::new(), set.pck_crl_issuer_chain);
    add(tcb_info, set.tcb_info.into(), set.tcb_info_signature, set.tcb_info_issuer_chain);
    add(qe_identity, set.qe_identity.into(), set.qe_identity_signature, set.qe_identity_issuer_chain);
    Ok(documents)
}

/// Whose quotes a document says that it is about. One that says nothing clear is taken for a trust domain's, and refused by those who use it.
fn named(text: &str, id: fn(QuoteKind) -> &'static str) -> QuoteKind {
    #[derive(Deserialize)]
    struct Named {
        id: String,
    }
    match serde_json::from_str::<Named>(text) {
        Ok(named) if named.id == id(QuoteKind::Enclave) => QuoteKind::Enclave,
        _ => QuoteKind::TrustDomain,
    }
}

/// Of documents that may be about many platforms, those about one.
pub(super) struct Chosen<'a>([(DocumentKind, &'a Document); 4]);

impl<'a> Chosen<'a> {
    pub fn of(
        documents: &'a Documents,
        kind: QuoteKind,
        platform: &PlatformId,
        evaluation_set: &str,
    ) -> Result<Chosen<'a>, Unverified> {
        let find = |wanted: DocumentKind| {
            let id = wanted.about(platform, evaluation_set);
            let document = documents.find(&id).or_else(|| wanted.alone(documents));
            let missing = || Unverified::new(Culprit::Missing(wanted), format!("{id} is not at hand"));
            document.map(|document| (wanted, document)).ok_or_else(missing)
        };
        let [root, tcb, qe, pck] = DocumentKind::all(kind);
        Ok(Chosen([find(root)?, find(tcb)?, find(qe)?, find(pck)?]))
    }

    /// Of all that is in them.
    pub fn fingerprints(&self) -> [&[u8]; 4] {
        self.0.map(|(_, document)| &document.fingerprint()[..])
    }

    /// As the verifying crate takes it.
    pub fn set(&self) -> QuoteCollateralV3 {
        // Text that is not UTF-8 was not text when it was signed either.
        let text = |document: &Document| String::from_utf8(document.body().to_vec()).unwrap_or_default();
        let [(_, root), (_, tcb), (_, qe), (_, pck)] = self.0;
        QuoteCollateralV3 {
            pck_crl_issuer_chain: pck.chain().to_owned(),
            root_ca_crl: root.body().to_vec(),
            pck_crl: pck.body().to_vec(),
            tcb_info_issuer_chain: tcb.chain().to_owned(),
            tcb_info: text(tcb),
            tcb_info_signature: tcb.signature().to_vec(),
            qe_identity_issuer_chain: qe.chain().to_owned(),
            qe_identity: text(qe),
            qe_identity_signature: qe.signature().to_vec(),
            pck_certificate_chain: None,
        }
    }

    /// Says where the document that is to blame came from, if that is known.
    pub fn with_source(&self, fault: Unverified) -> Unverified {
        let Culprit::Document(kind) = fault.culprit else { return fault };
        match self.0.iter().find(|(known, _)| *known == kind) {
            Some((_, document)) if !document.source().is_empty() => {
                Unverified { why: format!("{} (from {})", fault.why, document.source()), ..fault }
            }
            _ => fault,
        }
    }
}
