//! `atls_tunnel_config`, and servers that forward WebSockets to TCP.

use super::config::atls_server_config;
use super::server::{atls_server, start};
use crate::capi::base::arguments::{Counted, Out, Owned, c_text, optional_text, require, text};
use crate::capi::base::c_bool::c_bool;
use crate::capi::base::error::atls_error;
use crate::capi::base::event::atls_sink;
use crate::capi::base::guard::{guard, guard_free};
use crate::capi::base::handle::{Handle, borrow, borrow_mut, destroy, share_hub};
use crate::capi::base::runtime::atls_runtime;
use crate::capi::base::status::atls_status;
use crate::capi::base::unknown;
use crate::error::{Error, Status};
use crate::io::deadline::ChosenDuration;
use crate::tunnel::{AllowedTarget, ForwarderDeadline, ForwarderRules, TunnelTarget};

/// What a tunnel server forwards. A builder: one thread at a time; copied when used.
pub struct atls_tunnel_config {
    rules: ForwarderRules,
}

impl Handle for atls_tunnel_config {
    type Owner = Box<atls_tunnel_config>;
}

/// Deadlines of a forwarder (atls_tunnel_config_set_deadline).
pub type atls_tunnel_deadline = u32;

/// For connecting to the target; 10 seconds by default. After it the client gets a 504.
pub const ATLS_TUNNEL_DEADLINE_CONNECT: atls_tunnel_deadline = 701;
/// Without a byte in either direction; 300 seconds by default.
pub const ATLS_TUNNEL_DEADLINE_IDLE: atls_tunnel_deadline = 702;
/// From the upgrade to the end of the tunnel; none by default.
pub const ATLS_TUNNEL_DEADLINE_TOTAL: atls_tunnel_deadline = 703;

/// Creates a configuration that forwards nothing. Free it with atls_tunnel_config_free.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_tunnel_config_new(
    config: Out<*mut atls_tunnel_config>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let config = require(config, "config")?;
        let made = Box::new(atls_tunnel_config { rules: ForwarderRules::default() });
        config.give(made);
        Ok(())
    })
}

/// Frees the builder.
#[unsafe(no_mangle)]
pub extern "C" fn atls_tunnel_config_free(config: Owned<atls_tunnel_config>) {
    guard_free(|| destroy(config));
}

/// Allows clients to reach a target.
/// `entry`: `host:port`, or `*.suffix:port` for every name below `suffix`. Case makes no
/// difference.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_tunnel_config_add_target(
    config: Option<&mut atls_tunnel_config>,
    entry: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let entry = AllowedTarget::parse(text(entry, "entry")?).map_err(invalid)?;
        borrow_mut(config, "config")?.rules.allowed.push(entry);
        Ok(())
    })
}

/// Sets the target of clients that name none; otherwise they get a 400. The target must be allowed
/// too (atls_tunnel_config_add_target).
/// `target`: `host:port`.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_tunnel_config_set_default_target(
    config: Option<&mut atls_tunnel_config>,
    target: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let target = TunnelTarget::parse(text(target, "target")?).map_err(invalid)?;
        borrow_mut(config, "config")?.rules.default_target = Some(target);
        Ok(())
    })
}

/// Says whether a name may resolve to an address that is not public (loopback, private, link-local
/// and the like). Off by default, even if the name is an allowed target, because whoever controls
/// the name chooses the address. Does not affect targets that are addresses, nor "localhost".
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_tunnel_config_set_allow_private(
    config: Option<&mut atls_tunnel_config>,
    allow: c_bool,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        borrow_mut(config, "config")?.rules.private = allow.get();
        Ok(())
    })
}

/// Allows web pages of an origin. A client that sends any other Origin gets a 403. Programs that
/// are not browsers do not send one.
/// `origin`: such as `https://app.example`; `*` allows all.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8.
#[unsafe(no_mangle)]
pub extern "C" fn atls_tunnel_config_add_origin(
    config: Option<&mut atls_tunnel_config>,
    origin: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let origin = text(origin, "origin")?.to_owned();
        borrow_mut(config, "config")?.rules.origins.push(origin);
        Ok(())
    })
}

/// Requires `Authorization: Bearer token` or, for browsers, which cannot send that, `token=` in the
/// query. A client without it gets a 401.
/// `token`: may be NULL, which removes the requirement.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (empty).
#[unsafe(no_mangle)]
pub extern "C" fn atls_tunnel_config_set_token(
    config: Option<&mut atls_tunnel_config>,
    token: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let token = optional_text(token, "token")?;
        borrow_mut(config, "config")?.rules.set_token(token)
    })
}

/// Sets a deadline.
/// `which`: ATLS_TUNNEL_DEADLINE_*.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (unknown deadline).
#[unsafe(no_mangle)]
pub extern "C" fn atls_tunnel_config_set_deadline(
    config: Option<&mut atls_tunnel_config>,
    which: atls_tunnel_deadline,
    milliseconds: u32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let rules = &mut borrow_mut(config, "config")?.rules;
        let deadline = match which {
            ATLS_TUNNEL_DEADLINE_CONNECT => ForwarderDeadline::Connect,
            ATLS_TUNNEL_DEADLINE_IDLE => ForwarderDeadline::Idle,
            ATLS_TUNNEL_DEADLINE_TOTAL => ForwarderDeadline::Total,
            other => return Err(unknown("deadline", other)),
        };
        rules.set_deadline(deadline, ChosenDuration::from_millis(milliseconds));
        Ok(())
    })
}

/// Creates a server that forwards WebSockets to TCP. A WebSocket on any path, with
/// `target=host:port` in its query, becomes a TCP connection to that target, whose bytes travel in
/// binary frames. A request that is not allowed is answered with 400, 401, 403, 426, 502 or 504 and
/// a reason, before anything is upgraded. `GET /healthz` is answered with 200. No REQUEST events
/// come; everything else is as with atls_server_start.
///
/// A frame from a client may have 1 MiB, and a message any number of frames. Neither is held as a
/// whole: a tunnel takes 40 KiB, besides its two sockets and its TLS session, whether it is idle or
/// in the middle of a frame. A client that violates the protocol gets a Close frame: 1009 for a
/// frame that is too long, 1007 for text that is not UTF-8, otherwise 1002.
/// `server_config`: limits, deadlines and TLS; copied.
/// `config`: copied.
/// Statuses: NULL_ARGUMENT, INVALID_STATE (queue or runtime stopped), INVALID_ARGUMENT (no target
/// is allowed, or the default target is not), UNSUPPORTED (`server_config` has evidence, or a
/// policy for clients).
#[unsafe(no_mangle)]
pub extern "C" fn atls_tunnel_server_start(
    runtime: Counted<atls_runtime>,
    server_config: Option<&atls_server_config>,
    config: Option<&atls_tunnel_config>,
    sink: Option<&atls_sink>,
    server: Out<*mut atls_server>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let server = require(server, "server")?;
        let runtime = share_hub(runtime, "runtime")?;
        let settings = borrow(server_config, "server_config")?.settings.clone();
        let rules = borrow(config, "config")?.rules.clone();
        let settings = settings.forwarding(rules)?;
        start(runtime, settings, sink, server)
    })
}

fn invalid(why: String) -> Error {
    Error::new(Status::InvalidArgument, why)
}
