//! The server's connection, or the forwarder's, over a socket that says anything.
#![no_main]

#[path = "../../rust/support/readers.rs"]
mod readers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| readers::server(data));
