//! `atls_config`: where to connect, and what must hold there.

use std::sync::Arc;

use crate::capi::attest::policy::atls_policy;
use crate::capi::attest::verifier::atls_verifier;
use crate::capi::base::arguments::{Out, Owned, c_text, optional_text, require};
use crate::capi::base::c_bool::c_bool;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::{guard, guard_free};
use crate::capi::base::handle::{Handle, borrow, borrow_mut, destroy};
use crate::capi::base::status::atls_status;
use crate::capi::text::head::http_versions;
use crate::connect::{ConnectBuilder, PHASE_TIMEOUT, WHOLE_TIMEOUT};
use crate::error::{Error, Status};

/// Default receive credit, in bytes.
const DEFAULT_CREDIT: u64 = 256 << 10;

/// Where to connect, and what must hold there. A builder: one thread at a time. Use the same one for all connections to a server, so that the TLS
/// configuration is made only once.
pub struct atls_config {
    pub(in crate::capi) config: ConnectBuilder,
    pub(crate) credit: u64,
    pub(crate) automatic_credit: bool,
}

impl Handle for atls_config {
    type Owner = Box<atls_config>;
}

impl atls_config {
    fn with(config: ConnectBuilder) -> atls_config {
        atls_config { config, credit: DEFAULT_CREDIT, automatic_credit: true }
    }

    /// The defaults, without a host.
    pub(in crate::capi) fn anywhere() -> atls_config {
        atls_config::with(ConnectBuilder::anywhere())
    }
}

/// Creates a configuration for a server. Connecting answers INVALID_STATE until it has a policy, and also if it has no host.
/// `host`: name or address. May be NULL, with a `port` of 0, if none is needed: for a client, whose requests name their hosts, and for the route of a
/// verifier.
/// `port`: 1 to 65535.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_config_new(
    host: c_text,
    port: u16,
    config: Out<*mut atls_config>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let config = require(config, "config")?;
        let made = match optional_text(host, "host")? {
            Some(host) => ConnectBuilder::new(host, port)?,
            None if port != 0 => {
                return Err(Error::new(Status::InvalidArgument, format!("port is {port}, and host is NULL")));
            }
            None => ConnectBuilder::anywhere(),
        };
        let made = atls_config::with(made);
        config.give(Box::new(made));
        Ok(())
    })
}

/// Frees the builder.
#[unsafe(no_mangle)]
pub extern "C" fn atls_config_free(config: Owned<atls_config>) {
    guard_free(|| destroy(config));
}

/// Sets the policy that the server must satisfy. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_config_set_policy(
    config: Option<&mut atls_config>,
    policy: Option<&atls_policy>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let policy = Arc::new(borrow(policy, "policy")?.policy.clone());
        borrow_mut(config, "config")?.config.set_policy(policy);
        Ok(())
    })
}

/// Removes the policy without allowing unattested connections: for a client whose policies are set for each host by atls_client_set_policy, so that
/// it talks to no other host. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_config_clear_policy(
    config: Option<&mut atls_config>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        borrow_mut(config, "config")?.config.clear_policy();
        Ok(())
    })
}

/// Connects with ordinary TLS and without attestation, and removes the policy. Such a connection proves nothing about what runs at the other end, and
/// its verdict is NULL. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_config_set_unattested(
    config: Option<&mut atls_config>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        borrow_mut(config, "config")?.config.set_unattested();
        Ok(())
    })
}

/// Sets the verifier, whose collateral connections then share; the configuration keeps a reference. Without one, each connection fetches its own
/// collateral. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_config_set_verifier(
    config: Option<&mut atls_config>,
    verifier: Option<&atls_verifier>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let verifier = borrow(verifier, "verifier")?.verifier.clone();
        borrow_mut(config, "config")?.config.set_verifier(verifier);
        Ok(())
    })
}

/// Sets the deadlines for connecting (DNS, TCP, tunnel) and for the TLS handshake, 20 seconds each by default. Each evidence exchange has a deadline
/// of its own in the policy; atls_config_set_deadline bounds them all together. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_config_set_timeouts(
    config: Option<&mut atls_config>,
    connect_ms: u32,
    tls_ms: u32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let timeouts = &mut borrow_mut(config, "config")?.config.change().timeouts;
        timeouts.connect = crate::capi::base::limit(connect_ms, PHASE_TIMEOUT);
        timeouts.tls = crate::capi::base::limit(tls_ms, PHASE_TIMEOUT);
        Ok(())
    })
}

/// Sets the deadline for a connection as a whole, 90 seconds by default: DNS, TCP, tunnel or proxy, TLS, the evidence exchanges and the waits between
/// them, collateral, and a second attempt if the server has just renewed its certificate. When it passes, connecting ends with TIMED_OUT and
/// ATLS_DETAIL_CONNECT_TIMEOUT, and atls_error_phase is the phase that it was in. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_config_set_deadline(
    config: Option<&mut atls_config>,
    whole_ms: u32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        borrow_mut(config, "config")?.config.change().timeouts.whole =
            crate::capi::base::limit(whole_ms, WHOLE_TIMEOUT);
        Ok(())
    })
}

/// Sets which versions of HTTP the connections of an atls_client may speak; HTTP/1.1 alone by
/// default. Both are offered in the handshake (ALPN), HTTP/2 first, and the server chooses; a server
/// that chooses nothing speaks HTTP/1.1, and one that speaks none of them is TLS_HANDSHAKE. http: URLs
/// need HTTP/1.1. atls_http, streams and upgrades always use HTTP/1.1 or bytes of their own, and offer
/// http/1.1 whatever is set here.
///
/// Over HTTP/2 requests to the same host under the same policy and configuration share a connection,
/// and so one attestation: the first request makes it, and those that come meanwhile wait for it. If it
/// fails, each of them fails with that error. Nothing is sent on it but requests for evidence, until
/// the verdict is trusted. Then:
/// - Up to 100 requests are under way on a connection, or as many as the server allows; for more,
///   another connection is made. A server that allows none at all when it has proved itself is BUSY for
///   all that wait for it. atls_client_limits counts requests as it does over HTTP/1.1.
/// - Canceling an exchange resets its stream, and the others go on. The end of the trust ends the
///   connection and everything on it.
/// - The server may send 256 KiB of a response before the host has taken any (atls_config_set_credit),
///   and sends no more until then; no response takes the room of another. But about 50,000 frames of a
///   few bytes each that no host has taken, of all responses together, end the connection, and what it
///   carries, with HTTP_PROTOCOL.
/// - A response that ends, and its connection with it, before all of its request is sent may be told as
///   failed.
/// - A request that the server says it has not looked at (GOAWAY, REFUSED_STREAM) is sent again, up to
///   three times, if its body can be: ATLS_DETAIL_NOT_PROCESSED otherwise. One whose stream it resets
///   fails with ATLS_DETAIL_STREAM_RESET.
/// - Header fields that are about an HTTP/1.1 connection (Connection and what it names, Keep-Alive,
///   Proxy-Connection, TE other than "trailers") are not sent; all names are sent in lower case.
///
/// `versions`: ATLS_HTTP_VERSION_1_1, which includes HTTP/1.0, or ATLS_HTTP_VERSION_2, or both as one
/// set; 0 is the default.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (another version).
#[unsafe(no_mangle)]
pub extern "C" fn atls_config_set_http_versions(
    config: Option<&mut atls_config>,
    versions: u32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let config = borrow_mut(config, "config")?;
        config.config.change().http_versions = http_versions(versions)?;
        Ok(())
    })
}

/// Sets the receive credit of event-driven handles. The default is 256 KiB, automatic.
/// `initial`: bytes to begin with; 0 holds everything back.
/// `automatic`: whether the bytes of an event are granted again once the host is done with it.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_config_set_credit(
    config: Option<&mut atls_config>,
    initial: u64,
    automatic: c_bool,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let config = borrow_mut(config, "config")?;
        config.credit = initial;
        config.automatic_credit = automatic.get();
        Ok(())
    })
}
