//! What every part of the boundary stands on: statuses, errors, buffers, handles, the guard around each call, queues and events.

pub mod allocator;
pub mod arguments;
pub mod bytes;
pub mod c_bool;
pub mod descriptor;
pub mod error;
pub mod event;
pub mod guard;
pub mod handle;
pub mod log;
pub mod operation;
pub mod poison;
pub mod queue;
pub mod runtime;
pub mod status;
pub mod version;
pub mod wakeup;

/// A duration from C, with a default that is not unlimited.
pub(crate) fn limit(milliseconds: u32, default: std::time::Duration) -> Option<std::time::Duration> {
    crate::io::deadline::ChosenDuration::from_millis(milliseconds).or(Some(default))
}

/// The error for a number that is no constant of its enumeration: "unknown deadline 7".
pub(in crate::capi) fn unknown(what: &str, number: u32) -> crate::error::Error {
    crate::error::Error::new(crate::error::Status::InvalidArgument, format!("unknown {what} {number}"))
}
