//! The dstack event log: parsing, replay and the events that appraisal reads (docs/protocol.md, "The event log"). Pure.
//!
//! The log arrives unsigned. What makes an entry true is that its digest, *recomputed from its name and payload*, is one of the
//! extensions that lead to the RTMR3 of a signed quote. So a register-3 entry that cannot be recomputed is refused: were it taken
//! by its digest alone, a sender could show a real event as an opaque one and hide that it ever happened.

use serde_json::Value;

use super::log_entry::{self, LogEntry, Member};
use crate::attest::hash::{hex, sha384, sha384_of, unhex, unhex_array};

/// Type of the events that dstack's guest records at run time, all in RTMR3.
pub const RUNTIME_EVENT: u32 = 0x0800_0001;
/// Separates the events of the system (before) from those of the application (after).
pub const SYSTEM_READY: &str = "system-ready";
/// Recorded by the application for each certificate that it serves.
pub const TLS_CERTIFICATE: &str = "New TLS Certificate";
/// Events that appraisal reads; each may stand once, and only before [`SYSTEM_READY`].
pub const SYSTEM_EVENTS: [&str; 5] = ["app-id", "compose-hash", "instance-id", "os-image-hash", "key-provider"];

const MAX_EVENTS: usize = 4096;
const MAX_BYTES: usize = 1 << 20;

/// One runtime event whose digest follows from its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeEvent {
    pub name: String,
    pub payload: Vec<u8>,
}

/// A log in which every register-3 digest was recomputed. It still proves nothing until its replay equals a quote.
#[derive(Clone, Debug)]
pub struct EventLog {
    /// Replayed registers; `None` for a register of which the log holds no event (boot events may be stripped).
    pub replayed: [Option<[u8; 48]>; 4],
    pub runtime: Vec<RuntimeEvent>,
}

impl EventLog {
    /// Parses the JSON array that a guest agent gives out. Errors name the entry by its index.
    pub fn parse(text: &str) -> Result<EventLog, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("event log of {} bytes, at most {MAX_BYTES} are read", text.len()));
        }
        let (entries, count) = log_entry::read(text, MAX_EVENTS)?.ok_or("event log is not a JSON array")?;
        if count > MAX_EVENTS {
            return Err(format!("event log of {count} events, at most {MAX_EVENTS} are read"));
        }
        let mut log = EventLog { replayed: [None; 4], runtime: Vec::new() };
        for (index, entry) in entries.iter().enumerate() {
            log.add(entry).map_err(|why| format!("event {index}: {why}"))?;
        }
        Ok(log)
    }

    fn add(&mut self, entry: &LogEntry<'_>) -> Result<(), String> {
        let imr = entry.imr.number("imr")?;
        let event_type = entry.event_type.number("event_type")?;
        let digest = entry.digest.text("digest")?;
        let register = usize::try_from(imr)
            .ok()
            .filter(|r| *r < 4)
            .ok_or_else(|| format!("imr {imr} is not a runtime measurement register (0..3)"))?;
        let runtime = event_type == u64::from(RUNTIME_EVENT);
        let digest = match (register, runtime) {
            (3, true) => self.add_runtime(entry, digest)?,
            (3, false) => {
                return Err(format!("event_type {event_type} in register 3, which holds runtime events only"));
            }
            (_, true) => return Err(format!("runtime event in register {register}, they belong to register 3")),
            (_, false) => unhex_array(digest).ok_or_else(|| format!("digest {digest:?} is not 48 bytes of hex"))?,
        };
        let value = self.replayed[register].unwrap_or([0; 48]);
        self.replayed[register] = Some(sha384_of(&[&value, &digest]));
        Ok(())
    }

    fn add_runtime(&mut self, entry: &LogEntry<'_>, given: &str) -> Result<[u8; 48], String> {
        let name = entry.event.text("event")?;
        let payload_hex = entry.event_payload.text("event_payload")?;
        let payload = unhex(payload_hex).ok_or_else(|| format!("event_payload {payload_hex:?} is not hex"))?;
        let digest = match &entry.version {
            version if version.is_absent() => digest_v1(name, &payload)?,
            Member::Number(1) => digest_v1(name, &payload)?,
            Member::Number(2) => {
                let preimage = preimage_v2(name, &payload);
                check_preimage(&entry.preimage, &preimage)?;
                sha384(preimage.as_bytes())
            }
            version => return Err(format!("version {version} is unknown (1 and 2 are known)")),
        };
        if !given.is_empty() && unhex(given).as_deref() != Some(&digest[..]) {
            return Err(format!(
                "digest {given} of {name:?} does not follow from its payload (that gives {})",
                hex(&digest)
            ));
        }
        self.runtime.push(RuntimeEvent { name: name.to_owned(), payload });
        Ok(digest)
    }

    /// Index of the one `system-ready` event.
    pub fn system_ready(&self) -> Result<usize, String> {
        let mut found = self.positions(SYSTEM_READY);
        match (found.next(), found.next()) {
            (Some(index), None) => Ok(index),
            (None, _) => Err(format!("no {SYSTEM_READY:?} event")),
            (Some(_), Some(_)) => Err(format!("{SYSTEM_READY:?} stands more than once")),
        }
    }

    /// Checks that system events stand once, before `system-ready`, and certificate events after it.
    pub fn check_order(&self) -> Result<(), String> {
        let ready = self.system_ready()?;
        for name in SYSTEM_EVENTS {
            let found: Vec<_> = self.positions(name).collect();
            if found.len() > 1 {
                return Err(format!("system event {name:?} occurs {} times", found.len()));
            }
            if found.first().is_some_and(|index| *index > ready) {
                return Err(format!("system event {name:?} after {SYSTEM_READY:?}"));
            }
        }
        match self.positions(TLS_CERTIFICATE).next() {
            Some(index) if index < ready => Err(format!("{TLS_CERTIFICATE:?} before {SYSTEM_READY:?}")),
            _ => Ok(()),
        }
    }

    /// Payload of a system event; call only after [`check_order`](Self::check_order) passed.
    pub fn system_event(&self, name: &str) -> Option<&[u8]> {
        self.positions(name).next().map(|index| &self.runtime[index].payload[..])
    }

    /// Payload of the newest certificate event.
    pub fn newest_certificate(&self) -> Option<&[u8]> {
        self.runtime.iter().rev().find(|event| event.name == TLS_CERTIFICATE).map(|event| &event.payload[..])
    }

    /// Indices of the runtime events called `name`.
    pub fn positions<'a>(&'a self, name: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.runtime.iter().enumerate().filter(move |(_, event)| event.name == name).map(|(index, _)| index)
    }
}

/// `SHA384(le32(type) ":" name ":" payload)`. A colon in the name would let one digest be read as two events.
pub fn digest_v1(name: &str, payload: &[u8]) -> Result<[u8; 48], String> {
    if name.contains(':') {
        return Err(format!("event name {name:?} holds a colon, which makes its digest ambiguous"));
    }
    let kind = RUNTIME_EVENT.to_le_bytes();
    Ok(sha384_of(&[&kind, b":", name.as_bytes(), b":", payload]))
}

/// The RFC 8785 document whose SHA-384 is a version 2 digest.
pub fn preimage_v2(name: &str, payload: &[u8]) -> String {
    let name = Value::from(name);
    format!(r#"{{"name":{name},"payload":"{}","type":{RUNTIME_EVENT}}}"#, hex(payload))
}

fn check_preimage(given: &Member<'_>, expected: &str) -> Result<(), String> {
    match given {
        given if given.is_absent() => Ok(()),
        Member::Text(given) if unhex(given).as_deref() == Some(expected.as_bytes()) => Ok(()),
        given => Err(format!("preimage {given} differs from the one that name and payload give")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(imr: u32, name: &str, payload: &str, digest: &str) -> String {
        format!(
            r#"{{"imr":{imr},"event_type":{RUNTIME_EVENT},"digest":"{digest}","event":"{name}","event_payload":"{payload}"}}"#
        )
    }

    fn log(entries: &[String]) -> Result<EventLog, String> {
        EventLog::parse(&format!("[{}]", entries.join(",")))
    }

    #[test]
    fn a_payload_that_its_digest_does_not_cover_is_refused() {
        let digest = hex(&digest_v1("compose-hash", &[1]).unwrap());
        assert!(log(&[entry(3, "compose-hash", "01", &digest)]).is_ok());
        let error = log(&[entry(3, "compose-hash", "02", &digest)]).unwrap_err();
        assert!(error.contains("does not follow from its payload"), "{error}");
        assert!(log(&[entry(3, "compose-hash", "02", "00")]).is_err(), "a short digest is no wild card");
    }

    #[test]
    fn register_three_takes_no_event_by_its_digest_alone() {
        let opaque =
            format!(r#"{{"imr":3,"event_type":1,"digest":"{}","event":"","event_payload":""}}"#, "00".repeat(48));
        assert!(log(&[opaque]).unwrap_err().contains("register 3"));
        assert!(log(&[entry(1, "compose-hash", "01", "")]).unwrap_err().contains("belong to register 3"));
        assert!(log(&[entry(4, "compose-hash", "01", "")]).unwrap_err().contains("imr 4"));
    }

    #[test]
    fn a_colon_in_a_name_is_refused() {
        assert!(log(&[entry(3, "compose-hash:ab", "01", "")]).unwrap_err().contains("colon"));
    }

    #[test]
    fn system_events_come_once_and_before_system_ready() {
        let ready = entry(3, SYSTEM_READY, "", "");
        let compose = entry(3, "compose-hash", "01", "");
        let order = |entries: &[&String]| {
            let entries: Vec<_> = entries.iter().map(|e| (*e).clone()).collect();
            log(&entries).unwrap().check_order()
        };
        assert!(order(&[&compose, &ready]).is_ok());
        assert!(order(&[&compose]).is_err());
        assert!(order(&[&compose, &compose, &ready]).is_err());
        assert!(order(&[&ready, &compose]).is_err());
        assert!(order(&[&compose, &ready, &ready]).is_err());
        assert!(order(&[&entry(3, TLS_CERTIFICATE, "61", ""), &ready]).is_err());
    }

    #[test]
    fn version_two_hashes_a_canonical_document() {
        let preimage = preimage_v2("a\"b", &[0xab]);
        assert_eq!(preimage, r#"{"name":"a\"b","payload":"ab","type":134217729}"#);
        let with = |preimage: &str| {
            EventLog::parse(&format!(
                r#"[{{"imr":3,"event_type":{RUNTIME_EVENT},"digest":"","event":"n","event_payload":"ab","version":2,"preimage":"{preimage}"}}]"#
            ))
        };
        assert!(with(&hex(preimage_v2("n", &[0xab]).as_bytes())).is_ok());
        assert!(with(&hex(preimage_v2("m", &[0xab]).as_bytes())).unwrap_err().contains("preimage"));
        assert!(with("").is_err());
    }

    #[test]
    fn a_log_beyond_its_bounds_is_refused() {
        let many = vec![entry(3, "x", "", ""); MAX_EVENTS + 1];
        assert!(log(&many).unwrap_err().contains("4097 events"));
        assert!(EventLog::parse(&" ".repeat(MAX_BYTES + 1)).unwrap_err().contains("bytes"));
    }
}
