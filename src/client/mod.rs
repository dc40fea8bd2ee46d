//! HTTP/1.1 over attested connections: one exchange at a time on each, bodies streamed both ways; the client pools them. hyper does the
//! protocol; what it does not keep (case and order of header lines) is kept by `engine`.

pub mod blocking_exchange;
pub mod call;
#[allow(clippy::module_inception)]
pub mod client;
mod connection;
pub mod connection_task;
pub mod cookies;
mod engine;
mod exchange;
pub mod exchange_task;
pub mod location;
pub mod options;
pub mod pool;
#[doc(hidden)]
pub mod redirect;
mod request;
mod request_body;
pub mod turns;

pub use connection::{HttpConnection, Reservation};
pub use exchange::{Exchange, News, Tell, exchange};
pub use location::{HostPattern, Location};
pub use request::{ClientBody, ClientRequest};
pub use request_body::{RequestBody, Source};
