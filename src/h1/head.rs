//! Parsing a complete head or trailer block (RFC 9112 sections 2 to 5). Pure.

use std::ops::Range;

use super::error::{Checked, Refusal};
use super::fields::{FieldFacts, Kept, Known};
use super::{Rules, flags, start_line, syntax};
use crate::error::Detail;

/// Bytes of the block, or of `names`.
type Span = Range<u32>;

/// Bytes of `names` beyond those of the block, so that the last name too can be written in whole chunks.
const SPARE: usize = 16;

/// What a block begins (a message) or ends (trailers).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    Request,
    Response,
    Trailers,
}

/// The block that was parsed last. Its memory is used again for the next.
#[derive(Default)]
pub struct Head {
    pub method: Range<usize>,
    pub target: Range<usize>,
    pub reason: Range<usize>,
    pub status: u16,
    /// Major << 8 | minor.
    pub version: u16,
    pub facts: FieldFacts,
    /// Position of the block in the receive buffer.
    pub block: Range<usize>,
    /// Field names in lower case, one after the other; then spare bytes.
    names: Vec<u8>,
    names_len: usize,
    fields: Vec<Field>,
    /// Lines without their ends.
    lines: Vec<Line>,
    /// Index of the first line that is a field.
    first: usize,
}

struct Field {
    name: Span,
    raw_name: Span,
    value: Span,
    known: Known,
}

/// The lines of a block whose continued lines have been joined.
struct Line {
    bytes: Span,
    folded: bool,
}

/// The fields of a head or of trailers, in order.
#[derive(Clone, Copy)]
pub struct Fields<'a> {
    fields: &'a [Field],
    lines: &'a [Line],
    names: &'a [u8],
    block: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(head: &'a Head, block: &'a [u8]) -> Fields<'a> {
        Fields { fields: &head.fields, lines: &head.lines[head.first..], names: &head.names, block }
    }

    pub(super) fn none() -> Fields<'a> {
        Fields { fields: &[], lines: &[], names: &[], block: &[] }
    }

    pub fn len(&self) -> usize {
        self.fields.len()
    }

    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Name in lower case, name as it came, value.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'a [u8], &'a [u8], &'a [u8])> + use<'a> {
        let (names, block) = (self.names, self.block);
        let of = |span: &Span, bytes: &'a [u8]| &bytes[span.start as usize..span.end as usize];
        self.fields.iter().map(move |field| {
            // It may have come in any case; nothing else is accepted.
            let value = if field.known == Known::TransferEncoding { b"chunked" } else { of(&field.value, block) };
            (of(&field.name, names), of(&field.raw_name, block), value)
        })
    }

    /// Name and value of each line as received, continued lines joined, including lines that were merged or removed.
    pub fn as_spelled(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let block = self.block;
        self.lines.iter().map(move |line| {
            let line = &block[line.bytes.start as usize..line.bytes.end as usize];
            let (name, value) = line.split_at(syntax::token_len(line));
            (name, syntax::trimmed(value.get(1..).unwrap_or_default()))
        })
    }
}

impl Head {
    /// Forgets what was parsed if it takes more than `keep` bytes.
    pub fn rest(&mut self, keep: usize) {
        let lines = self.lines.capacity() * size_of::<Line>() + self.fields.capacity() * size_of::<Field>();
        if self.names.capacity() > keep || lines > 2 * keep {
            *self = Head::default();
        }
    }

    /// `feeds` are the positions of all line feeds in `block`. After a refusal the contents of `self` are unspecified.
    pub fn parse(&mut self, block: &mut [u8], feeds: &[u32], kind: BlockKind, rules: &Rules) -> Checked<()> {
        self.facts = FieldFacts::default();
        self.names_len = 0;
        if self.names.len() < block.len() + SPARE {
            self.names.resize(block.len() + SPARE, 0);
        }
        self.fields.clear();
        let first = match kind {
            BlockKind::Trailers => 0,
            _ => 1,
        };
        self.first = first;
        if self.split(block, feeds, kind, rules)? {
            self.unfold(block, first, kind, rules)?;
        }
        match kind {
            BlockKind::Request => self.request_line(block, rules).map_err(|it| it.about(Detail::BadStartLine))?,
            BlockKind::Response => self.status_line(block, rules).map_err(|it| it.about(Detail::BadStartLine))?,
            BlockKind::Trailers => {}
        }
        if self.lines.len() - first > rules.max_fields {
            return Err(Refusal::hint(431, format!("more than {} fields", rules.max_fields)));
        }
        for index in first..self.lines.len() {
            self.field(block, index, kind, rules)?;
        }
        match kind {
            BlockKind::Trailers => Ok(()),
            _ => self.judge(kind, rules),
        }
    }

    /// Finds the lines. The last one, which is empty, is left out. Whether a field is continued over several lines.
    fn split(&mut self, block: &[u8], feeds: &[u32], kind: BlockKind, rules: &Rules) -> Checked<bool> {
        let bare = kind != BlockKind::Trailers && rules.allow(flags::ALLOW_BARE_LF);
        self.lines.clear();
        let (mut start, mut folded) = (0, false);
        for (index, &feed) in feeds.iter().enumerate() {
            let mut end = feed;
            folded |= syntax::is_ows(block[start as usize]) && index >= self.first;
            if end > start && block[end as usize - 1] == b'\r' {
                end -= 1;
            } else if !bare {
                return Err(Refusal::of_field("a line ends without CR", &block[start as usize..end as usize]));
            }
            self.lines.push(Line { bytes: start..end, folded: false });
            start = feed + 1;
        }
        self.lines.pop();
        Ok(folded)
    }

    /// Joins continued lines in place, each with one space: the result is never longer than its parts.
    fn unfold(&mut self, block: &mut [u8], first: usize, kind: BlockKind, rules: &Rules) -> Checked<()> {
        let allowed = match kind {
            BlockKind::Request => rules.allow(flags::ALLOW_OBS_FOLD),
            BlockKind::Response => true,
            BlockKind::Trailers => false,
        };
        let mut made = first;
        for index in first..self.lines.len() {
            let (line, folded) = (self.lines[index].bytes.clone(), starts_with_ows(block, &self.lines[index]));
            let bytes = &block[line.start as usize..line.end as usize];
            if !folded {
                self.lines[made] = Line { bytes: line, folded: false };
                made += 1;
                continue;
            }
            if made == first || !allowed {
                return Err(Refusal::new("a line begins with a space or tab"));
            }
            let ows = bytes.iter().take_while(|b| syntax::is_ows(**b)).count() as u32;
            let before = &mut self.lines[made - 1];
            let (to, from) = (before.bytes.end, line.start + ows);
            block[to as usize] = b' ';
            block.copy_within(from as usize..line.end as usize, to as usize + 1);
            before.bytes.end = to + 1 + (line.end - from);
            before.folded = true;
        }
        self.lines.truncate(made);
        Ok(())
    }

    fn request_line(&mut self, block: &[u8], rules: &Rules) -> Checked<()> {
        let line = self.start_line(block)?;
        let is_target = if rules.as_h11() { syntax::is_target } else { syntax::is_raw_target };
        let (method, target, version) =
            start_line::request_line(line, is_target).ok_or_else(|| Refusal::of_start("illegal request line", line))?;
        let from = method.len() + 1;
        (self.method, self.target, self.version) = (0..method.len(), from..from + target.len(), version);
        supported(version)
    }

    fn status_line(&mut self, block: &[u8], rules: &Rules) -> Checked<()> {
        let line = self.start_line(block)?;
        let (version, status, reason) = start_line::status_line(line, rules.allow(flags::ALLOW_CTL_IN_VALUE))
            .ok_or_else(|| Refusal::of_start("illegal status line", line))?;
        (self.version, self.status, self.reason) = (version, status, line.len() - reason.len()..line.len());
        supported(version)
    }

    /// The first line; it begins where the block does.
    fn start_line<'b>(&self, block: &'b [u8]) -> Checked<&'b [u8]> {
        match self.lines.first() {
            Some(line) => Ok(&block[..line.bytes.end as usize]),
            None => Err(Refusal::new("an empty line instead of a message")),
        }
    }

    /// name ":" OWS value OWS (RFC 9112 section 5)
    fn field(&mut self, block: &[u8], index: usize, kind: BlockKind, rules: &Rules) -> Checked<()> {
        let Line { bytes, folded } = &self.lines[index];
        let (start, folded) = (bytes.start as usize, *folded);
        let line = &block[start..bytes.end as usize];
        let lower = self.names_len;
        // A name is shorter than its line, so the names of a block are shorter than it. No name goes on in the next line.
        let length = syntax::lower_token(&block[start..], &mut self.names[lower..]);
        if length == 0 || line.get(length) != Some(&b':') {
            return Err(Refusal::of_field("illegal header line", line));
        }
        let (name, rest) = (&line[..length], &line[length + 1..]);
        let known = Known::of_lower(&self.names[lower..lower + length]);
        let ows = rest.iter().take_while(|b| syntax::is_ows(**b)).count();
        let value = syntax::trimmed(&rest[ows..]);
        if folded && matches!(known, Known::Host | Known::ContentLength | Known::TransferEncoding) {
            return Err(Refusal::of("continued over several lines", name));
        }
        let kept = match kind {
            BlockKind::Trailers => self.facts.take_trailer(known, name, value, rules)?,
            _ => self.facts.take(known, name, value, rules)?,
        };
        let mut at = start + length + 1 + ows;
        let mut size = value.len();
        match kept {
            Kept::Whole => {}
            Kept::Part(from, part) => (at, size) = (at + from, part),
            Kept::Dropped => return Ok(()),
            Kept::Chunked => {}
        }
        self.names_len += length;
        let span = |from: usize, length: usize| from as u32..(from + length) as u32;
        self.fields.push(Field {
            name: span(lower, length),
            raw_name: span(start, length),
            value: span(at, size),
            known,
        });
        Ok(())
    }

    /// Checks that need the whole list.
    fn judge(&mut self, kind: BlockKind, rules: &Rules) -> Checked<()> {
        if self.facts.chunked && self.version < 0x0101 {
            let refusal = Refusal::new("Transfer-Encoding in an HTTP/1.0 message");
            return Err(refusal.about(Detail::BadTransferEncoding));
        }
        if self.facts.chunked && self.facts.content_length().is_some() {
            if !rules.allow(flags::ALLOW_CL_WITH_TE) {
                return self.facts.allow_framing();
            }
            self.fields.retain(|field| field.known != Known::ContentLength);
            self.facts = self.facts.without_content_length();
            self.facts.close = true;
        }
        match kind {
            BlockKind::Request => self.facts.allow_request(self.version),
            _ => Ok(()),
        }
    }
}

fn starts_with_ows(block: &[u8], line: &Line) -> bool {
    line.bytes.start < line.bytes.end && syntax::is_ows(block[line.bytes.start as usize])
}

fn supported(version: u16) -> Checked<()> {
    match version {
        0x0100 | 0x0101 => Ok(()),
        _ => {
            let (major, minor) = (version >> 8, version & 255);
            Err(Refusal::hint(505, format!("neither HTTP/1.0 nor HTTP/1.1: HTTP/{major}.{minor}")))
        }
    }
}
