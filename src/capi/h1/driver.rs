//! `atls_h1_driver`: an HTTP/1.1 connection in either role, over a connected socket or an attested stream, by events.

use std::sync::{Arc, Mutex};

use super::driver_config::{atls_h1_driver_config, invalid};
use crate::capi::attest::verdict::atls_verdict;
use crate::capi::base::arguments::{Counted, Out, Owned, bytes, c_bytes, c_text, optional_text, require, text};
use crate::capi::base::bytes::atls_str;
use crate::capi::base::descriptor::{close, own_copy};
use crate::capi::base::error::atls_error;
use crate::capi::base::event::atls_sink;
use crate::capi::base::guard::{guard, guard_free, guard_value, watch_forks};
use crate::capi::base::handle::{Handle, add_ref, borrow, release, share, share_hub};
use crate::capi::base::operation::Operation;
use crate::capi::base::runtime::atls_runtime;
use crate::capi::base::status::atls_status;
use crate::capi::connect::config::atls_config;
use crate::capi::connect::stream::atls_stream;
use crate::capi::text::head::terminated;
use crate::capi::text::headers::atls_headers;
use crate::error::Result;
use crate::h1_driver::{DriverSettings, FieldLine, H1Driver, connect_task, connection_task};
use crate::io::Socket;
use crate::io::deadline::ChosenDuration;
use crate::io::sync::lock;
use crate::io::turn::in_turn;
use crate::operation::Outlet;
use crate::stream::PendingStream;

/// A connection. Events: INFORMATIONAL and HEAD (for a request the status is 0, and atls_h1_driver_method and atls_h1_driver_target have the rest),
/// DATA as credit allows, TRAILERS, END; WRITABLE after a write that answered AGAIN; CLOSED last, with OK after a regular end. Once both sides have
/// completed their messages, the next ones may begin, without a call. If the peer violates the protocol, the connection ends with H1_REMOTE; as
/// server, unless a response has begun, it answers with the status that fits first. A client that has closed its sending direction still gets its
/// response; if it goes away, CLOSED comes with IO and ATLS_DETAIL_PEER_GONE. At most 320 KiB wait for a peer that does not read. Reference-counted,
/// safe to share between threads; dropping the last reference cancels it.
pub struct atls_h1_driver {
    driver: Arc<H1Driver>,
    /// What the host was shown last, each with its NUL.
    method: Mutex<Vec<u8>>,
    target: Mutex<Vec<u8>>,
    _runtime: Arc<atls_runtime>,
}

impl Handle for atls_h1_driver {
    type Owner = Arc<atls_h1_driver>;
}

impl Drop for atls_h1_driver {
    fn drop(&mut self) {
        self.driver.cancel.cancel();
    }
}

/// Drives a connected socket, TCP or Unix.
/// `fd`: belongs to the library after success; after a failure it is still the caller's.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (not a connected socket), INVALID_STATE (queue or runtime stopped), IO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_h1_driver_adopt_start(
    runtime: Counted<atls_runtime>,
    config: Option<&atls_h1_driver_config>,
    fd: i32,
    sink: Option<&atls_sink>,
    driver: Out<*mut atls_h1_driver>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let driver = require(driver, "driver")?;
        let runtime = share_hub(runtime, "runtime")?;
        let settings = borrow(config, "config")?.settings.clone();
        // SAFETY: the host says that the descriptor is open.
        let socket = unsafe { own_copy(fd) }?;
        let entered = runtime.handle().enter();
        let socket = Socket::take_over(socket)?;
        drop(entered);
        socket.probe(settings.probe)?;
        let peer = socket.peer();
        let (made, running, outlet) = start(&runtime, settings, sink)?;
        driver.give(made);
        runtime.handle().spawn(in_turn(connection_task(socket, running, outlet, peer)));
        // SAFETY: it is ours from here on, as the header says of OK.
        unsafe { close(fd) };
        Ok(())
    })
}

/// Connects, and attests as the connection's configuration says, as atls_stream_connect_start does; then drives the stream. CONNECTED comes first. Statuses:
/// NULL_ARGUMENT, INVALID_ARGUMENT, INVALID_STATE (no policy; a driver for servers; queue or runtime stopped), TRUST_ANCHOR.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_driver_connect_start(
    runtime: Counted<atls_runtime>,
    config: Option<&atls_h1_driver_config>,
    connection: Option<&atls_config>,
    sink: Option<&atls_sink>,
    driver: Out<*mut atls_h1_driver>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let driver = require(driver, "driver")?;
        let runtime = share_hub(runtime, "runtime")?;
        let settings = borrow(config, "config")?.settings.clone();
        settings.check_connects()?;
        let target = borrow(connection, "connection")?.config.target()?;
        let (made, running, outlet) = start(&runtime, settings, sink)?;
        driver.give(made);
        runtime.handle().spawn(in_turn(connect_task(target, running, outlet)));
        Ok(())
    })
}

fn start(
    runtime: &Arc<atls_runtime>,
    settings: DriverSettings,
    sink: Option<&atls_sink>,
) -> Result<(Arc<atls_h1_driver>, Arc<H1Driver>, Outlet)> {
    watch_forks();
    let operation = Operation::new(sink, &runtime.registry)?;
    let driver = Arc::new(H1Driver::new(settings, operation.clone()));
    let made = Arc::new(atls_h1_driver {
        driver: driver.clone(),
        method: Mutex::default(),
        target: Mutex::default(),
        _runtime: runtime.clone(),
    });
    let registration = operation.register(&made, &driver)?;
    Ok((made, driver, registration.begin()))
}

/// Sends a request's head, as client. The header fields must include exactly one Host, and Content-Length or `Transfer-Encoding: chunked` if a body
/// follows.
/// `headers`: may be NULL, for none.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, H1_LOCAL (for good), INVALID_STATE (closed; detached), or why the connection ended.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_driver_send_request(
    driver: Counted<atls_h1_driver>,
    method: c_text,
    target: c_text,
    headers: Option<&atls_headers>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let (method, target) = (text(method, "method")?, text(target, "target")?);
        let lines = lines(headers);
        share(driver, "driver")?.driver.send_request(method.as_bytes(), target.as_bytes(), lines)
    })
}

/// Sends a response's head, as server: informational ones first, if any, then the final one. Without Content-Length the body is chunked, or ends with
/// the connection if the peer speaks HTTP/1.0.
/// `reason`, `headers`: may be NULL, for none.
/// Statuses: as atls_h1_driver_send_request, INVALID_ARGUMENT (status).
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_driver_send_response(
    driver: Counted<atls_h1_driver>,
    status: u32,
    reason: c_text,
    headers: Option<&atls_headers>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let status = u16::try_from(status).map_err(|_| invalid(format!("status {status}")))?;
        let reason = optional_text(reason, "reason")?.unwrap_or_default();
        let lines = lines(headers);
        share(driver, "driver")?.driver.send_response(status, reason.as_bytes(), lines)
    })
}

/// Copies all of the bytes for the body of this side's message, or returns AGAIN and takes nothing; one WRITABLE event follows each AGAIN. Statuses: as
/// atls_h1_driver_send_request, and AGAIN.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_driver_write(
    driver: Counted<atls_h1_driver>,
    data: c_bytes,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let data = bytes(data, "data")?;
        share(driver, "driver")?.driver.write(data)
    })
}

/// Ends the message, even one without a body.
/// `trailers`: may be NULL, for none. They are sent only with a chunked body.
/// Statuses: as atls_h1_driver_send_request.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_driver_finish(
    driver: Counted<atls_h1_driver>,
    trailers: Option<&atls_headers>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let lines = lines(trailers);
        share(driver, "driver")?.driver.finish(lines)
    })
}

/// Allows `bytes` more of received bodies. Grants add up; the sum saturates. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_driver_grant(
    driver: Counted<atls_h1_driver>,
    bytes: u64,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        share(driver, "driver")?.driver.credit.grant(bytes);
        Ok(())
    })
}

/// The verdict on the server (atls_h1_driver_connect_start); NULL before CONNECTED and for an unattested connection. A new reference: free it. It is the newest
/// one, as of atls_stream_verdict.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_driver_verdict(driver: Option<&atls_h1_driver>) -> *mut atls_verdict {
    guard_value(std::ptr::null_mut(), || {
        let verdict = borrow(driver, "driver").ok().and_then(|this| this.driver.verdict());
        verdict.map_or(std::ptr::null_mut(), atls_verdict::into_raw)
    })
}

/// Sets the limit of one body, in place of ATLS_H1_DRIVER_LIMIT_BODY_BYTES: of the message that is coming in or, before its HEAD, of the next one. Set
/// before the host is done with the HEAD event, it covers the whole body. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_driver_set_body_limit(
    driver: Counted<atls_h1_driver>,
    bytes: u64,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        share(driver, "driver")?.driver.set_body_limit(bytes);
        Ok(())
    })
}

/// Sets the deadline of one body, from its head to its end, in place of ATLS_H1_DRIVER_DEADLINE_BODY, which is the default. Which body that is, and
/// when to call, is as with atls_h1_driver_set_body_limit. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_driver_set_body_deadline(
    driver: Counted<atls_h1_driver>,
    milliseconds: u32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        share(driver, "driver")?.driver.set_body_deadline(ChosenDuration::from_millis(milliseconds));
        Ok(())
    })
}

/// Returns the method of the request received last, as server; "" before the first. Valid until the first call after the HEAD of another request, and
/// at most as long as the driver.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_driver_method(driver: Option<&atls_h1_driver>) -> atls_str {
    guard_value(atls_str::empty(), || {
        let Ok(this) = borrow(driver, "driver") else { return atls_str::empty() };
        kept(&this.method, this.driver.request().0)
    })
}

/// Returns the target of that request. Valid as with atls_h1_driver_method.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_driver_target(driver: Option<&atls_h1_driver>) -> atls_str {
    guard_value(atls_str::empty(), || {
        let Ok(this) = borrow(driver, "driver") else { return atls_str::empty() };
        kept(&this.target, this.driver.request().1)
    })
}

/// What the host was shown stays where it is until there is something else to show.
fn kept(place: &Mutex<Vec<u8>>, mut text: Vec<u8>) -> atls_str {
    let mut place = lock(place);
    text.push(0);
    if *place != text {
        *place = text;
    }
    terminated(Some(&place))
}

/// Takes the connection out of HTTP: after a switch of protocol, or between messages. It becomes an event-driven atls_stream with events for `sink`,
/// CONNECTED first; its DATA starts with bytes that were received after the last message. The driver ends with CLOSED and OK. Statuses:
/// NULL_ARGUMENT, INVALID_STATE (a message is under way; closed or detached before; queue or runtime stopped), CLOSED.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_driver_detach_start(
    driver: Counted<atls_h1_driver>,
    runtime: Counted<atls_runtime>,
    sink: Option<&atls_sink>,
    stream: Out<*mut atls_stream>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let stream = require(stream, "stream")?;
        let driver = &share(driver, "driver")?.driver;
        let runtime = share_hub(runtime, "runtime")?;
        driver.check_detachable()?;
        let credit = (driver.settings.credit, driver.settings.automatic_credit);
        let handle = runtime.handle().clone();
        let (made, shared, outlet) = atls_stream::waiting(runtime, sink, credit, driver.verdict())?;
        stream.give(made);
        // Refused in between, the stream says so with CLOSED.
        let handover = PendingStream::new(shared, outlet);
        handle.spawn(in_turn(handover.watch()));
        let _ = driver.detach(handover);
        Ok(())
    })
}

/// Ends the connection after what was written has been sent; CLOSED follows. No more messages may be sent. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_driver_close(driver: Counted<atls_h1_driver>, error: Out<*mut atls_error>) -> atls_status {
    guard(error, || {
        share(driver, "driver")?.driver.close();
        Ok(())
    })
}

/// Adds a reference and returns `driver`; NULL for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_driver_ref(driver: Counted<atls_h1_driver>) -> *mut atls_h1_driver {
    add_ref(driver)
}

/// Drops a reference. The last one cancels the connection, and CLOSED comes with CANCELED.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_driver_free(driver: Owned<atls_h1_driver>) {
    guard_free(|| release(driver));
}

fn lines<'a>(headers: Option<&'a atls_headers>) -> impl Iterator<Item = FieldLine<'a>> + Clone {
    let lines: Vec<FieldLine<'a>> = headers.iter().flat_map(|headers| headers.headers.iter()).collect();
    lines.into_iter()
}
