//! `atls_h1_driver_config`: how an HTTP/1.1 connection is to be driven.

use super::conn::known_flags;
use super::types::{ATLS_H1_CLIENT, ATLS_H1_SERVER, atls_h1_role};
use crate::capi::base::arguments::{Out, Owned, require};
use crate::capi::base::c_bool::c_bool;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::{guard, guard_free};
use crate::capi::base::handle::{Handle, borrow_mut, destroy};
use crate::capi::base::status::atls_status;
use crate::capi::base::unknown;
use crate::error::{Error, Status};
use crate::h1::Role;
use crate::h1_driver::{DriverDeadline, DriverLimit, DriverSettings};
use crate::io::deadline::ChosenDuration;

/// How a driver handles a connection. A builder: one thread at a time; copied when used.
pub struct atls_h1_driver_config {
    pub(in crate::capi) settings: DriverSettings,
}

impl Handle for atls_h1_driver_config {
    type Owner = Box<atls_h1_driver_config>;
}

/// Limits of a driver (atls_h1_driver_config_set_limit).
pub type atls_h1_driver_limit = u32;

/// Bytes of a head; 65,536 by default.
pub const ATLS_H1_DRIVER_LIMIT_HEAD_BYTES: atls_h1_driver_limit = 401;
/// Bytes of a body in one DATA event; 65,536 by default.
pub const ATLS_H1_DRIVER_LIMIT_DATA_BYTES: atls_h1_driver_limit = 402;
/// Bytes of a received body, both on the wire and decoded; 104,857,600 by default.
pub const ATLS_H1_DRIVER_LIMIT_BODY_BYTES: atls_h1_driver_limit = 403;
/// Header fields of a head, or of trailers; 256 by default.
pub const ATLS_H1_DRIVER_LIMIT_HEADERS: atls_h1_driver_limit = 404;

/// Deadlines of a driver (atls_h1_driver_config_set_deadline).
pub type atls_h1_driver_deadline = u32;

/// When a deadline passes, the connection ends and the peer gets no answer. This one is for a head, up to its last byte: as server from the end of
/// the message before, as client from the end of its own request; informational responses do not prolong it. None by default.
pub const ATLS_H1_DRIVER_DEADLINE_HEAD: atls_h1_driver_deadline = 501;
/// From a head to the end of its body. None by default.
pub const ATLS_H1_DRIVER_DEADLINE_BODY: atls_h1_driver_deadline = 502;
/// As ATLS_SERVER_DEADLINE_TCP_KEEPALIVE, for an adopted TCP socket: how long the peer may be silent before TCP probes whether it is still there. 15
/// seconds by default.
pub const ATLS_H1_DRIVER_DEADLINE_TCP_KEEPALIVE: atls_h1_driver_deadline = 503;

/// A configuration for a connection in `role` (ATLS_H1_CLIENT, ATLS_H1_SERVER). The caller's to free. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_driver_config_new(
    role: atls_h1_role,
    config: Out<*mut atls_h1_driver_config>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let config = require(config, "config")?;
        let role = match role {
            ATLS_H1_CLIENT => Role::Client,
            ATLS_H1_SERVER => Role::Server,
            other => return Err(invalid(format!("role {other} is neither client nor server"))),
        };
        let made = Box::new(atls_h1_driver_config { settings: DriverSettings::new(role) });
        config.give(made);
        Ok(())
    })
}

/// Frees the builder.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_driver_config_free(config: Owned<atls_h1_driver_config>) {
    guard_free(|| destroy(config));
}

/// Sets a limit.
/// `which`: ATLS_H1_DRIVER_LIMIT_*.
/// `value`: 0 is allowed for the body only; at most 2^30 for the others.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (unknown limit; `value` out of range).
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_driver_config_set_limit(
    config: Option<&mut atls_h1_driver_config>,
    which: atls_h1_driver_limit,
    value: u64,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let settings = &mut borrow_mut(config, "config")?.settings;
        let limit = match which {
            ATLS_H1_DRIVER_LIMIT_HEAD_BYTES => DriverLimit::HeadBytes,
            ATLS_H1_DRIVER_LIMIT_DATA_BYTES => DriverLimit::DataBytes,
            ATLS_H1_DRIVER_LIMIT_BODY_BYTES => DriverLimit::BodyBytes,
            ATLS_H1_DRIVER_LIMIT_HEADERS => DriverLimit::HeaderFields,
            other => return Err(unknown("limit", other)),
        };
        settings.set_limit(limit, value).map_err(|error| error.context(format_args!("limit {which}")))
    })
}

/// Sets a deadline.
/// `which`: ATLS_H1_DRIVER_DEADLINE_*.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (unknown deadline).
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_driver_config_set_deadline(
    config: Option<&mut atls_h1_driver_config>,
    which: atls_h1_driver_deadline,
    milliseconds: u32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let settings = &mut borrow_mut(config, "config")?.settings;
        let deadline = match which {
            ATLS_H1_DRIVER_DEADLINE_HEAD => DriverDeadline::Head,
            ATLS_H1_DRIVER_DEADLINE_BODY => DriverDeadline::Body,
            ATLS_H1_DRIVER_DEADLINE_TCP_KEEPALIVE => DriverDeadline::TcpKeepalive,
            other => return Err(unknown("deadline", other)),
        };
        settings.set_deadline(deadline, ChosenDuration::from_millis(milliseconds));
        Ok(())
    })
}

/// Sets whether the connection may carry another message, as it may by default. If not, `Connection: close` is added to heads of this side that say
/// nothing of it. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_driver_config_set_keep_alive(
    config: Option<&mut atls_h1_driver_config>,
    keep_alive: c_bool,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        borrow_mut(config, "config")?.settings.keep_alive = keep_alive.get();
        Ok(())
    })
}

/// Accepts messages that deviate from the RFCs. Each flag (ATLS_H1_ALLOW_BARE_LF and the others) says what it risks; 0 by default. Statuses:
/// NULL_ARGUMENT, INVALID_ARGUMENT (unknown).
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_driver_config_set_flags(
    config: Option<&mut atls_h1_driver_config>,
    flags: u32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        borrow_mut(config, "config")?.settings.flags = known_flags(flags)?;
        Ok(())
    })
}

/// Sets whether bodies are decoded according to Content-Encoding (gzip, deflate, br, zstd); off by default. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_driver_config_set_decode(
    config: Option<&mut atls_h1_driver_config>,
    decode: c_bool,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        borrow_mut(config, "config")?.settings.decode = decode.get();
        Ok(())
    })
}

/// Sets the receive credit for bodies and for a detached stream, like atls_config_set_credit. The default is 256 KiB, automatic. Statuses:
/// NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_driver_config_set_credit(
    config: Option<&mut atls_h1_driver_config>,
    initial: u64,
    automatic: c_bool,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let settings = &mut borrow_mut(config, "config")?.settings;
        (settings.credit, settings.automatic_credit) = (initial, automatic.get());
        Ok(())
    })
}

pub(in crate::capi) fn invalid(why: String) -> Error {
    Error::new(Status::InvalidArgument, why)
}
