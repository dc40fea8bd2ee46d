//! The numbers of what can go wrong: status, detail and phase. They are part of the C ABI: append-only. Pure, and uses no other room.

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
    OnlyMeasured = 414,
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
        Status::OnlyMeasured,
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

/// The exact cause, if one status covers several. Append-only; `capi::error` repeats the numbers for the header and a test holds both together.
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
    NotProcessed = 83,
    StreamReset = 84,
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
        Detail::NotProcessed,
        Detail::StreamReset,
        Detail::Clock,
        Detail::NoThread,
        Detail::NoRandom,
        Detail::ThreadEnding,
    ];
}
