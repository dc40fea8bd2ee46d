//! One document as it is kept: its bytes, where it came from, and how long it holds. Of any vendor. No I/O.

use std::sync::{Arc, OnceLock};

use crate::attest::Document;
use crate::attest::hash::sha256;

/// Where a document came from. What only another policy's service said does not count for a policy that names its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DocumentSource {
    /// Base URL of a service.
    Service(String),
    /// A bundle that the host imported: counts for every policy.
    Bundle,
}

impl DocumentSource {
    /// For files.
    pub fn name(&self) -> &str {
        match self {
            DocumentSource::Service(base) => base,
            DocumentSource::Bundle => "bundle",
        }
    }

    /// For messages, which logs repeat: without a path, where some have a key.
    pub fn shown(&self) -> &str {
        let name = self.name();
        let host = name.find("://").map_or(0, |at| at + 3);
        name[host..].find('/').map_or(name, |path| &name[..host + path])
    }

    pub fn from_name(name: &str) -> DocumentSource {
        match name {
            "bundle" => DocumentSource::Bundle,
            base => DocumentSource::Service(base.to_owned()),
        }
    }
}

/// One document as fetched, with what it says about its own validity. Authentic only once its vendor's module said so.
#[derive(Clone, Debug)]
pub struct KeptDocument {
    pub body: Vec<u8>,
    /// PEM chain of the issuer; empty if none belongs to it.
    pub chain: String,
    pub window: Window,
    /// Unix seconds.
    pub fetched: u64,
    pub source: DocumentSource,
    /// Of a document that nobody changes any more.
    pub derived: Derived,
}

impl KeptDocument {
    /// SHA-256 of the body, and of the chain.
    pub fn digests(&self) -> &[[u8; 32]; 2] {
        self.derived.digests.get_or_init(|| [sha256(&self.body), sha256(self.chain.as_bytes())])
    }

    /// As appraisal takes it; read once.
    pub fn document(&self, read: impl FnOnce() -> Result<Document, String>) -> Result<Arc<Document>, String> {
        if let Some(known) = self.derived.document.get() {
            return Ok(known.clone());
        }
        let made = Arc::new(read()?);
        Ok(self.derived.document.get_or_init(|| made).clone())
    }
}

/// What follows from a document's bytes, found out once. A copy, which may be changed, has nothing of it.
#[derive(Debug, Default)]
pub struct Derived {
    digests: OnceLock<[[u8; 32]; 2]>,
    document: OnceLock<Arc<Document>>,
}

impl Clone for Derived {
    fn clone(&self) -> Derived {
        Derived::default()
    }
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
    fn a_changed_copy_has_its_own_digests_and_is_read_again() {
        let window = Window { issued: 1, expires: 2, number: 3 };
        let (chain, source, derived) = ("chain".to_owned(), DocumentSource::Bundle, Derived::default());
        let kept = KeptDocument { body: b"body".into(), chain, window, fetched: 1, source, derived };
        let read = |kept: &KeptDocument| {
            let read = || Ok(Document::new(kept.body.clone(), Vec::new(), kept.chain.clone()));
            (*kept.digests(), kept.document(read).unwrap().body().to_vec())
        };
        let first = read(&kept);
        assert_eq!((first.0[0], &first.1[..]), (sha256(b"body"), &b"body"[..]));
        assert_eq!(kept.document(|| Err("read twice".into())).unwrap().body(), b"body");
        let changed = KeptDocument { body: b"Body".into(), ..kept.clone() };
        let second = read(&changed);
        assert_eq!((second.0, &second.1[..]), ([sha256(b"Body"), sha256(b"chain")], &b"Body"[..]));
        assert!(changed.clone().document(|| Err("bad".into())).is_err());
    }

    #[test]
    fn a_source_is_shown_without_its_path() {
        for (base, shown) in [
            ("https://p.example/key-1/v2", "https://p.example"),
            ("http://[::1]:8081", "http://[::1]:8081"),
            ("bundle", "bundle"),
        ] {
            assert_eq!(DocumentSource::from_name(base).shown(), shown);
        }
    }
}
