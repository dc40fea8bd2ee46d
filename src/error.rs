//! What can go wrong, as one number, one sentence and the facts a program may branch on.
//!
//! Every layer returns [`Error`]; `capi` hands it out as `atls_error`. Nothing here touches I/O.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::attest::Verdict;

/// The status numbers of the C ABI. Append-only, grouped by hundred; `capi::status` repeats them for the header and a test
/// holds both together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Status {
    Ok = 0,
    NullArgument = 101,
    InvalidArgument = 102,
    InvalidUtf8 = 103,
    InvalidState = 104,
    Again = 105,
    Closed = 106,
    Forked = 107,
    WouldDeadlock = 108,
    Unsupported = 109,
    Busy = 110,
    PolicyInvalid = 111,
    Io = 201,
    Dns = 202,
    TimedOut = 203,
    Canceled = 204,
    Truncated = 205,
    NoResources = 206,
    TlsHandshake = 301,
    TlsCertificate = 302,
    TlsVersion = 303,
    NoEvidence = 401,
    EvidenceInvalid = 402,
    QuoteInvalid = 403,
    TcbRejected = 404,
    MeasurementMismatch = 405,
    BindingMismatch = 406,
    EventLogInvalid = 407,
    CollateralUnavailable = 408,
    CollateralInvalid = 409,
    TrustAnchor = 410,
    PolicyRequired = 411,
    EvidenceRefused = 412,
    EvidenceBusy = 413,
    HttpProtocol = 501,
    HttpHeaderInvalid = 502,
    RedirectRefused = 503,
    ContentCoding = 504,
    BodyTooLarge = 505,
    TunnelRefused = 510,
    WebSocket = 511,
    H1Local = 520,
    H1Remote = 521,
    Panic = 901,
    Internal = 902,
}

impl Status {
    /// Every status, in numeric order.
    pub const ALL: &'static [Status] = &[
        Status::Ok,
        Status::NullArgument,
        Status::InvalidArgument,
        Status::InvalidUtf8,
        Status::InvalidState,
        Status::Again,
        Status::Closed,
        Status::Forked,
        Status::WouldDeadlock,
        Status::Unsupported,
        Status::Busy,
        Status::PolicyInvalid,
        Status::Io,
        Status::Dns,
        Status::TimedOut,
        Status::Canceled,
        Status::Truncated,
        Status::NoResources,
        Status::TlsHandshake,
        Status::TlsCertificate,
        Status::TlsVersion,
        Status::NoEvidence,
        Status::EvidenceInvalid,
        Status::QuoteInvalid,
        Status::TcbRejected,
        Status::MeasurementMismatch,
        Status::BindingMismatch,
        Status::EventLogInvalid,
        Status::CollateralUnavailable,
        Status::CollateralInvalid,
        Status::TrustAnchor,
        Status::PolicyRequired,
        Status::EvidenceRefused,
        Status::EvidenceBusy,
        Status::HttpProtocol,
        Status::HttpHeaderInvalid,
        Status::RedirectRefused,
        Status::ContentCoding,
        Status::BodyTooLarge,
        Status::TunnelRefused,
        Status::WebSocket,
        Status::H1Local,
        Status::H1Remote,
        Status::Panic,
        Status::Internal,
    ];

    /// As the header has it, without its prefix: `TIMED_OUT`.
    pub fn name(self) -> String {
        let mut name = String::new();
        for (index, c) in format!("{self:?}").char_indices() {
            // One word to those who made it.
            let is_border = c.is_ascii_uppercase() && index > 0 && self != Status::WebSocket;
            name.extend(is_border.then_some('_'));
            name.push(c.to_ascii_uppercase());
        }
        name
    }
}

/// The phase of a connection in which an error arose. Stable names, for logs and for `atls_error_phase`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Call,
    Queue,
    Dns,
    Connect,
    Tunnel,
    Tls,
    Evidence,
    Collateral,
    Verify,
    Transfer,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Phase::Call => "call",
            Phase::Queue => "queue",
            Phase::Dns => "dns",
            Phase::Connect => "connect",
            Phase::Tunnel => "tunnel",
            Phase::Tls => "tls",
            Phase::Evidence => "evidence",
            Phase::Collateral => "collateral",
            Phase::Verify => "verify",
            Phase::Transfer => "transfer",
        }
    }
}

/// What exactly, where one status covers much. Append-only; `capi::error` repeats the numbers for the header and a test holds both together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum Detail {
    #[default]
    None = 0,
    QueueTimeout = 1,
    ConnectTimeout = 2,
    TlsTimeout = 3,
    EvidenceTimeout = 4,
    HeadTimeout = 5,
    FirstByteTimeout = 6,
    IdleTimeout = 7,
    TotalTimeout = 8,
    CallTimeout = 9,
    BadStartLine = 20,
    BadHeader = 21,
    HeadTooLarge = 22,
    BadContentLength = 23,
    UnequalContentLength = 24,
    BadTransferEncoding = 25,
    BothLengths = 26,
    UnexpectedBody = 27,
    BadChunk = 28,
    NoCloseNotify = 29,
    RedirectLeaves = 40,
    RedirectDowngrades = 41,
    BadLocation = 42,
    ProxyLogin = 50,
    ProxyRefused = 51,
    UnknownCoding = 60,
    BadCoding = 61,
    TruncatedCoding = 62,
    TooManyInformational = 70,
    UnaskedUpgrade = 71,
    Rewind = 72,
    PeerGone = 80,
    ServerClosed = 81,
    MessageCut = 82,
    Clock = 110,
    NoThread = 130,
    NoRandom = 131,
    ThreadEnding = 132,
}

impl Detail {
    /// Every detail, in numeric order.
    pub const ALL: &'static [Detail] = &[
        Detail::None,
        Detail::QueueTimeout,
        Detail::ConnectTimeout,
        Detail::TlsTimeout,
        Detail::EvidenceTimeout,
        Detail::HeadTimeout,
        Detail::FirstByteTimeout,
        Detail::IdleTimeout,
        Detail::TotalTimeout,
        Detail::CallTimeout,
        Detail::BadStartLine,
        Detail::BadHeader,
        Detail::HeadTooLarge,
        Detail::BadContentLength,
        Detail::UnequalContentLength,
        Detail::BadTransferEncoding,
        Detail::BothLengths,
        Detail::UnexpectedBody,
        Detail::BadChunk,
        Detail::NoCloseNotify,
        Detail::RedirectLeaves,
        Detail::RedirectDowngrades,
        Detail::BadLocation,
        Detail::ProxyLogin,
        Detail::ProxyRefused,
        Detail::UnknownCoding,
        Detail::BadCoding,
        Detail::TruncatedCoding,
        Detail::TooManyInformational,
        Detail::UnaskedUpgrade,
        Detail::Rewind,
        Detail::PeerGone,
        Detail::ServerClosed,
        Detail::MessageCut,
        Detail::Clock,
        Detail::NoThread,
        Detail::NoRandom,
        Detail::ThreadEnding,
    ];
}

/// A failure. Cheap to clone: the verdict is shared.
#[derive(Clone, Debug)]
pub struct Error {
    pub status: Status,
    pub phase: Phase,
    pub detail: Detail,
    pub message: String,
    /// `errno` of the system call that failed, 0 when none did.
    pub os_errno: i32,
    /// TLS alert number received or sent, -1 when there was none (RFC 8446 section 6).
    pub tls_alert: i32,
    /// HTTP status that caused the error, 0 when none did.
    pub http_status: u16,
    /// On a server: whose connection it was.
    pub peer: Option<SocketAddr>,
    /// The judgement that refused the server, where one was reached.
    pub verdict: Option<Arc<Verdict>>,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Error {
            status,
            phase: Phase::Call,
            detail: Detail::None,
            message: message.into(),
            os_errno: 0,
            tls_alert: -1,
            http_status: 0,
            peer: None,
            verdict: None,
        }
    }

    pub fn phase(mut self, phase: Phase) -> Self {
        self.phase = phase;
        self
    }

    pub fn detail(mut self, detail: Detail) -> Self {
        self.detail = detail;
        self
    }

    pub fn http_status(mut self, status: u16) -> Self {
        self.http_status = status;
        self
    }

    pub fn peer(mut self, peer: Option<SocketAddr>) -> Self {
        self.peer = peer;
        self
    }

    /// Puts `context` before the message, separated by ": ".
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// Maps an I/O error. One that carries an [`Error`] or a TLS failure inside is unwrapped rather than flattened.
    pub fn from_io(error: std::io::Error, phase: Phase) -> Self {
        if let Some(inner) = error.get_ref() {
            if let Some(ours) = inner.downcast_ref::<Error>() {
                return ours.clone();
            }
            if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
                return crate::tls::error_from_rustls(tls, phase);
            }
        }
        let status = match error.kind() {
            std::io::ErrorKind::TimedOut => Status::TimedOut,
            std::io::ErrorKind::UnexpectedEof => Status::Truncated,
            _ => Status::Io,
        };
        let os_errno = error.raw_os_error().unwrap_or(0);
        let mut out = Error::new(status, chain(&error)).phase(phase);
        out.os_errno = os_errno;
        out
    }

    /// As `from_io`, of a connection that a peer has opened: what the system says of it is that the peer is gone.
    pub fn from_peer(error: std::io::Error) -> Self {
        let mut error = Error::from_io(error, Phase::Transfer);
        if matches!(error.status, Status::Io | Status::TimedOut) && error.os_errno != 0 {
            (error.status, error.detail) = (Status::Io, Detail::PeerGone);
            return error.context("the peer is gone");
        }
        error
    }

    /// An I/O error that carries this error through an `AsyncRead`/`AsyncWrite` boundary.
    pub fn into_io(self) -> std::io::Error {
        std::io::Error::other(self)
    }

    /// Whether the same call may succeed later without a change on the caller's side.
    pub fn retryable(&self) -> bool {
        matches!(
            self.status,
            Status::Io
                | Status::Dns
                | Status::TimedOut
                | Status::Truncated
                | Status::NoResources
                | Status::CollateralUnavailable
                | Status::EvidenceBusy
                | Status::Busy
                | Status::Again
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// The whole source chain joined with ": ", without repeating a cause that its parent already prints.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
