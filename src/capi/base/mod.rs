//! What every part of the boundary stands on: statuses, errors, buffers, handles, the guard around each call, queues and events.

pub mod arguments;
pub mod bytes;
pub mod c_bool;
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

/// A duration from C: 0 is the default, UINT32_MAX is none.
pub(crate) fn limit(milliseconds: u32, default: std::time::Duration) -> Option<std::time::Duration> {
    match milliseconds {
        0 => Some(default),
        u32::MAX => None,
        some => Some(std::time::Duration::from_millis(some.into())),
    }
}
