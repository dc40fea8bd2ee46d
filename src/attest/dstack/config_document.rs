//! The configuration document of dstack: what the host promises of a guest, and puts into a field of its report that the hardware signs. On SEV-SNP that is
//! HOST_DATA. The host wrote it, so it proves itself only through a measured guest that compares it with what it runs. Pure.

use serde_json::{Map, Value};

use super::key_provider::KeyProvider;
use crate::attest::hash::{sha256, unhex};
use crate::attest::json;

/// Larger ones are no such document.
pub const MAX_BYTES: usize = 64 << 10;

const TAG: &[u8] = b"dstack-mr-config-v3:\0";
const VERSION: u64 = 3;

/// What a document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigDocument {
    pub compose_hash: [u8; 32],
    pub app_id: Option<Vec<u8>>,
    pub key_provider: Option<KeyProvider>,
    pub gpu_policy_hash: Option<[u8; 32]>,
    pub init_script_hashes: Vec<[u8; 32]>,
    pub instance_id: Option<Vec<u8>>,
}

/// What the hardware signs of a document: its bytes count, not its meaning.
pub fn digest(text: &str) -> [u8; 32] {
    sha256(&[TAG, text.as_bytes()].concat())
}

impl ConfigDocument {
    pub fn parse(text: &str) -> Result<ConfigDocument, String> {
        let Value::Object(members) = json::parse(text.as_bytes())? else { return Err("not an object".into()) };
        let mut rest = Members(members);
        match rest.take("version") {
            Some(Value::Number(version)) if version.as_u64() == Some(VERSION) => {}
            Some(other) => return Err(format!("version {other}, known is {VERSION}")),
            None => return Err("version is missing".into()),
        }
        let name = rest.text("key_provider")?;
        let id = rest.text("key_provider_id")?;
        let document = ConfigDocument {
            compose_hash: rest.hash("compose_hash")?.ok_or("compose_hash is missing")?,
            app_id: rest.hex("app_id")?,
            key_provider: name.map(provider).transpose()?.map(|name| KeyProvider { name, id }),
            gpu_policy_hash: rest.hash("gpu_policy_hash")?,
            init_script_hashes: rest.hashes("init_script_hashes")?,
            instance_id: rest.hex("instance_id")?,
        };
        match rest.0.keys().next() {
            None => Ok(document),
            Some(unknown) => Err(format!("unknown member {unknown:?}")),
        }
    }
}

fn provider(name: String) -> Result<String, String> {
    match name.as_str() {
        "none" | "kms" | "local" | "tpm" => Ok(name),
        _ => Err(format!("key_provider {name:?} is not known")),
    }
}

/// Members that were not read yet.
struct Members(Map<String, Value>);

impl Members {
    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.shift_remove(name).filter(|value| !value.is_null())
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(format!("{name} is {other}, not a string")),
        }
    }

    fn hex(&mut self, name: &str) -> Result<Option<Vec<u8>>, String> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        unhex(&text).map(Some).ok_or_else(|| format!("{name} is not hexadecimal"))
    }

    fn hash(&mut self, name: &str) -> Result<Option<[u8; 32]>, String> {
        let Some(bytes) = self.hex(name)? else { return Ok(None) };
        match <[u8; 32]>::try_from(bytes) {
            Ok(hash) => Ok(Some(hash)),
            // A guest without one has it empty.
            Err(bytes) if bytes.is_empty() => Ok(None),
            Err(bytes) => Err(format!("{name} has {} bytes, not 32", bytes.len())),
        }
    }

    fn hashes(&mut self, name: &str) -> Result<Vec<[u8; 32]>, String> {
        let items = match self.take(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(items)) => items,
            Some(other) => return Err(format!("{name} is {other}, not a list")),
        };
        let hash = |item: &Value| item.as_str().and_then(unhex).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        items.iter().map(hash).collect::<Option<_>>().ok_or_else(|| format!("{name} has a member that is no hash"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_strictly() {
        let hash = "11".repeat(32);
        let whole = format!(
            r#"{{"version":3,"app_id":"aa","compose_hash":"{hash}","gpu_policy_hash":"","key_provider":"kms",
            "key_provider_id":"k","instance_id":"","init_script_hashes":["{hash}"]}}"#
        );
        let document = ConfigDocument::parse(&whole).unwrap();
        assert_eq!((document.compose_hash, document.init_script_hashes.len()), ([0x11; 32], 1));
        assert_eq!(document.key_provider, Some(KeyProvider { name: "kms".into(), id: Some("k".into()) }));
        assert_eq!((document.gpu_policy_hash, document.app_id), (None, Some(vec![0xaa])));
        for (bad, why) in [
            (whole.replace(":3,", ":2,"), "version 2"),
            (whole.replace("\"version\":3,", ""), "version is missing"),
            (whole.replace("compose_hash", "composed_hash"), "compose_hash is missing"),
            (whole.replace("\"app_id\"", "\"more\":1,\"app_id\""), "unknown member"),
            (whole.replace("\"app_id\"", "\"app_id\":\"bb\",\"app_id\""), "app_id"),
            (whole.replace("kms", "other"), "is not known"),
            (whole.replace(&format!("[\"{hash}\"]"), "[\"11\"]"), "no hash"),
            (whole.replace("\"aa\"", "7"), "not a string"),
            ("[]".into(), "not an object"),
        ] {
            let error = ConfigDocument::parse(&bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn the_zero_byte_after_the_tag_counts() {
        assert_eq!(digest("{}"), sha256(b"dstack-mr-config-v3:\0{}"));
        assert_ne!(digest("{}"), sha256(b"dstack-mr-config-v3:{}"));
    }
}
