//! What ties evidence to one TLS session (attested-tls spec 1.5): nonce, exporter value and the certificate in use.

use super::hash::{hex, sha256, sha512};

/// RFC 9266's label for channel bindings from the TLS 1.3 exporter; the context is absent.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";
pub const EXPORTER_LENGTH: usize = 32;

/// What this side knows about the session that the evidence must belong to.
#[derive(Clone, Debug)]
pub enum Binding {
    /// The session at hand.
    Session {
        nonce: [u8; 32],
        exporter: [u8; EXPORTER_LENGTH],
        /// DER of the certificate that the server presented in this session.
        leaf_certificate: Vec<u8>,
    },
    /// The caller wishes to judge the evidence alone. The verdict says so.
    Skip,
}

/// `SHA-512(nonce || exporter)`: what the guest must have put into its report.
pub fn report_data(nonce: &[u8; 32], exporter: &[u8; EXPORTER_LENGTH]) -> [u8; 64] {
    sha512(&[nonce, exporter])
}

/// Text that a certificate event carries: the lower-case hex SHA-256 of the whole certificate.
pub(super) fn certificate_digest(leaf: &[u8]) -> String {
    hex(&sha256(leaf))
}
