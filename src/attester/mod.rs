//! This side as attester (RFC 9334): evidence of the machine that the program runs on, for report data that somebody else has bound to a
//! session (docs/protocol.md, "Evidence"). May talk to the guest agent and to devices; knows nothing of TLS or HTTP servers.

pub mod azure;
pub mod boot_log;
pub mod certificate_table;
mod devices;
mod guest_agent;
mod host_function;
pub mod nsm;
mod pace;
mod provider;
mod tsm;
mod turn;

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

pub use azure::AzureVtpm;
pub use devices::{DeviceSource, Devices, HostDevices};
pub use guest_agent::GuestAgent;
pub use host_function::{HostEvidence, HostFunction};
pub use nsm::Nsm;
use pace::Pace;
pub use provider::{EvidenceInput, Provider, Providers, Source};
pub use tsm::Tsm;
use turn::Turn;

use crate::attest::Tee;
use crate::attest::dstack::event_log::{EventLog, RUNTIME_EVENT, TLS_CERTIFICATE, digest_v1, preimage_v2};
use crate::attest::hash::{hex, sha256, sha384, unhex};
use crate::error::{Error, Phase, Result, Status};
use crate::log;

/// Who may wait for a quote at a time. Hardware makes them one after another, some 25 a second: a longer queue serves nobody.
const WAITING: usize = 64;

/// Makes evidence of one kind or several, of each kind one piece at a time.
#[derive(Debug)]
pub struct Attester {
    sources: Providers,
    waiting: AtomicUsize,
    /// What strangers may ask for; none where this side asks for itself.
    paces: Option<Paces>,
}

#[derive(Debug)]
struct Paces {
    all: Pace,
    slow: Pace,
}

impl Attester {
    /// `per_second`: quotes that may be asked for; 0 is what usual hardware can do.
    pub fn new(providers: Providers, per_second: u32) -> Attester {
        Attester { paces: Some(Paces { all: Pace::of(per_second), slow: Pace::slow() }), ..Attester::own(providers) }
    }

    /// For a client, which asks its own machine as often as it connects: nobody is turned away, each waits within its deadline.
    pub fn own(sources: Providers) -> Attester {
        Attester { sources, waiting: AtomicUsize::new(0), paces: None }
    }

    /// The kinds of evidence that it makes.
    pub fn kinds(&self) -> Vec<Tee> {
        self.sources.iter().map(|source| source.provider.tee()).collect()
    }

    pub fn providers(&self) -> Providers {
        self.sources.clone()
    }

    /// The evidence object of that kind. If it has a log, the digests that newer agents leave out are filled in, and the certificate is named in it first,
    /// unless it was the last one that was. Errors: Busy (too many wait, or too many were asked for), NoEvidence, EvidenceInvalid.
    pub async fn evidence(&self, tee: Tee, input: EvidenceInput<'_>) -> Result<Value> {
        let source = self.sources.iter().find(|source| source.provider.tee() == tee);
        let source = source.ok_or_else(|| {
            Error::new(Status::NoEvidence, format!("no source of {} evidence", tee.name())).phase(Phase::Evidence)
        })?;
        let is_slow = input.fresh && source.provider.is_slow_when_fresh();
        let _waiting = match &self.paces {
            None => None,
            Some(paces) => {
                let place = WaitingTurn::enter(&self.waiting)?;
                paces.all.step().await?;
                if is_slow {
                    paces.slow.step().await?;
                }
                Some(place)
            }
        };
        if is_slow {
            let _turn = source.slow_turn.lock().await;
            return source.provider.evidence(input).await;
        }
        source.evidence(input).await
    }
}

impl Source {
    async fn evidence(&self, input: EvidenceInput<'_>) -> Result<Value> {
        let mut named = self.turn.lock().await;
        let mut made = None;
        let certificate = input.leaf.filter(|_| input.leaf_is_current && self.provider.has_log());
        if let Some(fingerprint) = certificate.map(sha256).filter(|fingerprint| *named != Some(*fingerprint)) {
            // The log only grows, and outlives this process: an attester that has not named any certificate yet looks first.
            if named.is_none() {
                made = self.naming(&fingerprint, input).await?;
            }
            if made.is_none() {
                self.record(&fingerprint).await?;
            }
            *named = Some(fingerprint);
        }
        let mut evidence = match made {
            Some(evidence) => evidence,
            None => self.provider.evidence(input).await?,
        };
        drop(named);
        if self.provider.tee() == Tee::Tdx {
            fill_digests(&mut evidence)?;
        }
        Ok(evidence)
    }

    /// Evidence, if the certificate is what its log names last.
    async fn naming(&self, fingerprint: &[u8; 32], input: EvidenceInput<'_>) -> Result<Option<Value>> {
        let evidence = self.provider.evidence(input).await?;
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

#[derive(Debug)]
struct WaitingTurn<'a>(&'a AtomicUsize);

impl WaitingTurn<'_> {
    fn enter(count: &AtomicUsize) -> Result<WaitingTurn<'_>> {
        let place = WaitingTurn(count);
        match count.fetch_add(1, Ordering::AcqRel) {
            WAITING.. => Err(Error::new(Status::Busy, format!("{WAITING} wait for a quote already"))),
            _ => Ok(place),
        }
    }
}

impl Drop for WaitingTurn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn fill_digests(evidence: &mut Value) -> Result<()> {
    let broken = |why: String| Error::new(Status::EvidenceInvalid, why).phase(Phase::Evidence);
    let filled = match evidence.get("event_log") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::String(text)) => with_digests(text),
        Some(log @ Value::Array(_)) => with_digests(&log.to_string()),
        Some(_) => Err("event_log is neither a string nor an array".into()),
    };
    evidence["event_log"] = filled.map_err(broken)?.into();
    Ok(())
}

/// The log with the digests that newer agents leave out.
fn with_digests(text: &str) -> std::result::Result<String, String> {
    let mut log: Value = serde_json::from_str(text).map_err(|error| format!("event_log: {error}"))?;
    for entry in log.as_array_mut().ok_or("event_log is not an array")? {
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
}
