//! dstack's documents of version 1, in MessagePack, and the other formats of stored evidence: whatever they are, they convert to evidence or to an error.
#![no_main]

use atls::attest::convert;

/// `{"version": 1, "stack": {"kind": "dstack", "data": {}}, "platform": ..`
const HEAD: &[u8] = b"\x83\xa7version\x01\xa5stack\x82\xa4kind\xa6dstack\xa4data\x80\xa8platform";

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for format in ["coco-az", "coco-tdx", "snp-report"] {
        drop(convert::evidence(format, data));
    }
    drop(convert::evidence("dstack-attestation", &[&[0x83], data].concat()));
    drop(convert::evidence("dstack-attestation", &[HEAD, data].concat()));
});
