//! The head of a message that was received, or its trailers, as it was spelled: read only, shared, in one allocation, and checked by the parser that read
//! it. (`header_fields` is for what a program writes: it can be changed, and checks what it is given.) Pure.

use crate::h1::Event;

/// The head of a response or request, or trailers; the status is 0 unless it is a response. Order, case and repetition of the fields are the sender's.
#[derive(Clone, Debug, Default)]
pub struct ReceivedHead {
    pub status: u16,
    /// 0 or 1, of HTTP/1.x.
    pub minor_version: u8,
    /// Reason phrase, then names and values in turn, each followed by a NUL: for C, in one allocation.
    text: Vec<u8>,
    /// Where each of them begins; the reason first.
    starts: Vec<u32>,
}

impl ReceivedHead {
    pub fn new(status: u16, minor_version: u8, reason: &[u8]) -> ReceivedHead {
        let mut head =
            ReceivedHead { status, minor_version, text: Vec::with_capacity(512), starts: Vec::with_capacity(24) };
        head.push(reason);
        head
    }

    /// Of a request or response that has just arrived.
    pub fn of(event: &Event<'_>) -> ReceivedHead {
        let mut head = ReceivedHead::new(event.status, (event.version & 1) as u8, event.reason);
        event.fields.iter().for_each(|(_, name, value)| head.add(name, value));
        head
    }

    /// The trailers of a body, if there are any.
    pub fn trailers<'a>(lines: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Option<ReceivedHead> {
        let mut lines = lines.peekable();
        lines.peek()?;
        let mut head = ReceivedHead::new(0, 1, b"");
        lines.for_each(|(name, value)| head.add(name, value));
        Some(head)
    }

    /// Adds a field. Neither part can contain a NUL: HTTP parsers refuse it.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        self.push(name);
        self.push(value);
    }

    fn push(&mut self, part: &[u8]) {
        self.starts.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
        self.text.extend_from_slice(part);
        self.text.push(0);
    }

    fn part(&self, index: usize) -> Option<&[u8]> {
        let start = *self.starts.get(index)? as usize;
        let end = self.starts.get(index + 1).map_or(self.text.len(), |next| *next as usize);
        self.text.get(start..end)
    }

    fn bare(&self, index: usize) -> &[u8] {
        self.part(index).and_then(|part| part.split_last()).map_or(&[], |(_, bare)| bare)
    }

    /// With its NUL, as are `name` and `value`.
    pub fn reason(&self) -> &[u8] {
        self.part(0).unwrap_or(b"\0")
    }

    pub fn name(&self, line: usize) -> Option<&[u8]> {
        self.part(1 + 2 * line)
    }

    pub fn value(&self, line: usize) -> Option<&[u8]> {
        self.part(2 + 2 * line)
    }

    /// Value of the first field with this name.
    pub fn find<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// Values of the fields with this name, in any case.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = |line: &(&[u8], &[u8])| line.0.eq_ignore_ascii_case(name.as_bytes());
        self.lines().filter(named).map(|(_, value)| value)
    }

    /// Index of the first field with this name, in any case, at or after `from`.
    pub fn position(&self, name: &str, from: usize) -> Option<usize> {
        (from..self.count()).find(|line| self.bare(1 + 2 * line).eq_ignore_ascii_case(name.as_bytes()))
    }

    /// Names and values, without their NULs.
    pub fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        (0..self.count()).map(|line| (self.bare(1 + 2 * line), self.bare(2 + 2 * line)))
    }

    /// Number of fields.
    pub fn count(&self) -> usize {
        self.starts.len() / 2
    }
}
