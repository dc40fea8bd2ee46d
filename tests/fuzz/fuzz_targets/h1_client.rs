//! A client reads anything as the answer to its request, in any pieces, under any flags: it never panics, and the pieces make no difference.
#![no_main]

#[path = "../../rust/support/h1.rs"]
mod support;

use atls::h1::flags;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let [flags, size, bytes @ ..] = data else { return };
    let method = ["GET", "HEAD", "CONNECT", "UPGRADE"][usize::from(*size >> 6)];
    let make = || support::client(u32::from(*flags) & flags::ALL, method);
    let whole = support::converse(&mut make(), std::iter::once(bytes), true);
    let parts = support::converse(&mut make(), bytes.chunks(usize::from(*size % 16) + 1), true);
    assert_eq!(whole, parts);
});
