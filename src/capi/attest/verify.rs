//! Offline verification: evidence, collateral, policy and time in, verdict out. No network, no clock.

use std::ffi::c_char;
use std::sync::Arc;

use super::evidence;
use super::evidence::atls_attester;
use super::policy::atls_policy;
use super::verdict::atls_verdict;
use crate::attest::tdx::TdxEvidence;
use crate::attest::{AppraisalRequest, Binding, Documents, Evidence, Policy, TrustAnchors, Vendor, appraise, tdx};
use crate::capi::base::bytes::atls_bytes;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::{guard, guard_free};
use crate::capi::base::handle::{borrow, borrow_mut, bytes, destroy, optional_text, put, require};
use crate::capi::base::status::atls_status;
use crate::error::{Error, Phase, Result, Status};

/// A question for the verifier, put together piece by piece. A builder: one thread at a time.
#[derive(Default)]
pub struct atls_verification {
    evidence: Option<Evidence>,
    documents: Option<Documents>,
    policy: Option<Policy>,
    anchors: TrustAnchors,
    binding: Option<Binding>,
    time: Option<u64>,
}

/// An empty question. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_verification_new(
    verification: *mut *mut atls_verification,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(verification, "verification")?;
        unsafe { put(verification, Box::into_raw(Box::default()), "verification") }
    })
}

/// Frees the builder.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_verification_free(verification: *mut atls_verification) {
    guard_free(|| unsafe { destroy(verification) });
}

/// The evidence, as JSON: an answer of `POST /tdx_quote` or the guest agent's object with `quote` (hex) and `event_log`. Copied.
/// Statuses: NULL_ARGUMENT, EVIDENCE_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_verification_set_evidence_json(
    verification: *mut atls_verification,
    json: atls_bytes,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let target = unsafe { borrow_mut(verification, "verification") }?;
        let evidence = TdxEvidence::from_json(unsafe { bytes(json, "json") }?);
        let evidence = evidence.map_err(|why| invalid(Status::EvidenceInvalid, "evidence", why))?;
        target.evidence = Some(evidence.into());
        Ok(())
    })
}

/// The evidence, as a binary quote and the JSON text of its event log. NULL for a stored quote of which there is no log: that is
/// judged only without session binding and under a policy that names no application. Copied. Statuses: NULL_ARGUMENT,
/// INVALID_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_verification_set_quote(
    verification: *mut atls_verification,
    quote: atls_bytes,
    event_log: atls_bytes,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let target = unsafe { borrow_mut(verification, "verification") }?;
        let log = unsafe { bytes(event_log, "event_log") }?;
        let log = std::str::from_utf8(log).map_err(|e| Error::new(Status::InvalidUtf8, format!("event_log: {e}")))?;
        let evidence = TdxEvidence {
            quote: unsafe { bytes(quote, "quote") }?.to_vec(),
            event_log: (!event_log.ptr.is_null()).then(|| log.to_owned()),
        };
        target.evidence = Some(evidence.into());
        Ok(())
    })
}

/// The vendor's collateral, as JSON (the form that atls_verifier_export_collateral and dcap-qvl write). Copied; a PCK chain in it
/// is ignored, the one in the quote counts. Statuses: NULL_ARGUMENT, COLLATERAL_INVALID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_verification_set_collateral_json(
    verification: *mut atls_verification,
    json: atls_bytes,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let target = unsafe { borrow_mut(verification, "verification") }?;
        let documents = tdx::documents::from_json(unsafe { bytes(json, "json") }?);
        target.documents = Some(documents.map_err(|why| invalid(Status::CollateralInvalid, "collateral", why))?);
        Ok(())
    })
}

/// The policy to judge by. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_verification_set_policy(
    verification: *mut atls_verification,
    policy: *const atls_policy,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let policy = unsafe { borrow(policy, "policy") }?.policy.clone();
        unsafe { borrow_mut(verification, "verification") }?.policy = Some(policy);
        Ok(())
    })
}

/// The time to judge for, in seconds since 1970-01-01 UTC: certificates, CRLs and TCB documents must be valid then. Statuses:
/// NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_verification_set_time(
    verification: *mut atls_verification,
    unix_seconds: u64,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        unsafe { borrow_mut(verification, "verification") }?.time = Some(unix_seconds);
        Ok(())
    })
}

/// The session that the evidence must belong to: the verifier's 32-byte nonce, the 32-byte TLS exporter value (label
/// "EXPORTER-Channel-Binding", no context) and the DER of the server's leaf certificate. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_verification_set_session(
    verification: *mut atls_verification,
    nonce: atls_bytes,
    exporter: atls_bytes,
    leaf_der: atls_bytes,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let target = unsafe { borrow_mut(verification, "verification") }?;
        let leaf = unsafe { bytes(leaf_der, "leaf_der") }?;
        if leaf.is_empty() {
            return Err(Error::new(Status::InvalidArgument, "leaf_der is empty"));
        }
        target.binding = Some(Binding::Session {
            nonce: fixed(unsafe { bytes(nonce, "nonce") }?, "nonce")?,
            exporter: fixed(unsafe { bytes(exporter, "exporter") }?, "exporter")?,
            leaf_certificate: leaf.to_vec(),
        });
        Ok(())
    })
}

/// As atls_verification_set_session, for protocol exporter-v1; the arguments are those of atls_compute_exporter_binder. Statuses: NULL_ARGUMENT,
/// INVALID_ARGUMENT, INVALID_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_verification_set_exporter_session(
    verification: *mut atls_verification,
    attester: atls_attester,
    nonce: atls_bytes,
    exporter: atls_bytes,
    server_leaf: atls_bytes,
    client_leaf: atls_bytes,
    server_name: *const c_char,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let target = unsafe { borrow_mut(verification, "verification") }?;
        let values = unsafe { (evidence::of_32(nonce, "nonce")?, evidence::of_32(exporter, "exporter")?) };
        let leaves = unsafe { (bytes(server_leaf, "server_leaf")?, bytes(client_leaf, "client_leaf")?) };
        let name = unsafe { optional_text(server_name, "server_name") }?;
        target.binding = Some(Binding::Exporter(evidence::session(attester, values, leaves, name)?));
        Ok(())
    })
}

/// Judges the evidence alone, whatever session it came from. Never right for deciding whether to talk to a server: anybody can
/// replay evidence. The verdict then says that it is not bound to a session. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_verification_skip_binding(
    verification: *mut atls_verification,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        unsafe { borrow_mut(verification, "verification") }?.binding = Some(Binding::Skip);
        Ok(())
    })
}

/// For tests: quotes must lead to this simulator's root (DER) instead of the vendor's. The policy must consent with
/// `"allow_simulated": true`, else atls_verify answers TRUST_ANCHOR. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_verification_set_simulated_root(
    verification: *mut atls_verification,
    root_der: atls_bytes,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let target = unsafe { borrow_mut(verification, "verification") }?;
        let root = unsafe { bytes(root_der, "root_der") }?;
        if root.is_empty() {
            return Err(Error::new(Status::InvalidArgument, "root_der is empty"));
        }
        target.anchors = TrustAnchors::simulated(Vendor::Intel, root.to_vec());
        Ok(())
    })
}

/// Judges. Pure: the same question has the same answer at any time on any machine; about a millisecond of CPU. OK means that a
/// verdict was reached, not that it is favourable: ask atls_verdict_trusted. Statuses: NULL_ARGUMENT, INVALID_STATE (a piece is
/// missing: evidence, collateral, policy, time, or session or the wish to skip it), TRUST_ANCHOR, UNSUPPORTED (the quote of an SGX enclave).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_verify(
    verification: *const atls_verification,
    verdict: *mut *mut atls_verdict,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(verdict, "verdict")?;
        let question = unsafe { borrow(verification, "verification") }?;
        let reached = appraise(&AppraisalRequest {
            evidence: piece(&question.evidence, "evidence")?,
            documents: piece(&question.documents, "collateral")?,
            policy: piece(&question.policy, "policy")?,
            anchors: &question.anchors,
            binding: piece(&question.binding, "session (or the wish to skip the binding)")?,
            now: *piece(&question.time, "time")?,
        })?;
        unsafe { put(verdict, atls_verdict::into_raw(Arc::new(reached)), "verdict") }
    })
}

fn piece<'a, T>(value: &'a Option<T>, what: &str) -> Result<&'a T> {
    value.as_ref().ok_or_else(|| Error::new(Status::InvalidState, format!("no {what} was set")))
}

pub(in crate::capi) fn fixed<const N: usize>(value: &[u8], what: &str) -> Result<[u8; N]> {
    value
        .try_into()
        .map_err(|_| Error::new(Status::InvalidArgument, format!("{what} has {} bytes, not {N}", value.len())))
}

fn invalid(status: Status, what: &str, why: String) -> Error {
    Error::new(status, format!("{what}: {why}")).phase(Phase::Verify)
}
