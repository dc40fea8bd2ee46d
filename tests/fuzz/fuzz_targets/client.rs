//! The client's reading: hyper, the tap that keeps spellings, codings, trailers.
#![no_main]

#[path = "../../rust/support/readers.rs"]
mod readers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| readers::client(data));
