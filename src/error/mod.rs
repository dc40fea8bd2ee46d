//! What can go wrong, as one number, one sentence and the facts a program may branch on.
//!
//! Every layer returns [`Error`]; `capi` hands it out as `atls_error`. May know the numbers (`status`) and the verdict that an error carries, and what
//! errors of the system and of rustls mean. No I/O.

mod from_rustls;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

pub use crate::status::{Detail, Phase, Status};
use crate::verdict::Verdict;

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
    /// On a server: the peer of the connection.
    pub peer: Option<SocketAddr>,
    /// The verdict that refused the peer, if one was reached.
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
                return Error::from_rustls(tls, phase);
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

impl Verdict {
    /// The error that a connection refused by this verdict ends with.
    pub fn error(&self) -> Option<Error> {
        if self.trusted {
            return None;
        }
        let (status, message) = match self.first_failure() {
            Some(check) => {
                (check.status, format!("{}: expected {}, got {}", check.name(), check.expected, check.actual))
            }
            None => (Status::Internal, "not trusted, though no check failed".into()),
        };
        let mut error = Error::new(status, format!("attestation refused: {message}")).phase(Phase::Verify);
        error.verdict = Some(Arc::new(self.clone()));
        Some(error)
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
