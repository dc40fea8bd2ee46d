//! A simulated TEE, for tests only: its own root of trust ("TEST ONLY"), quotes and event logs as a dstack guest makes them,
//! the vendor's collateral with a PCCS, an attested HTTPS server and a WebSocket forwarder, each able to lie on request.
//!
//! Never part of the release library, which accepts this root only where caller and policy both say so.

pub mod agent;
pub mod collateral;
pub mod guest;
pub mod http;
mod pages;
pub mod pccs;
pub mod pki;
pub mod server;
pub mod tunnel;

pub use guest::Guest;
pub use pki::SimTee;
pub use server::{Options, Reply, Server, Session};

/// Lower-case hexadecimal.
pub fn hex(data: &[u8]) -> String {
    data.iter().map(|byte| format!("{byte:02x}")).collect()
}
