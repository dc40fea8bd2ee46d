//! A server reads anything, in any pieces, under any flags: it never panics, and the pieces make no difference.
#![no_main]

#[path = "../../rust/support/h1.rs"]
mod support;

use atls::h1::{Connection, Role, Rules, flags};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let [flags, size, bytes @ ..] = data else { return };
    let rules = Rules { flags: u32::from(*flags) & flags::ALL, max_incomplete: 300, max_fields: 8 };
    let whole = support::converse(&mut Connection::new(Role::Server, rules), std::iter::once(bytes), true);
    let pieces = bytes.chunks(usize::from(*size % 16) + 1);
    let parts = support::converse(&mut Connection::new(Role::Server, rules), pieces, true);
    assert_eq!(whole, parts);
});
