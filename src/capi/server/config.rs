//! `atls_server_config`: what a server shows, and what it accepts.

use std::ffi::c_char;
use std::time::Duration;

use crate::capi::base::c_bool::c_bool;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::{guard, guard_free};
use crate::capi::base::handle::{borrow_mut, destroy, put, require, text};
use crate::capi::base::status::atls_status;
use crate::capi::h1::conn::known_flags;
use crate::error::{Error, Status};
use crate::server::{ServerLimits, ServerSettings};

/// How a server is to be. A builder: one thread at a time; copied when used.
pub struct atls_server_config {
    pub(in crate::capi) settings: ServerSettings,
}

/// Connections at a time; 10,000 by default. More are closed as they come.
pub const ATLS_SERVER_LIMIT_CONNECTIONS: u32 = 101;
/// Connections at a time from one address; no limit by default.
pub const ATLS_SERVER_LIMIT_CONNECTIONS_PER_ADDRESS: u32 = 102;
/// Bytes of a request head; 65,536 by default. A larger one is answered with 431.
pub const ATLS_SERVER_LIMIT_HEAD_BYTES: u32 = 103;
/// Header lines of a request; 256 by default.
pub const ATLS_SERVER_LIMIT_HEADERS: u32 = 104;
/// Bytes of a request body; 104,857,600 by default. A larger one is answered with 413. If its Content-Length says so, that happens when the host
/// starts the request, before any of the body is read or asked for (atls_server_request_set_body_limit).
pub const ATLS_SERVER_LIMIT_BODY_BYTES: u32 = 105;
/// Requests for evidence in a second; 50 by default, which is more than usual hardware makes. More are answered with 503.
pub const ATLS_SERVER_LIMIT_EVIDENCE_PER_SECOND: u32 = 106;
/// Most bytes of a request body in one DATA event; 65,536 by default. The borders of chunks divide as well.
pub const ATLS_SERVER_LIMIT_DATA_BYTES: u32 = 107;
/// Connections that the system queues until they are accepted; 1,024 by default, and no more than the system allows.
pub const ATLS_SERVER_LIMIT_BACKLOG: u32 = 108;

/// Until TLS stands; 10 seconds by default.
pub const ATLS_SERVER_DEADLINE_HANDSHAKE: u32 = 201;
/// From the first byte of a request head to its last; 30 seconds by default, then 408.
pub const ATLS_SERVER_DEADLINE_HEAD: u32 = 202;
/// Between requests, and before the first; 60 seconds by default.
pub const ATLS_SERVER_DEADLINE_IDLE: u32 = 203;
/// For all of a request body; none by default.
pub const ATLS_SERVER_DEADLINE_BODY: u32 = 204;
/// Without the peer taking a byte of an answer; 60 seconds by default.
pub const ATLS_SERVER_DEADLINE_SEND: u32 = 205;
/// Silence of the peer until TCP probes whether it is still there (keepalive), and the time between probes; 15 seconds by default, in whole seconds.
/// After three probes without an answer the peer is gone. A client that closes its connection while the host has its request looks at first like one
/// that has only closed its sending direction, and that gets its answer. The probes find it out as soon as the client's system no longer knows the
/// connection (Linux: a minute after the close).
pub const ATLS_SERVER_DEADLINE_TCP_KEEPALIVE: u32 = 206;

/// A configuration that serves in the clear, with the limits that are given here as defaults. The caller's to free. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_config_new(
    config: *mut *mut atls_server_config,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(config, "config")?;
        let settings = ServerSettings { credit: 256 << 10, automatic_credit: true, ..ServerSettings::default() };
        unsafe { put(config, Box::into_raw(Box::new(atls_server_config { settings })), "config") }
    })
}

/// Frees the builder.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_config_free(config: *mut atls_server_config) {
    guard_free(|| unsafe { destroy(config) });
}

/// One of the limits ATLS_SERVER_LIMIT_*. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (unknown; 0 but for the body; a head
/// beyond 2^30, a backlog beyond 2^31 - 1).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_config_set_limit(
    config: *mut atls_server_config,
    which: u32,
    value: u64,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let settings = &mut unsafe { borrow_mut(config, "config") }?.settings;
        let limits = &mut settings.limits;
        let wrong = || Error::new(Status::InvalidArgument, format!("limit {which} cannot be {value}"));
        let count = usize::try_from(value).unwrap_or(usize::MAX);
        match which {
            ATLS_SERVER_LIMIT_BODY_BYTES => limits.body = value,
            _ if value == 0 => return Err(wrong()),
            ATLS_SERVER_LIMIT_CONNECTIONS => limits.connections = count,
            ATLS_SERVER_LIMIT_CONNECTIONS_PER_ADDRESS => limits.connections_per_address = count,
            ATLS_SERVER_LIMIT_HEAD_BYTES if value <= 1 << 30 => limits.head = count,
            ATLS_SERVER_LIMIT_HEADERS => limits.fields = count,
            ATLS_SERVER_LIMIT_DATA_BYTES => limits.piece = count,
            ATLS_SERVER_LIMIT_BACKLOG => limits.backlog = i32::try_from(value).map_err(|_| wrong())?,
            ATLS_SERVER_LIMIT_EVIDENCE_PER_SECOND => {
                settings.quotes_per_second = u32::try_from(value).map_err(|_| wrong())?
            }
            _ => return Err(wrong()),
        }
        Ok(())
    })
}

/// One of the deadlines ATLS_SERVER_DEADLINE_*; 0 is the default, UINT32_MAX none. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_config_set_deadline(
    config: *mut atls_server_config,
    which: u32,
    milliseconds: u32,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let limits = &mut unsafe { borrow_mut(config, "config") }?.settings.limits;
        let default = ServerLimits::default();
        let (place, default) = match which {
            ATLS_SERVER_DEADLINE_HANDSHAKE => (&mut limits.handshake, default.handshake),
            ATLS_SERVER_DEADLINE_HEAD => (&mut limits.receive_head, default.receive_head),
            ATLS_SERVER_DEADLINE_IDLE => (&mut limits.idle, default.idle),
            ATLS_SERVER_DEADLINE_BODY => (&mut limits.receive_body, default.receive_body),
            ATLS_SERVER_DEADLINE_SEND => (&mut limits.send, default.send),
            ATLS_SERVER_DEADLINE_TCP_KEEPALIVE => (&mut limits.probe, default.probe),
            other => {
                return Err(Error::new(Status::InvalidArgument, format!("deadline {other} is none that is known")));
            }
        };
        *place = match milliseconds {
            0 => default,
            u32::MAX => None,
            some if which == ATLS_SERVER_DEADLINE_TCP_KEEPALIVE => {
                Some(Duration::from_secs(u64::from(some).div_ceil(1000)))
            }
            some => Some(Duration::from_millis(some.into())),
        };
        Ok(())
    })
}

/// Whether a connection may serve another request (by default). Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_config_set_keep_alive(
    config: *mut atls_server_config,
    keep_alive: c_bool,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        unsafe { borrow_mut(config, "config") }?.settings.limits.keep_alive = keep_alive.get();
        Ok(())
    })
}

/// Accepts requests that deviate from the RFCs: the leniency flags from ATLS_H1_ALLOW_BARE_LF on, each of which says what it risks; 0 by default.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (unknown).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_config_set_flags(
    config: *mut atls_server_config,
    flags: u32,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        unsafe { borrow_mut(config, "config") }?.settings.flags = known_flags(flags)?;
        Ok(())
    })
}

/// Whether a TLS handshake that fails is reported with REFUSED: from whom, and what was wrong. Off by default, since anyone can cause it as often as
/// they like; failed handshakes are always counted (ATLS_SERVER_COUNT_HANDSHAKES_FAILED), and only counted while 1,024 of these events wait for the host.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_config_set_handshake_events(
    config: *mut atls_server_config,
    told: c_bool,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        unsafe { borrow_mut(config, "config") }?.settings.tells_handshakes = told.get();
        Ok(())
    })
}

/// Decodes bodies of requests by their Content-Encoding: gzip, deflate, br and zstd; another coding is answered with 415; a body that cannot be
/// decoded, or has bytes after its end other than a further gzip member or zstd frame, with 400. The limit of a body counts decoded bytes. The head
/// is shown unchanged. Off by default. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_config_set_decode(
    config: *mut atls_server_config,
    decode: c_bool,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        unsafe { borrow_mut(config, "config") }?.settings.decode = decode.get();
        Ok(())
    })
}

/// Believes X-Real-Ip, X-Forwarded-For, X-Scheme and X-Forwarded-Proto (atls_server_request_remote, atls_server_request_scheme): for servers that
/// only a proxy can reach, since anybody can write such lines. Lines of one name are one list, whose last item counts: the proxy must write or remove
/// each of the four, or the last item may come from the client. Off by default. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_config_set_trust_forwarded(
    config: *mut atls_server_config,
    believed: c_bool,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        unsafe { borrow_mut(config, "config") }?.settings.forwarded.enabled = believed.get();
        Ok(())
    })
}

/// The address of a trusted proxy: the last address in X-Forwarded-For that is not one of these counts. Statuses: NULL_ARGUMENT, INVALID_UTF8,
/// INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_config_add_trusted_proxy(
    config: *mut atls_server_config,
    address: *const c_char,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let text = unsafe { text(address, "address") }?;
        let invalid = |_| Error::new(Status::InvalidArgument, format!("\"{}\" is no address", text.escape_debug()));
        let address: std::net::IpAddr = text.parse().map_err(invalid)?;
        unsafe { borrow_mut(config, "config") }?.settings.forwarded.trusted.push(address.to_canonical());
        Ok(())
    })
}

/// Receive credit of each request, as atls_config_set_credit. Default: 256 KiB, automatic. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_config_set_credit(
    config: *mut atls_server_config,
    initial: u64,
    automatic: c_bool,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let settings = &mut unsafe { borrow_mut(config, "config") }?.settings;
        (settings.credit, settings.automatic_credit) = (initial, automatic.get());
        Ok(())
    })
}
