//! What reads answers of devices and of the guest's host, each fed with any bytes: for the fuzz targets, and for every run of the tests.
#![allow(dead_code)]

use atls::attest::snp::SigningKey;
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
