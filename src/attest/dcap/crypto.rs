//! dcap-qvl on aws-lc, with a memory of signatures already found good. No I/O; remembers good signatures for the whole process.

use dcap_qvl::config::{Config, CryptoProvider};
use dcap_qvl::signature::DerSigEncoder;
use dcap_qvl::x509::X509CertBackend;
use rustls_pki_types::SignatureVerificationAlgorithm;

use crate::attest::hash::{sha256, sha384};
use crate::attest::remembering::Remembering;

pub struct AwsLc;

impl Config for AwsLc {
    type X509 = X509CertBackend;
    type SigEncoder = DerSigEncoder;
    type Crypto = AwsLc;
}

impl CryptoProvider for AwsLc {
    fn sig_algo() -> &'static dyn SignatureVerificationAlgorithm {
        static P256: Remembering = Remembering::new(webpki::aws_lc_rs::ECDSA_P256_SHA256);
        &P256
    }

    fn sha256(data: &[u8]) -> [u8; 32] {
        sha256(data)
    }

    fn sha384(data: &[u8]) -> [u8; 48] {
        sha384(data)
    }
}
