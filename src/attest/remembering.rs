//! A memory of signatures already found good. No I/O; the memory is one for the whole process.
//!
//! A TDX quote takes nine verifications, of which eight are over objects of the vendor that stay the same for weeks; an SEV-SNP report takes three of four over such;
//! and evidence is verified before documents are fetched for it and again with them. Verification is a pure function of (key, message, signature), so remembering a
//! *good* result changes no judgement: dates, revocation, TCB levels and policies are still evaluated each time. Bad results are never remembered.

use std::collections::HashSet;
use std::sync::Mutex;

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};

/// Most signatures remembered at once: two generations of half as many, so that old ones fall out and memory stays bounded.
const CAPACITY: usize = 2048;

#[derive(Debug, Default)]
struct Generations {
    young: HashSet<[u8; 32]>,
    old: HashSet<[u8; 32]>,
}

/// Of one algorithm: what is good under one says nothing about another.
#[derive(Debug)]
pub struct Memory(Mutex<Option<Generations>>);

impl Memory {
    pub const fn new() -> Memory {
        Memory(Mutex::new(None))
    }

    /// Whether `signature` is known to be good, or `verify` finds it so.
    fn holds(&self, (key, message, signature): (&[u8], &[u8], &[u8]), verify: impl FnOnce() -> bool) -> bool {
        let fingerprint = fingerprint(key, message, signature);
        if self.knows(&fingerprint) {
            return true;
        }
        let is_good = verify();
        if is_good {
            self.remember(fingerprint);
        }
        is_good
    }

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

/// An algorithm for certificates, with a memory of its own.
#[derive(Debug)]
pub struct Remembering {
    algorithm: &'static dyn SignatureVerificationAlgorithm,
    memory: Memory,
}

impl Remembering {
    pub const fn new(algorithm: &'static dyn SignatureVerificationAlgorithm) -> Remembering {
        Remembering { algorithm, memory: Memory::new() }
    }
}

impl SignatureVerificationAlgorithm for Remembering {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let verify = || self.algorithm.verify_signature(key, message, signature).is_ok();
        if self.memory.holds((key, message, signature), verify) { Ok(()) } else { Err(InvalidSignature) }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.signature_alg_id()
    }
}

/// Whether a key of P-384 (SubjectPublicKeyInfo, DER) signed `message` with SHA-384; both numbers of the signature stand one after the other.
pub fn is_signed_by_p384(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    static MEMORY: Memory = Memory::new();
    let verify = || UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, key).verify(message, signature).is_ok();
    MEMORY.holds((key, message, signature), verify)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// P-256, with a count of what was asked of it.
    #[derive(Debug)]
    struct Counting(AtomicUsize);

    impl SignatureVerificationAlgorithm for Counting {
        fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
            self.0.fetch_add(1, Ordering::SeqCst);
            webpki::aws_lc_rs::ECDSA_P256_SHA256.verify_signature(key, message, signature)
        }

        fn public_key_alg_id(&self) -> AlgorithmIdentifier {
            webpki::aws_lc_rs::ECDSA_P256_SHA256.public_key_alg_id()
        }

        fn signature_alg_id(&self) -> AlgorithmIdentifier {
            webpki::aws_lc_rs::ECDSA_P256_SHA256.signature_alg_id()
        }
    }

    fn signed() -> (Vec<u8>, Vec<u8>) {
        let rng = aws_lc_rs::rand::SystemRandom::new();
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let signature = pair.sign(&rng, b"message").unwrap().as_ref().to_vec();
        (pair.public_key().as_ref().to_vec(), signature)
    }

    #[test]
    fn only_good_signatures_are_remembered() {
        static COUNTING: Counting = Counting(AtomicUsize::new(0));
        let algorithm = Remembering::new(&COUNTING);
        let (key, signature) = signed();
        for _ in 0..3 {
            assert!(algorithm.verify_signature(&key, b"message", &signature).is_ok());
        }
        assert_eq!(COUNTING.0.load(Ordering::SeqCst), 1);
        for _ in 0..3 {
            assert!(algorithm.verify_signature(&key, b"massage", &signature).is_err());
        }
        assert_eq!(COUNTING.0.load(Ordering::SeqCst), 4);
        assert_eq!(algorithm.memory.0.lock().unwrap().as_ref().unwrap().young.len(), 1);
    }

    #[test]
    fn one_other_bit_in_any_byte_is_not_what_is_remembered() {
        static COUNTING: Counting = Counting(AtomicUsize::new(0));
        let algorithm = Remembering::new(&COUNTING);
        let (key, signature) = signed();
        assert!(algorithm.verify_signature(&key, b"message", &signature).is_ok());
        let parts = [key, b"message".to_vec(), signature];
        for (part, at) in (0..3).flat_map(|part| (0..parts[part].len()).map(move |at| (part, at))).collect::<Vec<_>>() {
            let mut bent = parts.clone();
            bent[part][at] ^= 1;
            let before = COUNTING.0.load(Ordering::SeqCst);
            assert!(algorithm.verify_signature(&bent[0], &bent[1], &bent[2]).is_err(), "{part} {at}");
            assert_eq!(COUNTING.0.load(Ordering::SeqCst), before + 1, "{part} {at}");
        }
        // Nor is the same signature under another algorithm, or with bytes moved from one part to the next.
        assert!(
            Remembering::new(webpki::aws_lc_rs::ECDSA_P384_SHA384)
                .verify_signature(&parts[0], &parts[1], &parts[2])
                .is_err()
        );
        assert_ne!(fingerprint(b"ab", b"c", b""), fingerprint(b"a", b"bc", b""));
    }

    #[test]
    fn memory_is_bounded() {
        let memory = Memory::new();
        for n in 0..3 * CAPACITY as u64 {
            memory.remember(fingerprint(&n.to_le_bytes(), b"", b""));
        }
        let guard = memory.0.lock().unwrap();
        let known = guard.as_ref().unwrap();
        assert!(known.young.len() + known.old.len() <= CAPACITY);
    }
}
