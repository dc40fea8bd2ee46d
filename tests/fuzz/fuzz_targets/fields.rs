//! Cookies, challenges, redirects one after another, PEM.
#![no_main]

#[path = "../../rust/support/readers.rs"]
mod readers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| readers::fields(data));
