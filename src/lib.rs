//! Attested TLS for C programs. See README.md for what it does and include/atls.h for the interface.
//!
//! Layers, each using only those to its right: `capi` -> `http`, `stream` -> `connect` -> `collateral`, `tls`, `net` -> `attest`.
//! `error` and `log` stand below all of them.

pub mod attest;
pub mod capi;
pub mod error;
pub mod log;
pub mod net;
pub mod tls;
