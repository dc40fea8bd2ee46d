//! Evidence of an enclave as it comes off the wire (protocol exporter-v1, kind `sgx`). Pure.

use serde_json::Value;

use crate::attest::hash::unhex;

/// Evidence, decoded but not judged.
#[derive(Clone, Debug)]
pub struct SgxEvidence {
    pub quote: Vec<u8>,
}

impl SgxEvidence {
    /// Reads `{"quote":hex}`; other members are ignored.
    pub fn from_json(object: &Value) -> Result<SgxEvidence, String> {
        let quote = match object.get("quote") {
            Some(Value::String(text)) => unhex(text).ok_or("quote is not plain hexadecimal")?,
            Some(_) => return Err("quote is not a string".into()),
            None => return Err("quote is missing".into()),
        };
        if quote.is_empty() {
            return Err("quote is empty".into());
        }
        Ok(SgxEvidence { quote })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn form_and_refusals() {
        assert_eq!(SgxEvidence::from_json(&json!({"quote": "00ff", "more": 1})).unwrap().quote, [0, 0xff]);
        for (bad, why) in [
            (json!({}), "missing"),
            (json!([]), "missing"),
            (json!({"quote": 7}), "not a string"),
            (json!({"quote": null}), "not a string"),
            (json!({"quote": ""}), "empty"),
            (json!({"quote": "0"}), "hexadecimal"),
            (json!({"quote": "0x00"}), "hexadecimal"),
            (json!({"quote": "AP8="}), "hexadecimal"),
        ] {
            let error = SgxEvidence::from_json(&bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
