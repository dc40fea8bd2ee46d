//! Evidence that the host of this library makes: a function of its own.

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::blocking;
use super::provider::Provider;
use crate::attest::Tee;
use crate::error::{Error, Phase, Result, Status};

/// Report data in, the JSON of a guest agent's answer out. May take its time: it has a thread of its own.
pub type HostQuote = Arc<dyn Fn(&[u8; 64]) -> Result<Vec<u8>> + Send + Sync>;

/// The host's own way to a TDX quote.
#[derive(Clone)]
pub struct HostFunction(pub HostQuote);

impl fmt::Debug for HostFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Host")
    }
}

impl Provider for HostFunction {
    fn tee(&self) -> Tee {
        Tee::Tdx
    }

    fn evidence<'a>(&'a self, report_data: &'a [u8; 64]) -> BoxFuture<'a, Result<Value>> {
        let (ask, report_data) = (self.0.clone(), *report_data);
        async move {
            let text = blocking(move || ask(&report_data)).await??;
            match serde_json::from_slice(&text) {
                Ok(quote @ Value::Object(_)) => Ok(quote),
                Ok(_) => Err(failed("the host's quote is no object".into())),
                Err(error) => Err(failed(format!("the host's quote: {error}"))),
            }
        }
        .boxed()
    }
}

fn failed(why: String) -> Error {
    Error::new(Status::NoEvidence, why).phase(Phase::Evidence)
}
