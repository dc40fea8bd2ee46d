//! `atls_server`: an HTTP server that listens, stops and counts.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::config::atls_server_config;
use super::config_tls::identity;
use super::request::atls_server_request;
use crate::capi::base::arguments::{Counted, Out, Owned, Place, c_text, optional_text, require};
use crate::capi::base::c_bool::c_bool;
use crate::capi::base::error::atls_error;
use crate::capi::base::event::{HostEvent, Posted, atls_sink};
use crate::capi::base::guard::{guard, guard_free, guard_value, watch_forks};
use crate::capi::base::handle::{Handle, add_ref, borrow, release, share, share_hub};
use crate::capi::base::operation::Operation;
use crate::capi::base::runtime::atls_runtime;
use crate::capi::base::status::atls_status;
use crate::error::Result;
use crate::io::turn::in_turn;
use crate::server::{Server, ServerEvent, ServerSettings, bind, server_task};

/// An HTTP server, with or without TLS. Its sink gets a REQUEST event for each request, and CLOSED
/// once the server has stopped and its last connection has ended. Reference-counted, safe to share
/// between threads. Dropping the last reference closes the server.
pub struct atls_server {
    pub(in crate::capi) server: Arc<Server>,
    pub(in crate::capi) runtime: Arc<atls_runtime>,
}

impl Handle for atls_server {
    type Owner = Arc<atls_server>;
}

impl Drop for atls_server {
    fn drop(&mut self) {
        self.server.close();
    }
}

impl HostEvent for ServerEvent {
    fn show(self, posted: &mut Posted) -> u32 {
        match self {
            ServerEvent::Request(inner) => {
                let request = atls_server_request::new(inner);
                let head = request.head();
                posted.show_request(request, head)
            }
            ServerEvent::Refused(error) => posted.show_refused(error),
            ServerEvent::Closed(error) => posted.show_closed(error),
        }
    }
}

/// Creates a server that does not listen yet: call atls_server_listen, or another function that gives it connections, next. Its events go to `sink`.
/// `config`: copied.
/// Statuses: NULL_ARGUMENT, INVALID_STATE (queue or runtime stopped; evidence without a certificate).
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_start(
    runtime: Counted<atls_runtime>,
    config: Option<&atls_server_config>,
    sink: Option<&atls_sink>,
    server: Out<*mut atls_server>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let server = require(server, "server")?;
        let runtime = share_hub(runtime, "runtime")?;
        let settings = borrow(config, "config")?.settings.clone();
        start(runtime, settings, sink, server)
    })
}

/// Starts a server that does not listen yet.
pub(in crate::capi) fn start(
    runtime: Arc<atls_runtime>,
    settings: ServerSettings,
    sink: Option<&atls_sink>,
    place: Place<*mut atls_server>,
) -> Result<()> {
    watch_forks();
    let operation = Operation::new(sink, &runtime.registry)?;
    let shared = Arc::new(Server::new(settings, operation.clone())?);
    let made = Arc::new(atls_server { server: shared.clone(), runtime: runtime.clone() });
    let registration = operation.register(&made, &shared)?;
    // Written before the first event can run, which happens at once if the runtime is stopped.
    place.give(made);
    runtime.handle().spawn(in_turn(server_task(shared, registration.begin())));
    Ok(())
}

/// Listens on a TCP port. May be called several times. The calling thread blocks while a name is
/// resolved.
/// `address`: an IPv4 or IPv6 address; or a name, for those of its addresses that this machine has.
/// It may be NULL, for all addresses of this machine.
/// `port`: 0 lets the system choose a port, the same for all addresses.
/// `reuse_port`: shares the port with other processes that set it too.
/// `bound`: the port; may be NULL.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_STATE (the server was stopped), WOULD_DEADLOCK (a
/// name, on a thread of the library), DNS, IO.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_listen(
    server: Counted<atls_server>,
    address: c_text,
    port: u16,
    reuse_port: c_bool,
    bound: Out<u16>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let this = share(server, "server")?;
        let address = optional_text(address, "address")?;
        this.server.check_running()?;
        let listeners = bind(address, port, reuse_port.get(), this.server.settings.limits.backlog)?;
        if let (Some(first), Some(bound)) = (listeners.first(), bound.get()) {
            bound.write(first.port()?);
        }
        listeners.into_iter().for_each(|listener| this.start_accepting(listener));
        Ok(())
    })
}

/// Uses this certificate for new connections, except for names that have one of their own. Open
/// connections are not affected.
/// `chain_pem`: the certificate chain, leaf first.
/// `key_pem`: the private key of the leaf.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT, INVALID_STATE (the server has no TLS).
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_set_certificate(
    server: Counted<atls_server>,
    chain_pem: c_text,
    key_pem: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let identity = identity(chain_pem, key_pem)?;
        share(server, "server")?.server.set_identity(identity)
    })
}

/// Stops listening and closes idle connections; requests under way run to their end. Then comes
/// CLOSED.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_stop(server: Counted<atls_server>, error: Out<*mut atls_error>) -> atls_status {
    guard(error, || {
        share(server, "server")?.server.stopping.cancel();
        Ok(())
    })
}

/// Like atls_server_stop; whatever is left after the timeout is ended as by atls_server_close.
/// Returns at once: keep the runtime until CLOSED.
/// `timeout_ms`: 30 seconds by default.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_drain(
    server: Counted<atls_server>,
    timeout_ms: u32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let this = share(server, "server")?;
        let limit = crate::capi::base::limit(timeout_ms, Duration::from_secs(30));
        this.server.drain(limit, this.runtime.handle());
        Ok(())
    })
}

/// Closes the server now. Requests under way end with CANCELED and ATLS_DETAIL_SERVER_CLOSED. Then
/// comes CLOSED.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_close(server: Counted<atls_server>, error: Out<*mut atls_error>) -> atls_status {
    guard(error, || {
        share(server, "server")?.server.close();
        Ok(())
    })
}

/// What a server counts (atls_server_count).
pub type atls_server_counter = u32;

/// Connections that are open now.
pub const ATLS_SERVER_COUNT_CONNECTIONS: atls_server_counter = 301;
/// Connections accepted since the server was started.
pub const ATLS_SERVER_COUNT_CONNECTIONS_ACCEPTED: atls_server_counter = 302;
/// Connections closed because of a limit.
pub const ATLS_SERVER_COUNT_CONNECTIONS_REFUSED: atls_server_counter = 303;
/// Requests delivered to the host.
pub const ATLS_SERVER_COUNT_REQUESTS: atls_server_counter = 304;
/// Requests refused before they were delivered.
pub const ATLS_SERVER_COUNT_REQUESTS_REFUSED: atls_server_counter = 305;
/// Requests for evidence.
pub const ATLS_SERVER_COUNT_EVIDENCE: atls_server_counter = 306;
/// Tunnel servers only: connections that were forwarded.
pub const ATLS_SERVER_COUNT_TUNNELS: atls_server_counter = 307;
/// Tunnel servers only: bytes from clients to targets.
pub const ATLS_SERVER_COUNT_BYTES_UP: atls_server_counter = 308;
/// Tunnel servers only: bytes from targets to clients.
pub const ATLS_SERVER_COUNT_BYTES_DOWN: atls_server_counter = 309;
/// TLS handshakes that failed: refused by either side, abandoned, or too slow.
pub const ATLS_SERVER_COUNT_HANDSHAKES_FAILED: atls_server_counter = 310;

/// Reads a counter; 0 for NULL, or if the counter is unknown.
/// `which`: ATLS_SERVER_COUNT_*.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_count(server: Option<&atls_server>, which: atls_server_counter) -> u64 {
    guard_value(0, || {
        let Ok(this) = borrow(server, "server") else { return 0 };
        let counts = &this.server.counts;
        match which {
            ATLS_SERVER_COUNT_CONNECTIONS => this.server.connections() as u64,
            ATLS_SERVER_COUNT_CONNECTIONS_ACCEPTED => counts.accepted.load(Ordering::Relaxed),
            ATLS_SERVER_COUNT_CONNECTIONS_REFUSED => counts.turned_away.load(Ordering::Relaxed),
            ATLS_SERVER_COUNT_REQUESTS => counts.requests.load(Ordering::Relaxed),
            ATLS_SERVER_COUNT_REQUESTS_REFUSED => counts.refused.load(Ordering::Relaxed),
            ATLS_SERVER_COUNT_HANDSHAKES_FAILED => counts.handshakes_failed.load(Ordering::Relaxed),
            ATLS_SERVER_COUNT_TUNNELS => counts.tunnels.load(Ordering::Relaxed),
            ATLS_SERVER_COUNT_BYTES_UP => counts.flow.up.load(Ordering::Relaxed),
            ATLS_SERVER_COUNT_BYTES_DOWN => counts.flow.down.load(Ordering::Relaxed),
            ATLS_SERVER_COUNT_EVIDENCE => counts.quotes.load(Ordering::Relaxed),
            _ => 0,
        }
    })
}

/// Adds a reference; returns `server`.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_ref(server: Counted<atls_server>) -> *mut atls_server {
    add_ref(server)
}

/// Drops a reference. The last one closes the server.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_free(server: Owned<atls_server>) {
    guard_free(|| release(server));
}
