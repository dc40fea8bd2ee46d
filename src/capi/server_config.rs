//! `atls_server_config`: what a server shows, and what it bears with.

use std::ffi::c_char;
use std::path::Path;
use std::time::Duration;

use super::error::atls_error;
use super::guard::{guard, guard_free};
use super::handle::{borrow_mut, destroy, optional_text, put, require, text};
use super::status::atls_status;
use crate::error::{Error, Status};
use crate::server::evidence::Agent;
use crate::server::{Limits, Settings};
use crate::tls::{Identity, server_config};

/// How a server is to be. A builder: one thread at a time; copied when used.
pub struct atls_server_config {
    pub(super) settings: Settings,
}

/// Connections at a time; 10,000 by default. More are closed as they come.
pub const ATLS_SERVER_CONNECTIONS: u32 = 1;
/// Connections at a time from one address; no limit by default.
pub const ATLS_SERVER_CONNECTIONS_PER_ADDRESS: u32 = 2;
/// Bytes of a request head; 65,536 by default. A larger one is answered with 431.
pub const ATLS_SERVER_HEAD_BYTES: u32 = 3;
/// Header lines of a request; 256 by default.
pub const ATLS_SERVER_HEADERS: u32 = 4;
/// Bytes of a request body; 104,857,600 by default. A larger one is answered with 413.
pub const ATLS_SERVER_BODY_BYTES: u32 = 5;

/// Until TLS stands; 10 seconds by default.
pub const ATLS_SERVER_HANDSHAKE: u32 = 1;
/// From the first byte of a request head to its last; 30 seconds by default, then 408.
pub const ATLS_SERVER_HEAD: u32 = 2;
/// Between requests, and before the first; 60 seconds by default.
pub const ATLS_SERVER_IDLE: u32 = 3;
/// For all of a request body; none by default.
pub const ATLS_SERVER_BODY: u32 = 4;
/// Without the peer taking a byte of an answer; 60 seconds by default.
pub const ATLS_SERVER_SEND: u32 = 5;

/// A configuration that serves in the clear, with the limits that are given here as defaults. The caller's to free. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_config_new(
    config: *mut *mut atls_server_config,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(config, "config")?;
        let settings = Settings { credit: 256 << 10, automatic_credit: true, ..Settings::default() };
        unsafe { put(config, Box::into_raw(Box::new(atls_server_config { settings })), "config") }
    })
}

/// Frees the builder.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_config_free(config: *mut atls_server_config) {
    guard_free(|| unsafe { destroy(config) });
}

/// Serves in TLS 1.3, and nothing older, with this chain (leaf first) and its key, PEM both. Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_config_set_certificate(
    config: *mut atls_server_config,
    chain_pem: *const c_char,
    key_pem: *const c_char,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let (chain, key) = unsafe { (text(chain_pem, "chain_pem")?, text(key_pem, "key_pem")?) };
        let tls = server_config(&Identity { chain_pem: chain.to_owned(), key_pem: key.to_owned() })?;
        unsafe { borrow_mut(config, "config") }?.settings.tls = Some(tls);
        Ok(())
    })
}

/// Answers `POST /tdx_quote` with evidence of the machine that the server runs on, bound to the session (protocol atlas-v1): what
/// atls_http_connect and its like ask for. It comes from a dstack guest agent: `path` is its Unix socket, NULL looks where it usually is. The
/// host does not see these requests. Needs a certificate; its fingerprint is put into the guest's log, where the agent can. Quotes are made one
/// after another; where 64 wait, more are answered with 503. Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (no agent found).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_config_set_dstack_agent(
    config: *mut atls_server_config,
    path: *const c_char,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let path = unsafe { optional_text(path, "path") }?;
        let agent = Agent::at(path.map(Path::new))?;
        unsafe { borrow_mut(config, "config") }?.settings.agent = Some(agent);
        Ok(())
    })
}

/// One of the limits ATLS_SERVER_CONNECTIONS to ATLS_SERVER_BODY_BYTES. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (unknown; 0 but for the body; a head
/// beyond 2^30).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_config_set_limit(
    config: *mut atls_server_config,
    which: u32,
    value: u64,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let limits = &mut unsafe { borrow_mut(config, "config") }?.settings.limits;
        let wrong = || Error::new(Status::InvalidArgument, format!("limit {which} cannot be {value}"));
        let count = usize::try_from(value).unwrap_or(usize::MAX);
        match which {
            ATLS_SERVER_BODY_BYTES => limits.body = value,
            _ if value == 0 => return Err(wrong()),
            ATLS_SERVER_CONNECTIONS => limits.connections = count,
            ATLS_SERVER_CONNECTIONS_PER_ADDRESS => limits.connections_per_address = count,
            ATLS_SERVER_HEAD_BYTES if value <= 1 << 30 => limits.head = count,
            ATLS_SERVER_HEADERS => limits.fields = count,
            _ => return Err(wrong()),
        }
        Ok(())
    })
}

/// One of the deadlines ATLS_SERVER_HANDSHAKE to ATLS_SERVER_SEND. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_config_set_deadline(
    config: *mut atls_server_config,
    which: u32,
    milliseconds: u32,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let limits = &mut unsafe { borrow_mut(config, "config") }?.settings.limits;
        let default = Limits::default();
        let (place, default) = match which {
            ATLS_SERVER_HANDSHAKE => (&mut limits.handshake, default.handshake),
            ATLS_SERVER_HEAD => (&mut limits.receive_head, default.receive_head),
            ATLS_SERVER_IDLE => (&mut limits.idle, default.idle),
            ATLS_SERVER_BODY => (&mut limits.receive_body, default.receive_body),
            ATLS_SERVER_SEND => (&mut limits.send, default.send),
            other => {
                return Err(Error::new(Status::InvalidArgument, format!("deadline {other} is none that is known")));
            }
        };
        *place = match milliseconds {
            0 => default,
            u32::MAX => None,
            some => Some(Duration::from_millis(some.into())),
        };
        Ok(())
    })
}

/// Whether a connection may serve another request (by default). Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_config_set_keep_alive(
    config: *mut atls_server_config,
    keep_alive: bool,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        unsafe { borrow_mut(config, "config") }?.settings.limits.keep_alive = keep_alive;
        Ok(())
    })
}

/// Receive credit of each request, as atls_config_set_credit. Default: 256 KiB, automatic. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_config_set_credit(
    config: *mut atls_server_config,
    initial: u64,
    automatic: bool,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let settings = &mut unsafe { borrow_mut(config, "config") }?.settings;
        (settings.credit, settings.automatic_credit) = (initial, automatic);
        Ok(())
    })
}
