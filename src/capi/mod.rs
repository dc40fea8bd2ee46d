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

pub mod attest;
pub mod base;
pub mod client;
pub mod connect;
pub mod h1;
pub mod server;
pub mod text;
