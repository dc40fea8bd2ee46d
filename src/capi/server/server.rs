//! `atls_server`: an HTTP server.

use std::ffi::c_char;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::config::atls_server_config;
use super::config_tls::identity;
use super::request::atls_server_request;
use crate::capi::base::c_bool::c_bool;
use crate::capi::base::error::atls_error;
use crate::capi::base::event::{HostEvent, Posted, atls_sink};
use crate::capi::base::guard::{guard, guard_free, guard_value, watch_forks};
use crate::capi::base::handle::{another, borrow, optional_text, put, release, require, share, share_hub};
use crate::capi::base::operation::Operation;
use crate::capi::base::runtime::atls_runtime;
use crate::capi::base::status::atls_status;
use crate::error::Result;
use crate::io::blocking::check_may_block;
use crate::server::{Server, ServerEvent, ServerSettings, bind, is_address, server_task};

/// An HTTP server, in TLS or in the clear. Its sink is told of each request with REQUEST, and with CLOSED once the server has stopped and its
/// last connection has ended. Reference-counted, safe to share between threads; dropping the last reference closes it.
pub struct atls_server {
    pub(in crate::capi) server: Arc<Server>,
    pub(in crate::capi) runtime: Arc<atls_runtime>,
}

impl Drop for atls_server {
    fn drop(&mut self) {
        self.server.close();
    }
}

impl HostEvent for ServerEvent {
    fn show(self, posted: &mut Posted) -> u32 {
        match self {
            ServerEvent::Request(served) => {
                let request = atls_server_request::new(served);
                let head = request.head();
                posted.show_request(request, head)
            }
            ServerEvent::Refused(error) => posted.show_refused(error),
            ServerEvent::Closed(error) => posted.show_closed(error),
        }
    }
}

/// A server that listens nowhere yet. The configuration is copied. Statuses: NULL_ARGUMENT, INVALID_STATE (queue or
/// runtime stopped; evidence, and no certificate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_start(
    runtime: *const atls_runtime,
    config: *const atls_server_config,
    sink: *const atls_sink,
    server: *mut *mut atls_server,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(server, "server")?;
        let runtime = unsafe { share_hub(runtime, "runtime") }?;
        let settings = unsafe { borrow(config, "config") }?.settings.clone();
        unsafe { start(runtime, settings, sink, server) }
    })
}

/// A server that listens nowhere yet.
pub(in crate::capi) unsafe fn start(
    runtime: Arc<atls_runtime>,
    settings: ServerSettings,
    sink: *const atls_sink,
    place: *mut *mut atls_server,
) -> Result<()> {
    watch_forks();
    let operation = unsafe { Operation::new(sink, &runtime.registry) }?;
    let shared = Arc::new(Server::new(settings, operation.observer())?);
    let made = Arc::new(atls_server { server: shared.clone(), runtime: runtime.clone() });
    let registration = operation.register(&made, &shared, Server::close)?;
    // In its place before the first event can run, which a stopped runtime brings at once.
    unsafe { put(place, Arc::into_raw(made).cast_mut(), "server") }?;
    runtime.handle().spawn(server_task(shared, registration.begin()));
    Ok(())
}

/// Listens on `address`: an IPv4 or IPv6 address; a name, for those of its addresses that this machine has; or NULL, for every address of this
/// machine. Port 0 lets the system choose one, the same for all. *bound, which may be NULL, is the port. May be called several times. `reuse_port`
/// shares the port with other processes that set it too. The calling thread waits while a name is looked up. Statuses: NULL_ARGUMENT, INVALID_UTF8,
/// INVALID_STATE (stopped), WOULD_DEADLOCK (a name, on a thread of the library), DNS, IO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_listen(
    server: *const atls_server,
    address: *const c_char,
    port: u16,
    reuse_port: c_bool,
    bound: *mut u16,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let this = unsafe { share(server, "server") }?;
        let address = unsafe { optional_text(address, "address") }?;
        this.check_running()?;
        if address.is_some_and(|name| !is_address(name)) {
            check_may_block()?;
        }
        let listeners = bind(address, port, reuse_port.get(), this.server.settings.limits.backlog)?;
        if let Some(first) = listeners.first().filter(|_| !bound.is_null()) {
            unsafe { put(bound, first.port()?, "bound") }?;
        }
        listeners.into_iter().for_each(|listener| this.start_accepting(listener));
        Ok(())
    })
}

/// Shows this certificate to new connections, except for names that have one of their own; open connections are not affected. Statuses:
/// NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT, INVALID_STATE (the server serves in the clear).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_set_certificate(
    server: *const atls_server,
    chain_pem: *const c_char,
    key_pem: *const c_char,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let identity = unsafe { identity(chain_pem, key_pem) }?;
        unsafe { share(server, "server") }?.server.set_identity(identity)
    })
}

/// Listens no more; connections that wait for a request end, and requests under way go on to their end. Then comes CLOSED. Statuses:
/// NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_stop(server: *const atls_server, error: *mut *mut atls_error) -> atls_status {
    guard(error, || {
        unsafe { share(server, "server") }?.server.stopping.cancel();
        Ok(())
    })
}

/// As atls_server_stop; what is not over after `timeout_ms` (0: 30 seconds) is ended as by atls_server_close. Returns at once: answers under way need
/// the runtime until CLOSED. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_drain(
    server: *const atls_server,
    timeout_ms: u32,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let this = unsafe { share(server, "server") }?;
        this.server.stopping.cancel();
        if let Some(limit) = crate::capi::base::limit(timeout_ms, Duration::from_secs(30)) {
            let server = Arc::downgrade(&this.server);
            this.runtime.handle().spawn(async move {
                tokio::time::sleep(limit).await;
                if let Some(server) = server.upgrade() {
                    server.close();
                }
            });
        }
        Ok(())
    })
}

/// Ends everything now; requests under way end with CANCELED and ATLS_DETAIL_SERVER_CLOSED. Then comes CLOSED. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_close(server: *const atls_server, error: *mut *mut atls_error) -> atls_status {
    guard(error, || {
        unsafe { share(server, "server") }?.server.close();
        Ok(())
    })
}

/// Connections there are now.
pub const ATLS_SERVER_COUNT_CONNECTIONS: u32 = 301;
/// Connections there ever were.
pub const ATLS_SERVER_COUNT_CONNECTIONS_ACCEPTED: u32 = 302;
/// Connections that were turned away at a limit.
pub const ATLS_SERVER_COUNT_CONNECTIONS_REFUSED: u32 = 303;
/// Requests that the host was shown.
pub const ATLS_SERVER_COUNT_REQUESTS: u32 = 304;
/// Requests that were refused before that.
pub const ATLS_SERVER_COUNT_REQUESTS_REFUSED: u32 = 305;
/// Requests for evidence.
pub const ATLS_SERVER_COUNT_EVIDENCE: u32 = 306;
/// Of a tunnel server: connections that were forwarded.
pub const ATLS_SERVER_COUNT_TUNNELS: u32 = 307;
/// Of a tunnel server: bytes from clients to targets.
pub const ATLS_SERVER_COUNT_BYTES_UP: u32 = 308;
/// Of a tunnel server: bytes from targets to clients.
pub const ATLS_SERVER_COUNT_BYTES_DOWN: u32 = 309;
/// TLS handshakes that failed: refused by either side, given up, or too slow.
pub const ATLS_SERVER_COUNT_HANDSHAKES_FAILED: u32 = 310;

/// One of the counts ATLS_SERVER_COUNT_*; 0 for what is not known.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_count(server: *const atls_server, which: u32) -> u64 {
    guard_value(0, || {
        let Ok(this) = (unsafe { borrow(server, "server") }) else { return 0 };
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
pub unsafe extern "C" fn atls_server_ref(server: *mut atls_server) -> *mut atls_server {
    unsafe { another(server) }
}

/// Drops a reference. The last one closes the server.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_free(server: *mut atls_server) {
    guard_free(|| unsafe { release(server) });
}
