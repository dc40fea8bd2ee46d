//! What a proxy, a forwarder, a guest agent or a bundle of collateral says.
#![no_main]

#[path = "../../rust/support/readers.rs"]
mod readers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| readers::answers(data));
