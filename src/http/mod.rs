//! HTTP/1.1 over attested connections: one exchange at a time on each, bodies streamed both ways; the client pools them. hyper does the
//! protocol; what it does not keep (case and order of header lines) is kept by `tap`.

pub mod arguments;
mod body;
pub mod call;
pub mod client;
mod connection;
pub mod cookies;
pub mod decode;
mod disposition;
pub mod drive;
mod exchange;
mod faults;
pub mod form;
mod head;
pub mod headers;
pub mod intake;
mod judge;
pub mod location;
pub mod multipart;
pub mod options;
pub mod pool;
#[doc(hidden)]
pub mod redirect;
mod spelling;
pub mod start_line;
mod steps;
mod tap;
pub mod target;
pub mod task;
pub mod text;
pub mod turns;

pub use body::{RequestBody, Source};
pub use connection::{HttpConnection, Reservation};
pub use exchange::{Exchange, News, Tell, exchange};
pub use head::{Head, Request, check_header, check_host};
pub use location::{HostPattern, Location};
