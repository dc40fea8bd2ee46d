//! What reads answers of devices and of the guest's host, each fed with any bytes: for the fuzz targets, and for every run of the tests.
#![allow(dead_code)]

use atls::attest::snp::SigningKey;
use atls::attester::azure::commands;
use atls::attester::certificate_table::certificate;
use atls::attester::nsm;

/// A Nitro enclave's security module: what is found lies within what was said.
pub fn nsm_response(data: &[u8]) {
    if let Ok(document) = nsm::document(data) {
        assert!(document.is_empty() || data.windows(document.len()).any(|part| part == document));
    }
}

/// The host's table of certificates: as above, and those of two keys share no byte.
pub fn cert_table(data: &[u8]) {
    let place = |key| certificate(data, key).ok().flatten().map(<[u8]>::as_ptr_range);
    if let (Some(one), Some(other)) = (place(SigningKey::Vcek), place(SigningKey::Vlek)) {
        assert!(one.end <= other.start || other.end <= one.start);
    }
}

/// A TPM, asked each of the commands: what is told has the size that was asked for, and registers come in order.
pub fn tpm_response(data: &[u8]) {
    if let Some(Ok(size)) = data.first_chunk().map(commands::size) {
        assert!((commands::HEADER..=commands::MAX_BYTES).contains(&size));
    }
    if let Ok(parameters) = commands::parameters(&commands::memory_size(1), data) {
        drop(commands::told_size(parameters));
        if let Ok(registers) = commands::told_registers(parameters) {
            assert!(registers.len() <= 24 && registers.is_sorted_by(|one, other| one.0 < other.0));
        }
    }
    if let Ok(parameters) = commands::parameters(&commands::read_memory(1, 2, 0), data) {
        if let Ok(told) = commands::told_data(parameters) {
            assert_eq!(told.len() + 2, parameters.len());
        }
        if let Ok((message, signature)) = commands::told_quote(parameters) {
            assert_eq!((message.len() + 8 + 256, signature.len()), (parameters.len(), 256));
        }
    }
}
