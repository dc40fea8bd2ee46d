//! The hash that names an application: SHA-256 of the raw app-compose.json (docs/policy.md, "What runs"). Pure.

use serde_json::Value;

use crate::attest::hash::sha256;
use crate::attest::json::sorted_compact;

/// One acceptable application, with where its hash came from for the verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComposeHash {
    pub hash: [u8; 32],
    pub origin: &'static str,
}

/// Hashes that a manifest given in a policy may stand for. A string is the file's text and has one; for a JSON value the file's
/// own spelling is unknown, so the order as given is tried first and the sorted order, which deployment tools write, second.
pub fn candidates(manifest: &Value) -> Vec<ComposeHash> {
    let of = |text: &str, origin| ComposeHash { hash: sha256(text.as_bytes()), origin };
    if let Value::String(text) = manifest {
        return vec![of(text, "app_compose text")];
    }
    let mut found = vec![of(&manifest.to_string(), "app_compose, keys as given")];
    let sorted = of(&sorted_compact(manifest), "app_compose, keys sorted");
    if sorted.hash != found[0].hash {
        found.push(sorted);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_is_hashed_as_it_is_and_objects_in_both_orders() {
        let text = candidates(&json!("{ \"b\": 1 }"));
        assert_eq!(text.len(), 1);
        assert_eq!(text[0].hash, sha256(b"{ \"b\": 1 }"));
        let object = candidates(&json!({"b": 1, "a": "é"}));
        assert_eq!(object[0].hash, sha256("{\"b\":1,\"a\":\"é\"}".as_bytes()));
        assert_eq!(object[1].hash, sha256("{\"a\":\"é\",\"b\":1}".as_bytes()));
        assert_eq!(candidates(&json!({"a": 1, "b": 2})).len(), 1);
    }
}
