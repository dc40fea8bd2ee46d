//! What the TPM of a virtual machine answers.
#![no_main]

#[path = "../../rust/support/device_readers.rs"]
mod device_readers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| device_readers::tpm_response(data));
