//! The plain values of `atls_h1_*`: bytes, headers, events, and the numbers in them.

use crate::capi::base::bytes::atls_bytes;
use crate::error::{Error, Result, Status};
use crate::h1::{Event, ProtocolError, Role, Side};

/// One of the two sides of a connection. A connection has the role of its own side.
pub type atls_h1_role = u32;

/// The side that sends requests.
pub const ATLS_H1_CLIENT: atls_h1_role = 0;
/// The side that answers them.
pub const ATLS_H1_SERVER: atls_h1_role = 1;

/// States of a side of a connection.
pub type atls_h1_state = u32;

/// Nothing of a message has been sent.
pub const ATLS_H1_IDLE: atls_h1_state = 0;
/// Server only: a request's head has come, the final response not yet begun.
pub const ATLS_H1_SEND_RESPONSE: atls_h1_state = 1;
/// Its head is sent, and the body is under way.
pub const ATLS_H1_SEND_BODY: atls_h1_state = 2;
/// Its message is complete.
pub const ATLS_H1_DONE: atls_h1_state = 3;
/// Nothing more may be sent but the end of the connection.
pub const ATLS_H1_MUST_CLOSE: atls_h1_state = 4;
/// It has closed its sending direction.
pub const ATLS_H1_CLOSED: atls_h1_state = 5;
/// Client only: its message is done, and a switch of protocol that it proposed is undecided.
pub const ATLS_H1_MIGHT_SWITCH_PROTOCOL: atls_h1_state = 6;
/// The connection now speaks another protocol.
pub const ATLS_H1_SWITCHED_PROTOCOL: atls_h1_state = 7;
/// It broke the protocol, for good.
pub const ATLS_H1_ERROR: atls_h1_state = 8;

/// Kinds of atls_h1_event, with the fields that each has; the others are 0 or empty.
pub type atls_h1_event_kind = u32;

/// Fields: method, target, http_version, headers.
pub const ATLS_H1_REQUEST: atls_h1_event_kind = 1;
/// Status 100 to 199. Fields: status, reason, http_version, headers.
pub const ATLS_H1_INFORMATIONAL_RESPONSE: atls_h1_event_kind = 2;
/// Status 200 to 999. Fields: status, reason, http_version, headers. A response to HEAD, a 204, a 304, and a 2xx to CONNECT have no body; their Content-Length or
/// Transfer-Encoding is shown as received (RFC 9112 section 6.3). A message with both is refused here too, unless ATLS_H1_ALLOW_CL_WITH_TE removes
/// the Content-Length.
pub const ATLS_H1_RESPONSE: atls_h1_event_kind = 3;
/// A piece of the body. Fields: data, chunk_start, chunk_end.
pub const ATLS_H1_DATA: atls_h1_event_kind = 4;
/// The message is complete. Fields: headers, which are the trailers.
pub const ATLS_H1_END_OF_MESSAGE: atls_h1_event_kind = 5;
/// The peer closed its sending side at a point where it may. Every later call returns this again.
pub const ATLS_H1_CONNECTION_CLOSED: atls_h1_event_kind = 6;
/// Receive more, or the end, then ask again.
pub const ATLS_H1_NEED_DATA: atls_h1_event_kind = 7;
/// No more is parsed for now: until the next cycle begins if the peer is DONE, until the server has decided in MIGHT_SWITCH_PROTOCOL, and never again
/// in SWITCHED_PROTOCOL (see atls_h1_conn_trailing_data).
pub const ATLS_H1_PAUSED: atls_h1_event_kind = 8;

/// How the end of a body is found.
pub type atls_h1_framing = u32;

/// By Content-Length.
pub const ATLS_H1_FRAMING_CONTENT_LENGTH: atls_h1_framing = 0;
/// By the last chunk.
pub const ATLS_H1_FRAMING_CHUNKED: atls_h1_framing = 1;
/// By the end of the connection.
pub const ATLS_H1_FRAMING_UNTIL_CLOSE: atls_h1_framing = 2;

/// Leniency, 0 by default. Each flag accepts something that another program on the path may read differently, which is how requests are
/// smuggled.
pub type atls_h1_flag = u32;

/// A lone LF ends a line of a message head; never in chunk lines or trailers.
pub const ATLS_H1_ALLOW_BARE_LF: atls_h1_flag = 1;
/// Unfold continued header lines in requests too; responses always are (RFC 9112 section 5.2). Never Content-Length,
/// Transfer-Encoding or Host.
pub const ATLS_H1_ALLOW_OBS_FOLD: atls_h1_flag = 2;
/// Spaces or tabs at the end of a chunk-size line.
pub const ATLS_H1_ALLOW_CHUNK_SIZE_OWS: atls_h1_flag = 4;
/// 01-08, 0E-1F and 7F in field values and reason phrases.
pub const ATLS_H1_ALLOW_CTL_IN_VALUE: atls_h1_flag = 8;
/// "5, 5" and equal repetitions become one Content-Length.
pub const ATLS_H1_MERGE_EQUAL_CONTENT_LENGTH: atls_h1_flag = 16;
/// Upgrade proposes a switch of protocol without `Connection: upgrade`.
pub const ATLS_H1_UPGRADE_WITHOUT_CONNECTION: atls_h1_flag = 32;
/// Received Content-Length together with Transfer-Encoding: the latter wins, the former is removed, and the connection closes afterwards.
pub const ATLS_H1_ALLOW_CL_WITH_TE: atls_h1_flag = 64;
/// What h11 0.16 accepts, except what is always refused. With all of these flags set, some rules of the RFCs that h11 does not follow are off as
/// well: skipping one empty line before a request line, keep-alive for an HTTP/1.0 peer that asks for it, bytes beyond ASCII in a target, checking
/// the grammar of chunk extensions, no 1xx to an HTTP/1.0 peer, and no Content-Length or Transfer-Encoding in a 2xx to CONNECT.
pub const ATLS_H1_COMPAT_H11: atls_h1_flag = 63;

/// One header field.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct atls_h1_header {
    /// Output: in lower case. Input: in any case.
    pub name: atls_bytes,
    /// Output: without spaces and tabs around it, unfolded; Content-Length and Transfer-Encoding normalised.
    pub value: atls_bytes,
    /// The name as it is on the wire, `name.len` bytes. Input: NULL to use `name`.
    pub raw_name: *const u8,
}

/// An event that was received. Owned by the connection and valid, with all that it points to, until the next receiving call on it: sending leaves it
/// alone. Later versions may append fields: never copy it by its size.
#[repr(C)]
pub struct atls_h1_event {
    /// The kind of event, which decides which of the other fields are set.
    pub kind: atls_h1_event_kind,
    /// Of a response.
    pub status: u32,
    /// Major << 8 | minor.
    pub http_version: u32,
    /// Of a request.
    pub method: atls_bytes,
    /// Of a request, as it is on the wire.
    pub target: atls_bytes,
    /// Of a response; may be empty.
    pub reason: atls_bytes,
    /// Of a head, or trailers.
    pub headers: *const atls_h1_header,
    /// Number of header fields.
    pub headers_len: usize,
    /// A view into the receive buffer, never empty.
    pub data: atls_bytes,
    /// The data begins a chunk of a chunked body.
    pub chunk_start: bool,
    /// The data ends a chunk; its CRLF may still be to come.
    pub chunk_end: bool,
}

impl atls_h1_event {
    pub(crate) fn empty() -> atls_h1_event {
        let none = atls_bytes::of(&[]);
        atls_h1_event {
            kind: ATLS_H1_NEED_DATA,
            status: 0,
            http_version: 0,
            method: none,
            target: none,
            reason: none,
            headers: std::ptr::NonNull::dangling().as_ptr(),
            headers_len: 0,
            data: none,
            chunk_start: false,
            chunk_end: false,
        }
    }

    /// Shows `event`, with its headers in `list`, whose memory is used again.
    pub(crate) fn show(&mut self, event: &Event<'_>, list: &mut Vec<atls_h1_header>) {
        list.clear();
        list.extend(event.fields.iter().map(|(name, raw_name, value)| atls_h1_header {
            name: atls_bytes::of(name),
            value: atls_bytes::of(value),
            raw_name: raw_name.as_ptr(),
        }));
        *self = atls_h1_event {
            kind: event.kind as u32,
            status: event.status.into(),
            http_version: event.version.into(),
            method: atls_bytes::of(event.method),
            target: atls_bytes::of(event.target),
            reason: atls_bytes::of(event.reason),
            headers: list.as_ptr(),
            headers_len: list.len(),
            data: atls_bytes::of(event.data),
            chunk_start: event.chunk_start,
            chunk_end: event.chunk_end,
        };
    }
}

/// A protocol error as the library's own.
pub(crate) fn refused(error: ProtocolError) -> Error {
    let status = match error.side {
        Side::Local => Status::H1Local,
        Side::Remote => Status::H1Remote,
    };
    Error::new(status, error.message).detail(error.detail).http_status(error.hint)
}

pub(crate) fn role(number: u32) -> Result<Role> {
    match number {
        ATLS_H1_CLIENT => Ok(Role::Client),
        ATLS_H1_SERVER => Ok(Role::Server),
        other => Err(Error::new(Status::InvalidArgument, format!("role {other} is neither client nor server"))),
    }
}

/// A list of headers from C.
#[derive(Clone, Copy)]
pub(crate) struct Headers<'a>(&'a [atls_h1_header]);

impl<'a> Headers<'a> {
    /// # Safety
    /// `headers` are `count` headers whose bytes outlive `'a`; with a count of 0 the pointer is ignored.
    pub(crate) unsafe fn new(headers: *const atls_h1_header, count: usize) -> Result<Headers<'a>> {
        if count == 0 {
            return Ok(Headers(&[]));
        }
        if headers.is_null() {
            return Err(Error::new(Status::NullArgument, "headers is NULL"));
        }
        if count > isize::MAX as usize / size_of::<atls_h1_header>() {
            return Err(Error::new(Status::InvalidArgument, format!("headers_len {count} is impossible")));
        }
        // SAFETY: the caller's promise; neither NULL nor longer than memory.
        let headers = unsafe { std::slice::from_raw_parts(headers, count) };
        let bad = |part: &atls_bytes| part.len > isize::MAX as usize || (part.ptr.is_null() && part.len > 0);
        if let Some(index) = headers.iter().position(|header| bad(&header.name) || bad(&header.value)) {
            return Err(Error::new(
                Status::InvalidArgument,
                format!("headers[{index}] has NULL or an impossible length"),
            ));
        }
        Ok(Headers(headers))
    }

    /// Names as they shall stand on the wire, and values.
    pub(crate) fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let slice = |ptr: *const u8, len: usize| match len {
            0 => &[][..],
            // SAFETY: `new` looked at pointer and length, and its caller answers for the rest.
            _ => unsafe { std::slice::from_raw_parts(ptr, len) },
        };
        self.0.iter().map(move |header| {
            let name = if header.raw_name.is_null() { header.name.ptr } else { header.raw_name };
            (slice(name, header.name.len), slice(header.value.ptr, header.value.len))
        })
    }
}
