//! The vendors' signed documents about platforms (RFC 9334: endorsements; here: collateral). What is in them, only their family knows. Pure.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::anchors::Vendor;
use super::remembering::fingerprint;

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

/// One document, as far as it is needed to judge evidence by it. It never changes, so that its fingerprint is that of what it holds.
#[derive(Clone, Debug, Default)]
pub struct Document {
    body: Vec<u8>,
    signature: Vec<u8>,
    chain: String,
    source: String,
    fingerprint: OnceLock<[u8; 32]>,
}

impl Document {
    /// `body`: what the signature covers, or a whole object that has its signature inside. `signature`: of a body that has none inside. `chain`: of the
    /// issuer in PEM, if one belongs to it.
    pub fn new(body: Vec<u8>, signature: Vec<u8>, chain: String) -> Document {
        Document { body, signature, chain, ..Document::default() }
    }

    /// With where it came from, for messages; empty if that is not known.
    pub fn from_source(self, source: impl Into<String>) -> Document {
        Document { source: source.into(), ..self }
    }

    pub fn body(&self) -> &[u8] {
        &self.body
    }

    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    pub fn chain(&self) -> &str {
        &self.chain
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// Of body, signature and chain.
    pub fn fingerprint(&self) -> &[u8; 32] {
        self.fingerprint.get_or_init(|| fingerprint(&[&self.body, &self.signature, self.chain.as_bytes()]))
    }
}

/// The documents at hand for one appraisal, not yet judged themselves.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    known: Vec<(DocumentId, Arc<Document>)>,
}

impl Documents {
    /// Without any document: nothing that needs one verifies.
    pub fn none() -> Documents {
        Documents::default()
    }

    pub fn add(&mut self, id: DocumentId, document: impl Into<Arc<Document>>) {
        self.known.push((id, document.into()));
    }

    /// The one of that name, where documents of several platforms may be at hand.
    pub fn find(&self, id: &DocumentId) -> Option<&Document> {
        self.known.iter().find(|(known, _)| known == id).map(|(_, document)| &**document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_of_every_byte_and_not_of_the_source() {
        let of = |body: &[u8], signature: &[u8], chain: &str| {
            *Document::new(body.to_vec(), signature.to_vec(), chain.to_owned()).from_source("a").fingerprint()
        };
        let known = of(b"ab", b"cd", "ef");
        assert_eq!(&known, Document::new(b"ab".into(), b"cd".into(), "ef".into()).fingerprint());
        let others = [of(b"aB", b"cd", "ef"), of(b"ab", b"Cd", "ef"), of(b"ab", b"cd", "eF"), of(b"abc", b"d", "ef")];
        assert!(!others.contains(&known));
        assert_ne!(of(b"", b"ab", ""), of(b"ab", b"", ""));
    }
}
