//! A client and a server back to back, each doing what the input says: what one may send the other can read, body bytes included.
#![no_main]

#[path = "../../rust/support/h1_pair.rs"]
mod pair;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    pair::play(data);
});
