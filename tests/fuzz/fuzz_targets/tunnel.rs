//! Frames of a tunnel, at both ends: in pieces or at once they say the same.
#![no_main]

#[path = "../../rust/support/readers.rs"]
mod readers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| readers::tunnel(data));
