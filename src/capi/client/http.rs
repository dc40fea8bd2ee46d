//! `atls_http`: an attested HTTP/1.1 connection with keep-alive, one exchange at a time.

use std::sync::Arc;

use super::exchange::atls_exchange;
use super::request::atls_request;
use crate::capi::attest::verdict::atls_verdict;
use crate::capi::base::arguments::{Counted, Out, Owned, require};
use crate::capi::base::error::atls_error;
use crate::capi::base::event::atls_sink;
use crate::capi::base::guard::{check_random, guard, guard_free, guard_value, watch_forks};
use crate::capi::base::handle::{Handle, add_ref, borrow, release, share, share_hub};
use crate::capi::base::operation::Operation;
use crate::capi::base::runtime::{atls_runtime, prepare_thread};
use crate::capi::base::status::atls_status;
use crate::capi::connect::config::atls_config;
use crate::client::HttpConnection;
use crate::client::blocking_exchange::BlockingExchange;
use crate::client::connection_task::{SharedConnection, run_connection};
use crate::client::exchange_task::Prepared;
use crate::error::{Error, Result, Status};
use crate::io::CallerRuntime;
use crate::io::turn::in_turn;
use crate::operation::Credit;

/// An attested HTTP/1.1 connection with keep-alive. Requests are made one after the other; each
/// response is read to its end before the next request. Event-driven (atls_http_connect_start) or
/// blocking (atls_http_connect). Reference-counted, safe to share between threads. Dropping the
/// last reference closes the connection once its exchange is over.
pub struct atls_http {
    pub(crate) mode: Mode,
    pub(crate) credit: u64,
    pub(crate) automatic_credit: bool,
}

impl Handle for atls_http {
    type Owner = Arc<atls_http>;
}

pub(crate) enum Mode {
    Events { shared: Arc<SharedConnection>, runtime: Arc<atls_runtime> },
    Blocking { driver: Arc<CallerRuntime>, connection: Arc<HttpConnection> },
}

impl atls_http {
    pub(crate) fn connection(&self) -> Result<&Arc<HttpConnection>> {
        match &self.mode {
            Mode::Blocking { connection, .. } => Ok(connection),
            Mode::Events { shared, .. } => shared.connection(),
        }
    }

    fn end(&self) {
        match &self.mode {
            Mode::Events { shared, .. } => shared.cancel.cancel(),
            Mode::Blocking { connection, .. } => connection.closing.cancel(),
        }
    }
}

impl Drop for atls_http {
    fn drop(&mut self) {
        match &self.mode {
            Mode::Events { shared, .. } => shared.retire(),
            Mode::Blocking { connection, .. } => {
                connection.retire();
            }
        }
    }
}

/// Event-driven: connects, and attests the server as the configuration's policy requires. Events:
/// CONNECTED, and CLOSED when the connection has ended, for whatever reason.
/// `config`: copied. Its credit is the initial credit of each exchange.
/// Statuses: as atls_stream_connect_start.
#[unsafe(no_mangle)]
pub extern "C" fn atls_http_connect_start(
    runtime: Counted<atls_runtime>,
    config: Option<&atls_config>,
    sink: Option<&atls_sink>,
    http: Out<*mut atls_http>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let http = require(http, "http")?;
        let runtime = share_hub(runtime, "runtime")?;
        let config = borrow(config, "config")?;
        let target = config.config.target()?;
        let operation = Operation::new(sink, &runtime.registry)?;
        let shared = Arc::new(SharedConnection::default());
        let made = Arc::new(atls_http {
            mode: Mode::Events { shared: shared.clone(), runtime: runtime.clone() },
            credit: config.credit,
            automatic_credit: config.automatic_credit,
        });
        let registration = operation.register(&made, &shared)?;
        http.give(made);
        runtime.handle().spawn(in_turn(run_connection(target, shared, registration.begin())));
        Ok(())
    })
}

/// Blocking: connects and attests the server. Requests are then made with atls_http_fetch; I/O runs
/// on the threads that call.
/// Statuses: as atls_stream_connect.
#[unsafe(no_mangle)]
pub extern "C" fn atls_http_connect(
    config: Option<&atls_config>,
    http: Out<*mut atls_http>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let http = require(http, "http")?;
        let config = borrow(config, "config")?;
        let target = config.config.target()?;
        check_random()?;
        watch_forks();
        let driver = CallerRuntime::new(prepare_thread)?;
        let connection = HttpConnection::open_blocking(&driver, &target)?;
        let made = atls_http {
            mode: Mode::Blocking { driver: Arc::new(driver), connection },
            credit: config.credit,
            automatic_credit: config.automatic_credit,
        };
        http.give(Arc::new(made));
        Ok(())
    })
}

/// The verdict on the server, as a new reference: free it. NULL before CONNECTED, and for an
/// unattested connection. It is the newest one: the server is judged again while the connection is
/// open (docs/policy.md, "Open connections").
#[unsafe(no_mangle)]
pub extern "C" fn atls_http_verdict(http: Option<&atls_http>) -> *mut atls_verdict {
    guard_value(std::ptr::null_mut(), || {
        let connection = borrow(http, "http").ok().and_then(|http| http.connection().ok());
        let verdict = connection.and_then(|connection| connection.verdict());
        verdict.map_or(std::ptr::null_mut(), atls_verdict::into_raw)
    })
}

/// Whether a request can be started now: the connection is established and open, and no exchange is
/// under way.
#[unsafe(no_mangle)]
pub extern "C" fn atls_http_ready(http: Option<&atls_http>) -> bool {
    guard_value(false, || {
        let connection = borrow(http, "http").ok().and_then(|http| http.connection().ok());
        connection.is_some_and(|connection| connection.is_ready())
    })
}

/// Event-driven: starts a request, which is copied. Its events go to `sink`: INFORMATIONAL, HEAD,
/// DATA as credit allows, TRAILERS, END, WRITABLE for a streamed body, and CLOSED.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT, INVALID_STATE (blocking connection; not connected
/// yet; queue stopped), HTTP_HEADER_INVALID, UNSUPPORTED (the method is CONNECT), BUSY (the previous
/// exchange is not over), CLOSED.
#[unsafe(no_mangle)]
pub extern "C" fn atls_http_start(
    http: Counted<atls_http>,
    request: Option<&atls_request>,
    sink: Option<&atls_sink>,
    exchange: Out<*mut atls_exchange>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let exchange = require(exchange, "exchange")?;
        let http = &*share(http, "http")?;
        let request = borrow(request, "request")?;
        let Mode::Events { runtime, .. } = &http.mode else {
            return Err(Error::new(Status::InvalidState, "the connection is blocking"));
        };
        let operation = Operation::new(sink, &runtime.registry)?;
        let credit = Credit::new(http.credit, http.automatic_credit);
        let prepare = |writer| Prepared::on_connection(http.connection()?, &request.request, credit, writer);
        atls_exchange::start(runtime, operation, prepare, exchange)
    })
}

/// Blocking: sends a request and waits for the response head. If the body is a stream, it returns
/// at once instead: write the body with atls_exchange_write_all, end it with atls_exchange_finish,
/// then call atls_exchange_head.
/// Statuses: as atls_http_start, WOULD_DEADLOCK, TIMED_OUT (the request's timeout), IO, TRUNCATED,
/// HTTP_PROTOCOL, TLS_HANDSHAKE.
#[unsafe(no_mangle)]
pub extern "C" fn atls_http_fetch(
    http: Counted<atls_http>,
    request: Option<&atls_request>,
    exchange: Out<*mut atls_exchange>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || fetch(http, request, exchange, true))
}

/// Blocking: like atls_http_fetch, but returns at once. Another thread can cancel the exchange. It
/// makes progress while a thread is in a blocking call on it or on this connection.
/// Statuses: as atls_http_start, and WOULD_DEADLOCK.
#[unsafe(no_mangle)]
pub extern "C" fn atls_http_open(
    http: Counted<atls_http>,
    request: Option<&atls_request>,
    exchange: Out<*mut atls_exchange>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || fetch(http, request, exchange, false))
}

fn fetch(
    http: Counted<atls_http>,
    request: Option<&atls_request>,
    exchange: Out<*mut atls_exchange>,
    waits: bool,
) -> Result<()> {
    let exchange = require(exchange, "exchange")?;
    let http = &*share(http, "http")?;
    let request = borrow(request, "request")?;
    let Mode::Blocking { driver, connection } = &http.mode else {
        return Err(Error::new(Status::InvalidState, "the connection is event-driven"));
    };
    let blocking = BlockingExchange::on_connection(driver, connection, &request.request, waits)?;
    exchange.give(atls_exchange::sent(blocking));
    Ok(())
}

/// Closes the connection; an exchange under way fails. Event-driven: CLOSED follows, with CANCELED.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_http_close(http: Counted<atls_http>, error: Out<*mut atls_error>) -> atls_status {
    guard(error, || {
        share(http, "http")?.end();
        Ok(())
    })
}

/// Adds a reference; returns `http`.
#[unsafe(no_mangle)]
pub extern "C" fn atls_http_ref(http: Counted<atls_http>) -> *mut atls_http {
    add_ref(http)
}

/// Drops a reference. The last one closes the connection once an exchange under way is over.
/// Event-driven: CLOSED follows, with CANCELED.
#[unsafe(no_mangle)]
pub extern "C" fn atls_http_free(http: Owned<atls_http>) {
    guard_free(|| release(http));
}
