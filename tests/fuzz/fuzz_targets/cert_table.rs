//! The table of certificates that a host hands to its SEV-SNP guests.
#![no_main]

#[path = "../../rust/support/device_readers.rs"]
mod device_readers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| device_readers::cert_table(data));
