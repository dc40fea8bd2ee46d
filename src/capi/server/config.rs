//! `atls_server_config`: limits, deadlines, and what a server accepts.

use crate::capi::base::arguments::{Out, Owned, c_text, require, text};
use crate::capi::base::c_bool::c_bool;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::{guard, guard_free};
use crate::capi::base::handle::{Handle, borrow_mut, destroy};
use crate::capi::base::status::atls_status;
use crate::capi::base::unknown;
use crate::capi::h1::conn::known_flags;
use crate::capi::text::head::http_versions;
use crate::error::{Error, Status};
use crate::io::deadline::ChosenDuration;
use crate::server::{ServerDeadline, ServerLimit, ServerSettings};

/// The configuration of a server. A builder: one thread at a time; copied when used.
pub struct atls_server_config {
    pub(in crate::capi) settings: ServerSettings,
}

impl Handle for atls_server_config {
    type Owner = Box<atls_server_config>;
}

/// Limits of a server (atls_server_config_set_limit).
pub type atls_server_limit = u32;

/// Open connections; 10,000 by default. Further ones are closed as they arrive.
pub const ATLS_SERVER_LIMIT_CONNECTIONS: atls_server_limit = 101;
/// Open connections from one address; no limit by default.
pub const ATLS_SERVER_LIMIT_CONNECTIONS_PER_ADDRESS: atls_server_limit = 102;
/// Bytes of a request head; 65,536 by default. A larger one is answered with 431.
pub const ATLS_SERVER_LIMIT_HEAD_BYTES: atls_server_limit = 103;
/// Header fields of a request; 256 by default.
pub const ATLS_SERVER_LIMIT_HEADERS: atls_server_limit = 104;
/// Bytes of a request body; 104,857,600 by default. A larger one is answered with 413. If the
/// Content-Length is already too large, that happens when the host starts the request, before any
/// of the body is read or requested (atls_server_request_set_body_limit).
pub const ATLS_SERVER_LIMIT_BODY_BYTES: atls_server_limit = 105;
/// Requests for evidence per second; 50 by default, which is more than usual hardware produces.
/// Further ones are answered with 503.
pub const ATLS_SERVER_LIMIT_EVIDENCE_PER_SECOND: atls_server_limit = 106;
/// Most bytes of a request body in one DATA event; 65,536 by default.
pub const ATLS_SERVER_LIMIT_DATA_BYTES: atls_server_limit = 107;
/// Connections that the system queues until they are accepted; 1,024 by default. The system may
/// allow fewer.
pub const ATLS_SERVER_LIMIT_BACKLOG: atls_server_limit = 108;

/// Deadlines of a server (atls_server_config_set_deadline).
pub type atls_server_deadline = u32;

/// Deadline for the TLS handshake; 10 seconds by default.
pub const ATLS_SERVER_DEADLINE_HANDSHAKE: atls_server_deadline = 201;
/// From the first byte of a request head to its last; 30 seconds by default. A slower client gets a
/// 408.
pub const ATLS_SERVER_DEADLINE_HEAD: atls_server_deadline = 202;
/// Between requests, and before the first one; 60 seconds by default.
pub const ATLS_SERVER_DEADLINE_IDLE: atls_server_deadline = 203;
/// For a whole request body; none by default.
pub const ATLS_SERVER_DEADLINE_BODY: atls_server_deadline = 204;
/// While the peer does not read anything of a response; 60 seconds by default.
pub const ATLS_SERVER_DEADLINE_SEND: atls_server_deadline = 205;
/// How long the peer may be silent before TCP probes whether it is still there, and the time
/// between probes; 15 seconds by default, in whole seconds. After three unanswered probes the peer
/// is gone. While requests are under way over HTTP/2 the peer is also sent a PING at this interval,
/// and is gone if three in a row bring no answer.
///
/// A client that closes its connection while the host handles its request looks at first like one
/// that has only closed its sending direction, and that is to get its response. The probes tell the
/// difference as soon as the client's system has forgotten the connection (Linux: one minute after
/// the close).
pub const ATLS_SERVER_DEADLINE_TCP_KEEPALIVE: atls_server_deadline = 206;

/// Creates a configuration without TLS and with the default limits and deadlines. Free it with
/// atls_server_config_free.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_config_new(
    config: Out<*mut atls_server_config>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let config = require(config, "config")?;
        let settings = ServerSettings { credit: 256 << 10, automatic_credit: true, ..ServerSettings::default() };
        config.give(Box::new(atls_server_config { settings }));
        Ok(())
    })
}

/// Frees the builder.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_config_free(config: Owned<atls_server_config>) {
    guard_free(|| destroy(config));
}

/// Sets a limit.
/// `which`: ATLS_SERVER_LIMIT_*.
/// `value`: 0 is allowed for the body only; at most 2^30 for a head and 2^31 - 1 for the backlog.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (unknown limit; `value` out of range).
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_config_set_limit(
    config: Option<&mut atls_server_config>,
    which: atls_server_limit,
    value: u64,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let settings = &mut borrow_mut(config, "config")?.settings;
        let limit = match which {
            ATLS_SERVER_LIMIT_CONNECTIONS => ServerLimit::Connections,
            ATLS_SERVER_LIMIT_CONNECTIONS_PER_ADDRESS => ServerLimit::ConnectionsPerAddress,
            ATLS_SERVER_LIMIT_HEAD_BYTES => ServerLimit::HeadBytes,
            ATLS_SERVER_LIMIT_HEADERS => ServerLimit::HeaderFields,
            ATLS_SERVER_LIMIT_BODY_BYTES => ServerLimit::BodyBytes,
            ATLS_SERVER_LIMIT_EVIDENCE_PER_SECOND => ServerLimit::EvidencePerSecond,
            ATLS_SERVER_LIMIT_DATA_BYTES => ServerLimit::DataBytes,
            ATLS_SERVER_LIMIT_BACKLOG => ServerLimit::Backlog,
            other => return Err(unknown("limit", other)),
        };
        settings.set_limit(limit, value).map_err(|error| error.context(format_args!("limit {which}")))
    })
}

/// Sets a deadline.
/// `which`: ATLS_SERVER_DEADLINE_*.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (unknown deadline).
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_config_set_deadline(
    config: Option<&mut atls_server_config>,
    which: atls_server_deadline,
    milliseconds: u32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let limits = &mut borrow_mut(config, "config")?.settings.limits;
        let deadline = match which {
            ATLS_SERVER_DEADLINE_HANDSHAKE => ServerDeadline::Handshake,
            ATLS_SERVER_DEADLINE_HEAD => ServerDeadline::Head,
            ATLS_SERVER_DEADLINE_IDLE => ServerDeadline::Idle,
            ATLS_SERVER_DEADLINE_BODY => ServerDeadline::Body,
            ATLS_SERVER_DEADLINE_SEND => ServerDeadline::Send,
            ATLS_SERVER_DEADLINE_TCP_KEEPALIVE => ServerDeadline::TcpKeepalive,
            other => return Err(unknown("deadline", other)),
        };
        limits.set_deadline(deadline, ChosenDuration::from_millis(milliseconds));
        Ok(())
    })
}

/// Says whether a connection may serve more than one request. On by default.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_config_set_keep_alive(
    config: Option<&mut atls_server_config>,
    keep_alive: c_bool,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        borrow_mut(config, "config")?.settings.limits.keep_alive = keep_alive.get();
        Ok(())
    })
}

/// Sets which versions of HTTP the server speaks in TLS, where ALPN chooses one of them. By default
/// HTTP/1.1 alone: HTTP/2 is more code for an attacker to try, and on it one client has 100 requests
/// under way on one connection.
///
/// Over HTTP/2 the server attests as over HTTP/1.1, once for all requests of a connection, and its
/// events and limits are the same. The differences:
/// - What closes a connection of HTTP/1.1 in the middle of a message resets the stream instead.
///   `Connection: close` in a response closes the connection once its other requests have ended.
/// - Fields that are about a connection of HTTP/1.1, such as Keep-Alive and Upgrade, are not sent, and
///   neither is the reason phrase.
/// - A request's `:authority` is shown as Host. CONNECT is answered with 501, and no connection can
///   leave HTTP (atls_server_request_upgrade_start).
/// - CLOSED comes with OK once the response was handed over to the connection: up to 64 KiB of it may
///   wait for the network.
/// - A client may reset 200 more streams than it lets end; one that begins with a head that is refused
///   counts like a reset.
/// - A connection that is to end still takes requests that were on their way, for 2 seconds; later ones
///   are refused with REFUSED_STREAM. That is also so without keep-alive
///   (atls_server_config_set_keep_alive).
/// - A `#` in a request's path, and what follows it, is cut off; over HTTP/1.1 it is shown.
/// - The end of the client's sending direction ends all its requests, whatever
///   atls_server_config_set_half_close says.
/// - A head that HTTP/2 itself finds malformed, or too large, and for which it resets the stream, and a
///   connection that does not begin as HTTP/2 does, are refused without REFUSED. What breaks HTTP/2 on
///   the connection as a whole ends it, with REFUSED.
/// - A client that breaks HTTP/2 in the body of a request ends it with HTTP_PROTOCOL. After that body
///   a reset is shown as IO, whoever it was by.
///
/// `versions`: ATLS_HTTP_VERSION_1_1, which includes HTTP/1.0, or ATLS_HTTP_VERSION_2, or both as one
/// set; 0 is the default.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (another version). HTTP/2 without a certificate is
/// refused when the server is started, and for a tunnel server.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_config_set_http_versions(
    config: Option<&mut atls_server_config>,
    versions: u32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let config = borrow_mut(config, "config")?;
        config.settings.http_versions = http_versions(versions)?;
        Ok(())
    })
}

/// Says whether a client may end its sending direction, by a FIN or close_notify, and still wait for
/// its response. On by default. If off, such a client is gone: a request whose response is not
/// complete ends with IO and ATLS_DETAIL_PEER_GONE as soon as the end is read, instead of when TCP's
/// probes notice (ATLS_SERVER_DEADLINE_TCP_KEEPALIVE), so that work for clients which have left can
/// be stopped. The end is read only once the host has started the request and has taken its body:
/// not while the host gives no credit for the body or the client waits for 100 (Continue), and not
/// behind 16 KiB that the client has already sent of its next requests. A reset is noticed within a
/// second even then. Few clients half-close.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_config_set_half_close(
    config: Option<&mut atls_server_config>,
    allowed: c_bool,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        borrow_mut(config, "config")?.settings.end_is_gone = !allowed.get();
        Ok(())
    })
}

/// Accepts requests that deviate from the RFCs.
/// `flags`: the leniency flags from ATLS_H1_ALLOW_BARE_LF on, each of which says what it risks; 0
/// by default.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (unknown flag).
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_config_set_flags(
    config: Option<&mut atls_server_config>,
    flags: u32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        borrow_mut(config, "config")?.settings.flags = known_flags(flags)?;
        Ok(())
    })
}

/// Reports each failed TLS handshake with a REFUSED event: who the peer was and what went wrong.
/// Off by default, because anyone can cause such failures at will. Failed handshakes are always
/// counted (ATLS_SERVER_COUNT_HANDSHAKES_FAILED), and only counted while 1,024 of these events wait
/// for the host.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_config_set_handshake_events(
    config: Option<&mut atls_server_config>,
    enabled: c_bool,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        borrow_mut(config, "config")?.settings.tells_handshakes = enabled.get();
        Ok(())
    })
}

/// Decodes request bodies by their Content-Encoding: gzip, deflate, br and zstd. Another coding is
/// answered with 415. A body that cannot be decoded, or has bytes after its end that are not a
/// further gzip member or zstd frame, is answered with 400. The body limit counts decoded bytes.
/// The head stays as it was sent. Off by default.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_config_set_decode(
    config: Option<&mut atls_server_config>,
    decode: c_bool,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        borrow_mut(config, "config")?.settings.decode = decode.get();
        Ok(())
    })
}

/// Trusts the header fields X-Real-Ip, X-Forwarded-For, X-Scheme and X-Forwarded-Proto
/// (atls_server_request_remote, atls_server_request_scheme). Turn it on only if nobody but a proxy
/// can reach the server, because anyone can write such fields. Fields of the same name form one
/// list, whose last item counts. The proxy must therefore write or remove each of the four;
/// otherwise the last item may come from the client. Off by default.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_config_set_trust_forwarded(
    config: Option<&mut atls_server_config>,
    trust: c_bool,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        borrow_mut(config, "config")?.settings.forwarded.enabled = trust.get();
        Ok(())
    })
}

/// Adds the address of a trusted proxy. The last address in X-Forwarded-For that is not a trusted
/// proxy is the client's.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (not an IP address).
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_config_add_trusted_proxy(
    config: Option<&mut atls_server_config>,
    address: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let text = text(address, "address")?;
        let invalid =
            |_| Error::new(Status::InvalidArgument, format!("\"{}\" is not an IP address", text.escape_debug()));
        let address: std::net::IpAddr = text.parse().map_err(invalid)?;
        borrow_mut(config, "config")?.settings.forwarded.trusted.push(address.to_canonical());
        Ok(())
    })
}

/// Sets the receive credit of each request, like atls_config_set_credit. 256 KiB and automatic by
/// default.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_config_set_credit(
    config: Option<&mut atls_server_config>,
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
