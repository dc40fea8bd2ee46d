//! What a failure to verify a quote is a failure of. Known by the step that failed, never by its message. Pure.

use std::fmt;

use super::documents::DocumentKind;
use crate::status::Status;

/// Whom or what a failure speaks against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// The quote itself: its form, its signatures, or a chain that does not lead to the root.
    Quote,
    /// A trust domain with a valid quote that cannot be trusted: it can be inspected or changed from outside.
    TrustDomain,
    /// One of the vendor's documents.
    Document(DocumentKind),
    /// None of that kind is at hand that is about the platform.
    Missing(DocumentKind),
    /// The machine: revoked, or with firmware that no document vouches for.
    Platform,
}

impl Culprit {
    pub fn status(self) -> Status {
        match self {
            Culprit::Quote => Status::QuoteInvalid,
            Culprit::TrustDomain => Status::MeasurementMismatch,
            Culprit::Document(_) => Status::CollateralInvalid,
            Culprit::Missing(_) => Status::CollateralUnavailable,
            Culprit::Platform => Status::TcbRejected,
        }
    }
}

/// Why a quote was not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unverified {
    pub culprit: Culprit,
    pub why: String,
}

impl Unverified {
    pub fn new(culprit: Culprit, why: impl Into<String>) -> Unverified {
        Unverified { culprit, why: why.into() }
    }

    pub fn quote(why: impl Into<String>) -> Unverified {
        Unverified::new(Culprit::Quote, why)
    }
}

impl fmt::Display for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.culprit {
            Culprit::Document(document) | Culprit::Missing(document) => write!(f, "{document}: {}", self.why),
            _ => f.write_str(&self.why),
        }
    }
}
