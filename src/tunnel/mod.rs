//! TCP through WebSockets, both ends: the forwarder that lets clients through, and the way of a client through a forwarder. The tunnel is untrusted:
//! TLS and the evidence run end to end through it.

mod forwarder;
mod handshake;
mod relay;
mod target;
mod transport;
mod url;
pub mod websocket;

pub use forwarder::{ForwarderRules, TunnelRefusal};
pub use handshake::{accept_key, target_of};
pub use relay::{TunnelTraffic, relay};
pub use target::{AllowedTarget, TunnelTarget};
pub use transport::Transport;
pub use url::TunnelUrl;
