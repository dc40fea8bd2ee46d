//! WebSockets as tunnels use them (RFC 6455): frames whose payloads pass as they come, and a client's stream of bytes over them.
//! Touches nothing but the streams that it is given.
//!
//! Written here because available crates hold whole frames and messages: a peer that announces one and does not send it would occupy their memory.

pub mod frames;
mod stream;

pub use stream::TunnelStream;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key` (section 4.2.2).
pub fn accept_of(key: &[u8]) -> String {
    let text = [key, b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat();
    STANDARD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, &text))
}
