//! The head of a message that was received, or its trailers, as it was spelled: read only, in one allocation, and checked by the parser that read
//! it. (`header_fields` is for what a program writes: it can be changed, and checks what it is given.) Pure.

use crate::h1::Event;

/// The head of a response or request, or trailers; the status is 0 unless it is a response. Order, case and repetition of the fields are the sender's.
#[derive(Clone, Debug, Default)]
pub struct ReceivedHead {
    pub status: u16,
    /// 0 or 1, of HTTP/1.x.
    pub minor_version: u8,
    /// First a table with places for `places` numbers, which say where in the text each part begins; `parts` of them are taken. Then the text: reason
    /// phrase, and names and values in turn, each followed by a NUL for C.
    memory: Vec<u8>,
    places: u32,
    parts: u32,
}

/// Bytes of a number in the table.
const PLACE: usize = size_of::<u32>();
/// Places of a table that grows.
const PLACES: u32 = 24;

impl ReceivedHead {
    pub fn new(status: u16, minor_version: u8, reason: &[u8]) -> ReceivedHead {
        let mut head = ReceivedHead::with_room(status, minor_version, PLACES, 400);
        head.push(reason);
        head
    }

    /// Of a request or response that has just arrived.
    pub fn of(event: &Event<'_>) -> ReceivedHead {
        let text = event.fields.iter().map(|(_, name, value)| name.len() + value.len() + 2);
        let (places, text) = (1 + 2 * event.fields.len() as u32, event.reason.len() + 1 + text.sum::<usize>());
        let mut head = ReceivedHead::with_room(event.status, (event.version & 1) as u8, places, text);
        head.push(event.reason);
        event.fields.iter().for_each(|(_, name, value)| head.add(name, value));
        head
    }

    fn with_room(status: u16, minor_version: u8, places: u32, text: usize) -> ReceivedHead {
        let table = places as usize * PLACE;
        let mut memory = Vec::with_capacity(table + text);
        memory.resize(table, 0);
        ReceivedHead { status, minor_version, memory, places, parts: 0 }
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
        if self.parts == self.places {
            self.grow();
        }
        let start = u32::try_from(self.text().len()).unwrap_or(u32::MAX);
        let place = self.parts as usize * PLACE;
        self.memory[place..place + PLACE].copy_from_slice(&start.to_ne_bytes());
        self.parts += 1;
        self.memory.extend_from_slice(part);
        self.memory.push(0);
    }

    /// Twice as many places: the text moves behind them.
    fn grow(&mut self) {
        let (old, places) = (self.places as usize * PLACE, (2 * self.places).max(PLACES));
        let more = places as usize * PLACE - old;
        self.memory.splice(old..old, std::iter::repeat_n(0, more));
        self.places = places;
    }

    fn text(&self) -> &[u8] {
        &self.memory[self.places as usize * PLACE..]
    }

    /// Where a part begins; none if there is no such part.
    fn start(&self, index: usize) -> Option<usize> {
        let table = self.memory.get(..self.parts as usize * PLACE)?;
        let (starts, _) = table.as_chunks::<PLACE>();
        starts.get(index).map(|start| u32::from_ne_bytes(*start) as usize)
    }

    fn part(&self, index: usize) -> Option<&[u8]> {
        let (text, start) = (self.text(), self.start(index)?);
        text.get(start..self.start(index + 1).unwrap_or(text.len()))
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
        self.parts as usize / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_however_many_there_are() {
        for count in [0, 1, 11, 12, 24, 25, 300] {
            let mut head = ReceivedHead::new(200, 1, b"OK");
            let lines: Vec<_> = (0..count).map(|n| (format!("Name-{n}"), "v".repeat(n))).collect();
            lines.iter().for_each(|(name, value)| head.add(name.as_bytes(), value.as_bytes()));
            assert_eq!((head.count(), head.reason()), (count, &b"OK\0"[..]));
            let found = head.lines().map(|(name, value)| (name.to_vec(), value.to_vec()));
            assert!(
                found.eq(lines.iter().map(|(name, value)| (name.clone().into_bytes(), value.clone().into_bytes())))
            );
            assert_eq!((head.name(count), head.value(count)), (None, None));
            assert_eq!(head.find("nAME-0").is_some(), count > 0);
        }
        let none = ReceivedHead::default();
        assert_eq!((none.count(), none.reason(), none.name(0), none.find("a")), (0, &b"\0"[..], None, None));
    }
}
