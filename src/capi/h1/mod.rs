//! `atls_h1_*`: the sans-I/O HTTP/1.1 connection, for programs that bring their own sockets. A file a noun; `crate::h1` decides.

pub mod conn;
pub mod driver;
pub mod driver_config;
pub mod headers;
pub mod messages;
pub mod send;
pub mod states;
pub mod types;
