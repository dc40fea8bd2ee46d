//! TCP through WebSockets, both ends of it. The tunnel is untrusted: TLS and the evidence run end to end through it.
//!
//! - `tunnel_target`: where a tunnel may lead. Pure.
//! - `forwarder`: the server's end: what it lets through, and the way to the target. May resolve names and connect.
//! - `url`: the client's end: the forwarder's URL, and the upgrade. May touch the network and the clock.
//! - `handshake`: what each end checks of the other's. Pure.
//! - `relay`: bytes between a WebSocket and a TCP connection. Reads and writes what it is given; may touch the clock.
//! - `websocket`: frames, pure, and a client's stream of bytes over them, which reads and writes what it is given.
//! - `transport`: what a connection's TLS runs over, with a tunnel or without.

mod forwarder;
mod handshake;
mod relay;
mod transport;
mod tunnel_target;
mod url;
pub mod websocket;

pub use forwarder::{ForwarderDeadline, ForwarderRules, TunnelRefusal};
pub use handshake::accept_key;
pub use relay::{TunnelTraffic, relay};
pub use transport::Transport;
pub use tunnel_target::{AllowedTarget, TunnelTarget};
pub use url::TunnelUrl;
