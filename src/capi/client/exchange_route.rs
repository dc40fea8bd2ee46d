//! `atls_exchange` of a client: where the response came from, and how long it took.

use bytes::Bytes;

use super::exchange::atls_exchange;
use crate::capi::attest::verdict::atls_verdict;
use crate::capi::base::bytes::{atls_buf, atls_str, c_string};
use crate::capi::base::guard::guard_value;
use crate::capi::base::handle::borrow;
use crate::capi::text::head::{ATLS_HTTP_VERSION_1_0, ATLS_HTTP_VERSION_1_1, ATLS_HTTP_VERSION_2, atls_http_version};
use crate::tls::HttpVersion;

/// The URL that the response came from, after redirects. Valid as long as the exchange. "" before
/// the response head has arrived, and for an exchange of an atls_http.
#[unsafe(no_mangle)]
pub extern "C" fn atls_exchange_url(exchange: Option<&atls_exchange>) -> atls_str {
    guard_value(atls_str::empty(), || {
        let route = borrow(exchange, "exchange").ok().and_then(atls_exchange::route);
        route.map_or(atls_str::empty(), |route| atls_str::from_cstring(&route.url))
    })
}

/// How many redirects were followed. 0 for an exchange of an atls_http.
#[unsafe(no_mangle)]
pub extern "C" fn atls_exchange_redirects(exchange: Option<&atls_exchange>) -> u32 {
    guard_value(0, || {
        let route = borrow(exchange, "exchange").ok().and_then(atls_exchange::route);
        route.map_or(0, |route| route.redirects)
    })
}

/// Whether the connection had carried an earlier request. False for an exchange of an atls_http.
#[unsafe(no_mangle)]
pub extern "C" fn atls_exchange_reused(exchange: Option<&atls_exchange>) -> bool {
    guard_value(false, || {
        let route = borrow(exchange, "exchange").ok().and_then(atls_exchange::route);
        route.is_some_and(|route| route.reused)
    })
}

/// The version of HTTP that the response came with. 0 before the response head has arrived, for an
/// exchange of an atls_http, which speaks HTTP/1.x, and for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn atls_exchange_http_version(exchange: Option<&atls_exchange>) -> atls_http_version {
    guard_value(0, || {
        let route = borrow(exchange, "exchange").ok().and_then(atls_exchange::route);
        match route.map(|route| route.version) {
            None => 0,
            Some((HttpVersion::Http2, _)) => ATLS_HTTP_VERSION_2,
            Some((HttpVersion::Http1, 0)) => ATLS_HTTP_VERSION_1_0,
            Some((HttpVersion::Http1, _)) => ATLS_HTTP_VERSION_1_1,
        }
    })
}

/// The verdict on the server that responded, as a new reference: free it. NULL before the response
/// head has arrived, for an unattested server, and for an exchange of an atls_http. It is the one
/// that held when the request was sent.
#[unsafe(no_mangle)]
pub extern "C" fn atls_exchange_verdict(exchange: Option<&atls_exchange>) -> *mut atls_verdict {
    guard_value(std::ptr::null_mut(), || {
        let route = borrow(exchange, "exchange").ok().and_then(atls_exchange::route);
        let verdict = route.and_then(|route| route.verdict.clone());
        verdict.map_or(std::ptr::null_mut(), atls_verdict::into_raw)
    })
}

/// Address and port of the other end of the socket, such as "192.0.2.1:443" or "[2001:db8::1]:443":
/// the server, or the proxy or forwarder that leads to it. Valid as long as the exchange. "" before
/// the response head has arrived, and for an exchange of an atls_http.
#[unsafe(no_mangle)]
pub extern "C" fn atls_exchange_peer(exchange: Option<&atls_exchange>) -> atls_str {
    guard_value(atls_str::empty(), || {
        let Ok(exchange) = borrow(exchange, "exchange") else { return atls_str::empty() };
        let peer = exchange.route().and_then(|route| route.connection.peer);
        peer.map_or(atls_str::empty(), |peer| {
            atls_str::from_cstring(exchange.peer.get_or_init(|| c_string(&peer.to_string())))
        })
    })
}

/// The server's own certificate, DER; the caller's to free. NULL before the response head has
/// arrived, without TLS, and for an exchange of an atls_http.
#[unsafe(no_mangle)]
pub extern "C" fn atls_exchange_certificate(exchange: Option<&atls_exchange>) -> *mut atls_buf {
    guard_value(std::ptr::null_mut(), || {
        let route = borrow(exchange, "exchange").ok().and_then(atls_exchange::route);
        let certificate: Option<Bytes> = route.and_then(|route| route.connection.certificate.clone());
        certificate.map_or(std::ptr::null_mut(), atls_buf::into_raw)
    })
}

/// Phases of an exchange (atls_exchange_time_us).
pub type atls_exchange_time = u32;

/// Waiting for the request's turn.
pub const ATLS_EXCHANGE_TIME_QUEUE: atls_exchange_time = 1;
/// Resolving the name; 0 if a proxy or tunnel does it.
pub const ATLS_EXCHANGE_TIME_DNS: atls_exchange_time = 2;
/// Opening the TCP connection, and setting up the proxy or tunnel.
pub const ATLS_EXCHANGE_TIME_CONNECT: atls_exchange_time = 3;
/// The TLS handshake.
pub const ATLS_EXCHANGE_TIME_TLS: atls_exchange_time = 4;
/// Evidence, collateral and appraisal.
pub const ATLS_EXCHANGE_TIME_ATTEST: atls_exchange_time = 5;
/// From sending the request to the response head.
pub const ATLS_EXCHANGE_TIME_FIRST_BYTE: atls_exchange_time = 6;
/// From the call to the end of the body, including redirects.
pub const ATLS_EXCHANGE_TIME_TOTAL: atls_exchange_time = 7;

/// How long a phase of the exchange took, in microseconds. Except for the total, it is that of the
/// last request of a chain of redirects. The phases of connecting are 0 if an idle connection was
/// used. UINT64_MAX if the time is unknown, or not known yet, and for an exchange of an atls_http.
/// `which`: ATLS_EXCHANGE_TIME_*.
#[unsafe(no_mangle)]
pub extern "C" fn atls_exchange_time_us(exchange: Option<&atls_exchange>, which: atls_exchange_time) -> u64 {
    guard_value(u64::MAX, || {
        let Some(route) = borrow(exchange, "exchange").ok().and_then(atls_exchange::route) else {
            return u64::MAX;
        };
        let times = route.connecting();
        let time = match which {
            ATLS_EXCHANGE_TIME_QUEUE => Some(route.queue),
            ATLS_EXCHANGE_TIME_DNS => Some(times.dns),
            ATLS_EXCHANGE_TIME_CONNECT => Some(times.connect),
            ATLS_EXCHANGE_TIME_TLS => Some(times.tls),
            ATLS_EXCHANGE_TIME_ATTEST => Some(times.attest),
            ATLS_EXCHANGE_TIME_FIRST_BYTE => Some(route.first_byte),
            ATLS_EXCHANGE_TIME_TOTAL => route.total.get().copied(),
            _ => None,
        };
        time.map_or(u64::MAX, |time| time.as_micros().try_into().unwrap_or(u64::MAX))
    })
}
