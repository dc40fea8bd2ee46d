//! multipart/form-data as it comes (RFC 7578): parts with their names, and their bytes piece by piece. Pure. Strict where two readers could see different
//! things: nothing before the first boundary, and nothing but what a form has.

use bytes::{Buf, Bytes, BytesMut};

use super::disposition::{self, Parameters};
use crate::error::{Error, Phase, Result, Status};

/// What is borne with.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub parts: usize,
    /// Bytes of a part's head.
    pub part_head: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { parts: 100, part_head: 10 << 10 }
    }
}

/// What a part says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub name: String,
    /// Makes it a file.
    pub file_name: Option<String>,
    pub content_type: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Part(Part),
    /// Of the part before; never empty.
    Data(Bytes),
    /// Of that part.
    PartEnd,
    /// Of the form. What follows is nobody's business.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first boundary.
    Begin,
    Head,
    Data,
    End,
}

/// Takes bytes with `push`, gives what they mean with `next_event`.
pub struct Parser {
    /// CRLF, two dashes, and the boundary. A part's end is this, and CRLF or two more dashes.
    delimiter: Vec<u8>,
    limits: Limits,
    buffer: BytesMut,
    state: State,
    parts: usize,
    /// The body is over: what is not there will not come.
    ended: bool,
}

impl Parser {
    /// `content_type` is the field's value. Errors: HttpProtocol (it is no form, or has no boundary).
    pub fn new(content_type: &[u8], limits: Limits) -> Result<Parser> {
        let (kind, parameters) = disposition::parse(content_type).map_err(malformed)?;
        if kind != "multipart/form-data" {
            return Err(malformed(format!("content type {kind:?} is not multipart/form-data")));
        }
        let boundary = parameters.get("boundary").filter(|boundary| (1..=200).contains(&boundary.len()));
        let boundary = boundary.ok_or_else(|| malformed("no boundary".into()))?;
        let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
        Ok(Parser { delimiter, limits, buffer: BytesMut::new(), state: State::Begin, parts: 0, ended: false })
    }

    pub fn push(&mut self, data: &[u8]) {
        if self.state != State::End {
            self.buffer.extend_from_slice(data);
        }
    }

    pub fn end(&mut self) {
        self.ended = true;
    }

    /// `None` where more is needed; after `end`, never. Errors: HttpProtocol, for good.
    pub fn next_event(&mut self) -> Result<Option<Event>> {
        let found = match self.state {
            State::Begin => match self.begin()? {
                true => return self.next_event(),
                false => None,
            },
            State::Head => self.head()?,
            State::Data => self.data()?,
            State::End => Some(Event::End),
        };
        match found {
            None if self.ended => Err(malformed("the form ends before its last boundary".into())),
            found => Ok(found),
        }
    }

    /// Steps over the first boundary, if all of it is there.
    fn begin(&mut self) -> Result<bool> {
        let first = &self.delimiter[2..];
        let there = self.buffer.len().min(first.len());
        if self.buffer[..there] != first[..there] {
            return Err(malformed("the form does not begin with its boundary".into()));
        }
        match self.buffer.get(first.len()..first.len() + 2) {
            None => Ok(false),
            Some(after) => {
                self.state = after_boundary(after).ok_or_else(|| malformed("no line end after a boundary".into()))?;
                self.buffer.advance(self.delimiter.len());
                Ok(true)
            }
        }
    }

    fn head(&mut self) -> Result<Option<Event>> {
        let limit = self.limits.part_head;
        let Some(length) = memchr::memmem::find(&self.buffer[..self.buffer.len().min(limit + 4)], b"\r\n\r\n") else {
            return match self.buffer.len() > limit + 4 {
                true => Err(malformed(format!("the head of a part is larger than {limit} bytes"))),
                false => Ok(None),
            };
        };
        self.parts += 1;
        if self.parts > self.limits.parts {
            return Err(malformed(format!("more than {} parts", self.limits.parts)));
        }
        let part = read_part(&self.buffer[..length])?;
        self.buffer.advance(length + 4);
        self.state = State::Data;
        Ok(Some(Event::Part(part)))
    }

    fn data(&mut self) -> Result<Option<Event>> {
        let mut from = 0;
        loop {
            let Some(at) = memchr::memmem::find(&self.buffer[from..], &self.delimiter).map(|at| from + at) else {
                // What may be the beginning of a delimiter stays.
                let keep = (self.delimiter.len() - 1).min(self.buffer.len());
                return Ok(self.take(self.buffer.len() - keep));
            };
            let Some(after) = self.buffer.get(at + self.delimiter.len()..at + self.delimiter.len() + 2) else {
                return Ok(self.take(at));
            };
            let Some(state) = after_boundary(after) else {
                // The boundary with more behind it is data.
                from = at + 1;
                continue;
            };
            if at > 0 {
                return Ok(self.take(at));
            }
            self.buffer.advance(self.delimiter.len() + 2);
            self.state = state;
            return Ok(Some(Event::PartEnd));
        }
    }

    fn take(&mut self, count: usize) -> Option<Event> {
        (count > 0).then(|| Event::Data(self.buffer.split_to(count).freeze()))
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
        let (name, value) = line.split_once(':').ok_or_else(|| malformed(format!("no colon in {line:?}")))?;
        let value = value.trim_matches([' ', '\t']);
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(malformed(format!("header name {name:?}")));
        }
        if value.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
            return Err(malformed(format!("a control character in {name}")));
        }
        if name.eq_ignore_ascii_case("content-disposition") {
            let parsed = disposition::parse(value.as_bytes()).map_err(malformed)?;
            if found.replace(parsed).is_some() {
                return Err(malformed("a part with two Content-Disposition".into()));
            }
        } else if name.eq_ignore_ascii_case("content-type") {
            content_type = Some(value.to_owned());
        }
    }
    let (kind, parameters): (String, Parameters) =
        found.ok_or_else(|| malformed("a part without Content-Disposition".into()))?;
    if kind != "form-data" {
        return Err(malformed(format!("disposition {kind:?} is not form-data")));
    }
    let name = parameters.get("name").filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| malformed("a part without a name".into()))?.to_owned();
    let file_name = parameters.get("filename").filter(|name| !name.is_empty()).map(str::to_owned);
    Ok(Part { name, file_name, content_type })
}

fn malformed(why: String) -> Error {
    Error::new(Status::HttpProtocol, format!("form: {why}")).phase(Phase::Transfer).http_status(400)
}

#[cfg(test)]
mod tests;
