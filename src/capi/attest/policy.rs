//! `atls_policy`: a validated policy document.

use std::sync::Arc;

use crate::attest::Policy;
use crate::capi::base::bytes::atls_bytes;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::{guard, guard_free};
use crate::capi::base::handle::{another, bytes, put, release, require};
use crate::capi::base::status::atls_status;

/// A policy. Immutable, reference-counted, safe to share between threads and connections.
pub struct atls_policy {
    pub(crate) policy: Policy,
}

/// Parses and validates a policy, JSON of `len` bytes: a `dstack_tdx` document, or `any_of` with several; docs/policy.md has every field.
/// Unknown fields, empty lists and wrong lengths are errors. Unless the document names collateral services, the vendor's documents are
/// fetched from https://pccs.phala.network. Statuses: NULL_ARGUMENT; POLICY_INVALID with the path of the field and the bad value;
/// UNSUPPORTED for what this version would not enforce.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_policy_new(
    json: atls_bytes,
    policy: *mut *mut atls_policy,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(policy, "policy")?;
        let parsed = Policy::from_json(unsafe { bytes(json, "json") }?)?;
        let shared = Arc::into_raw(Arc::new(atls_policy { policy: parsed }));
        unsafe { put(policy, shared.cast_mut(), "policy") }
    })
}

/// Adds a reference; returns `policy`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_policy_ref(policy: *mut atls_policy) -> *mut atls_policy {
    unsafe { another(policy) }
}

/// Drops a reference.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_policy_free(policy: *mut atls_policy) {
    guard_free(|| unsafe { release(policy) });
}
