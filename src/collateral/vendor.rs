//! What is particular about the documents of one vendor. The store, its files and its bundles are the same for all. Pure.

use super::amd::Amd;
use super::intel::Intel;
use super::kept_document::{KeptDocument, Window};
use crate::attest::{Document, DocumentId, Vendor};

/// Whom documents must come from.
#[derive(Clone, Copy)]
pub struct Authority<'a> {
    /// The vendor's root, DER.
    pub root: &'a [u8],
    /// Its revocation list, authentic itself; `None` if it is not at hand.
    pub revoked: Option<&'a [u8]>,
}

/// One vendor's documents.
pub trait VendorModule: Sync {
    /// A document by its name in bundles and files, which is `DocumentId` as text.
    fn id(&self, name: &str) -> Option<DocumentId>;

    /// Where a service has it, by the service's base URL.
    fn url(&self, id: &DocumentId, base: &str) -> Result<String, String>;

    /// Response headers that may carry the issuer chain, as URL-encoded PEM.
    fn chain_headers(&self, id: &DocumentId) -> &'static [&'static str];

    /// Reads a document's own dates, and brings it into the form in which it is kept.
    fn read(&self, id: &DocumentId, body: Vec<u8>, chain: &str) -> Result<(Vec<u8>, Window), String>;

    /// The list of those who may not sign it any more; `None` for that list itself.
    fn revoked_by(&self, id: &DocumentId) -> Option<DocumentId>;

    /// Whether the document is about what its name says, and signed by the vendor; its signer's certificate must hold at `at`.
    fn authenticate(&self, id: &DocumentId, object: &KeptDocument, by: Authority<'_>, at: u64) -> Result<(), String>;

    /// Whether what is kept is used, as long as it holds, whatever a policy says of caching.
    fn is_cached(&self) -> bool {
        false
    }

    /// Whether it stays the same for ever, so that there is nothing newer to look for, and its age says nothing.
    fn is_immutable(&self, _: &DocumentId) -> bool {
        false
    }

    /// Whether unauthenticated evidence says which of them to look up: such a document stays only if the evidence turns out to be authentic, so that
    /// no stranger can fill the store.
    fn is_chosen_by_evidence(&self, _: &DocumentId) -> bool {
        false
    }

    /// As appraisal takes it.
    fn document(&self, id: &DocumentId, object: &KeptDocument) -> Result<Document, String>;
}

/// A vendor whose evidence brings all that it takes: no document has its name, so nothing of the rest is ever asked.
struct NoDocuments;

impl VendorModule for NoDocuments {
    fn id(&self, _: &str) -> Option<DocumentId> {
        None
    }

    fn url(&self, _: &DocumentId, _: &str) -> Result<String, String> {
        Err(NONE.into())
    }

    fn chain_headers(&self, _: &DocumentId) -> &'static [&'static str] {
        &[]
    }

    fn read(&self, _: &DocumentId, _: Vec<u8>, _: &str) -> Result<(Vec<u8>, Window), String> {
        Err(NONE.into())
    }

    fn revoked_by(&self, _: &DocumentId) -> Option<DocumentId> {
        None
    }

    fn authenticate(&self, _: &DocumentId, _: &KeptDocument, _: Authority<'_>, _: u64) -> Result<(), String> {
        Err(NONE.into())
    }

    fn document(&self, _: &DocumentId, _: &KeptDocument) -> Result<Document, String> {
        Err(NONE.into())
    }
}

const NONE: &str = "this vendor has no documents";

/// All vendors that have documents.
const VENDORS: [Vendor; 2] = [Vendor::Intel, Vendor::Amd];

pub fn module(vendor: Vendor) -> &'static dyn VendorModule {
    match vendor {
        Vendor::Intel => &Intel,
        Vendor::Amd => &Amd,
        Vendor::Aws | Vendor::Microsoft | Vendor::Nvidia => &NoDocuments,
    }
}

/// A document of any vendor, by its name in bundles and files.
pub fn from_name(name: &str) -> Option<DocumentId> {
    VENDORS.into_iter().find_map(|vendor| module(vendor).id(name))
}
