//! What makes evidence: one for each way to it.

use std::fmt;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::attest::Tee;
use crate::error::Result;

/// A way to evidence of the machine that the program runs on. It is asked for one piece at a time, and knows neither TLS nor HTTP servers.
pub trait Provider: fmt::Debug + Send + Sync {
    /// The kind that it makes.
    fn tee(&self) -> Tee;

    /// The evidence object of that kind, over `report_data`, unjudged. Takes as long as the hardware does, and holds no thread of the runtime meanwhile.
    fn evidence<'a>(&'a self, report_data: &'a [u8; 64]) -> BoxFuture<'a, Result<Value>>;

    /// Whether its evidence comes with a log that this side can write to.
    fn has_log(&self) -> bool {
        false
    }

    /// Records an event in that log. False if it is not known how to.
    fn record<'a>(&'a self, _name: &'a str, _payload: &'a [u8]) -> BoxFuture<'a, Result<bool>> {
        async { Ok(false) }.boxed()
    }
}
