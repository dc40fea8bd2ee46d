//! This side as attester (RFC 9334): evidence of the machine that the program runs on, for report data that somebody else has bound to a
//! session (docs/protocol.md, "Evidence"). May talk to the guest agent; knows nothing of TLS or HTTP servers.

mod certificate_table;
mod framing;
mod guest_agent;
mod host_function;
mod provider;
mod tsm;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

pub use framing::check_framing;
pub use guest_agent::GuestAgent;
pub use host_function::{HostFunction, HostQuote};
pub use provider::Provider;
pub use tsm::Tsm;

use crate::attest::Tee;
use crate::attest::dstack::event_log::{EventLog, RUNTIME_EVENT, TLS_CERTIFICATE, digest_v1, preimage_v2};
use crate::attest::hash::{hex, sha256, sha384, unhex};
use crate::error::{Error, Phase, Result, Status};
use crate::io::offload::offload;
use crate::log;

/// Who may wait for a quote at a time. Hardware makes them one after another, some 25 a second: a longer queue serves nobody.
const WAITING: usize = 64;
/// Quotes a second that may be asked for, unless something else is said.
const USUAL_PACE: u32 = 50;

/// Makes evidence, one piece at a time.
#[derive(Debug)]
pub struct Attester {
    provider: Arc<dyn Provider>,
    /// One piece of evidence at a time; and the certificate that the log named last.
    turn: Mutex<Option<[u8; 32]>>,
    waiting: AtomicUsize,
    /// What strangers may ask for; none where this side asks for itself.
    pace: Option<Pace>,
}

impl Attester {
    /// `per_second`: quotes that may be asked for; 0 is what usual hardware can do.
    pub fn new(provider: Arc<dyn Provider>, per_second: u32) -> Attester {
        let pace = Some(Pace::new(per_second));
        Attester { provider, turn: Mutex::new(None), waiting: AtomicUsize::new(0), pace }
    }

    /// For a client, which asks its own machine as often as it connects: nobody is turned away, each waits within its deadline.
    pub fn own(provider: Arc<dyn Provider>) -> Attester {
        Attester { provider, turn: Mutex::new(None), waiting: AtomicUsize::new(0), pace: None }
    }

    /// The kind of evidence that it makes.
    pub fn tee(&self) -> Tee {
        self.provider.tee()
    }

    /// The evidence object, with the digests that newer agents leave out. `certificate`, DER, is put into the log first, unless it was the last one
    /// that was. Errors: Busy (too many wait, or too many were asked for), NoEvidence, EvidenceInvalid.
    pub async fn evidence(&self, report_data: &[u8; 64], certificate: Option<&[u8]>) -> Result<Value> {
        let _waiting = match &self.pace {
            None => None,
            Some(pace) => {
                let place = Waiting::enter(&self.waiting)?;
                pace.step().await?;
                Some(place)
            }
        };
        let mut named = self.turn.lock().await;
        let mut made = None;
        let certificate = certificate.filter(|_| self.provider.has_log());
        if let Some(fingerprint) = certificate.map(sha256).filter(|fingerprint| *named != Some(*fingerprint)) {
            // The log only grows, and outlives this process: an attester that has not named any certificate yet looks first.
            if named.is_none() {
                made = self.naming(&fingerprint, report_data).await?;
            }
            if made.is_none() {
                self.record(&fingerprint).await?;
            }
            *named = Some(fingerprint);
        }
        let mut evidence = match made {
            Some(evidence) => evidence,
            None => self.provider.evidence(report_data).await?,
        };
        drop(named);
        let broken = |why: String| Error::new(Status::EvidenceInvalid, why).phase(Phase::Evidence);
        if let Some(log) = evidence.get("event_log") {
            let text = log.as_str().ok_or_else(|| broken("event_log is not a string".into()))?;
            evidence["event_log"] = with_digests(text).map_err(broken)?.into();
        }
        Ok(evidence)
    }

    /// Evidence, if the certificate is what its log names last.
    async fn naming(&self, fingerprint: &[u8; 32], report_data: &[u8; 64]) -> Result<Option<Value>> {
        let evidence = self.provider.evidence(report_data).await?;
        let log = evidence.get("event_log").and_then(Value::as_str).and_then(|text| EventLog::parse(text).ok());
        let names = log.is_some_and(|log| log.newest_certificate() == Some(hex(fingerprint).as_bytes()));
        Ok(names.then_some(evidence))
    }

    async fn record(&self, fingerprint: &[u8; 32]) -> Result<()> {
        if !self.provider.record(TLS_CERTIFICATE, hex(fingerprint).as_bytes()).await? {
            log::emit(log::WARNING, || {
                "evidence: guest agent: it cannot record the certificate, so key events cannot be proved".into()
            });
        }
        Ok(())
    }
}

/// On a thread that may wait.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    offload(work).await.map_err(|error| error.phase(Phase::Evidence))
}

/// So many a second, a second's worth of them at once: a quote is the dearest thing that a stranger can ask for.
#[derive(Debug)]
struct Pace {
    interval: Duration,
    /// When what was asked for so far would be done, at that pace.
    done: Mutex<Option<Instant>>,
}

impl Pace {
    fn new(per_second: u32) -> Pace {
        let per_second = if per_second == 0 { USUAL_PACE } else { per_second };
        Pace { interval: Duration::from_secs(1) / per_second, done: Mutex::new(None) }
    }

    async fn step(&self) -> Result<()> {
        let mut done = self.done.lock().await;
        let now = Instant::now();
        let next = done.map_or(now, |done| done.max(now)) + self.interval;
        if next - now > Duration::from_secs(1) {
            return Err(Error::new(Status::Busy, "more quotes were asked for than there may be in a second"));
        }
        *done = Some(next);
        Ok(())
    }
}

#[derive(Debug)]
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

    #[tokio::test(start_paused = true)]
    async fn a_second_has_so_many_quotes() {
        let pace = Pace::new(4);
        for _ in 0..4 {
            pace.step().await.unwrap();
        }
        assert_eq!(pace.step().await.unwrap_err().status, Status::Busy);
        tokio::time::advance(Duration::from_millis(250)).await;
        pace.step().await.unwrap();
        assert_eq!(pace.step().await.unwrap_err().status, Status::Busy);
        tokio::time::advance(Duration::from_secs(60)).await;
        for _ in 0..4 {
            pace.step().await.unwrap();
        }
        assert!(pace.step().await.is_err());
    }
}
