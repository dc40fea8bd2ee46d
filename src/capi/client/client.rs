//! `atls_client`: requests by URL over pooled connections, and a policy for each host.

use std::sync::Arc;

use super::exchange::atls_exchange;
use super::request::atls_request;
use crate::capi::attest::policy::atls_policy;
use crate::capi::base::arguments::{Counted, Out, Owned, c_text, require, text};
use crate::capi::base::c_bool::c_bool;
use crate::capi::base::error::atls_error;
use crate::capi::base::event::atls_sink;
use crate::capi::base::guard::{check_random, guard, guard_free, guard_value, watch_forks};
use crate::capi::base::handle::{Handle, add_ref, borrow, borrow_mut, destroy, release, share, share_hub};
use crate::capi::base::operation::Operation;
use crate::capi::base::runtime::{atls_runtime, prepare_thread};
use crate::capi::base::status::atls_status;
use crate::capi::connect::config::atls_config;
use crate::client::HostPattern;
use crate::client::blocking_exchange::BlockingExchange;
use crate::client::exchange_task::Prepared;
use crate::client::http_client::HttpClient;
use crate::client::pool::{ClientCounts, ClientLimits};
use crate::error::{Error, Result, Status};
use crate::io::CallerRuntime;
use crate::io::deadline::ChosenDuration;
use crate::operation::Credit;

/// An HTTP client: requests by URL over pooled connections, with redirects, cookies and a policy
/// for each host. A connection is reused only for the same origin under the same policy. A host
/// that a policy covers is contacted attested or not at all. Before a connection is reused, its
/// server is judged again or asked for new evidence if the policy wants that by now (docs/policy.md,
/// "Open connections"); if it fails, nothing of the request is sent, and the exchange fails with that error.
///
/// Reference-counted, safe to share between threads. Dropping the last reference closes the idle
/// connections; requests under way run to their end.
pub struct atls_client {
    client: Arc<HttpClient>,
    mode: Mode,
    credit: u64,
    automatic_credit: bool,
}

impl Handle for atls_client {
    type Owner = Arc<atls_client>;
}

enum Mode {
    Events(Arc<atls_runtime>),
    Blocking(Arc<CallerRuntime>),
}

/// Limits of a client. A builder: one thread at a time; copied when used.
pub struct atls_client_limits {
    limits: ClientLimits,
}

impl Handle for atls_client_limits {
    type Owner = Box<atls_client_limits>;
}

/// Creates limits that have their default values. Free them with atls_client_limits_free.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_client_limits_new(
    limits: Out<*mut atls_client_limits>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let limits = require(limits, "limits")?;
        let made = atls_client_limits { limits: ClientLimits::default() };
        limits.give(Box::new(made));
        Ok(())
    })
}

/// Frees the builder.
#[unsafe(no_mangle)]
pub extern "C" fn atls_client_limits_free(limits: Owned<atls_client_limits>) {
    guard_free(|| destroy(limits));
}

/// Limits how many requests are under way at a time. A request counts from sending to the end of
/// its response; further requests wait in the order in which they were started.
/// `max`: 10 by default.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (`max` is 0).
#[unsafe(no_mangle)]
pub extern "C" fn atls_client_limits_set_requests(
    limits: Option<&mut atls_client_limits>,
    max: u32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let limits = borrow_mut(limits, "limits")?;
        if max == 0 {
            return Err(Error::new(Status::InvalidArgument, "max is 0: no request could ever be sent"));
        }
        limits.limits.requests = max as usize;
        Ok(())
    })
}

/// Limits how many connections are kept open. For both limits, 0 is the default and UINT32_MAX no
/// limit.
/// `per_host`: connections to one host and port, idle ones included; no limit by default. A request
/// beyond it waits, without holding up requests to other hosts; over HTTP/2 too, where requests
/// share a connection.
/// `idle`: idle connections to all hosts together; 100 by default. Beyond it, the connection that
/// has been idle longest is closed.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_client_limits_set_connections(
    limits: Option<&mut atls_client_limits>,
    per_host: u32,
    idle: u32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let limits = &mut borrow_mut(limits, "limits")?.limits;
        limits.set_connections(per_host, idle);
        Ok(())
    })
}

/// Limits how long connections are kept.
/// `idle_ms`: how long a connection may wait for its next request; 90 seconds by default.
/// `age_ms`: how old a connection may become before a new one, attested anew, takes its place; no
/// limit by default.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_client_limits_set_times(
    limits: Option<&mut atls_client_limits>,
    idle_ms: u32,
    age_ms: u32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let limits = &mut borrow_mut(limits, "limits")?.limits;
        limits.set_times(ChosenDuration::from_millis(idle_ms), ChosenDuration::from_millis(age_ms));
        Ok(())
    })
}

/// Creates a client. `config` and `limits` are copied.
/// `runtime`: runs the requests of an event-driven client. It may be NULL: the client is then a
/// blocking one, and I/O runs on the threads that call it.
/// `config`: supplies roots, verifier, timeouts, tunnel and credit; it may be NULL, for the
/// defaults. Its host, port and server name are ignored. Its policy applies to every host that no
/// pattern of atls_client_set_policy matches. Without a policy such hosts are refused, unless the
/// configuration allows unattested connections (atls_config_set_unattested).
/// `limits`: may be NULL, for the defaults.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (roots, tunnel), TRUST_ANCHOR, IO.
#[unsafe(no_mangle)]
pub extern "C" fn atls_client_new(
    runtime: Counted<atls_runtime>,
    config: Option<&atls_config>,
    limits: Option<&atls_client_limits>,
    client: Out<*mut atls_client>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let client = require(client, "client")?;
        let default = atls_config::anywhere();
        let config = config.map_or(Ok(&default), |config| borrow(Some(config), "config"))?;
        let limits = limits.map_or(ClientLimits::default(), |limits| limits.limits);
        let made = HttpClient::new(config.config.connector()?, limits)?;
        check_random()?;
        watch_forks();
        let mode = match runtime.as_ptr().is_null() {
            true => Mode::Blocking(Arc::new(CallerRuntime::new(prepare_thread)?)),
            false => Mode::Events(share_hub(runtime, "runtime")?),
        };
        let (credit, automatic_credit) = (config.credit, config.automatic_credit);
        let made = atls_client { client: Arc::new(made), mode, credit, automatic_credit };
        client.give(Arc::new(made));
        Ok(())
    })
}

/// Contacts hosts that match `pattern` only under this policy. If several patterns match, the
/// closest one wins. Setting a pattern again replaces its policy, and connections that were judged
/// by the former policy are not reused.
/// `pattern`: a host name, an address, or `*.` followed by a name, which covers every name below
/// that one. Case, a trailing dot and the form of international names make no difference.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (`pattern`), TRUST_ANCHOR.
#[unsafe(no_mangle)]
pub extern "C" fn atls_client_set_policy(
    client: Counted<atls_client>,
    pattern: c_text,
    policy: Option<&atls_policy>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let this = &*share(client, "client")?;
        let pattern = HostPattern::parse(text(pattern, "pattern")?)?;
        let policy = Arc::new(borrow(policy, "policy")?.policy.clone());
        this.client.set_policy(pattern, policy)
    })
}

/// Event-driven: sends a request created by atls_request_new_url, which is copied. Its events go to
/// `sink`, as with atls_http_start. For a streamed body, CONNECTED comes first; the body may be
/// written from then on.
///
/// The request's timeout covers waiting for its turn, connecting, attestation and redirects, up to
/// the response head. If the server has closed an idle connection, the request is sent once more on
/// another one: if nothing of it was sent and its body is not a stream, or if its method is
/// idempotent, nothing of an answer has come, and its body can be sent again.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT, INVALID_STATE (blocking client; queue stopped),
/// HTTP_HEADER_INVALID, UNSUPPORTED.
///
/// The CLOSED event may also carry POLICY_REQUIRED, REDIRECT_REFUSED, CONTENT_CODING,
/// BODY_TOO_LARGE, and the statuses of atls_http_connect_start.
#[unsafe(no_mangle)]
pub extern "C" fn atls_client_start(
    client: Counted<atls_client>,
    request: Option<&atls_request>,
    sink: Option<&atls_sink>,
    exchange: Out<*mut atls_exchange>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let exchange = require(exchange, "exchange")?;
        let this = &*share(client, "client")?;
        let request = borrow(request, "request")?;
        let Mode::Events(runtime) = &this.mode else {
            return Err(Error::new(Status::InvalidState, "the client is blocking"));
        };
        let operation = Operation::new(sink, &runtime.registry)?;
        let credit = Credit::new(this.credit, this.automatic_credit);
        let prepare = |writer| Prepared::through_client(&this.client, &request.request, credit, writer);
        atls_exchange::start(runtime, operation, prepare, exchange)
    })
}

/// Blocking: sends a request and, unless its body is a stream, waits for the response head.
/// Continue as after atls_http_fetch. Several threads may do so at the same time.
/// Statuses: as atls_client_start, WOULD_DEADLOCK, TIMED_OUT, IO, TRUNCATED, HTTP_PROTOCOL,
/// POLICY_REQUIRED, REDIRECT_REFUSED, and as atls_http_connect.
#[unsafe(no_mangle)]
pub extern "C" fn atls_client_fetch(
    client: Counted<atls_client>,
    request: Option<&atls_request>,
    exchange: Out<*mut atls_exchange>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || fetch(client, request, exchange, true))
}

/// Blocking: like atls_client_fetch, but returns at once. Another thread can cancel the exchange.
/// It makes progress while a thread is in a blocking call on it or on this client, such as
/// atls_exchange_head.
/// Statuses: as atls_client_start, and WOULD_DEADLOCK.
#[unsafe(no_mangle)]
pub extern "C" fn atls_client_open(
    client: Counted<atls_client>,
    request: Option<&atls_request>,
    exchange: Out<*mut atls_exchange>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || fetch(client, request, exchange, false))
}

fn fetch(
    client: Counted<atls_client>,
    request: Option<&atls_request>,
    exchange: Out<*mut atls_exchange>,
    waits: bool,
) -> Result<()> {
    let exchange = require(exchange, "exchange")?;
    let this = &*share(client, "client")?;
    let request = borrow(request, "request")?;
    let Mode::Blocking(driver) = &this.mode else {
        return Err(Error::new(Status::InvalidState, "the client is event-driven"));
    };
    let blocking = BlockingExchange::through_client(driver, &this.client, &request.request, waits)?;
    exchange.give(atls_exchange::sent(blocking));
    Ok(())
}

/// Number of requests under way; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn atls_client_active_requests(client: Option<&atls_client>) -> usize {
    count(client, |counts| counts.active)
}

/// Number of requests that wait for their turn; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn atls_client_queued_requests(client: Option<&atls_client>) -> usize {
    count(client, |counts| counts.queued)
}

/// Number of idle connections; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn atls_client_idle_connections(client: Option<&atls_client>) -> usize {
    count(client, |counts| counts.idle)
}

fn count(client: Option<&atls_client>, which: impl Fn(ClientCounts) -> usize) -> usize {
    guard_value(0, || borrow(client, "client").map_or(0, |this| which(this.client.counts())))
}

/// Keeps the cookies that responses set, and sends them back to the same host and no other (RFC
/// 6265, without the Domain attribute). Off by default; turning it off discards all cookies. A
/// request that has its own Cookie header field is left alone.
///
/// At most 100 cookies of a host and 3,000 in all are kept; a new one replaces the one that was
/// unused longest. A Set-Cookie field longer than 4,096 bytes is ignored. If the cookies for one
/// request exceed 8,192 bytes, those set last are sent.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_client_set_cookies(
    client: Option<&atls_client>,
    keep: c_bool,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        borrow(client, "client")?.client.cookies.enable(keep.get());
        Ok(())
    })
}

/// Closes every idle connection. Requests under way continue, and new ones open new connections.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_client_close_idle(client: Option<&atls_client>, error: Out<*mut atls_error>) -> atls_status {
    guard(error, || {
        borrow(client, "client")?.client.close_idle();
        Ok(())
    })
}

/// Adds a reference; returns `client`.
#[unsafe(no_mangle)]
pub extern "C" fn atls_client_ref(client: Counted<atls_client>) -> *mut atls_client {
    add_ref(client)
}

/// Drops a reference. The last one closes idle connections; requests under way run to their end.
#[unsafe(no_mangle)]
pub extern "C" fn atls_client_free(client: Owned<atls_client>) {
    guard_free(|| release(client));
}
