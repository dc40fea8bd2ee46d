//! `atls_config`, the way there: tunnel, proxy, own address, family, names that are not looked up.

use super::config::atls_config;
use crate::capi::base::arguments::{Out, c_text, optional_text, text};
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::guard;
use crate::capi::base::handle::borrow_mut;
use crate::capi::base::status::atls_status;
use crate::capi::base::unknown;
use crate::connect::Proxy;
use crate::error::Result;
use crate::io::dialling::AddressFamily;
use crate::message::credentials::AuthScheme;
use crate::message::credentials::Login;

/// How a user name and password are sent.
pub type atls_auth = u32;

/// They are sent without being asked for (RFC 7617).
pub const ATLS_AUTH_BASIC: atls_auth = 0;
/// They are never sent; only the response to a challenge is (RFC 7616). If the other side asks for anything else, nothing is sent.
pub const ATLS_AUTH_DIGEST: atls_auth = 1;

/// Which addresses of a host are tried.
pub type atls_family = u32;

/// IPv4 and IPv6; the first that connects is used.
pub const ATLS_FAMILY_ANY: atls_family = 0;
/// IPv4 only.
pub const ATLS_FAMILY_IPV4: atls_family = 4;
/// IPv6 only.
pub const ATLS_FAMILY_IPV6: atls_family = 6;

pub(in crate::capi) fn scheme(auth: u32) -> Result<AuthScheme> {
    match auth {
        ATLS_AUTH_BASIC => Ok(AuthScheme::Basic),
        ATLS_AUTH_DIGEST => Ok(AuthScheme::Digest),
        other => Err(unknown("auth", other)),
    }
}

/// Connects through a WebSocket forwarder. A frame from it may have up to 16 MiB; whatever length it announces, at most 32 KiB are held. A forwarder
/// that violates the protocol, or ends before anything has come through it, is WEBSOCKET. Collateral takes the same route, unless
/// atls_verifier_config_set_route sets another.
/// `url`: `ws://` or `wss://`; the query parameter `target=host:port` is added if it is missing. May be NULL, for a direct connection.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT, UNSUPPORTED (together with a proxy).
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

/// Connects through a proxy. A client's requests for http: URLs are sent to an HTTP proxy themselves; everything else goes through a tunnel that it
/// opens (CONNECT). TLS with the server is end to end, so the proxy sees ciphertext only. If the proxy refuses, that is TUNNEL_REFUSED;
/// atls_error_http_status has an HTTP proxy's status.
/// `url`: `http://host:port`, `socks5://host:port`, or `socks5h://host:port`, with which the proxy resolves names. May be NULL, for no proxy.
/// `user`, `password`: may be NULL, for none.
/// `auth`: how they are sent to an HTTP proxy; SOCKS has its own way.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT, UNSUPPORTED (another scheme; together with a tunnel).
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

/// Sets the local address of connections. If it cannot be bound, connecting fails with IO.
/// `address_or_interface`: an address of this machine or, on Linux, the name of an interface. May be NULL: the system chooses.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (empty).
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

/// Sets which addresses are tried. If a host has none of them, connecting fails with DNS. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT.
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
            other => return Err(unknown("family", other)),
        };
        borrow_mut(config, "config")?.config.change().dial.family = family;
        Ok(())
    })
}

/// Connects to `other_host` and `other_port` instead of `host` and `port`; TLS and HTTP still use the latter. Names are compared as in
/// atls_client_set_policy. May be called several times; the first match counts. Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (an empty or
/// invalid name, a port of 0).
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
