//! MRCONFIGID: the application's identity inside the signed quote, as dstack guests put it there. Pure.

use sha3::{Digest, Keccak256};

use super::event_log::EventLog;
use super::key_provider::KeyProvider;
use crate::attest::hash::{hex, unhex};

/// What MRCONFIGID says about the log's identity events.
#[derive(Debug, PartialEq, Eq)]
pub enum MrConfig {
    /// All zero: this guest does not use it.
    Unset,
    Matches(&'static str),
    Differs(String),
    /// Carries a digest of a document that is not part of the evidence.
    Opaque(&'static str),
}

/// Compares MRCONFIGID with the events of a replayed log.
pub fn check(mr_config_id: &[u8; 48], log: &EventLog) -> MrConfig {
    if mr_config_id.iter().all(|byte| *byte == 0) {
        return MrConfig::Unset;
    }
    let (version, rest) = (mr_config_id[0], &mr_config_id[1..]);
    let (digest, padding) = rest.split_at(32);
    if padding.iter().any(|byte| *byte != 0) {
        return MrConfig::Differs(format!("{} is not a digest followed by zeros", hex(mr_config_id)));
    }
    let Some(compose_hash) = log.system_event("compose-hash") else {
        return MrConfig::Differs("the log has no compose-hash event".into());
    };
    match version {
        1 if digest == compose_hash => MrConfig::Matches("version 1"),
        1 => MrConfig::Differs(format!("compose hash {} in MRCONFIGID, {} in the log", hex(digest), hex(compose_hash))),
        2 => check_v2(digest, compose_hash, log),
        3 => MrConfig::Opaque("version 3 needs its configuration document"),
        other => MrConfig::Differs(format!("version {other} is unknown")),
    }
}

/// `Keccak256(compose_hash || app_id || kind || provider id)`. The manifest may leave the provider's identity open, so the empty
/// one is tried beside the one in the log; each names the same application.
fn check_v2(digest: &[u8], compose_hash: &[u8], log: &EventLog) -> MrConfig {
    let Some(app_id) = log.system_event("app-id") else {
        return MrConfig::Differs("version 2 needs the app-id event".into());
    };
    let Some(provider) = log.system_event("key-provider") else {
        return MrConfig::Differs("version 2 needs the key-provider event".into());
    };
    let provider = match KeyProvider::parse(provider) {
        Ok(provider) => provider,
        Err(why) => return MrConfig::Differs(why),
    };
    let Some(kind) = provider.kind() else {
        return MrConfig::Differs(format!("version 2 has no code for key provider {:?}", provider.name));
    };
    let named = provider.id.iter().flat_map(|id| [unhex(id), Some(id.as_bytes().to_vec())]).flatten();
    let mut ids = named.chain([Vec::new()]);
    let matches = ids.any(|id| {
        let mut keccak = Keccak256::new();
        for part in [compose_hash, app_id, &[kind], &id] {
            keccak.update(part);
        }
        keccak.finalize()[..] == *digest
    });
    if matches {
        MrConfig::Matches("version 2")
    } else {
        MrConfig::Differs("version 2 digest does not follow from compose-hash, app-id and key-provider".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attest::dstack::event_log::RuntimeEvent;

    fn log() -> EventLog {
        let event = |name: &str, payload: &[u8]| RuntimeEvent { name: name.into(), payload: payload.into() };
        EventLog {
            replayed: [None; 4],
            runtime: vec![
                event("app-id", &[7; 20]),
                event("compose-hash", &[9; 32]),
                event("key-provider", br#"{"name":"kms","id":"ab"}"#),
            ],
        }
    }

    fn register(version: u8, digest: &[u8]) -> [u8; 48] {
        let mut value = [0; 48];
        value[0] = version;
        value[1..33].copy_from_slice(digest);
        value
    }

    #[test]
    fn each_version_of_the_register_is_compared_with_the_log() {
        assert_eq!(check(&[0; 48], &log()), MrConfig::Unset);
        assert_eq!(check(&register(1, &[9; 32]), &log()), MrConfig::Matches("version 1"));
        assert!(matches!(check(&register(1, &[8; 32]), &log()), MrConfig::Differs(_)));
        let v2 = Keccak256::digest([&[9u8; 32][..], &[7; 20], &[2], &[0xab]].concat());
        assert_eq!(check(&register(2, &v2), &log()), MrConfig::Matches("version 2"));
        let other_kind = Keccak256::digest([&[9u8; 32][..], &[7; 20], &[1], &[0xab]].concat());
        assert!(matches!(check(&register(2, &other_kind), &log()), MrConfig::Differs(_)));
        assert!(matches!(check(&register(3, &[1; 32]), &log()), MrConfig::Opaque(_)));
        assert!(matches!(check(&register(9, &[1; 32]), &log()), MrConfig::Differs(_)));
        let mut padded = register(1, &[9; 32]);
        padded[47] = 1;
        assert!(matches!(check(&padded, &log()), MrConfig::Differs(_)));
    }

    #[test]
    fn a_provider_that_is_missing_or_unknown_has_no_code() {
        let v2 = Keccak256::digest([&[9u8; 32][..], &[7; 20], &[0]].concat());
        let of = |payload: Option<&[u8]>| {
            let mut log = log();
            log.runtime.pop();
            log.runtime
                .extend(payload.map(|payload| RuntimeEvent { name: "key-provider".into(), payload: payload.into() }));
            check(&register(2, &v2), &log)
        };
        assert_eq!(of(Some(br#"{"name":"none","id":""}"#)), MrConfig::Matches("version 2"));
        for payload in [None, Some(&b"{}"[..]), Some(br#"{"name":"other"}"#), Some(b"not JSON")] {
            assert!(matches!(of(payload), MrConfig::Differs(_)), "{payload:?}");
        }
    }
}
