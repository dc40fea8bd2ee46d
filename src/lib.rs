//! Attested TLS for C programs. See README.md for what it does and include/atls.h for the interface.
//!
//! Layers, each using only those to its right: `capi` -> `http`, `stream`, `server` -> `connect` -> `collateral`, `evidence`, `tls`, `net` ->
//! `attest`.
//! `h1` is as pure as `attest`: `capi` shows it, and `connect` speaks to proxies with it.
//! `error`, `log` and `clock` stand below all of them.

mod alarm;
pub mod attest;
pub mod blocking;
pub mod capi;
pub mod clock;
pub mod collateral;
pub mod connect;
pub mod deadline;
pub mod driver;
mod duplex;
pub mod error;
pub mod events;
pub mod evidence;
pub mod flow;
pub mod forward;
pub mod h1;
pub mod http;
pub mod log;
pub mod net;
pub mod offload;
mod pool;
mod random;
pub mod server;
pub mod stream;
pub mod tls;
pub mod websocket;
