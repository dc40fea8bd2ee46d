//! `atls_ear`: a verdict as an EAT Attestation Result, for others to rely on.

use std::sync::Arc;

use super::verdict::atls_verdict;
use crate::attest::ear::{Algorithm, Issue, SigningKey, claims, join, signing_input};
use crate::capi::base::arguments::{Out, Owned, bytes, c_bytes, c_text, optional_text, require, text};
use crate::capi::base::bytes::atls_buf;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::{guard, guard_free};
use crate::capi::base::handle::{Handle, borrow, borrow_mut, destroy};
use crate::capi::base::status::atls_status;
use crate::error::{Error, Result, Status};
use crate::verdict::Verdict;

/// A verdict as an EAT Attestation Result (EAR, draft-ietf-rats-ear-04), the form in which verifiers report to parties that do not judge evidence
/// themselves: a trustworthiness vector with a status, beside all that the verdict says. docs/verdict.md has the mapping. A verdict that is not trusted
/// is always `contraindicated`, and so is any evidence under a simulator's root. A builder: one thread at a time.
pub struct atls_ear {
    verdict: Arc<Verdict>,
    issue: Issue,
}

impl Handle for atls_ear {
    type Owner = Box<atls_ear>;
}

/// How a result is signed.
pub type atls_ear_algorithm = u32;

/// ES256: ECDSA with P-256 and SHA-256; a signature has 64 bytes.
pub const ATLS_EAR_ES256: atls_ear_algorithm = 0;
/// ES384: ECDSA with P-384 and SHA-384; a signature has 96 bytes.
pub const ATLS_EAR_ES384: atls_ear_algorithm = 1;

/// Creates a result from a verdict, trusted or not.
/// `issued_at`: the time of the result, in seconds since 1970-01-01 UTC (`iat`); not 0.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_ear_new(
    verdict: Option<&atls_verdict>,
    issued_at: u64,
    ear: Out<*mut atls_ear>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let ear = require(ear, "ear")?;
        let verdict = borrow(verdict, "verdict")?.verdict.clone();
        if issued_at == 0 {
            return Err(invalid("issued_at is 0"));
        }
        let (developer, build) = ("libatls".into(), concat!("libatls ", env!("CARGO_PKG_VERSION")).into());
        let issue = Issue { issued_at, developer, build, ..Issue::default() };
        ear.give(Box::new(atls_ear { verdict, issue }));
        Ok(())
    })
}

/// Frees the builder.
#[unsafe(no_mangle)]
pub extern "C" fn atls_ear_free(ear: Owned<atls_ear>) {
    guard_free(|| destroy(ear));
}

/// Sets when the result ends to hold (`exp`), in seconds since 1970-01-01 UTC: after `issued_at`. By default it says nothing of that. Statuses:
/// NULL_ARGUMENT, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_ear_set_expiry(
    ear: Option<&mut atls_ear>,
    unix_seconds: u64,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let issue = &mut borrow_mut(ear, "ear")?.issue;
        if unix_seconds <= issue.issued_at {
            return Err(invalid(format!("{unix_seconds} is not after issued_at, {}", issue.issued_at)));
        }
        issue.expires = Some(unix_seconds);
        Ok(())
    })
}

/// Sets the nonce of the party that asks for the result (`eat_nonce`), 8 to 64 bytes, by which it knows that the result is fresh. It is not the nonce that
/// the evidence answered. By default there is none. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_ear_set_nonce(
    ear: Option<&mut atls_ear>,
    nonce: c_bytes,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let issue = &mut borrow_mut(ear, "ear")?.issue;
        let nonce = bytes(nonce, "nonce")?;
        if !(8..=64).contains(&nonce.len()) {
            return Err(invalid(format!("a nonce of {} bytes is not within 8..64", nonce.len())));
        }
        issue.nonce = Some(nonce.to_vec());
        Ok(())
    })
}

/// Sets who answers for the verifier and what it is (`ear_verifier_id`); by default the library and its version.
/// `developer`: who is responsible for it, for example "https://verifier.example".
/// `build`: the program and its version.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (empty).
#[unsafe(no_mangle)]
pub extern "C" fn atls_ear_set_verifier(
    ear: Option<&mut atls_ear>,
    developer: c_text,
    build: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let issue = &mut borrow_mut(ear, "ear")?.issue;
        let (developer, build) = (filled(developer, "developer")?, filled(build, "build")?);
        (issue.developer, issue.build) = (developer, build);
        Ok(())
    })
}

/// Adds the name of a policy that was applied (`ear_appraisal_policy_ids`), in general a URI. By default none is named. Statuses: NULL_ARGUMENT,
/// INVALID_UTF8, INVALID_ARGUMENT (empty).
#[unsafe(no_mangle)]
pub extern "C" fn atls_ear_add_policy_id(
    ear: Option<&mut atls_ear>,
    id: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let issue = &mut borrow_mut(ear, "ear")?.issue;
        issue.policies.push(filled(id, "id")?);
        Ok(())
    })
}

/// Writes the claims set, as JSON, to a new buffer. It is not signed: it is worth as much as the way by which it travels. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_ear_claims(
    ear: Option<&atls_ear>,
    json: Out<*mut atls_buf>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let json = require(json, "json")?;
        json.write(text_buf(borrow(ear, "ear")?.claims().to_string()));
        Ok(())
    })
}

/// Signs the result and writes it as a JSON Web Token in compact form (RFC 7519) to a new buffer.
/// `key`: a private key of P-256, which signs by ES256, or of P-384, by ES384; in PKCS#8, PEM or DER, not encrypted. It is not kept.
/// `key_id`: names the key to those who verify (`kid`). May be NULL, for no name.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (the key).
#[unsafe(no_mangle)]
pub extern "C" fn atls_ear_sign(
    ear: Option<&atls_ear>,
    key: c_bytes,
    key_id: c_text,
    token: Out<*mut atls_buf>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let token = require(token, "token")?;
        let (ear, key_id) = (borrow(ear, "ear")?, optional_text(key_id, "key_id")?);
        let key = SigningKey::read(bytes(key, "key")?).map_err(|why| invalid(format!("key: {why}")))?;
        let input = signing_input(&ear.claims(), key.algorithm, key_id);
        let signature = key.sign(&input).map_err(|why| Error::new(Status::Internal, why))?;
        token.write(text_buf(join(&input, &signature)));
        Ok(())
    })
}

/// For a key that the program cannot hand over, in a security module or a service: writes what has to be signed to a new buffer. The bytes are the
/// same at each call until the result is changed. atls_ear_sign_with makes the token of the signature.
/// `key_id`: as for atls_ear_sign. May be NULL.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (the algorithm).
#[unsafe(no_mangle)]
pub extern "C" fn atls_ear_signing_input(
    ear: Option<&atls_ear>,
    algorithm: atls_ear_algorithm,
    key_id: c_text,
    input: Out<*mut atls_buf>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let input = require(input, "input")?;
        let (ear, key_id) = (borrow(ear, "ear")?, optional_text(key_id, "key_id")?);
        input.write(text_buf(signing_input(&ear.claims(), known(algorithm)?, key_id)));
        Ok(())
    })
}

/// Writes the token that consists of the input which atls_ear_signing_input gave for the same arguments, and its signature, to a new buffer. The signature is
/// not verified.
/// `signature`: both numbers of the ECDSA signature, one after the other, as RFC 7518 has it: not in DER.
/// `key_id`: as for atls_ear_signing_input. May be NULL.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (the algorithm, or a signature of another length).
#[unsafe(no_mangle)]
pub extern "C" fn atls_ear_sign_with(
    ear: Option<&atls_ear>,
    algorithm: atls_ear_algorithm,
    key_id: c_text,
    signature: c_bytes,
    token: Out<*mut atls_buf>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let token = require(token, "token")?;
        let (ear, key_id, algorithm) = (borrow(ear, "ear")?, optional_text(key_id, "key_id")?, known(algorithm)?);
        let signature = bytes(signature, "signature")?;
        let wanted = algorithm.signature_length();
        if signature.len() != wanted {
            let why = format!("a signature of {} bytes, and one of {} has {wanted}", signature.len(), algorithm.name());
            return Err(invalid(why));
        }
        token.write(text_buf(join(&signing_input(&ear.claims(), algorithm, key_id), signature)));
        Ok(())
    })
}

impl atls_ear {
    fn claims(&self) -> serde_json::Value {
        claims(&self.verdict, &self.issue)
    }
}

fn text_buf(text: String) -> *mut atls_buf {
    atls_buf::into_raw(text.into())
}

fn known(algorithm: atls_ear_algorithm) -> Result<Algorithm> {
    match algorithm {
        ATLS_EAR_ES256 => Ok(Algorithm::Es256),
        ATLS_EAR_ES384 => Ok(Algorithm::Es384),
        other => Err(invalid(format!("algorithm {other} is none of ATLS_EAR_*"))),
    }
}

fn filled(given: c_text, what: &str) -> Result<String> {
    match text(given, what)? {
        "" => Err(invalid(format!("{what} is empty"))),
        text => Ok(text.to_owned()),
    }
}

fn invalid(why: impl Into<String>) -> Error {
    Error::new(Status::InvalidArgument, why)
}
