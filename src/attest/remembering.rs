//! Bounded memories of what has been found good: signatures, and what follows from them. No I/O; each memory is one for the whole process.
//!
//! A TDX quote takes nine verifications, of which eight are over objects of the vendor that stay the same for weeks; an SEV-SNP report takes three of four over such;
//! the certificates of a TLS server are the same on each connection; and evidence is verified before documents are fetched for it and again with them.
//! Verification is a pure function of (key, message, signature), so remembering a *good* result changes no judgement: dates, revocation, TCB levels and
//! policies are still evaluated each time. Bad results are never remembered.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};

/// Most signatures of one memory.
const SIGNATURES: usize = 2048;

#[derive(Debug)]
struct Generations<V> {
    young: HashMap<[u8; 32], V>,
    old: HashMap<[u8; 32], V>,
}

impl<V> Generations<V> {
    fn insert<const CAPACITY: usize>(&mut self, fingerprint: [u8; 32], value: V) {
        if self.young.len() >= CAPACITY / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(fingerprint, value);
    }
}

/// What is known by a fingerprint of everything that it follows from: two generations of half of `CAPACITY`, so that old entries fall out and memory stays
/// bounded.
#[derive(Debug)]
pub struct Memory<V, const CAPACITY: usize>(Mutex<Option<Generations<V>>>);

impl<V: Clone, const CAPACITY: usize> Memory<V, CAPACITY> {
    pub const fn new() -> Memory<V, CAPACITY> {
        Memory(Mutex::new(None))
    }

    pub fn get(&self, fingerprint: &[u8; 32]) -> Option<V> {
        let mut guard = self.0.lock().unwrap_or_else(|poison| poison.into_inner());
        let known = guard.as_mut()?;
        if let Some(value) = known.young.get(fingerprint) {
            return Some(value.clone());
        }
        // What is asked for stays, however many others come meanwhile.
        let value = known.old.remove(fingerprint)?;
        known.insert::<CAPACITY>(*fingerprint, value.clone());
        Some(value)
    }

    pub fn remember(&self, fingerprint: [u8; 32], value: V) {
        let mut guard = self.0.lock().unwrap_or_else(|poison| poison.into_inner());
        let known = guard.get_or_insert_with(|| Generations { young: HashMap::new(), old: HashMap::new() });
        known.insert::<CAPACITY>(fingerprint, value);
    }
}

/// Signatures that were found good.
type Signatures = Memory<(), SIGNATURES>;

impl Signatures {
    /// Whether the signature is known to be good, or `verify` finds it so.
    fn holds(&self, fingerprint: [u8; 32], verify: impl FnOnce() -> bool) -> bool {
        if self.get(&fingerprint).is_some() {
            return true;
        }
        let is_good = verify();
        if is_good {
            self.remember(fingerprint, ());
        }
        is_good
    }
}

/// Lengths stand before the parts, so that no two lists of as many parts share a fingerprint by shifting bytes between them.
pub fn fingerprint(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// An algorithm for certificates, with a memory of its own: what is good under one says nothing about another.
#[derive(Debug)]
pub struct Remembering {
    algorithm: &'static dyn SignatureVerificationAlgorithm,
    memory: Signatures,
}

impl Remembering {
    pub const fn new(algorithm: &'static dyn SignatureVerificationAlgorithm) -> Remembering {
        Remembering { algorithm, memory: Memory::new() }
    }
}

impl SignatureVerificationAlgorithm for Remembering {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let verify = || self.algorithm.verify_signature(key, message, signature).is_ok();
        if self.memory.holds(fingerprint(&[key, message, signature]), verify) { Ok(()) } else { Err(InvalidSignature) }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.signature_alg_id()
    }

    fn fips(&self) -> bool {
        self.algorithm.fips()
    }
}

pub type Algorithm = &'static dyn SignatureVerificationAlgorithm;

/// Each of `algorithms` with a memory of its own. They are in `made`, made once, for as long as the process lives.
pub fn all(made: &'static OnceLock<Vec<Algorithm>>, algorithms: &[Algorithm]) -> &'static [Algorithm] {
    let make = |algorithm: &Algorithm| &*Box::leak(Box::new(Remembering::new(*algorithm))) as Algorithm;
    made.get_or_init(|| algorithms.iter().map(make).collect())
}

/// Whether a key of P-384 (SubjectPublicKeyInfo, DER) signed `message` with SHA-384; both numbers of the signature stand one after the other.
pub fn is_signed_by_p384(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    static MEMORY: Signatures = Memory::new();
    let verify = || UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, key).verify(message, signature).is_ok();
    MEMORY.holds(fingerprint(&[key, message, signature]), verify)
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
        assert_ne!(fingerprint(&[b"ab", b"c", b""]), fingerprint(&[b"a", b"bc", b""]));
    }

    #[test]
    fn what_is_asked_for_outlasts_what_others_bring() {
        let memory = Signatures::new();
        let [hot, cold] = [fingerprint(&[b"hot"]), fingerprint(&[b"cold"])];
        [hot, cold].into_iter().for_each(|each| memory.remember(each, ()));
        for n in 0..3 * SIGNATURES as u64 {
            memory.remember(fingerprint(&[&n.to_le_bytes()]), ());
            assert!(memory.get(&hot).is_some(), "{n}");
        }
        assert!(memory.get(&cold).is_none());
    }

    #[test]
    fn memory_is_bounded() {
        let memory = Signatures::new();
        for n in 0..3 * SIGNATURES as u64 {
            memory.remember(fingerprint(&[&n.to_le_bytes()]), ());
        }
        let guard = memory.0.lock().unwrap();
        let known = guard.as_ref().unwrap();
        assert!(known.young.len() + known.old.len() <= SIGNATURES);
    }
}
