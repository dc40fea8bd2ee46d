//! The rules for messages on their own, without a connection. Pure.

use super::error::{ProtocolError, Refusal, Side};
use super::fields::{FieldFacts, Kept};
use super::{Rules, flags};
use super::{sending, writer};

fn local(refusal: Refusal) -> ProtocolError {
    refusal.on(Side::Local)
}

/// Checks fields as a connection does before it sends them, and passes each one that is kept to `keep`, with its value as it would be sent.
pub fn normalized<'h>(
    headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    rules: &Rules,
    mut keep: impl FnMut(&'h [u8], &'h [u8]),
) -> Result<FieldFacts, ProtocolError> {
    let mut facts = FieldFacts::default();
    for (name, value) in headers {
        let (_, kept) = writer::check(&mut facts, name, value, false, rules).map_err(local)?;
        match kept {
            Kept::Whole => keep(name, value),
            Kept::Part(from, length) => keep(name, &value[from..from + length]),
            Kept::Chunked => keep(name, b"chunked"),
            Kept::Dropped => {}
        }
    }
    Ok(facts)
}

/// What fields say about framing and keep-alive.
pub fn facts_of<'h>(
    headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    rules: &Rules,
) -> Result<FieldFacts, ProtocolError> {
    normalized(headers, rules, |_, _| ())
}

/// Checks that these may be the trailers of a message.
pub fn validate_trailers<'h>(
    trailers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    rules: &Rules,
) -> Result<(), ProtocolError> {
    let mut facts = FieldFacts::default();
    for (name, value) in trailers {
        writer::check(&mut facts, name, value, true, rules).map_err(local)?;
    }
    Ok(())
}

pub fn validate_request<'h>(
    method: &[u8],
    target: &[u8],
    version: u16,
    headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    rules: &Rules,
) -> Result<FieldFacts, ProtocolError> {
    let facts = facts_of(headers, rules)?;
    facts.allow_request(version).map_err(local)?;
    if facts.chunked && version < 0x0101 && !rules.as_h11() {
        return Err(local(Refusal::new("Transfer-Encoding in an HTTP/1.0 message")));
    }
    allow_framing(&facts, rules)?;
    sending::request_line(method, target, &mut Vec::new()).map_err(local)?;
    Ok(facts)
}

/// `informational`: whether it is to be one, 100 to 199, or a final one.
pub fn validate_response<'h>(
    informational: bool,
    status: u16,
    reason: &[u8],
    headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    rules: &Rules,
) -> Result<FieldFacts, ProtocolError> {
    let facts = facts_of(headers, rules)?;
    sending::status_line(status, reason, rules, &mut Vec::new()).map_err(local)?;
    if informational != (status < 200) {
        let kind = if informational { "an informational response" } else { "a final response" };
        return Err(local(Refusal::new(format!("status {status} is not that of {kind}"))));
    }
    if informational && !rules.as_h11() && (facts.chunked || facts.content_length().is_some()) {
        return Err(local(Refusal::new(format!("Content-Length or Transfer-Encoding in a {status}"))));
    }
    allow_framing(&facts, rules)?;
    Ok(facts)
}

/// h11 judges a message's framing only when the message is read or written.
fn allow_framing(facts: &FieldFacts, rules: &Rules) -> Result<(), ProtocolError> {
    match rules.as_h11() || rules.allow(flags::ALLOW_CL_WITH_TE) {
        true => Ok(()),
        false => facts.allow_framing().map_err(local),
    }
}
