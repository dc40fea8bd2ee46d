//! Writing heads, and the framing around body bytes that it never sees (RFC 9112 sections 3 to 7). Pure.

use std::ops::Range;

use super::body::Framing;
use super::error::{Checked, Refusal};
use super::fields::{FieldFacts, Kept, Known};
use super::{Rules, syntax};

/// Accounts for a body that is being sent.
#[derive(Clone, Copy, Debug)]
pub enum Writer {
    Length { left: u64 },
    Chunked,
    UntilClose,
}

impl Writer {
    pub fn new(framing: Framing) -> Writer {
        match framing {
            Framing::ContentLength(left) => Writer::Length { left },
            Framing::Chunked => Writer::Chunked,
            Framing::UntilClose => Writer::UntilClose,
        }
    }

    /// Writes what goes before `length` bytes; the result goes after them.
    pub fn data(&mut self, length: u64, out: &mut Vec<u8>) -> Checked<&'static [u8]> {
        match self {
            Writer::Length { left } => {
                let enough = left.checked_sub(length);
                *left = enough.ok_or_else(|| {
                    Refusal::new(format!("too much data for declared Content-Length: {length} bytes, {left} left"))
                })?;
                Ok(b"")
            }
            Writer::Chunked if length > 0 => {
                hex(length, out);
                out.extend_from_slice(b"\r\n");
                Ok(b"\r\n")
            }
            Writer::Chunked | Writer::UntilClose => Ok(b""),
        }
    }

    /// Whether the message may end here, with or without trailers.
    pub fn may_end(&self, trailers: bool) -> Checked<()> {
        match self {
            Writer::Length { left: 1.. } => {
                Err(Refusal::new(format!("too little data for declared Content-Length: {self:?}")))
            }
            Writer::Length { .. } | Writer::UntilClose if trailers => {
                Err(Refusal::new("trailers are possible only in a chunked message"))
            }
            _ => Ok(()),
        }
    }
}

fn hex(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 16];
    let mut at = digits.len();
    while at == digits.len() || value > 0 {
        at -= 1;
        digits[at] = b"0123456789abcdef"[(value & 15) as usize];
        value >>= 4;
    }
    out.extend_from_slice(&digits[at..]);
}

/// Lines of a written head that may have to be removed again.
#[derive(Default)]
pub struct Removable {
    lines: Vec<(Known, Range<usize>)>,
}

impl Removable {
    pub fn rest(&mut self, keep: usize) {
        if self.lines.capacity() * size_of::<(Known, Range<usize>)>() > keep {
            self.lines = Vec::new();
        }
    }

    /// Removes all lines of this name.
    pub fn remove(&mut self, known: Known, out: &mut Vec<u8>) {
        let mut at = 0;
        while let Some((name, range)) = self.lines.get(at).cloned() {
            if name != known {
                at += 1;
                continue;
            }
            out.drain(range.clone());
            self.lines.remove(at);
            for (_, later) in &mut self.lines {
                if later.start >= range.end {
                    *later = later.start - range.len()..later.end - range.len();
                }
            }
        }
    }

    /// The values of the lines of this name.
    pub fn values<'o>(&self, known: Known, out: &'o [u8]) -> impl Iterator<Item = &'o [u8]> {
        let lines = self.lines.iter().filter(move |(name, _)| *name == known);
        lines.filter_map(|(_, range)| {
            let line = &out[range.clone()];
            line.iter().position(|&b| b == b':').map(|colon| syntax::trimmed(&line[colon + 1..line.len() - 2]))
        })
    }
}

/// Writes fields, `Host` first, and collects their facts. Names and values are checked as if they had been received, except that
/// spaces or tabs around a value are an error.
pub fn fields<'h>(
    headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    trailers: bool,
    rules: &Rules,
    out: &mut Vec<u8>,
    removable: &mut Removable,
) -> Checked<FieldFacts> {
    let mut facts = FieldFacts::default();
    let mut hosts_end = out.len();
    removable.lines.clear();
    for (name, value) in headers {
        let (known, kept) = check(&mut facts, name, value, trailers, rules)?;
        let value: &[u8] = match kept {
            Kept::Whole => value,
            Kept::Part(from, length) => &value[from..from + length],
            Kept::Chunked => b"chunked",
            Kept::Dropped => continue,
        };
        let start = out.len();
        line(name, value, out);
        match known {
            Known::Host => {
                let length = out.len() - start;
                out[hosts_end..].rotate_right(length);
                for (_, range) in &mut removable.lines {
                    *range = range.start + length..range.end + length;
                }
                hosts_end += length;
            }
            Known::ContentLength | Known::TransferEncoding | Known::Connection => {
                removable.lines.push((known, start..out.len()));
            }
            _ => {}
        }
    }
    Ok(facts)
}

/// Checks a field that the caller wants to send.
pub fn check(
    facts: &mut FieldFacts,
    name: &[u8],
    value: &[u8],
    trailers: bool,
    rules: &Rules,
) -> Checked<(Known, Kept)> {
    if !syntax::is_token(name) {
        return Err(Refusal::of("illegal field name", name));
    }
    if syntax::trimmed(value).len() != value.len() {
        return Err(Refusal::of("spaces or tabs around the value of", name));
    }
    let known = Known::of(name);
    let kept = match trailers {
        true => facts.take_trailer(known, name, value, rules)?,
        false => facts.take(known, name, value, rules)?,
    };
    Ok((known, kept))
}

pub fn line(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
