//! WebSockets as tunnels use them (RFC 6455): frames whose payloads pass as they come, and a client's stream of bytes over them.
//!
//! Our own, because what there is holds whole frames and messages: a peer that announces one and does not send it would hold their memory.

pub mod frames;
mod stream;

pub use stream::TunnelStream;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What `Sec-WebSocket-Accept` must be for a `Sec-WebSocket-Key` (section 4.2.2).
pub fn accept_of(key: &[u8]) -> String {
    let text = [key, b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat();
    STANDARD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, &text))
}
