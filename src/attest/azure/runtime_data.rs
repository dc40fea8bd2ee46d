//! What the paravisor says of the virtual machine: JSON, whose digest the hardware signs. Pure.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::attest::hash::unhex_array;
use crate::attest::json;
use crate::attest::tpm::{EXPONENT, RSA_BYTES};

/// More of them than there are.
const MAX_KEYS: usize = 16;
/// `kid` of the key that signs the TPM's quotes.
const ATTESTATION_KEY: &str = "HCLAkPub";

/// Read, but not judged: the hardware's report says whether a paravisor wrote it.
#[derive(Clone, Debug)]
pub struct RuntimeData {
    /// Of the TPM's attestation key, which is RSA with exponent 65537.
    pub modulus: [u8; RSA_BYTES],
    /// What the guest asked for; older reports have no such member.
    pub user_data: Option<[u8; 64]>,
    /// How the machine was set up: an object.
    pub configuration: Value,
}

impl RuntimeData {
    pub fn read(text: &[u8]) -> Result<RuntimeData, String> {
        let document = json::parse(text).map_err(|why| format!("runtime data: {why}"))?;
        let keys = document.get("keys").and_then(Value::as_array).ok_or("runtime data: keys is not a list")?;
        if keys.len() > MAX_KEYS {
            return Err(format!("runtime data: {} keys, at most {MAX_KEYS}", keys.len()));
        }
        let mut own = keys.iter().filter(|key| key["kid"] == ATTESTATION_KEY);
        let (Some(key), None) = (own.next(), own.next()) else {
            return Err(format!("runtime data: there must be one key {ATTESTATION_KEY}"));
        };
        let user_data = json::string(&document, "user-data")?.map(unhex_array).map(|data| data.ok_or("user-data"));
        let configuration = document.get("vm-configuration").cloned().unwrap_or_default();
        if !(configuration.is_object() || configuration.is_null()) {
            return Err("runtime data: vm-configuration is not an object".into());
        }
        Ok(RuntimeData {
            modulus: modulus(key).map_err(|why| format!("runtime data: {ATTESTATION_KEY}: {why}"))?,
            user_data: user_data.transpose().map_err(|member| format!("{member} is not 128 hexadecimal digits"))?,
            configuration,
        })
    }
}

/// Members of the configuration.
pub const SECURE_BOOT: &str = "secure-boot";
pub const CONSOLES: [&str; 2] = ["console-enabled", "interactive-console-enabled"];

/// Whether a configuration has this member with that value. What is not said is off.
pub fn holds(configuration: &Value, member: &str, wanted: bool) -> bool {
    match configuration.get(member) {
        Some(value) => value.as_bool() == Some(wanted),
        None => !wanted,
    }
}

/// Of a JSON Web Key (RFC 7517).
fn modulus(key: &Value) -> Result<[u8; RSA_BYTES], String> {
    let decoded = |member: &str| key[member].as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    if key["kty"] != "RSA" || decoded("e").is_none_or(|exponent| exponent != EXPONENT) {
        return Err("not a key of RSA with exponent 65537".into());
    }
    let modulus = decoded("n").ok_or("n is not base64url without padding")?;
    match <[u8; RSA_BYTES]>::try_from(modulus) {
        Ok(modulus) if modulus[0] & 0x80 != 0 => Ok(modulus),
        _ => Err("not a key of 2048 bits".into()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        let n = URL_SAFE_NO_PAD.encode([0x81; RSA_BYTES]);
        json!({
            "keys": [
                {"kid": "HCLAkPub", "key_ops": ["sign"], "kty": "RSA", "e": "AQAB", "n": n},
                {"kid": "HCLEkPub", "key_ops": ["encrypt"], "kty": "RSA", "e": "AQAB", "n": "AQ"},
            ],
            "vm-configuration": {"secure-boot": true, "more": [1]}, "user-data": "aB".repeat(64),
        })
    }

    pub fn plain() -> Vec<u8> {
        document().to_string().into_bytes()
    }

    #[test]
    fn what_is_read() {
        let read = RuntimeData::read(&plain()).unwrap();
        assert_eq!((read.modulus, read.user_data), ([0x81; RSA_BYTES], Some([0xab; 64])));
        assert_eq!((&read.configuration["secure-boot"], &read.configuration["less"]), (&json!(true), &Value::Null));
        let mut old = document();
        old.as_object_mut().unwrap().remove("user-data");
        old.as_object_mut().unwrap().remove("vm-configuration");
        let read = RuntimeData::read(old.to_string().as_bytes()).unwrap();
        assert_eq!((read.user_data, read.configuration), (None, Value::Null));
    }

    #[test]
    fn what_is_refused() {
        let bent = |change: fn(&mut Value)| {
            let mut document = document();
            change(&mut document);
            RuntimeData::read(document.to_string().as_bytes()).unwrap_err()
        };
        let short = |document: &mut Value| document["keys"][0]["n"] = URL_SAFE_NO_PAD.encode([0x81; 255]).into();
        let small = |document: &mut Value| document["keys"][0]["n"] = URL_SAFE_NO_PAD.encode([0x7f; 256]).into();
        let padded = |document: &mut Value| {
            let text = document["keys"][0]["n"].as_str().unwrap().to_owned() + "==";
            document["keys"][0]["n"] = text.into();
        };
        for (error, why) in [
            (bent(|document| document["keys"] = json!({})), "not a list"),
            (bent(|document| document["keys"] = vec![json!({}); 17].into()), "17 keys"),
            (bent(|document| document["keys"][0]["kid"] = "x".into()), "there must be one key HCLAkPub"),
            (bent(|document| document["keys"][1]["kid"] = "HCLAkPub".into()), "there must be one key HCLAkPub"),
            (bent(|document| document["keys"][0]["kty"] = "EC".into()), "not a key of RSA"),
            (bent(|document| document["keys"][0]["e"] = "Aw".into()), "exponent 65537"),
            (bent(short), "2048 bits"),
            (bent(small), "2048 bits"),
            (bent(padded), "without padding"),
            (bent(|document| document["user-data"] = "00".into()), "user-data is not 128"),
            (bent(|document| document["user-data"] = 7.into()), "user-data is not a string"),
            (bent(|document| document["vm-configuration"] = "x".into()), "not an object"),
        ] {
            assert!(error.contains(why), "{error}");
        }
        let twice = String::from_utf8(plain()).unwrap().replacen("{\"keys\"", "{\"keys\":[],\"keys\"", 1);
        assert!(RuntimeData::read(twice.as_bytes()).unwrap_err().contains("is duplicated"));
        assert!(RuntimeData::read(b"\xff").is_err());
    }
}
