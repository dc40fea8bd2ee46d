//! HTTP over attested connections: one exchange at a time on each, or many that share one over HTTP/2, bodies streamed both ways; the client pools connections.
//! An `engine` drives each of them.
//! Touches connections (through `connect`), the clock and the executor.

pub mod blocking_exchange;
mod blocking_response;
mod connection;
pub mod connection_task;
pub mod cookie_jar;
mod engine;
mod exchange;
pub mod exchange_task;
#[allow(clippy::module_inception)]
pub mod http_client;
mod leasing;
pub mod location;
pub mod pending_request;
pub mod pool;
#[doc(hidden)]
pub mod redirect;
mod request;
mod request_body;
pub mod request_options;
mod shared_connections;
mod trusted_reservation;
pub mod turn_queue;

pub use connection::{HttpConnection, Reservation};
pub use engine::EngineKind;
pub use exchange::{Exchange, InterimEvent, OnInterim, start_exchange};
pub use location::{HostPattern, Location};
pub use request::{ClientBody, ClientRequest};
pub use request_body::{BodySource, RequestBody};
pub use trusted_reservation::TrustedReservation;
