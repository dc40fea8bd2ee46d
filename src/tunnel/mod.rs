//! TCP through WebSockets, both ends: the forwarder that lets clients through, and the way of a client through a forwarder. The tunnel is untrusted:
//! TLS and the evidence run end to end through it.

mod allow;
mod client;
mod forwarder;
mod handshake;
mod relay;
mod transport;
pub mod websocket;

pub use allow::{Entry, Target};
pub use client::TunnelUrl;
pub use forwarder::*;
pub use handshake::{accept_key, target_of};
pub use relay::{Flow, relay};
pub use transport::Transport;
