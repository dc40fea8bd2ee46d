//! Evidence that the host of this library makes: a function of its own. May run that function, on a helper thread.

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::Turn;
use super::provider::{EvidenceInput, Provider};
use crate::attest::Tee;
use crate::error::{Error, Phase, Result, Status};

/// Binder in, and whether all of the evidence is to be made now; the JSON of an evidence object out. May take its time: it has a thread of its own.
pub type HostEvidence = Arc<dyn Fn(&[u8; 64], bool) -> Result<Vec<u8>> + Send + Sync>;

/// The host's own way to evidence of a kind.
#[derive(Clone)]
pub struct HostFunction {
    tee: Tee,
    ask: HostEvidence,
    turn: Turn,
}

impl HostFunction {
    pub fn new(tee: Tee, ask: HostEvidence) -> HostFunction {
        HostFunction { tee, ask, turn: Turn::default() }
    }
}

impl fmt::Debug for HostFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({})", self.tee.name())
    }
}

impl Provider for HostFunction {
    fn tee(&self) -> Tee {
        self.tee
    }

    fn evidence<'a>(&'a self, input: EvidenceInput<'a>) -> BoxFuture<'a, Result<Value>> {
        let (ask, binder, fresh) = (self.ask.clone(), *input.binder, input.fresh);
        async move {
            let text = self.turn.blocking(move || ask(&binder, fresh)).await??;
            match serde_json::from_slice(&text) {
                Ok(object @ Value::Object(_)) => Ok(object),
                Ok(_) => Err(failed("the host's evidence is no object".into())),
                Err(error) => Err(failed(format!("the host's evidence: {error}"))),
            }
        }
        .boxed()
    }
}

fn failed(why: String) -> Error {
    Error::new(Status::NoEvidence, why).phase(Phase::Evidence)
}
