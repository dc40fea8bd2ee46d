//! dstack's documents of version 0, in SCALE: whatever they are, they convert to evidence or to an error.
#![no_main]

use atls::attest::convert;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    drop(convert::evidence("dstack-attestation", data));
    // Behind the byte of its version.
    drop(convert::evidence("dstack-attestation", &[&[0], data].concat()));
});
