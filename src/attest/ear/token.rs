//! The claims set as a JSON Web Token (RFC 7519): a JSON Web Signature in compact form (RFC 7515) by ES256 or ES384 (RFC 7518, 3.4). That is two texts in
//! base64url and a signature that aws-lc makes, so there is no library for it. No I/O; signing draws random numbers.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// ECDSA with P-384 and SHA-384.
    Es384,
}

impl Algorithm {
    const ALL: [Algorithm; 2] = [Algorithm::Es256, Algorithm::Es384];

    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Es256 => "ES256",
            Algorithm::Es384 => "ES384",
        }
    }

    /// Bytes of a signature: its two numbers, one after the other.
    pub fn signature_length(self) -> usize {
        match self {
            Algorithm::Es256 => 64,
            Algorithm::Es384 => 96,
        }
    }

    fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Algorithm::Es256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            Algorithm::Es384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        }
    }
}

/// A private key and the algorithm that its curve stands for.
pub struct SigningKey {
    pair: EcdsaKeyPair,
    pub algorithm: Algorithm,
}

impl SigningKey {
    /// PKCS#8 (RFC 5958), DER or the first key in PEM, of P-256 or P-384.
    pub fn read(key: &[u8]) -> Result<SigningKey, String> {
        let der = match key.trim_ascii_start().starts_with(b"-----") {
            true => from_pem(key)?,
            false => key.to_vec(),
        };
        let mut pairs = Algorithm::ALL.into_iter().filter_map(|algorithm| {
            let pair = EcdsaKeyPair::from_pkcs8(algorithm.signing(), &der).ok()?;
            Some(SigningKey { pair, algorithm })
        });
        pairs.next().ok_or_else(|| "no private key of P-256 or P-384 in PKCS#8".into())
    }

    pub fn sign(&self, input: &str) -> Result<Vec<u8>, String> {
        let signature = self.pair.sign(&SystemRandom::new(), input.as_bytes());
        signature.map(|signature| signature.as_ref().to_vec()).map_err(|_| "the key cannot sign".into())
    }
}

fn from_pem(pem: &[u8]) -> Result<Vec<u8>, String> {
    match PrivateKeyDer::from_pem_slice(pem) {
        Ok(PrivateKeyDer::Pkcs8(der)) => Ok(der.secret_pkcs8_der().to_vec()),
        Ok(_) => Err("a private key, but not in PKCS#8 (`openssl pkcs8 -topk8 -nocrypt` makes it so)".into()),
        Err(error) => Err(format!("no private key in PEM, or one that is encrypted: {error}")),
    }
}

/// What is signed: header and claims.
pub fn signing_input(claims: &Value, algorithm: Algorithm, key_id: Option<&str>) -> String {
    let mut header = json!({"alg": algorithm.name(), "typ": "JWT"});
    if let Some(id) = key_id {
        header["kid"] = id.into();
    }
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(&header), part(claims))
}

pub fn join(input: &str, signature: &[u8]) -> String {
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}
