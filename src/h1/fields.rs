//! Checks header fields one by one, and collects what framing and keep-alive need to know about the list. Pure.

use super::body::Framing;
use super::error::{Checked, Refusal};
use super::{Rules, flags, syntax};
use crate::error::Detail;

/// Largest Content-Length and chunk size.
pub const MAX_SIZE: u64 = i64::MAX as u64;

/// Field names that mean something to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Upgrade,
    Expect,
    Other,
}

impl Known {
    /// In any case.
    pub fn of(name: &[u8]) -> Known {
        let (known, spelt) = Known::by_length(name.len());
        if name.eq_ignore_ascii_case(spelt) { known } else { Known::Other }
    }

    /// Of a name that is in lower case.
    pub fn of_lower(name: &[u8]) -> Known {
        let (known, spelt) = Known::by_length(name.len());
        if name == spelt { known } else { Known::Other }
    }

    /// The only known name of this length, and its spelling.
    fn by_length(length: usize) -> (Known, &'static [u8]) {
        match length {
            4 => (Known::Host, b"host"),
            6 => (Known::Expect, b"expect"),
            7 => (Known::Upgrade, b"upgrade"),
            10 => (Known::Connection, b"connection"),
            14 => (Known::ContentLength, b"content-length"),
            17 => (Known::TransferEncoding, b"transfer-encoding"),
            _ => (Known::Other, b""),
        }
    }
}

/// The methods that change how a message is framed, or whether the connection is kept alive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// No request was seen yet.
    #[default]
    None,
    Get,
    Head,
    Connect,
    Other,
}

impl Method {
    /// Methods are case-sensitive (RFC 9110 section 9.1). Empty: none.
    pub fn of(method: &[u8]) -> Method {
        match method {
            b"" => Method::None,
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"CONNECT" => Method::Connect,
            _ => Method::Other,
        }
    }
}

/// What happens to a field that passed the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    Whole,
    /// A part of the value, as first byte and length.
    Part(usize, usize),
    /// The value is `chunked`, in lower case.
    Chunked,
    /// An equal repetition.
    Dropped,
}

/// What is known about a list of fields.
#[derive(Clone, Copy, Debug, Default)]
pub struct FieldFacts {
    pub hosts: usize,
    /// Number of digits, because "5" is not "05", and the value.
    length: Option<(usize, u64)>,
    pub chunked: bool,
    /// `Connection` has `close`.
    pub close: bool,
    /// `Connection` has `keep-alive`.
    pub keep_alive: bool,
    /// `Connection` has `upgrade`.
    pub connection_upgrade: bool,
    /// `Upgrade` names a protocol.
    pub upgrade: bool,
    /// `Expect` has `100-continue`.
    pub expects_continue: bool,
}

impl FieldFacts {
    /// Of a request's head with one Host: how its body is framed, whether `Connection` has `close`, and whether it proposes another protocol.
    pub fn of_request(framing: Framing, close: bool, upgrade: bool) -> FieldFacts {
        let length = match framing {
            Framing::ContentLength(length) => Some((0, length)),
            Framing::Chunked | Framing::UntilClose => None,
        };
        let (chunked, connection_upgrade) = (framing == Framing::Chunked, upgrade);
        FieldFacts { hosts: 1, length, chunked, close, connection_upgrade, upgrade, ..FieldFacts::default() }
    }

    pub fn content_length(&self) -> Option<u64> {
        self.length.map(|(_, length)| length)
    }

    /// Whether these fields alone let the connection be used again. HTTP/1.0 depends on those of the peer too: no.
    pub fn keeps_alive(&self, version: u32) -> bool {
        version >= 0x0101 && !self.close
    }

    /// Whether they ask for 100-continue, which HTTP/1.0 cannot (RFC 9110 section 10.1.1).
    pub fn asks_to_continue(&self, version: u32) -> bool {
        version >= 0x0101 && self.expects_continue
    }

    pub fn without_content_length(mut self) -> FieldFacts {
        self.length = None;
        self
    }

    /// Checks one field, whose name is a token and whose value has no spaces or tabs around it, and records its facts.
    #[inline]
    pub fn take(&mut self, known: Known, name: &[u8], value: &[u8], rules: &Rules) -> Checked<Kept> {
        if !syntax::is_text(value, rules.allow(flags::ALLOW_CTL_IN_VALUE)) {
            return Err(Refusal::of("illegal byte in the value of", name));
        }
        match known {
            Known::Other => Ok(Kept::Whole),
            _ => self.take_known(known, value, rules),
        }
    }

    fn take_known(&mut self, known: Known, value: &[u8], rules: &Rules) -> Checked<Kept> {
        match known {
            Known::Other => {}
            Known::Host => {
                self.hosts += 1;
                if !syntax::is_host(value) {
                    return Err(Refusal::new("illegal Host"));
                }
            }
            Known::ContentLength => {
                return self.take_length(value, rules).map_err(|it| it.about(Detail::BadContentLength));
            }
            Known::TransferEncoding => {
                return self.take_coding(value).map_err(|it| it.about(Detail::BadTransferEncoding));
            }
            Known::Connection if value.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
            Known::Connection => {
                for member in syntax::list(value) {
                    self.close |= member.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= member.eq_ignore_ascii_case(b"keep-alive");
                    self.connection_upgrade |= member.eq_ignore_ascii_case(b"upgrade");
                }
            }
            Known::Upgrade => self.upgrade |= syntax::list(value).next().is_some(),
            Known::Expect => {
                self.expects_continue |= syntax::list(value).any(|member| member.eq_ignore_ascii_case(b"100-continue"));
            }
        }
        Ok(Kept::Whole)
    }

    /// Like [`FieldFacts::take`], for trailers, which must not change the framing (RFC 9110 section 6.5.1).
    pub fn take_trailer(&mut self, known: Known, name: &[u8], value: &[u8], rules: &Rules) -> Checked<Kept> {
        if matches!(known, Known::Host | Known::ContentLength | Known::TransferEncoding) {
            return Err(Refusal::of("not allowed in trailers", name));
        }
        self.take(known, name, value, rules)
    }

    /// A request needs one Host, and no more than one (RFC 9112 section 3.2).
    pub fn allow_request(&self, version: u16) -> Checked<()> {
        match self.hosts {
            0 if version >= 0x0101 => Err(Refusal::new("no Host")),
            2.. => Err(Refusal::new("more than one Host")),
            _ => Ok(()),
        }
    }

    /// A message must state its length in one way only (RFC 9112 section 6.2).
    pub fn allow_framing(&self) -> Checked<()> {
        match self.chunked && self.length.is_some() {
            true => Err(Refusal::new("both Content-Length and Transfer-Encoding").about(Detail::BothLengths)),
            false => Ok(()),
        }
    }

    fn take_length(&mut self, value: &[u8], rules: &Rules) -> Checked<Kept> {
        let merge = rules.allow(flags::MERGE_EQUAL_CONTENT_LENGTH);
        let end = if merge { value.iter().position(|&b| b == b',') } else { None };
        let piece = syntax::trimmed(&value[..end.unwrap_or(value.len())]);
        let length = decimal(piece).ok_or_else(|| Refusal::new("illegal Content-Length"))?;
        if end.is_some() {
            let mut others = value.split(|&b| b == b',').map(syntax::trimmed).filter(|other| *other != piece);
            match others.next() {
                None => {}
                Some(other) if decimal(other).is_none() => return Err(Refusal::new("illegal Content-Length")),
                Some(_) => {
                    let refusal = Refusal::new("contradictory Content-Length");
                    return Err(refusal.about(Detail::UnequalContentLength));
                }
            }
        }
        let found = Some((piece.len(), length));
        if self.length.is_some() {
            return match merge && self.length == found {
                true => Ok(Kept::Dropped),
                false => Err(Refusal::new("more than one Content-Length").about(Detail::UnequalContentLength)),
            };
        }
        self.length = found;
        // The first piece begins where the value does, which has no spaces or tabs before it.
        Ok(if piece.len() == value.len() { Kept::Whole } else { Kept::Part(0, piece.len()) })
    }

    fn take_coding(&mut self, value: &[u8]) -> Checked<Kept> {
        if std::mem::replace(&mut self.chunked, true) {
            return Err(Refusal::hint(501, "more than one Transfer-Encoding"));
        }
        match value {
            b"chunked" => Ok(Kept::Whole),
            _ if value.eq_ignore_ascii_case(b"chunked") => Ok(Kept::Chunked),
            _ => Err(Refusal::hint(501, "Transfer-Encoding other than chunked")),
        }
    }
}

/// 1 to 20 digits, at most 2^63 - 1.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 20 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if digits.len() < 19 {
        return Some(digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0')));
    }
    let value = digits.iter().fold(0u128, |value, digit| value * 10 + u128::from(digit - b'0'));
    u64::try_from(value).ok().filter(|value| *value <= MAX_SIZE)
}
