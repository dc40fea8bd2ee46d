//! The pieces of HTTP messages (RFC 9110, RFC 9112): heads, header fields, targets, credentials, forms, content codings. Pure: no I/O and no clock. Framing is
//! `h1`'s.

pub mod arguments;
pub mod body_reader;
pub(crate) mod comparisons;
pub mod credentials;
pub mod date;
pub mod decode;
pub mod form;
pub mod header_fields;
pub mod host;
pub mod multipart;
mod parameters;
pub mod query;
mod received_head;
mod refusal;
mod request_head;
pub mod request_target;
pub mod start_line;

pub use received_head::ReceivedHead;
pub use refusal::refusal_status;
pub use request_head::{RequestHead, check_header};
