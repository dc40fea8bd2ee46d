//! The vendors' signed documents about platforms (RFC 9334: endorsements; here: collateral). What is in them, only their family knows. Pure.

use std::fmt;

use super::anchors::Vendor;

/// What a document is about; equal ones are interchangeable between connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DocumentId {
    pub vendor: Vendor,
    /// In the vendor's terms, for example `tcb_info`.
    pub kind: &'static str,
    /// Which of that kind; empty if there is only one.
    pub subject: String,
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)?;
        if self.subject.is_empty() { Ok(()) } else { write!(f, "/{}", self.subject) }
    }
}

/// One document, as far as it is needed to judge evidence by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// What the signature covers, or a whole object that has its signature inside.
    pub body: Vec<u8>,
    /// Of a body that has none inside.
    pub signature: Vec<u8>,
    /// PEM chain of the issuer, if one belongs to it.
    pub chain: String,
    /// Where it came from, for messages; empty if that is not known.
    pub source: String,
}

/// The documents at hand for one appraisal, not yet judged themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Documents {
    known: Vec<(DocumentId, Document)>,
}

impl Documents {
    /// Without any document: nothing that needs one verifies.
    pub fn none() -> Documents {
        Documents::default()
    }

    pub fn add(&mut self, id: DocumentId, document: Document) {
        self.known.push((id, document));
    }

    /// The one of that name, where documents of several platforms may be at hand.
    pub fn find(&self, id: &DocumentId) -> Option<&Document> {
        self.known.iter().find(|(known, _)| known == id).map(|(_, document)| document)
    }
}
