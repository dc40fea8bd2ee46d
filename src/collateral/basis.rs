//! What a judgement rests on: which documents, and until when it need not look at them again. No I/O.

use std::sync::Arc;

use super::kept_document::KeptDocument;
use crate::attest::DocumentId;
use crate::attest::hash::{sha256, sha512};

/// The documents of one judgement, as far as it takes to notice that they are others now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    /// Over all of them; `None` if there are none.
    digest: Option<[u8; 64]>,
    /// The store's count of changes before the search.
    pub seen: u64,
    /// Unix seconds: when the first of them ends, or is due to be refreshed.
    pub until: u64,
}

impl Basis {
    /// `until`, by document.
    pub fn of(
        seen: u64,
        found: &[(DocumentId, Arc<KeptDocument>)],
        until: impl Fn(&DocumentId, &KeptDocument) -> u64,
    ) -> Basis {
        let digest_of = |(id, object): &(DocumentId, Arc<KeptDocument>)| {
            let [body, chain] = *object.digests();
            [sha256(id.to_string().as_bytes()), body, chain]
        };
        let digests: Vec<_> = found.iter().flat_map(digest_of).collect();
        let parts: Vec<_> = digests.iter().map(|digest| &digest[..]).collect();
        let digest = (!found.is_empty()).then(|| sha512(&parts));
        let until = found.iter().map(|(id, object)| until(id, object)).min().unwrap_or(u64::MAX);
        Basis { digest, seen, until }
    }

    /// Of a judgement that takes no documents.
    pub fn none() -> Basis {
        Basis { digest: None, seen: 0, until: u64::MAX }
    }

    /// Whether the documents are the same.
    pub fn is_same(&self, other: &Basis) -> bool {
        self.digest == other.digest
    }
}
