//! The payload of the `key-provider` event: who gave the guest its keys (docs/policy.md, "What runs"). Pure.

use serde_json::Value;

use crate::attest::json;

/// As the event names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyProvider {
    pub name: String,
    pub id: Option<String>,
}

impl KeyProvider {
    /// Reads `{"name":..,"id":..}`; other members are ignored.
    pub fn parse(payload: &[u8]) -> Result<KeyProvider, String> {
        let document = json::parse(payload).map_err(|why| format!("key-provider: {why}"))?;
        let text = |member: &str| match document.get(member) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(format!("key-provider: {member} is {other}, not a string")),
        };
        let name = text("name")?.ok_or("key-provider: name is missing")?;
        Ok(KeyProvider { name, id: text("id")? })
    }

    /// Its code in MRCONFIGID version 2; `None` for a provider that has none.
    pub fn kind(&self) -> Option<u8> {
        match self.name.as_str() {
            "none" => Some(0),
            "kms" => Some(2),
            "tpm" => Some(3),
            name if name.starts_with("local") => Some(1),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_no_name_and_no_kind() {
        let parse = |text: &str| KeyProvider::parse(text.as_bytes());
        let kms = parse(r#"{"name":"kms","id":"ab","more":1}"#).unwrap();
        assert_eq!((kms.kind(), kms.id.as_deref()), (Some(2), Some("ab")));
        assert_eq!(parse(r#"{"name":"none"}"#).unwrap(), KeyProvider { name: "none".into(), id: None });
        assert_eq!(parse(r#"{"name":"local-sgx","id":null}"#).unwrap().kind(), Some(1));
        assert_eq!(parse(r#"{"name":"","id":""}"#).unwrap().kind(), None);
        for bad in
            ["", "{}", r#"{"name":null}"#, r#"{"name":1}"#, r#"{"name":"kms","id":7}"#, r#"{"name":"a","name":"b"}"#]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
