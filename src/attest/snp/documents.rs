//! AMD's documents: a product's revocation list, and the certificates of chips. Pure.

use super::layout::Report;
use super::product::{Product, SigningKey};
use crate::attest::anchors::Vendor;
use crate::attest::documents::DocumentId;
use crate::attest::hash::hex;

/// One of the vendor's documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AmdDocumentKind {
    Crl,
    Leaf,
}

impl AmdDocumentKind {
    pub const ALL: [AmdDocumentKind; 2] = [AmdDocumentKind::Crl, AmdDocumentKind::Leaf];

    /// As bundles and files have it.
    pub fn name(self) -> &'static str {
        match self {
            AmdDocumentKind::Crl => "amd/crl",
            AmdDocumentKind::Leaf => "amd/leaf",
        }
    }

    pub fn from_name(name: &str) -> Option<AmdDocumentKind> {
        AmdDocumentKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The list about the intermediate that vouches for keys of that kind: `<product>/<vcek|vlek>`.
    pub fn crl(product: Product, key: SigningKey) -> DocumentId {
        AmdDocumentKind::Crl.id(format!("{}/{}", product.name(), key.name()))
    }

    /// The certificate of the chip's key for its reported TCB: `<product>/<chip>/<TCB>`, hex as in the report.
    pub fn leaf(product: Product, report: &Report) -> DocumentId {
        let (chip, tcb) = (hex(&report.chip_id()), hex(&report.reported_tcb()));
        AmdDocumentKind::Leaf.id(format!("{}/{chip}/{tcb}", product.name()))
    }

    fn id(self, subject: String) -> DocumentId {
        DocumentId { vendor: Vendor::Amd, kind: self.name(), subject }
    }
}
