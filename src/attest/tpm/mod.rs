//! Quotes of TPMs (TPM 2.0 Library, part 2, "TPMS_ATTEST"): what a TPM has signed of its registers, and whether that fits the registers that came along.
//! Whose TPM it is, others say. Pure.

mod attest;
mod pcrs;

pub use attest::{Clock, TpmAttest};
pub use pcrs::{Pcr, Pcrs, REGISTERS};

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};

use super::hash::sha256;

/// Bytes of an RSA key of 2048 bits, and of its signature.
pub const RSA_BYTES: usize = 256;
/// 65537, big-endian.
pub const EXPONENT: [u8; 3] = [1, 0, 1];

/// Whether the key with that modulus and exponent 65537 has signed `message`: RSASSA-PKCS1-v1_5 with SHA-256.
pub fn has_signed(modulus: &[u8; RSA_BYTES], message: &[u8], signature: &[u8]) -> bool {
    let key = RsaPublicKeyComponents { n: &modulus[..], e: &EXPONENT[..] };
    key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
}

/// What a quote holds of a session whose binder is `binder`: a binder itself is longer than TPMs take.
pub fn nonce(binder: &[u8; 64]) -> [u8; 32] {
    sha256(&[&binder[..], b"tpm"].concat())
}
