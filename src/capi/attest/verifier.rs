//! `atls_verifier`: the collateral store and trust anchors that connections share.

use std::path::Path;
use std::sync::Arc;

use crate::attest::{TrustAnchors, Vendor};
use crate::capi::base::arguments::{Counted, Out, Owned, bytes, c_bytes, c_text, filled, optional_text, require, text};
use crate::capi::base::bytes::atls_buf;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::{guard, guard_free};
use crate::capi::base::handle::{Handle, add_ref, borrow_mut, destroy, release, share};
use crate::capi::base::status::atls_status;
use crate::capi::connect::config::atls_config;
use crate::connect::Route;
use crate::tls::{Trust, client_config};
use crate::verifier::Verifier;

/// Settings of a verifier. A builder: one thread at a time.
#[derive(Default)]
pub struct atls_verifier_config {
    anchors: TrustAnchors,
    trust: Trust,
    disk: Option<String>,
    way: Option<Arc<Route>>,
}

impl Handle for atls_verifier_config {
    type Owner = Box<atls_verifier_config>;
}

/// Caches collateral, the vendor's documents, for the connections that share it: each document is fetched once, refreshed before it expires, and
/// never used after that. The sources of a policy (if it names none, those of atls_policy_new) are asked in order until one has a document that the
/// vendor signed and that is valid now; if none has, the error says what was wrong with each. Documents are fetched only for evidence that a genuine
/// platform signed for the session in question, at most 20 requests per second to one source after a burst of 100. A bad answer is remembered for 30
/// seconds, and an answer that there is no such document for 60. A source that answers 429, or 503 with Retry-After, is left alone for as long as it
/// says, at most a day. Reference-counted; safe to share between threads and runtimes.
pub struct atls_verifier {
    pub(crate) verifier: Arc<Verifier>,
}

impl Handle for atls_verifier {
    type Owner = Arc<atls_verifier>;
}

/// Creates a configuration that trusts the vendor's own root and the built-in web roots. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verifier_config_new(
    config: Out<*mut atls_verifier_config>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let config = require(config, "config")?;
        config.give(Box::default());
        Ok(())
    })
}

/// Frees the builder.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verifier_config_free(config: Owned<atls_verifier_config>) {
    guard_free(|| destroy(config));
}

/// Also trusts these roots (PEM) for the HTTPS of collateral services. Statuses: NULL_ARGUMENT, INVALID_UTF8.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verifier_config_add_root_pem(
    config: Option<&mut atls_verifier_config>,
    pem: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let pem = text(pem, "pem")?.to_owned();
        borrow_mut(config, "config")?.trust.roots.extra_pem.push(pem);
        Ok(())
    })
}

/// For tests: quotes must lead to this simulator's root (DER) instead of Intel's, and each policy must consent with `"allow_simulated": true`.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verifier_config_set_simulated_root(
    config: Option<&mut atls_verifier_config>,
    root_der: c_bytes,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let root = filled(root_der, "root_der")?;
        borrow_mut(config, "config")?.anchors.add_simulated(Vendor::Intel, root.to_vec());
        Ok(())
    })
}

/// For tests, as atls_verifier_config_set_simulated_root for any vendor; the arguments are those of atls_verification_add_simulated_root. Statuses:
/// NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verifier_config_add_simulated_root(
    config: Option<&mut atls_verifier_config>,
    vendor: c_text,
    pem: c_bytes,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let (vendor, root) = (text(vendor, "vendor")?, bytes(pem, "pem")?);
        Ok(borrow_mut(config, "config")?.anchors.read_simulated(vendor, root)?)
    })
}

/// Sets how collateral services are reached: like the connections of `route`, through its tunnel or proxy, from its local address, with its address
/// family, mapped hosts and resolver. Its host, port, policy and roots are ignored. If it has none of these settings, services are dialled directly.
/// A proxy is asked to CONNECT; a tunnel gets the service as its target. If they refuse, or if the tunnel's URL names a target itself, that is
/// COLLATERAL_UNAVAILABLE.
/// `route`: copied, so later changes have no effect. May be NULL, the default: collateral takes the route of the connection whose evidence is judged;
/// servers, which have none, dial directly.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT and INVALID_STATE as when connecting.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verifier_config_set_route(
    config: Option<&mut atls_verifier_config>,
    route: Option<&atls_config>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let way = match route {
            Some(route) => Some(Arc::new(route.config.connector()?.route()?)),
            None => None,
        };
        borrow_mut(config, "config")?.way = way;
        Ok(())
    })
}

/// Also keeps documents in a folder, one file for each document and source, for other processes and later runs. Policies with `cache_collateral` then
/// need no fetch at startup, and a document older than one seen before is not used again. Several processes may share a folder; a document is never
/// replaced by an older one. A damaged file counts as missing and is replaced.
/// `folder`: created if it is missing. May be NULL, for none.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verifier_config_set_disk_cache(
    config: Option<&mut atls_verifier_config>,
    folder: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let folder = optional_text(folder, "folder")?.map(str::to_owned);
        borrow_mut(config, "config")?.disk = folder;
        Ok(())
    })
}

/// Creates a verifier.
/// `config`: may be NULL, for the defaults.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (a root that cannot be parsed), IO (the disk cache).
#[unsafe(no_mangle)]
pub extern "C" fn atls_verifier_new(
    config: Option<&atls_verifier_config>,
    verifier: Out<*mut atls_verifier>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let verifier = require(verifier, "verifier")?;
        let defaults = atls_verifier_config::default();
        let config = config.unwrap_or(&defaults);
        let (anchors, tls) = (config.anchors.clone(), client_config(&config.trust)?);
        let mut made = Verifier::new(anchors, tls);
        if let Some(way) = &config.way {
            made = made.by_way(way.clone());
        }
        if let Some(folder) = &config.disk {
            made = made.with_disk(Path::new(folder))?;
        }
        verifier.give(Arc::new(atls_verifier { verifier: Arc::new(made) }));
        Ok(())
    })
}

/// Exports all documents as one JSON object in a new buffer, for a machine that cannot reach the vendor. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verifier_export(
    verifier: Counted<atls_verifier>,
    bundle: Out<*mut atls_buf>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let bundle = require(bundle, "bundle")?;
        let text = share(verifier, "verifier")?.verifier.store.export();
        bundle.write(atls_buf::into_raw(text.into()));
        Ok(())
    })
}

/// Imports the documents of a bundle that are newer than the ones already held; they count for every policy, whatever sources it names. A bundle with
/// one bad entry, such as a document that the vendor did not sign, changes nothing.
/// `taken`: how many were imported. May be NULL.
/// Statuses: NULL_ARGUMENT, COLLATERAL_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verifier_import(
    verifier: Counted<atls_verifier>,
    bundle: c_bytes,
    taken: Out<usize>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let text = bytes(bundle, "bundle")?;
        let count = share(verifier, "verifier")?.verifier.store.import(text)?;
        if let Some(taken) = taken.get() {
            taken.write(count);
        }
        Ok(())
    })
}

/// Adds a reference and returns `verifier`; NULL for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verifier_ref(verifier: Counted<atls_verifier>) -> *mut atls_verifier {
    add_ref(verifier)
}

/// Drops a reference.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verifier_free(verifier: Owned<atls_verifier>) {
    guard_free(|| release(verifier));
}
