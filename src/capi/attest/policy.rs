//! `atls_policy`: a validated policy document.

use std::sync::Arc;

use crate::attest::{Policy, measuring_policy};
use crate::capi::base::arguments::{Counted, Out, Owned, bytes, c_bytes, require};
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::{guard, guard_free};
use crate::capi::base::handle::{Handle, add_ref, release};
use crate::capi::base::status::atls_status;

/// A policy: what a peer must prove. Immutable and reference-counted; safe to share between threads and connections.
pub struct atls_policy {
    pub(crate) policy: Policy,
}

impl Handle for atls_policy {
    type Owner = Arc<atls_policy>;
}

/// Parses and validates a policy: one member, such as a `dstack_tdx` or `snp` document, or `any_of` with several (docs/policy.md). Unknown fields,
/// empty lists and wrong lengths are errors. Unless the document names collateral services, Intel's documents are fetched from
/// https://pccs.phala.network and AMD's from https://kdsintf.amd.com. Statuses: NULL_ARGUMENT; POLICY_INVALID with the path of the field and the bad
/// value; UNSUPPORTED for rules that this version could not enforce.
#[unsafe(no_mangle)]
pub extern "C" fn atls_policy_new(
    json: c_bytes,
    policy: Out<*mut atls_policy>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let policy = require(policy, "policy")?;
        let parsed = Policy::from_json(bytes(json, "json")?)?;
        policy.give(Arc::new(atls_policy { policy: parsed }));
        Ok(())
    })
}

/// Creates a policy that nothing satisfies, to see what a server is before there is a policy for it. Connecting under it fetches evidence and the vendor's
/// documents, judges both, sends none of the program's data, and always fails: with ONLY_MEASURED if nothing else is wrong. atls_error_verdict then has the
/// verdict, of which atls_verdict_draft_policy makes a policy. atls_verify under it gives the same verdict of stored evidence, never a favourable one.
///
/// Evidence of every kind is asked for, by exporter-v1 or else atlas-v1, and by exporter-v1 of devices beside the machine. A server whose evidence depends on who asks may show
/// another machine later.
///
/// `settings`: a JSON object with any of the members `version`, `binding`, `identity` (without `require_key_event`), `collateral`, `ra_tls` and `allow_simulated` of
/// a policy; or no bytes, for the defaults. Evidence that none of the protocols under `binding` carries is not asked for.
///
/// Statuses: NULL_ARGUMENT; POLICY_INVALID with the path of the field and the bad value; UNSUPPORTED.
#[unsafe(no_mangle)]
pub extern "C" fn atls_policy_new_measuring(
    settings: c_bytes,
    policy: Out<*mut atls_policy>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let policy = require(policy, "policy")?;
        policy.give(Arc::new(atls_policy { policy: measuring_policy(bytes(settings, "settings")?)? }));
        Ok(())
    })
}

/// Adds a reference and returns `policy`; NULL for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn atls_policy_ref(policy: Counted<atls_policy>) -> *mut atls_policy {
    add_ref(policy)
}

/// Drops a reference.
#[unsafe(no_mangle)]
pub extern "C" fn atls_policy_free(policy: Owned<atls_policy>) {
    guard_free(|| release(policy));
}
