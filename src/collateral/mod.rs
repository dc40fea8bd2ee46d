//! The vendors' documents that evidence is judged by: found, kept for the connections that share them, and never served past their own date. Transport
//! is untrusted: every document is signed; its signature is checked before it is kept, and again by each appraisal that uses it. May touch the network
//! and the disk; the time comes from the caller.

mod amd;
mod basis;
mod bundle;
mod disk;
mod fetch;
mod intel;
mod kept_document;
mod news;
mod search;
mod service;
mod service_route;
mod slot;
mod store;
mod vendor;

pub use basis::Basis;
pub use bundle::documents as documents_from_json;
pub use service_route::{ByteStream, ServiceRoute};
pub use store::Store;

use crate::error::{Error, Phase, Status};
use crate::log;

/// Host and port of a service, for log lines.
fn whom(url: &str) -> String {
    let uri: Option<http::Uri> = url.parse().ok();
    match uri.as_ref().and_then(fetch::place) {
        Some((host, port)) => log::place(host, port),
        None => "bundle".into(),
    }
}

fn step(url: &str, what: impl FnOnce() -> String) {
    log::emit(log::DEBUG, || format!("collateral: {}: {}", whom(url), what()));
}

fn unavailable(why: String) -> Error {
    Error::new(Status::CollateralUnavailable, why).phase(Phase::Collateral)
}

fn invalid(why: String) -> Error {
    Error::new(Status::CollateralInvalid, why).phase(Phase::Collateral)
}
