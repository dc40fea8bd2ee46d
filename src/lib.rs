//! Attested TLS for C programs. See README.md for what it does and include/atls.h for the interface.
//!
//! The rooms, from the ground up. Each uses only those above it in this list; a test holds the list against the tree and its `use` lines.
//!
//! - `status`: the numbers of what can go wrong.
//! - `verdict`: what an appraisal found, line by line. Plain data.
//! - `error`: what can go wrong.
//! - `log`: where log lines go.
//! - `attest`: evidence, policy, judgement; a folder for each kind of TEE. Pure.
//! - `h1`: HTTP/1.1 without I/O. Pure.
//! - `io`: sockets, deadlines, the clock, helper threads: all that touches the machine.
//! - `message`: the pieces of HTTP messages: heads, header fields, forms, codings. Pure.
//! - `http_call`: one small HTTP request and its bounded answer, on a stream that is given.
//! - `operation`: what a host's operation is made of: events, the queue they wait in, credit, what goes out, cancellation. No I/O.
//! - `tls`: TLS 1.3. No attestation.
//! - `attester`: evidence of this side, by a provider for each way to it.
//! - `collateral`: the vendors' documents, fetched and kept.
//! - `verifier`: evidence that has just come, judged.
//! - `tunnel`: TCP through WebSockets, both ends.
//! - `connect`: the attested connection.
//! - `stream`: an attested byte stream, by events.
//! - `client`: HTTP requests over attested connections.
//! - `server`: the HTTP server.
//! - `h1_driver`: `h1` over a socket, by events.
//! - `capi`: the C ABI, and the only place with `unsafe`.
// Each unsafe block says why it holds.
#![deny(clippy::undocumented_unsafe_blocks)]

pub mod attest;
pub mod attester;
pub mod capi;
pub mod client;
pub mod collateral;
pub mod connect;
pub mod error;
pub mod h1;
pub mod h1_driver;
pub mod http_call;
pub mod io;
pub mod log;
pub mod message;
pub mod operation;
pub mod server;
pub mod status;
pub mod stream;
pub mod tls;
pub mod tunnel;
pub mod verdict;
pub mod verifier;
