//! The server as attester (RFC 9334): answers `POST /tdx_quote` with evidence that is bound to the session in which it was asked for, in the
//! form of protocol atlas-v1 (attested-tls spec 1.4 and 12.5).

mod agent;
mod show;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::sync::Mutex;

pub use agent::Agent;

use crate::attest::dstack::event_log::{RUNTIME_EVENT, TLS_CERTIFICATE, digest_v1, preimage_v2};
use crate::attest::hash::{hex, sha256, sha384, unhex, unhex_array};
use crate::attest::{EXPORTER_LENGTH, report_data};
use crate::error::{Error, Phase, Result, Status};
use crate::log;

/// Who may wait for a quote at a time. Hardware makes them one after another, some 25 a second: a longer queue serves nobody.
const WAITING: usize = 64;

/// What evidence is bound to.
#[derive(Clone)]
pub struct Session {
    pub exporter: [u8; EXPORTER_LENGTH],
    /// DER of the certificate that the server has shown in it.
    pub leaf: Vec<u8>,
}

pub struct Attester {
    agent: Agent,
    /// One quote at a time; and the certificate that the log named last.
    turn: Mutex<Option<[u8; 32]>>,
    waiting: AtomicUsize,
}

impl Attester {
    pub fn new(agent: Agent) -> Attester {
        Attester { agent, turn: Mutex::new(None), waiting: AtomicUsize::new(0) }
    }

    /// Status and body of the answer to a request with this body. `is_current`: new connections see the same certificate; only such a one is
    /// put into the log, where the last one counts.
    pub async fn answer(&self, body: &[u8], session: &Session, is_current: bool) -> (u16, String) {
        let Some(nonce) = nonce(body) else {
            let detail = "nonce_hex must be 64 hexadecimal digits";
            return (422, json!({"detail": [{"loc": ["body", "nonce_hex"], "msg": detail}]}).to_string());
        };
        match self.evidence(&nonce, session, is_current).await {
            Ok(answer) => (200, answer.to_string()),
            Err(error) => {
                log::emit(log::WARNING, || format!("no quote: {error}"));
                let status = if error.status == Status::Busy { 503 } else { 500 };
                // Why is for the operator's log: it may name paths.
                (status, json!({"detail": {"success": false, "error": "no quote", "quote_type": "tdx"}}).to_string())
            }
        }
    }

    async fn evidence(&self, nonce: &[u8; 32], session: &Session, is_current: bool) -> Result<Value> {
        let _waiting = Waiting::enter(&self.waiting)?;
        let mut named = self.turn.lock().await;
        let fingerprint = sha256(&session.leaf);
        if is_current && *named != Some(fingerprint) {
            if !self.agent.emit(TLS_CERTIFICATE, hex(&fingerprint).as_bytes()).await? {
                log::emit(log::WARNING, || {
                    "the guest agent cannot record the certificate: key events cannot be proved".into()
                });
            }
            *named = Some(fingerprint);
        }
        let mut quote = self.agent.quote(&report_data(nonce, &session.exporter)).await?;
        drop(named);
        let broken =
            |why: String| Error::new(Status::EvidenceInvalid, format!("guest agent: {why}")).phase(Phase::Evidence);
        let log = quote.get("event_log").and_then(Value::as_str).ok_or_else(|| broken("no event_log".into()))?;
        let log = with_digests(log).map_err(broken)?;
        quote["event_log"] = log.into();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Ok(json!({
            "success": true, "quote": quote, "tcb_info": null, "timestamp": now.to_string(), "quote_type": "tdx", "error": null,
        }))
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl Waiting<'_> {
    fn enter(count: &AtomicUsize) -> Result<Waiting<'_>> {
        let place = Waiting(count);
        match count.fetch_add(1, Ordering::AcqRel) {
            WAITING.. => Err(Error::new(Status::Busy, format!("{WAITING} wait for a quote already"))),
            _ => Ok(place),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn nonce(body: &[u8]) -> Option<[u8; 32]> {
    let document: Value = serde_json::from_slice(body).ok()?;
    unhex_array(document.get("nonce_hex")?.as_str()?)
}

/// The log with the digests that newer agents leave out.
fn with_digests(text: &str) -> std::result::Result<String, String> {
    let mut log: Value = serde_json::from_str(text).map_err(|error| format!("event_log: {error}"))?;
    for entry in log.as_array_mut().ok_or("event_log is no array")? {
        let is_runtime = entry["imr"] == 3 && entry["event_type"] == RUNTIME_EVENT;
        if !is_runtime || entry["digest"].as_str().is_some_and(|digest| !digest.is_empty()) {
            continue;
        }
        let name = entry["event"].as_str().ok_or("an event without a name")?;
        let payload = entry["event_payload"].as_str().and_then(unhex).ok_or("an event_payload that is not hex")?;
        let digest = match entry["version"].as_u64() {
            Some(2) => sha384(preimage_v2(name, &payload).as_bytes()),
            _ => digest_v1(name, &payload)?,
        };
        entry["digest"] = hex(&digest).into();
    }
    Ok(log.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attest::dstack::event_log::EventLog;

    #[test]
    fn digests_that_are_missing_are_filled() {
        let entry = |version: &str, digest: &str| {
            format!(
                r#"{{"imr":3,"event_type":134217729,"digest":"{digest}","event":"app","event_payload":"0102"{version}}}"#
            )
        };
        let boot =
            format!(r#"{{"imr":0,"event_type":1,"digest":"{}","event":"","event_payload":""}}"#, "ab".repeat(48));
        let stripped = format!("[{boot},{},{}]", entry("", ""), entry(r#","version":2"#, ""));
        let filled = with_digests(&stripped).unwrap();
        assert_eq!(filled.matches(r#""digest":"""#).count(), 0);
        let (one, other) = (EventLog::parse(&stripped).unwrap(), EventLog::parse(&filled).unwrap());
        assert_eq!(one.replayed, other.replayed);
        assert_eq!(with_digests(&filled).unwrap(), filled);
        for bad in ["", "{}", r#"[{"imr":3,"event_type":134217729,"digest":"","event":"a"}]"#] {
            assert!(with_digests(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nonces() {
        let of = |text: &str| nonce(text.as_bytes());
        assert_eq!(of(&format!(r#"{{"nonce_hex":"{}","x":1}}"#, "0a".repeat(32))), Some([10; 32]));
        for bad in ["", "{}", r#"{"nonce_hex":""}"#, r#"{"nonce_hex":"0a"}"#, r#"{"nonce_hex":1}"#, r#"["nonce_hex"]"#]
        {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
