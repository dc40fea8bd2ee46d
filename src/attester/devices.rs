//! Evidence of devices beside the machine, which the host of this library makes by functions of its own: the makers' libraries are not for every process.
//! May call functions of the host, on helper threads.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use serde_json::Value;

use super::{Turn, WaitingTurn};
use crate::attest::{Evidence, MAX_ATTACHED, Tee};
use crate::error::{Error, Phase, Result, Status};

/// Nonce in, the JSON of a list of devices out. May take its time: it has a thread of its own.
pub type HostDevices = Arc<dyn Fn(&[u8; 32]) -> Result<Vec<u8>> + Send + Sync>;

/// The host's own way to evidence of devices of a kind.
pub struct DeviceSource {
    tee: Tee,
    ask: HostDevices,
    /// So that the host has one call at a time.
    turn: Turn,
    /// Who waits at a time; counted only where strangers ask.
    waiting: Option<AtomicUsize>,
}

impl DeviceSource {
    /// For a server. `tee`: a kind that attaches.
    pub fn new(tee: Tee, ask: HostDevices) -> DeviceSource {
        DeviceSource { waiting: Some(AtomicUsize::new(0)), ..DeviceSource::own(tee, ask) }
    }

    /// For a client, as `Attester::own`.
    pub fn own(tee: Tee, ask: HostDevices) -> DeviceSource {
        DeviceSource { tee, ask, turn: Turn::default(), waiting: None }
    }

    /// The entry of an answer, unjudged. Errors: Busy (too many wait), NoEvidence.
    async fn entry(&self, binder: &[u8; 64]) -> Result<Value> {
        let _waiting = self.waiting.as_ref().map(WaitingTurn::enter).transpose()?;
        let (ask, nonce) = (self.ask.clone(), Evidence::device_nonce(self.tee, binder));
        let text = self.turn.blocking(move || ask(&nonce)).await??;
        let failed = |why: String| {
            let message = format!("the host's evidence of kind {}: {why}", self.tee.name());
            Error::new(Status::NoEvidence, message).phase(Phase::Evidence)
        };
        let list: Value = serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))?;
        // A host learns here, and not from strangers, that it has a list wrong.
        Evidence::check_devices(self.tee, &list).map_err(failed)?;
        Ok(serde_json::json!({"tee": self.tee.name(), "evidence": list}))
    }
}

impl fmt::Debug for DeviceSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Devices({})", self.tee.name())
    }
}

/// Sources of evidence of devices. Its copies share them.
#[derive(Clone, Debug, Default)]
pub struct Devices(Vec<Arc<DeviceSource>>);

impl Devices {
    /// One more; gives it back if there are as many as an answer has entries. The caller must drop that last, because it may call the host.
    #[must_use]
    pub fn add(&mut self, source: Arc<DeviceSource>) -> Option<Arc<DeviceSource>> {
        if self.0.len() >= MAX_ATTACHED {
            return Some(source);
        }
        self.0.push(source);
        None
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What to attach to evidence that is bound to `binder`, of the kinds that were wished for; nothing if there is no source of them.
    /// Errors: Busy (too many wait), NoEvidence.
    pub async fn attached(&self, binder: &[u8; 64], wishes: &[Tee]) -> Result<Vec<Value>> {
        let mut entries = Vec::new();
        for source in self.0.iter().filter(|source| wishes.contains(&source.tee)) {
            entries.push(source.entry(binder).await?);
        }
        Ok(entries)
    }
}
