//! Why there is no judgement: a policy that says nothing clear, or a question that cannot be answered. (Evidence that is refused is a verdict.)
//! The one place of this room that knows the library's error. Pure.

use std::fmt;

use crate::error::Error;
use crate::status::{Phase, Status};

/// What is wrong with a policy or a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub status: Status,
    pub phase: Phase,
    pub message: String,
}

pub type Result<T> = std::result::Result<T, Fault>;

impl Fault {
    /// Of a document that the caller wrote.
    pub fn of_policy(status: Status, message: impl Into<String>) -> Fault {
        Fault { status, phase: Phase::Call, message: message.into() }
    }

    /// Of a question about evidence.
    pub fn of_question(status: Status, message: impl Into<String>) -> Fault {
        Fault { status, phase: Phase::Verify, message: message.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        Error::new(fault.status, fault.message).phase(fault.phase)
    }
}
