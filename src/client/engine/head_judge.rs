//! What may come before the body of a response: how long a head may be, how many informational ones there may be, and what they may announce. The same for both
//! engines of HTTP/1.1. No I/O.

use super::faults::{cut, no_response, refused, too_large, too_many, unexpected_body};
use crate::client::request_options::HeadLimits;
use crate::error::{Detail, Error, Result};
use crate::h1::{Event, EventKind, ProtocolError, Rules, flags};
use crate::message::ReceivedHead;

/// The leniency that RFC 9112 allows a recipient, in sections 2.2 and 6.3.
const LENIENCY: u32 = flags::ALLOW_BARE_LF | flags::MERGE_EQUAL_CONTENT_LENGTH;

/// Of every response.
const BEGINNING: &[u8] = b"HTTP/1.";

/// Judges the heads of the response to one request.
#[derive(Default)]
pub struct HeadJudge {
    limits: HeadLimits,
    /// Informational heads that have come, and their bytes.
    informational: (u32, usize),
    final_head_seen: bool,
}

impl HeadJudge {
    pub fn new(limits: HeadLimits) -> HeadJudge {
        HeadJudge { limits, ..HeadJudge::default() }
    }

    /// For the machine that reads the heads.
    pub fn rules(limits: &HeadLimits) -> Rules {
        Rules { flags: LENIENCY, max_incomplete: limits.bytes, max_fields: limits.lines }
    }

    pub fn final_head_is_seen(&self) -> bool {
        self.final_head_seen
    }

    /// What a refusal by the machine means.
    pub fn refusal(&self, error: &ProtocolError) -> Error {
        match error.detail {
            Detail::HeadTooLarge if !self.final_head_seen => too_large(&self.limits),
            _ => refused(error),
        }
    }

    /// As `refusal`; but an end within a message is the network's fault as much as the server's.
    pub fn refusal_or_cut(&self, error: &ProtocolError) -> Error {
        match error.detail {
            Detail::MessageCut => cut(&error.message),
            _ => self.refusal(error),
        }
    }

    /// A head that took so many bytes has come.
    pub fn count(&mut self, kind: EventKind, head: &ReceivedHead, bytes: usize) -> Result<()> {
        // With 101 (Switching Protocols) the connection is no longer HTTP: it is the last head.
        self.final_head_seen = kind == EventKind::Response || head.status == 101;
        if self.final_head_seen {
            return Ok(());
        }
        self.informational = (self.informational.0 + 1, self.informational.1 + bytes);
        match self.informational.0 > self.limits.informational || self.informational.1 > self.limits.bytes {
            true => Err(too_many(&self.limits)),
            false => Ok(()),
        }
    }

    /// What cannot become a head is refused though none is complete: more of it may never come. Errors: HttpProtocol.
    pub fn may_become_a_head(unread: &[u8]) -> Result<()> {
        let begun = unread.len().min(BEGINNING.len());
        if unread[..begun] == BEGINNING[..begun] { Ok(()) } else { Err(no_response()) }
    }

    /// Whether the final head has arrived.
    pub fn final_head_seen(&self) -> bool {
        self.final_head_seen
    }

    /// Whether the final head has arrived, or its first bytes, which nobody has read yet: they show a status of 200 or more.
    pub fn final_head_has_begun(&self, unread: &[u8]) -> bool {
        let line = unread.strip_prefix(BEGINNING).and_then(|line| line.get(..3));
        self.final_head_seen || matches!(line, Some([_, b' ', b'2'..=b'9']))
    }
}

/// The head as it is spelled, unless it announces a body that it cannot have (RFC 9110 sections 8.6 and 15.3.5, RFC 9112 section 6.1).
pub fn checked(event: &Event<'_>) -> Result<ReceivedHead> {
    let version = (event.version & 0xff) as u8;
    let mut head = ReceivedHead::new(event.status, version, event.reason);
    event.fields.as_spelled().for_each(|(name, value)| head.add(name, value));
    let announces = || {
        let nonzero = |value: &[u8]| value.iter().any(|byte| matches!(byte, b'1'..=b'9'));
        head.find("transfer-encoding").is_some() || head.all("content-length").any(nonzero)
    };
    match event.status {
        100..200 | 204 if announces() => Err(unexpected_body(event.status)),
        _ => Ok(head),
    }
}
