//! The C ABI. The only place with `unsafe`, and nothing here decides anything: a function checks its arguments, calls the
//! layer below inside `guard`, and hands the result over.
//!
//! Rules that hold for every function, so that comments need not repeat them:
//! * `_new` and successful starting calls give one reference, `_ref` adds one, `_free` drops one; `_free` takes NULL, never
//!   blocks and may be called on any thread, in callbacks too.
//! * A call that fails took nothing and wrote nothing but `*error`, which the caller then frees.
//! * Reference-counted handles may be used from any thread. Builders (`*_config`, `atls_request`, `atls_verification`) belong to
//!   one thread at a time and are copied when used. So do `atls_h1_conn` and `atls_h1_header_list`, which are not copied.
//! * A NULL where a value is needed answers NULL_ARGUMENT.
//! * In the child of a fork, calls answer FORKED and `_free` leaks: the library's threads do not exist there. Names of statuses and what an
//!   `atls_error` says can be had.
#![allow(unsafe_code, non_camel_case_types)]
// What a caller must keep to is said once, above, and in each comment; the header has no `# Safety` sections.
#![allow(clippy::missing_safety_doc)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod blocking_exchange;
pub mod bytes;
mod c_bool;
pub mod client;
pub mod config;
pub mod config_route;
pub mod config_tls;
pub mod error;
pub mod event;
pub mod evidence;
pub mod exchange;
pub mod exchange_body;
pub mod exchange_route;
pub mod form;
mod gate;
pub mod guard;
pub mod h1;
pub mod h1_driver;
pub mod h1_driver_config;
pub mod handle;
pub mod head;
pub mod headers;
pub mod http;
pub mod log;
mod mailbox;
pub mod multipart;
mod operation;
mod poison;
pub mod policy;
pub mod queue;
mod registry;
pub mod request;
pub mod request_body;
pub mod request_options;
pub mod resolver;
pub mod runtime;
pub mod server;
pub mod server_config;
pub mod server_config_tls;
pub mod server_file;
pub mod server_listen;
pub mod server_request;
pub mod server_upgrade;
pub mod status;
pub mod stream;
mod sync;
pub mod text;
pub mod tunnel;
pub mod verdict;
pub mod verifier;
pub mod verify;
pub mod version;
mod wakeup;

/// A duration from C: 0 is the default, UINT32_MAX is none.
pub(crate) fn limit(milliseconds: u32, default: std::time::Duration) -> Option<std::time::Duration> {
    match milliseconds {
        0 => Some(default),
        u32::MAX => None,
        some => Some(std::time::Duration::from_millis(some.into())),
    }
}
