//! HTTP requests: on a connection of their own, or through a client that pools.

#[allow(clippy::module_inception)]
pub mod client;
pub mod exchange;
pub mod exchange_body;
pub mod exchange_route;
pub mod http;
pub mod request;
pub mod request_body;
pub mod request_options;
