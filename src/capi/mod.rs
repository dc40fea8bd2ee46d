//! The C ABI. The only place with `unsafe`, and nothing here decides anything: a function checks its arguments, calls the
//! layer below inside `guard`, and hands the result over.
//!
//! Rules that hold for every function are said once, in `header/front.h`, which is the beginning of the C header. Doc comments here are the rest of it;
//! how they are written is said in tests/rust/header.rs, and which file is in which chapter in tests/rust/book/chapters.rs.
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
