//! Where to connect, how, and the stream that comes of it.

pub mod config;
pub mod config_route;
pub mod config_tls;
pub mod resolver;
pub mod stream;
