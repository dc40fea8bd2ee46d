//! What the host has said of a response and its connection has not taken yet. Pure.

use std::collections::VecDeque;
use std::task::Waker;

use super::request::Switch;
use super::response_head::ResponseHead;
use crate::error::{Error, Result, Status};
use crate::io::deadline::ChosenDuration;
use crate::operation::Outlet;

#[derive(Default)]
pub(super) struct ResponseState {
    /// Where the events go: set when the host starts the request, until the connection takes it.
    pub outlet: Option<Outlet>,
    /// The connection's task, if it waits for the host.
    pub reader: Option<Waker>,
    pub informational: VecDeque<ResponseHead>,
    pub head: Option<ResponseHead>,
    /// The final head was sent, or a switch.
    pub answered: bool,
    /// Bytes that are missing from the length that the final head announced; none if it announced none, or if no body is sent.
    pub missing: Option<u64>,
    pub announced: bool,
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
    pub switch: Option<Box<Switch>>,
    /// The host's own limits for this request's body.
    pub body_limit: Option<u64>,
    pub body_deadline: ChosenDuration,
    pub started: bool,
    /// The host dropped the request, or its connection ended.
    pub over: bool,
}

impl ResponseState {
    /// What is missing after so many bytes more. Errors: InvalidState.
    pub fn missing_after(&self, count: usize) -> Result<Option<u64>> {
        let Some(missing) = self.missing else { return Ok(None) };
        let left = missing.checked_sub(count as u64).ok_or_else(|| {
            let why = format!("{count} bytes are more than the {missing} that are missing from the announced length");
            Error::new(Status::InvalidState, why)
        })?;
        Ok(Some(left))
    }

    pub fn check_startable(&self) -> Result<()> {
        match (self.started, self.over) {
            (true, _) => Err(Error::new(Status::InvalidState, "the request was started already")),
            (_, true) => Err(Error::new(Status::Closed, "the request is over")),
            _ => Ok(()),
        }
    }

    /// Whether the final head can still be sent.
    pub fn check_open(&self) -> Result<()> {
        self.check()?;
        match self.answered {
            true => Err(Error::new(Status::InvalidState, "the response head was sent already")),
            false => Ok(()),
        }
    }

    pub fn check(&self) -> Result<()> {
        match (self.over, self.started) {
            (true, _) => Err(Error::new(Status::Closed, "the request is over")),
            (false, false) => Err(Error::new(Status::InvalidState, "the request was not started")),
            (false, true) => Ok(()),
        }
    }
}
