//! Peers for tests that can lie, stall and break off: an HTTPS server whose evidence is what a test makes of it, and a WebSocket forwarder. For what an
//! honest server does there is the library's own.

mod pages;
pub mod server;
pub mod tunnel;

// For tests that play a forwarder themselves.
pub use tokio_tungstenite;

pub use server::{Options, Reply, Server, Session};
