//! HTTP/1.1 over an attested connection: one exchange at a time, bodies streamed both ways. hyper does the protocol; what it does
//! not keep (case and order of header lines) is kept by `tap`.

mod body;
mod connection;
pub mod drive;
mod head;
mod tap;
pub mod task;

pub use body::RequestBody;
pub use connection::{Exchange, HttpConnection, Reservation, exchange};
pub use head::{Head, Request, check_header};
