//! How long a message is, and reading its body (RFC 9112 sections 6 and 7). Pure.

use super::error::{Checked, Refusal};
use super::fields::{FieldFacts, MAX_SIZE, Method};
use super::{Rules, flags, syntax};

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    ContentLength(u64),
    Chunked,
    /// Until the connection closes.
    UntilClose,
}

impl Framing {
    /// Of a request (`status` is 0) or of the response to one with this method. `None` for a status that is impossible.
    pub fn of(request: Method, status: u32, facts: &FieldFacts) -> Option<Framing> {
        match u16::try_from(status) {
            Ok(0) => Some(Framing::of_request(facts)),
            Ok(status @ 100..1000) => Some(Framing::of_response(request, status, facts)),
            _ => None,
        }
    }

    pub fn of_request(facts: &FieldFacts) -> Framing {
        match (facts.chunked, facts.content_length()) {
            (true, _) => Framing::Chunked,
            (false, length) => Framing::ContentLength(length.unwrap_or(0)),
        }
    }

    /// RFC 9112 section 6.3.
    pub fn of_response(request: Method, status: u16, facts: &FieldFacts) -> Framing {
        let success = (200..300).contains(&status);
        if status == 204 || status == 304 || request == Method::Head || (request == Method::Connect && success) {
            return Framing::ContentLength(0);
        }
        match (facts.chunked, facts.content_length()) {
            (true, _) => Framing::Chunked,
            (false, Some(length)) => Framing::ContentLength(length),
            (false, None) => Framing::UntilClose,
        }
    }
}

/// Bytes of chunk extensions that one message may have.
const MAX_EXTENSIONS: usize = 16384;

/// Reads a body.
#[derive(Clone, Copy, Debug)]
pub enum BodyParser {
    Length { expected: u64, left: u64 },
    Chunked { at: Chunk, extensions: usize },
    UntilClose,
}

/// Where in a chunked body the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk {
    Size,
    Data {
        left: u64,
        first: bool,
    },
    /// The CR LF after the data; the number says how many of its bytes have been received.
    Footer(u8),
    Trailers,
}

impl BodyParser {
    pub fn new(framing: Framing) -> BodyParser {
        match framing {
            Framing::ContentLength(length) => BodyParser::Length { expected: length, left: length },
            Framing::Chunked => BodyParser::Chunked { at: Chunk::Size, extensions: 0 },
            Framing::UntilClose => BodyParser::UntilClose,
        }
    }

    /// What the end of the connection means once nothing is left to read: a refusal, or the regular end.
    pub fn at_eof(&self) -> Checked<()> {
        match self {
            BodyParser::Length { expected, left } => Err(Refusal::new(format!(
                "the connection ended within a body (received {} bytes, expected {expected})",
                expected - left
            ))),
            BodyParser::Chunked { .. } => {
                Err(Refusal::new("the connection ended within a body (incomplete chunked read)"))
            }
            BodyParser::UntilClose => Ok(()),
        }
    }
}

/// Consumes as much of the CR LF after a chunk as has been received; returns how many bytes that was.
pub fn footer(seen: u8, live: &[u8]) -> Checked<usize> {
    let wanted = &b"\r\n"[usize::from(seen)..];
    let there = live.len().min(wanted.len());
    match live[..there] == wanted[..there] {
        true => Ok(there),
        false => Err(Refusal::new("a chunk does not end in CRLF")),
    }
}

/// The size in a chunk-size line that ends in LF; counts its extensions.
pub fn chunk_size(line: &[u8], extensions: &mut usize, rules: &Rules) -> Checked<u64> {
    let illegal = || Refusal::new("illegal chunk size");
    let Some(line) = line.strip_suffix(b"\r\n") else {
        return Err(Refusal::new("a chunk-size line ends without CR"));
    };
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    if !(1..=20).contains(&digits) {
        return Err(illegal());
    }
    let size = line[..digits].iter().fold(0u128, |size, &digit| size << 4 | u128::from(hex(digit)));
    let size = u64::try_from(size).ok().filter(|size| *size <= MAX_SIZE).ok_or_else(illegal)?;
    let mut rest = &line[digits..];
    if rules.allow(flags::ALLOW_CHUNK_SIZE_OWS) {
        let ows = rest.iter().rev().take_while(|b| syntax::is_ows(**b)).count();
        rest = &rest[..rest.len() - ows];
    }
    match rest {
        [] => {}
        [b';' | b' ' | b'\t', ..] => {
            check_extensions(rest, rules)?;
            *extensions += rest.len() - 1;
            if *extensions > MAX_EXTENSIONS {
                return Err(Refusal::new(format!("more than {MAX_EXTENSIONS} bytes of chunk extensions")));
            }
        }
        _ => return Err(illegal()),
    }
    Ok(size)
}

/// h11 accepts anything after a semicolon, and no spaces before it; control characters are refused in either case.
fn check_extensions(bytes: &[u8], rules: &Rules) -> Checked<()> {
    if bytes.iter().any(|&b| (b < 0x20 && b != b'\t') || b == 0x7f) {
        return Err(Refusal::new("control character in a chunk extension"));
    }
    let good = if rules.as_h11() { bytes[0] == b';' } else { syntax::is_chunk_extensions(bytes) };
    if good { Ok(()) } else { Err(Refusal::new("illegal chunk extension")) }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}
