//! HTTP/1.1 connections without I/O, either role: bytes in, events out; events in, bytes out (RFC 9112).
//!
//! Pure: no sockets, no clock, no globals, and in steady state no allocation. It is strict unless a flag says otherwise, and every flag names its
//! risk; docs/strictness.md lists what it accepts and refuses.

mod body;
mod buffer;
mod connection;
mod error;
mod fields;
mod head;
mod lanes;
mod members;
mod receiving;
mod sending;
pub mod start_line;
mod state;
pub mod syntax;
mod validate;
mod writer;

pub use body::Framing;
pub use connection::Connection;
pub use error::{ProtocolError, Side};
pub use fields::{FieldFacts, Kept, Known, Method};
pub use head::Fields;
pub use members::{has_member, member_after};
pub use receiving::Event;
pub use state::{EventKind, Role, State, States, switch};
pub use validate::{facts_of, normalized, validate_request, validate_response, validate_trailers};

/// Leniency flags. Each accepts something that another program on the path may read differently.
pub mod flags {
    /// A lone LF ends a line of a message head; never in chunk lines or trailers.
    pub const ALLOW_BARE_LF: u32 = 1 << 0;
    /// Unfold continued lines in requests too; responses always are (RFC 9112 section 5.2).
    pub const ALLOW_OBS_FOLD: u32 = 1 << 1;
    /// Spaces or tabs at the end of a chunk-size line.
    pub const ALLOW_CHUNK_SIZE_OWS: u32 = 1 << 2;
    /// 01-08, 0E-1F and 7F in field values and reason phrases.
    pub const ALLOW_CTL_IN_VALUE: u32 = 1 << 3;
    /// "5, 5" and equal repetitions become one Content-Length.
    pub const MERGE_EQUAL_CONTENT_LENGTH: u32 = 1 << 4;
    /// Upgrade proposes a switch without `Connection: upgrade`.
    pub const UPGRADE_WITHOUT_CONNECTION: u32 = 1 << 5;
    /// A message with both Content-Length and Transfer-Encoding: the latter wins, the former is removed, and the connection closes afterwards.
    pub const ALLOW_CL_WITH_TE: u32 = 1 << 6;
    /// What h11 0.16 accepts, except what is always refused. With all of these set, some rules of the RFCs that h11 does not follow are off as well:
    /// the empty line before a request, keep-alive for HTTP/1.0, bytes beyond ASCII in a target, the grammar of chunk extensions, no 1xx to HTTP/1.0,
    /// no length in a 2xx to CONNECT.
    pub const COMPAT_H11: u32 = 0x3f;
    /// Every bit that means something.
    pub const ALL: u32 = 0x7f;
}

/// Limits and leniency of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub flags: u32,
    /// Bytes of a head, of trailers or of a chunk-size line; longer ones are refused with 431.
    pub max_incomplete: usize,
    /// Fields of a head or of trailers; more are refused with 431.
    pub max_fields: usize,
}

impl Rules {
    pub const MAX_INCOMPLETE: usize = 16384;
    pub const MAX_FIELDS: usize = 256;

    pub fn allow(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Whether all of COMPAT_H11 is set, and so rules of RFC 9110 and 9112 that h11 does not follow are off.
    pub fn as_h11(&self) -> bool {
        self.flags & flags::COMPAT_H11 == flags::COMPAT_H11
    }
}

impl Default for Rules {
    fn default() -> Self {
        Rules { flags: 0, max_incomplete: Rules::MAX_INCOMPLETE, max_fields: Rules::MAX_FIELDS }
    }
}
