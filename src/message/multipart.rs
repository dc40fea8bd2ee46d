//! Reads multipart/form-data as it arrives (RFC 7578): parts with their names, and their bytes piece by piece. Pure. Strict, so that two readers cannot see
//! different forms. Text before the first boundary and after the last is ignored (RFC 2046 section 5.1.1).

use bytes::{Buf, Bytes, BytesMut};

use super::parameters;
use super::parameters::FieldParameters;
use crate::error::{Error, Phase, Result, Status};
use crate::h1::syntax::is_token;

/// Limits of a form.
#[derive(Clone, Copy, Debug)]
pub struct MultipartLimits {
    pub parts: usize,
    /// Bytes of a part's head.
    pub part_head: usize,
}

impl MultipartLimits {
    /// As a caller chooses them; 0 is the default of each.
    pub fn chosen(parts: usize, part_head: usize) -> MultipartLimits {
        let default = MultipartLimits::default();
        MultipartLimits { parts: or_default(parts, default.parts), part_head: or_default(part_head, default.part_head) }
    }
}

/// A limit as a caller chooses it, but never so large that sums overflow.
pub(super) fn or_default(chosen: usize, default: usize) -> usize {
    if chosen == 0 { default } else { chosen.min(1 << 30) }
}

impl Default for MultipartLimits {
    fn default() -> Self {
        MultipartLimits { parts: 100, part_head: 10 << 10 }
    }
}

/// The head of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub name: String,
    /// If there is one, the part is a file.
    pub file_name: Option<String>,
    pub content_type: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartEvent {
    Part(Part),
    /// Bytes of the current part; never empty.
    Data(Bytes),
    /// The end of the current part.
    PartEnd,
    /// The end of the form. What follows is ignored.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first boundary: at the beginning of the body, and after other text.
    Begin,
    Preamble,
    Head,
    /// After a head: the next boundary may follow at once, if the part has no body.
    Body,
    Data,
    End,
}

/// Takes bytes with `push` and returns events with `next_event`.
pub struct MultipartParser {
    /// CRLF, two dashes and the boundary. A part ends with this, followed by CRLF or two more dashes.
    delimiter: Vec<u8>,
    limits: MultipartLimits,
    buffer: BytesMut,
    state: State,
    parts: usize,
    /// The first bytes of the buffer that contain no end of a head.
    searched: usize,
    /// The body is over: no more bytes will arrive.
    ended: bool,
}

impl MultipartParser {
    /// `content_type` is the field's value. Errors: HttpProtocol (not a form, or no boundary).
    pub fn new(content_type: &[u8], limits: MultipartLimits) -> Result<MultipartParser> {
        let (kind, parameters) = parameters::parse(content_type).map_err(malformed)?;
        if kind != "multipart/form-data" {
            return Err(malformed(format!("content type {kind:?} is not multipart/form-data")));
        }
        let boundary = parameters.get("boundary").filter(|boundary| (1..=200).contains(&boundary.len()));
        let boundary = boundary.ok_or_else(|| malformed("no boundary".into()))?;
        let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
        let (buffer, state) = (BytesMut::new(), State::Begin);
        Ok(MultipartParser { delimiter, limits, buffer, state, parts: 0, searched: 0, ended: false })
    }

    pub fn push(&mut self, data: &[u8]) {
        if self.state != State::End {
            self.buffer.extend_from_slice(data);
        }
    }

    pub fn end(&mut self) {
        self.ended = true;
    }

    /// `None` if more bytes are needed; never after `end`. Errors: HttpProtocol, for good.
    pub fn next_event(&mut self) -> Result<Option<PartEvent>> {
        let found = loop {
            let before = self.state;
            let found = match before {
                State::Begin => self.first_line(State::Preamble),
                State::Preamble => self.preamble(),
                State::Head => self.head()?,
                State::Body => self.first_line(State::Data),
                State::Data => self.data()?,
                State::End => Some(PartEvent::End),
            };
            if found.is_some() || self.state == before {
                break found;
            }
        };
        match found {
            None if self.ended => Err(malformed("the form ends before its last boundary".into())),
            found => Ok(found),
        }
    }

    /// Reads a boundary without a line end before it, as at the beginning of a form or of a part's body. If there is none, the next state is `otherwise`.
    fn first_line(&mut self, otherwise: State) -> Option<PartEvent> {
        let first = &self.delimiter[2..];
        let there = self.buffer.len().min(first.len());
        if self.buffer[..there] != first[..there] {
            self.state = otherwise;
            return None;
        }
        match self.buffer.get(first.len()..first.len() + 2).map(after_boundary) {
            Some(Some(state)) => {
                let part = self.state == State::Body;
                self.buffer.advance(first.len() + 2);
                self.state = state;
                part.then_some(PartEvent::PartEnd)
            }
            None if !self.ended => None,
            _ => {
                self.state = otherwise;
                None
            }
        }
    }

    /// Skips text that belongs to no part, and the boundary after it.
    fn preamble(&mut self) -> Option<PartEvent> {
        loop {
            let (at, after) = self.delimiter_from(0);
            self.buffer.advance(at);
            match after {
                None => return None,
                // A boundary that is followed by other bytes is text.
                Some(None) => self.buffer.advance(1),
                Some(Some(state)) => {
                    self.buffer.advance(self.delimiter.len() + 2);
                    self.state = state;
                    return None;
                }
            }
        }
    }

    /// Where a delimiter may begin, at or after `from`, and what follows it if that has arrived.
    fn delimiter_from(&self, from: usize) -> (usize, Option<Option<State>>) {
        match memchr::memmem::find(&self.buffer[from..], &self.delimiter).map(|at| from + at) {
            Some(at) => {
                let end = at + self.delimiter.len();
                (at, self.buffer.get(end..end + 2).map(after_boundary))
            }
            // Keep what may be the beginning of one.
            None => (self.buffer.len() - (self.delimiter.len() - 1).min(self.buffer.len()), None),
        }
    }

    fn head(&mut self) -> Result<Option<PartEvent>> {
        let limit = self.limits.part_head;
        let room = self.buffer.len().min(limit + 4);
        let from = self.searched.min(room);
        let Some(length) = memchr::memmem::find(&self.buffer[from..room], b"\r\n\r\n").map(|at| from + at) else {
            // So that a head that arrives byte by byte is searched only once.
            self.searched = room.saturating_sub(3);
            return match self.buffer.len() > limit + 4 {
                true => Err(malformed(format!("the head of a part is larger than {limit} bytes"))),
                false => Ok(None),
            };
        };
        self.searched = 0;
        self.parts += 1;
        if self.parts > self.limits.parts {
            return Err(malformed(format!("more than {} parts", self.limits.parts)));
        }
        let part = read_part(&self.buffer[..length])?;
        self.buffer.advance(length + 4);
        self.state = State::Body;
        Ok(Some(PartEvent::Part(part)))
    }

    fn data(&mut self) -> Result<Option<PartEvent>> {
        let mut from = 0;
        loop {
            let (at, after) = self.delimiter_from(from);
            let Some(after) = after else { return Ok(self.take(at)) };
            let Some(state) = after else {
                // A boundary that is followed by other bytes is data.
                from = at + 1;
                continue;
            };
            if at > 0 {
                return Ok(self.take(at));
            }
            self.buffer.advance(self.delimiter.len() + 2);
            self.state = state;
            return Ok(Some(PartEvent::PartEnd));
        }
    }

    fn take(&mut self, count: usize) -> Option<PartEvent> {
        (count > 0).then(|| PartEvent::Data(self.buffer.split_to(count).freeze()))
    }
}

fn after_boundary(two: &[u8]) -> Option<State> {
    match two {
        b"\r\n" => Some(State::Head),
        b"--" => Some(State::End),
        _ => None,
    }
}

fn read_part(head: &[u8]) -> Result<Part> {
    let head = std::str::from_utf8(head).map_err(|_| malformed("the head of a part is not UTF-8".into()))?;
    let (mut found, mut content_type) = (None, None);
    for line in head.split("\r\n") {
        let (name, value) =
            line.split_once(':').ok_or_else(|| malformed("no colon in a line of the head of a part".into()))?;
        let value = value.trim_matches([' ', '\t']);
        if !is_token(name.as_bytes()) {
            return Err(malformed(format!("header name {name:?}")));
        }
        if value.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
            return Err(malformed(format!("a control character in {name}")));
        }
        if name.eq_ignore_ascii_case("content-disposition") {
            let parsed = parameters::parse(value.as_bytes()).map_err(malformed)?;
            if found.replace(parsed).is_some() {
                return Err(malformed("a part with two Content-Disposition".into()));
            }
        } else if name.eq_ignore_ascii_case("content-type") {
            content_type = Some(value.to_owned());
        }
    }
    let (kind, parameters): (String, FieldParameters) =
        found.ok_or_else(|| malformed("a part without Content-Disposition".into()))?;
    if kind != "form-data" {
        return Err(malformed(format!("disposition {kind:?} is not form-data")));
    }
    let name = parameters.get_or_extended("name").filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| malformed("a part without a name".into()))?.to_owned();
    let file_name = parameters.get_or_extended("filename").filter(|name| !name.is_empty()).map(str::to_owned);
    Ok(Part { name, file_name, content_type })
}

/// A form that a server answers with 400.
pub(super) fn malformed(why: String) -> Error {
    Error::new(Status::HttpProtocol, format!("form: {why}")).phase(Phase::Transfer).http_status(400)
}

#[cfg(test)]
mod tests;
