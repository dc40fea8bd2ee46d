//! HTTP servers and tunnel servers.

pub mod config;
pub mod config_tls;
pub mod file;
pub mod listen;
pub mod request;
#[allow(clippy::module_inception)]
pub mod server;
pub mod tunnel;
pub mod upgrade;
