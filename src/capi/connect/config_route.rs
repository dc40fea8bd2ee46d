//! `atls_config`, the way there: tunnel, proxy, own address, family, names that are not looked up.

use super::config::atls_config;
use crate::capi::base::arguments::{Out, c_text, optional_text, text};
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::guard;
use crate::capi::base::handle::borrow_mut;
use crate::capi::base::status::atls_status;
use crate::connect::Proxy;
use crate::error::{Error, Result, Status};
use crate::io::net::AddressFamily;
use crate::message::credentials::AuthScheme;
use crate::message::credentials::Login;

/// How user and password are shown.
pub type atls_auth = u32;

/// User and password are sent unasked (RFC 7617).
pub const ATLS_AUTH_BASIC: atls_auth = 0;
/// User and password never leave; the answer to the other side's challenge does (RFC 7616). Where it asks for anything else, nothing is sent.
pub const ATLS_AUTH_DIGEST: atls_auth = 1;

/// Families of addresses.
pub type atls_family = u32;

/// IPv4 and IPv6, whichever answers first.
pub const ATLS_FAMILY_ANY: atls_family = 0;
/// IPv4 only.
pub const ATLS_FAMILY_IPV4: atls_family = 4;
/// IPv6 only.
pub const ATLS_FAMILY_IPV6: atls_family = 6;

pub(in crate::capi) fn scheme(auth: u32) -> Result<AuthScheme> {
    match auth {
        ATLS_AUTH_BASIC => Ok(AuthScheme::Basic),
        ATLS_AUTH_DIGEST => Ok(AuthScheme::Digest),
        other => Err(Error::new(Status::InvalidArgument, format!("auth {other} is none of ATLS_AUTH_*"))),
    }
}

/// Goes through a WebSocket forwarder, `ws://` or `wss://`; the query parameter `target=host:port`
/// is added unless it is there. `url` may be NULL for a direct connection. A frame from the
/// forwarder may have 16 MiB; at most 32 KiB are held, whatever length it announces. A forwarder
/// that violates the protocol, or ends before anything came through it, is WEBSOCKET. Collateral
/// takes the same route, unless atls_verifier_config_set_route sets another. Statuses:
/// NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_config_set_tunnel(
    config: Option<&mut atls_config>,
    url: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let url = optional_text(url, "url")?;
        borrow_mut(config, "config")?.config.set_tunnel(url)
    })
}

/// Goes through a proxy: `http://host:port`, by CONNECT, which for http: URLs of a client takes the
/// requests themselves; `socks5://host:port`, or `socks5h://host:port`, which looks names up
/// itself. What goes to the server over TLS is ciphertext to the proxy. `user` and `password` are
/// how it knows us, by `auth` (ATLS_AUTH_*; SOCKS has a way of its own); `user` and `password` may
/// be NULL. `url` may be NULL, which takes the proxy away. A refusal is TUNNEL_REFUSED, with an
/// HTTP proxy's status in atls_error_http_status. Statuses: NULL_ARGUMENT, INVALID_UTF8,
/// INVALID_ARGUMENT, UNSUPPORTED (another scheme; beside a tunnel).
#[unsafe(no_mangle)]
pub extern "C" fn atls_config_set_proxy(
    config: Option<&mut atls_config>,
    url: c_text,
    user: c_text,
    password: c_text,
    auth: atls_auth,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let url = optional_text(url, "url")?;
        let (user, password) = (optional_text(user, "user")?, optional_text(password, "password")?);
        let login = match (user, password) {
            (None, None) => None,
            (user, password) => {
                Some(Login::new(user.unwrap_or_default(), password.unwrap_or_default(), scheme(auth)?)?)
            }
        };
        let proxy = url.map(|url| Proxy::parse(url, login)).transpose()?;
        borrow_mut(config, "config")?.config.set_proxy(proxy)
    })
}

/// Where connections leave from: an address of this machine, or (Linux) the name of an interface.
/// `address_or_interface` may be NULL, which leaves it to the system. What cannot be bound to fails
/// when connecting, with IO. Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (empty).
#[unsafe(no_mangle)]
pub extern "C" fn atls_config_set_bind(
    config: Option<&mut atls_config>,
    address_or_interface: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let from = optional_text(address_or_interface, "address_or_interface")?;
        borrow_mut(config, "config")?.config.set_bind(from)
    })
}

/// Which addresses are tried: ATLS_FAMILY_*. A host without one fails with DNS. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_config_set_family(
    config: Option<&mut atls_config>,
    family: atls_family,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let family = match family {
            ATLS_FAMILY_ANY => AddressFamily::Any,
            ATLS_FAMILY_IPV4 => AddressFamily::V4,
            ATLS_FAMILY_IPV6 => AddressFamily::V6,
            other => {
                return Err(Error::new(Status::InvalidArgument, format!("family {other} is none of ATLS_FAMILY_*")));
            }
        };
        borrow_mut(config, "config")?.config.change().dial.family = family;
        Ok(())
    })
}

/// Connections to `host` and `port` go to `other_host` and `other_port` instead; TLS and HTTP still name the former. Names are compared as in
/// atls_client_set_policy. May be called several times; the first that matches counts. Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (an
/// empty name or none, a port of 0).
#[unsafe(no_mangle)]
pub extern "C" fn atls_config_map_host(
    config: Option<&mut atls_config>,
    host: c_text,
    port: u16,
    other_host: c_text,
    other_port: u16,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let (host, other) = (text(host, "host")?, text(other_host, "other_host")?);
        borrow_mut(config, "config")?.config.map_host((host, port), (other, other_port))
    })
}
