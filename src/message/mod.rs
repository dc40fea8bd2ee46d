//! The pieces of HTTP messages (RFC 9110, RFC 9112): heads, header fields, targets, credentials, forms, content codings. Pure: no I/O and no clock. Framing is
//! the business of `h1`.

pub mod arguments;
pub mod credentials;
pub mod decode;
mod disposition;
pub mod form;
mod head;
pub mod headers;
pub mod host;
pub mod intake;
pub mod multipart;
pub mod start_line;
pub(crate) mod steps;
pub mod target;
pub mod text;

pub use head::{Head, Request, check_header};
