//! `atls_status`: the numbers of `crate::error::Status`, written out for the header.

use super::bytes::atls_str;
use super::guard::guard_pure;
use crate::error::Status;

/// What a call answers, or why an operation ended. Numbers never change or get reused; new ones are added. A program that meets
/// one it does not know should go by its hundred: 1xx the call was wrong, 2xx system or time, 3xx TLS, 4xx attestation, 5xx HTTP
/// or tunnel, 9xx a defect of the library.
pub type atls_status = i32;

/// Success.
pub const ATLS_OK: atls_status = 0;
/// A pointer that must not be NULL is.
pub const ATLS_NULL_ARGUMENT: atls_status = 101;
/// An argument has an impossible value; the message names it.
pub const ATLS_INVALID_ARGUMENT: atls_status = 102;
/// Text that must be UTF-8 is not.
pub const ATLS_INVALID_UTF8: atls_status = 103;
/// The call is not possible in the current state of the object.
pub const ATLS_INVALID_STATE: atls_status = 104;
/// Nothing was taken; try again after the next WRITABLE event (or when data has come).
pub const ATLS_AGAIN: atls_status = 105;
/// The stream or connection is closed.
pub const ATLS_CLOSED: atls_status = 106;
/// The process forked after the library was started; the child cannot use it.
pub const ATLS_FORKED: atls_status = 107;
/// A blocking call from a callback or a thread of the library would wait for itself.
pub const ATLS_WOULD_DEADLOCK: atls_status = 108;
/// Known, but not part of this version.
pub const ATLS_UNSUPPORTED: atls_status = 109;
/// The connection still carries the previous exchange.
pub const ATLS_BUSY: atls_status = 110;
/// The policy document is invalid; the message has the path of the field.
pub const ATLS_POLICY_INVALID: atls_status = 111;
/// A system call on a socket failed; see atls_error_os_errno.
pub const ATLS_IO: atls_status = 201;
/// The host name could not be resolved.
pub const ATLS_DNS: atls_status = 202;
/// A deadline passed; the message names the phase.
pub const ATLS_TIMED_OUT: atls_status = 203;
/// Canceled by the caller or by a shutdown.
pub const ATLS_CANCELED: atls_status = 204;
/// The connection ended in the middle of a message.
pub const ATLS_TRUNCATED: atls_status = 205;
/// The system could not provide a thread or random numbers. The object on which the call was made is unchanged.
pub const ATLS_NO_RESOURCES: atls_status = 206;
/// The TLS handshake or record layer failed; see atls_error_tls_alert.
pub const ATLS_TLS_HANDSHAKE: atls_status = 301;
/// The peer's certificate is not acceptable: chain, dates or name.
pub const ATLS_TLS_CERTIFICATE: atls_status = 302;
/// The peer does not support TLS 1.3.
pub const ATLS_TLS_VERSION: atls_status = 303;
/// The peer gave no evidence, or this side could not obtain its own.
pub const ATLS_NO_EVIDENCE: atls_status = 401;
/// The evidence cannot be parsed.
pub const ATLS_EVIDENCE_INVALID: atls_status = 402;
/// The quote is malformed, or its signatures do not lead to the trust anchor.
pub const ATLS_QUOTE_INVALID: atls_status = 403;
/// The platform is revoked, or older than anything the vendor's documents vouch for, or the policy does not accept its TCB.
pub const ATLS_TCB_REJECTED: atls_status = 404;
/// What runs there is not what the policy names, or is a TD that its host can inspect, disturb or migrate.
pub const ATLS_MEASUREMENT_MISMATCH: atls_status = 405;
/// The evidence does not belong to this session.
pub const ATLS_BINDING_MISMATCH: atls_status = 406;
/// The event log contradicts itself or the quote.
pub const ATLS_EVENT_LOG_INVALID: atls_status = 407;
/// No collateral source answered.
pub const ATLS_COLLATERAL_UNAVAILABLE: atls_status = 408;
/// One of the vendor's documents is expired, not yet valid, rolled back, for another platform or not signed by the vendor: the message names it.
pub const ATLS_COLLATERAL_INVALID: atls_status = 409;
/// A simulated root without both opt-ins.
pub const ATLS_TRUST_ANCHOR: atls_status = 410;
/// No policy covers the host, and the client does not allow unattested connections.
pub const ATLS_POLICY_REQUIRED: atls_status = 411;
/// The server refused this side's evidence, or requires evidence that this side cannot give.
pub const ATLS_EVIDENCE_REFUSED: atls_status = 412;
/// The other side can give evidence, but was too busy for it until the deadline passed, or did not say when to ask again. Another try may succeed.
pub const ATLS_EVIDENCE_BUSY: atls_status = 413;
/// The policy only measures (atls_policy_new_measuring), and so accepts nothing. Nothing else is wrong: the evidence is authentic, belongs to the session, and
/// its documents hold. The verdict says what was seen.
pub const ATLS_ONLY_MEASURED: atls_status = 414;
/// The peer's HTTP/1.1 is malformed.
pub const ATLS_HTTP_PROTOCOL: atls_status = 501;
/// A header that the caller gave is not allowed.
pub const ATLS_HTTP_HEADER_INVALID: atls_status = 502;
/// A redirect would leave an attested origin, and the request does not allow that.
pub const ATLS_REDIRECT_REFUSED: atls_status = 503;
/// A content coding that was not asked for, or that cannot be decoded.
pub const ATLS_CONTENT_CODING: atls_status = 504;
/// The response body is larger than the request allows.
pub const ATLS_BODY_TOO_LARGE: atls_status = 505;
/// The tunnel server or proxy refused the target; see atls_error_http_status.
pub const ATLS_TUNNEL_REFUSED: atls_status = 510;
/// The WebSocket under a tunnel broke its protocol.
pub const ATLS_WEBSOCKET: atls_status = 511;
/// What the caller wants to send on an atls_h1_conn is not HTTP, or not possible now.
pub const ATLS_H1_LOCAL: atls_status = 520;
/// The peer of an atls_h1_conn violated the protocol; atls_error_http_status is what a server might answer.
pub const ATLS_H1_REMOTE: atls_status = 521;
/// The library failed internally and recovered. The handle involved is no longer usable.
pub const ATLS_PANIC: atls_status = 901;
/// An internal invariant was violated.
pub const ATLS_INTERNAL: atls_status = 902;

/// The name of a status without its prefix, for example "TIMED_OUT"; "UNKNOWN" for numbers of later versions. Static.
#[unsafe(no_mangle)]
pub extern "C" fn atls_status_name(status: atls_status) -> atls_str {
    guard_pure(atls_str::from_static(c"UNKNOWN"), || atls_str::from_static(name(status)))
}

fn name(status: atls_status) -> &'static std::ffi::CStr {
    match Status::ALL.iter().find(|known| **known as atls_status == status) {
        None => c"UNKNOWN",
        Some(Status::Ok) => c"OK",
        Some(Status::NullArgument) => c"NULL_ARGUMENT",
        Some(Status::InvalidArgument) => c"INVALID_ARGUMENT",
        Some(Status::InvalidUtf8) => c"INVALID_UTF8",
        Some(Status::InvalidState) => c"INVALID_STATE",
        Some(Status::Again) => c"AGAIN",
        Some(Status::Closed) => c"CLOSED",
        Some(Status::Forked) => c"FORKED",
        Some(Status::WouldDeadlock) => c"WOULD_DEADLOCK",
        Some(Status::Unsupported) => c"UNSUPPORTED",
        Some(Status::Busy) => c"BUSY",
        Some(Status::PolicyInvalid) => c"POLICY_INVALID",
        Some(Status::Io) => c"IO",
        Some(Status::Dns) => c"DNS",
        Some(Status::TimedOut) => c"TIMED_OUT",
        Some(Status::Canceled) => c"CANCELED",
        Some(Status::Truncated) => c"TRUNCATED",
        Some(Status::NoResources) => c"NO_RESOURCES",
        Some(Status::TlsHandshake) => c"TLS_HANDSHAKE",
        Some(Status::TlsCertificate) => c"TLS_CERTIFICATE",
        Some(Status::TlsVersion) => c"TLS_VERSION",
        Some(Status::NoEvidence) => c"NO_EVIDENCE",
        Some(Status::EvidenceInvalid) => c"EVIDENCE_INVALID",
        Some(Status::QuoteInvalid) => c"QUOTE_INVALID",
        Some(Status::TcbRejected) => c"TCB_REJECTED",
        Some(Status::MeasurementMismatch) => c"MEASUREMENT_MISMATCH",
        Some(Status::BindingMismatch) => c"BINDING_MISMATCH",
        Some(Status::EventLogInvalid) => c"EVENT_LOG_INVALID",
        Some(Status::CollateralUnavailable) => c"COLLATERAL_UNAVAILABLE",
        Some(Status::CollateralInvalid) => c"COLLATERAL_INVALID",
        Some(Status::TrustAnchor) => c"TRUST_ANCHOR",
        Some(Status::PolicyRequired) => c"POLICY_REQUIRED",
        Some(Status::EvidenceRefused) => c"EVIDENCE_REFUSED",
        Some(Status::EvidenceBusy) => c"EVIDENCE_BUSY",
        Some(Status::OnlyMeasured) => c"ONLY_MEASURED",
        Some(Status::HttpProtocol) => c"HTTP_PROTOCOL",
        Some(Status::HttpHeaderInvalid) => c"HTTP_HEADER_INVALID",
        Some(Status::RedirectRefused) => c"REDIRECT_REFUSED",
        Some(Status::ContentCoding) => c"CONTENT_CODING",
        Some(Status::BodyTooLarge) => c"BODY_TOO_LARGE",
        Some(Status::TunnelRefused) => c"TUNNEL_REFUSED",
        Some(Status::WebSocket) => c"WEBSOCKET",
        Some(Status::H1Local) => c"H1_LOCAL",
        Some(Status::H1Remote) => c"H1_REMOTE",
        Some(Status::Panic) => c"PANIC",
        Some(Status::Internal) => c"INTERNAL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_and_the_enum_say_the_same() {
        let source = include_str!("status.rs");
        for status in Status::ALL {
            let name = name(*status as i32).to_str().unwrap();
            let line = format!("pub const ATLS_{name}: atls_status = {};", *status as i32);
            assert!(source.contains(&line), "{line}");
            assert_eq!(status.name(), name);
        }
        let constants = source.lines().filter(|line| line.starts_with("pub const ATLS_")).count();
        assert_eq!(constants, Status::ALL.len());
        assert_eq!(name(12345), c"UNKNOWN");
    }
}
