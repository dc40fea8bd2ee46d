//! RSA-PSS with SHA-384 as AMD's certificates and lists carry it. Their older ones write down a field that DER says to leave out (RFC 8017 A.2.3,
//! trailerField at its default), so the algorithm has two encodings; what is verified is the same. Pure.

use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};
use webpki::aws_lc_rs::RSA_PSS_2048_8192_SHA384_LEGACY_KEY as SHORT;

use crate::attest::remembering::Remembering;

/// id-RSASSA-PSS; SHA-384, MGF1 with SHA-384, a salt of 48 bytes, and the trailer field 1.
const WITH_TRAILER: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x39\xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\
\xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\
\xa2\x03\x02\x01\x30\xa3\x03\x02\x01\x01";

#[derive(Debug)]
struct WithTrailer;

impl SignatureVerificationAlgorithm for WithTrailer {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        SHORT.verify_signature(key, message, signature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        SHORT.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        AlgorithmIdentifier::from_slice(WITH_TRAILER)
    }
}

/// Both encodings, with a memory of signatures already found good.
pub static PSS: [&dyn SignatureVerificationAlgorithm; 2] = [&REMEMBERING_LONG, &REMEMBERING_SHORT];
static REMEMBERING_LONG: Remembering = Remembering::new(&WithTrailer);
static REMEMBERING_SHORT: Remembering = Remembering::new(SHORT);

/// Verifies by the algorithm that `identifier` (the contents of an AlgorithmIdentifier, DER) names, if it is one of these.
pub fn verify(identifier: &[u8], key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), String> {
    let known = PSS.iter().find(|algorithm| algorithm.signature_alg_id().as_ref() == identifier);
    let algorithm = known.ok_or("its signature algorithm is not RSA-PSS with SHA-384")?;
    algorithm.verify_signature(key, message, signature).map_err(|_| "bad signature".into())
}
