//! `atls_tunnel_config`, and a server that forwards WebSockets to TCP.

use std::ffi::c_char;
use std::time::Duration;

use super::config::atls_server_config;
use super::server::{atls_server, start};
use crate::capi::base::c_bool::c_bool;
use crate::capi::base::error::atls_error;
use crate::capi::base::event::atls_sink;
use crate::capi::base::guard::{guard, guard_free};
use crate::capi::base::handle::{borrow, borrow_mut, destroy, optional_text, put, require, share_hub, text};
use crate::capi::base::runtime::atls_runtime;
use crate::capi::base::status::atls_status;
use crate::error::{Error, Status};
use crate::tunnel::{Entry, Rules, Target};

/// What a forwarder lets through. A builder: one thread at a time; copied when used.
pub struct atls_tunnel_config {
    rules: Rules,
}

/// Until the target is reached; 10 seconds by default, then 504.
pub const ATLS_TUNNEL_DEADLINE_CONNECT: u32 = 701;
/// Without a byte in either direction; 300 seconds by default.
pub const ATLS_TUNNEL_DEADLINE_IDLE: u32 = 702;
/// From upgrade to end; none by default.
pub const ATLS_TUNNEL_DEADLINE_TOTAL: u32 = 703;

/// A configuration that lets nothing through. The caller's to free. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_tunnel_config_new(
    config: *mut *mut atls_tunnel_config,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(config, "config")?;
        let made = Box::new(atls_tunnel_config { rules: Rules::default() });
        unsafe { put(config, Box::into_raw(made), "config") }
    })
}

/// Frees the builder.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_tunnel_config_free(config: *mut atls_tunnel_config) {
    guard_free(|| unsafe { destroy(config) });
}

/// Lets clients through to `entry`: `host:port`, or `*.suffix:port` for every name below one. Names match in either case. Statuses: NULL_ARGUMENT,
/// INVALID_UTF8, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_tunnel_config_add_target(
    config: *mut atls_tunnel_config,
    entry: *const c_char,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let entry = Entry::parse(unsafe { text(entry, "entry") }?).map_err(invalid)?;
        unsafe { borrow_mut(config, "config") }?.rules.allowed.push(entry);
        Ok(())
    })
}

/// Where clients go that name no target, `host:port`; it has to be allowed as well. Without it they are answered with 400. Statuses:
/// NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_tunnel_config_set_default_target(
    config: *mut atls_tunnel_config,
    target: *const c_char,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let target = Target::parse(unsafe { text(target, "target") }?).map_err(invalid)?;
        unsafe { borrow_mut(config, "config") }?.rules.default_target = Some(target);
        Ok(())
    })
}

/// Whether a name may lead to an address that is not public (loopback, private, link-local and the like); by default it may not, whatever the list
/// says of the name, since whoever controls the name chooses the address. Addresses in the list, and "localhost", are not concerned. Statuses:
/// NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_tunnel_config_set_allow_private(
    config: *mut atls_tunnel_config,
    allowed: c_bool,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        unsafe { borrow_mut(config, "config") }?.rules.private = allowed.get();
        Ok(())
    })
}

/// Lets web pages of `origin` (`https://app.example`) through; `*` for those of any. Whoever sends an Origin that was not added is answered with 403; programs
/// that are no browsers send none. Statuses: NULL_ARGUMENT, INVALID_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_tunnel_config_add_origin(
    config: *mut atls_tunnel_config,
    origin: *const c_char,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let origin = unsafe { text(origin, "origin") }?.to_owned();
        unsafe { borrow_mut(config, "config") }?.rules.origins.push(origin);
        Ok(())
    })
}

/// Wants `Authorization: Bearer token`, or for browsers, which cannot send that, `token=` in the query; else 401. NULL takes it away. Statuses:
/// NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (empty).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_tunnel_config_set_token(
    config: *mut atls_tunnel_config,
    token: *const c_char,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let token = unsafe { optional_text(token, "token") }?.map(str::to_owned);
        if token.as_deref() == Some("") {
            return Err(invalid("the token is empty".into()));
        }
        unsafe { borrow_mut(config, "config") }?.rules.token = token;
        Ok(())
    })
}

/// One of the deadlines ATLS_TUNNEL_DEADLINE_*, in milliseconds; 0 is the default, UINT32_MAX none. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_tunnel_config_set_deadline(
    config: *mut atls_tunnel_config,
    which: u32,
    milliseconds: u32,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let rules = &mut unsafe { borrow_mut(config, "config") }?.rules;
        let default = Rules::default();
        let (place, default) = match which {
            ATLS_TUNNEL_DEADLINE_CONNECT => (&mut rules.connect, default.connect),
            ATLS_TUNNEL_DEADLINE_IDLE => (&mut rules.idle, default.idle),
            ATLS_TUNNEL_DEADLINE_TOTAL => (&mut rules.total, default.total),
            other => return Err(invalid(format!("deadline {other} is none that is known"))),
        };
        *place = match milliseconds {
            0 => default,
            u32::MAX => None,
            some => Some(Duration::from_millis(some.into())),
        };
        Ok(())
    })
}

/// A server that forwards: a WebSocket on any path with `target=host:port` in its query becomes a TCP connection to there, whose bytes go in binary
/// frames. What is not allowed is answered with 400, 401, 403, 426, 502 or 504 and a reason, before anything is upgraded; `GET /healthz` with 200. A
/// frame from a client may have 1 MiB, and a message any number of frames; neither is held as a whole: a tunnel takes 40 KiB, beside its two sockets
/// and its TLS session, whether it is idle or in the middle of a frame. A client that violates the protocol gets a Close frame: 1002, or 1007 for
/// text that is not UTF-8, or 1009 for a longer frame. Limits, deadlines and TLS are those of `server_config`; everything else is as with
/// atls_server_start, but for REQUEST, which does not come. Statuses: NULL_ARGUMENT, INVALID_STATE (queue or runtime stopped), INVALID_ARGUMENT
/// (nothing is allowed, or not the default target), UNSUPPORTED (evidence, or a policy for clients, in `server_config`).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_tunnel_server_start(
    runtime: *const atls_runtime,
    server_config: *const atls_server_config,
    config: *const atls_tunnel_config,
    sink: *const atls_sink,
    server: *mut *mut atls_server,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(server, "server")?;
        let runtime = unsafe { share_hub(runtime, "runtime") }?;
        let mut settings = unsafe { borrow(server_config, "server_config") }?.settings.clone();
        let rules = unsafe { borrow(config, "config") }?.rules.clone();
        // Nobody is asked for evidence before an upgrade, so a configuration that says so must not be taken for one that does.
        if settings.client_policy.is_some() || settings.source.is_some() {
            return Err(Error::new(Status::Unsupported, "a forwarder neither shows evidence nor asks for any"));
        }
        if rules.allowed.is_empty() {
            return Err(invalid("nothing is allowed (atls_tunnel_config_add_target)".into()));
        }
        if let Some(target) = rules.default_target.as_ref().filter(|target| !rules.allows(target)) {
            return Err(invalid(format!("the default target {target} is not allowed (atls_tunnel_config_add_target)")));
        }
        settings.forward = Some(rules);
        unsafe { start(runtime, settings, sink, server) }
    })
}

fn invalid(why: String) -> Error {
    Error::new(Status::InvalidArgument, why)
}
