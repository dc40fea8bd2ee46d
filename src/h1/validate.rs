//! The rules for messages on their own, without a connection.

use super::Rules;
use super::error::{ProtocolError, Refusal, Side};
use super::fields::{Facts, Kept};
use super::{sending, writer};

fn local(refusal: Refusal) -> ProtocolError {
    refusal.on(Side::Local)
}

/// Checks fields as a connection checks those that it is to send, and gives each that is kept, with its value as it would be sent.
pub fn normalized<'h>(
    headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    rules: &Rules,
    mut keep: impl FnMut(&'h [u8], &'h [u8]),
) -> Result<Facts, ProtocolError> {
    let mut facts = Facts::default();
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

/// What fields say of framing and keep-alive.
pub fn facts_of<'h>(
    headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    rules: &Rules,
) -> Result<Facts, ProtocolError> {
    normalized(headers, rules, |_, _| ())
}

/// Whether these can be the trailers of a message.
pub fn validate_trailers<'h>(
    trailers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    rules: &Rules,
) -> Result<(), ProtocolError> {
    let mut facts = Facts::default();
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
) -> Result<Facts, ProtocolError> {
    let facts = facts_of(headers, rules)?;
    facts.allow_request(version).map_err(local)?;
    sending::request_line(method, target, &mut Vec::new()).map_err(local)?;
    Ok(facts)
}

pub fn validate_response<'h>(
    status: u16,
    reason: &[u8],
    headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    rules: &Rules,
) -> Result<Facts, ProtocolError> {
    let facts = facts_of(headers, rules)?;
    sending::status_line(status, reason, rules, &mut Vec::new()).map_err(local)?;
    Ok(facts)
}
