//! A simulated TEE, for tests only: its own root of trust ("TEST ONLY"), quotes and event logs as a dstack guest makes them,
//! the vendor's collateral with a PCCS, and the guest agent's socket.
//!
//! Never part of the release library, which accepts this root only where caller and policy both say so.

pub mod agent;
pub mod azure;
pub mod ccel;
pub mod collateral;
pub mod exporter;
pub mod guest;
pub mod http;
pub mod kds;
pub mod machines;
pub mod nitro;
pub mod nvidia;
pub mod pccs;
pub mod pki;
pub mod quote;
pub mod ra_tls;
pub mod sgx;
pub mod snp;
pub mod vtpm;
pub mod world;

pub use guest::Guest;
pub use pki::SimTee;
pub use world::World;

/// Lower-case hexadecimal.
pub fn hex(data: &[u8]) -> String {
    data.iter().map(|byte| format!("{byte:02x}")).collect()
}
