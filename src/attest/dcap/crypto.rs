//! dcap-qvl on aws-lc, with a memory of signatures already found good.
//!
//! A quote takes nine P-256 verifications, of which eight are over vendor objects that stay the same for weeks. Verification is a
//! pure function of (key, message, signature), so remembering a *good* result changes no judgement: dates, CRLs, TCB levels and
//! policies are still evaluated each time. Bad results are never remembered.

use std::collections::HashSet;
use std::sync::Mutex;

use aws_lc_rs::digest::{Context, SHA256};
use dcap_qvl::config::{Config, CryptoProvider};
use dcap_qvl::signature::DerSigEncoder;
use dcap_qvl::x509::X509CertBackend;
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};

use crate::attest::hash::{sha256, sha384};

pub struct AwsLc;

impl Config for AwsLc {
    type X509 = X509CertBackend;
    type SigEncoder = DerSigEncoder;
    type Crypto = AwsLc;
}

impl CryptoProvider for AwsLc {
    fn sig_algo() -> &'static dyn SignatureVerificationAlgorithm {
        static REMEMBERING: RememberingP256 = RememberingP256(Mutex::new(None));
        &REMEMBERING
    }

    fn sha256(data: &[u8]) -> [u8; 32] {
        sha256(data)
    }

    fn sha384(data: &[u8]) -> [u8; 48] {
        sha384(data)
    }
}

/// Most signatures remembered at once: two generations of half as many, so that old ones fall out and memory stays bounded.
const CAPACITY: usize = 2048;

#[derive(Debug, Default)]
struct Generations {
    young: HashSet<[u8; 32]>,
    old: HashSet<[u8; 32]>,
}

#[derive(Debug)]
struct RememberingP256(Mutex<Option<Generations>>);

impl SignatureVerificationAlgorithm for RememberingP256 {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let fingerprint = fingerprint(key, message, signature);
        if self.knows(&fingerprint) {
            return Ok(());
        }
        webpki::aws_lc_rs::ECDSA_P256_SHA256.verify_signature(key, message, signature)?;
        self.remember(fingerprint);
        Ok(())
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        webpki::aws_lc_rs::ECDSA_P256_SHA256.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        webpki::aws_lc_rs::ECDSA_P256_SHA256.signature_alg_id()
    }
}

impl RememberingP256 {
    fn knows(&self, fingerprint: &[u8; 32]) -> bool {
        let guard = self.0.lock().unwrap_or_else(|poison| poison.into_inner());
        guard.as_ref().is_some_and(|known| known.young.contains(fingerprint) || known.old.contains(fingerprint))
    }

    fn remember(&self, fingerprint: [u8; 32]) {
        let mut guard = self.0.lock().unwrap_or_else(|poison| poison.into_inner());
        let known = guard.get_or_insert_default();
        if known.young.len() >= CAPACITY / 2 {
            known.old = std::mem::take(&mut known.young);
        }
        known.young.insert(fingerprint);
    }
}

/// Lengths stand before the parts, so that no two triples share a fingerprint by shifting bytes between them.
fn fingerprint(key: &[u8], message: &[u8], signature: &[u8]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in [key, message, signature] {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

    #[test]
    fn only_good_signatures_are_remembered() {
        let rng = aws_lc_rs::rand::SystemRandom::new();
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let signature = pair.sign(&rng, b"message").unwrap();
        let key = pair.public_key().as_ref();
        let algorithm = RememberingP256(Mutex::new(None));
        for _ in 0..2 {
            assert!(algorithm.verify_signature(key, b"message", signature.as_ref()).is_ok());
            assert!(algorithm.verify_signature(key, b"massage", signature.as_ref()).is_err());
        }
        assert_eq!(algorithm.0.lock().unwrap().as_ref().unwrap().young.len(), 1);
    }

    #[test]
    fn memory_is_bounded() {
        let algorithm = RememberingP256(Mutex::new(None));
        for n in 0..3 * CAPACITY as u64 {
            algorithm.remember(fingerprint(&n.to_le_bytes(), b"", b""));
        }
        let guard = algorithm.0.lock().unwrap();
        let known = guard.as_ref().unwrap();
        assert!(known.young.len() + known.old.len() <= CAPACITY);
        assert_ne!(fingerprint(b"ab", b"c", b""), fingerprint(b"a", b"bc", b""));
    }
}
