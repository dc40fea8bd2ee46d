//! Header fields (RFC 9110 section 5) that a program fills, searches and writes: each is checked when it is added and can be replaced; order is kept, values
//! are bytes, names are as written or in the usual case. (`received_head` holds what a parser has read, which nobody changes.) Pure.

use crate::error::{Error, Result, Status};
use crate::h1::syntax::{is_token, trimmed};

#[derive(Clone, Debug, Default)]
pub struct HeaderFields {
    /// Names stay as they are written.
    preserve: bool,
    /// Names and values, each followed by a NUL, for C.
    lines: Vec<(Vec<u8>, Vec<u8>)>,
}

impl HeaderFields {
    pub fn new(preserve: bool) -> HeaderFields {
        HeaderFields { preserve, lines: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.lines.len()
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Adds a field at the end. Errors: HttpHeaderInvalid.
    pub fn add(&mut self, name: &[u8], value: &[u8]) -> Result<()> {
        check(name, value)?;
        let name = if self.preserve { name.to_vec() } else { usual_case(name) };
        self.lines.push((terminated(name), terminated(value.to_vec())));
        Ok(())
    }

    /// Replaces all fields with this name by one, in the place of the first. Errors: as `add`.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> Result<()> {
        let first = self.positions(name, 0).next();
        self.add(name, value)?;
        if let Some(first) = first {
            let line = self.lines.pop().unwrap_or_default();
            self.lines[first] = line;
            let mut index = 0;
            self.lines.retain(|(other, _)| {
                index += 1;
                index - 1 <= first || !is(other, name)
            });
        }
        Ok(())
    }

    /// Removes all fields with this name; returns how many there were.
    pub fn remove(&mut self, name: &[u8]) -> usize {
        let before = self.lines.len();
        self.lines.retain(|(other, _)| !is(other, name));
        before - self.lines.len()
    }

    /// Name and value at a position, each with its NUL.
    pub fn line(&self, index: usize) -> Option<(&[u8], &[u8])> {
        self.lines.get(index).map(|(name, value)| (&name[..], &value[..]))
    }

    /// Names and values without their NULs.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines.iter().map(|(name, value)| (bare(name), bare(value)))
    }

    /// Indices of the fields with this name, at or after `from`.
    pub fn positions(&self, name: &[u8], from: usize) -> impl Iterator<Item = usize> {
        (from..self.lines.len()).filter(move |index| is(&self.lines[*index].0, name))
    }

    /// Their values, joined by commas; `None` if there is no such field.
    pub fn joined(&self, name: &[u8]) -> Option<Vec<u8>> {
        let values: Vec<&[u8]> = self.positions(name, 0).map(|index| bare(&self.lines[index].1)).collect();
        (!values.is_empty()).then(|| values.join(&b","[..]))
    }

    /// Adds a field line as it is sent, with or without its line end. One that begins with a space or tab continues the line before (RFC 9112 section 5.2); an
    /// empty one is ignored. Errors: HttpHeaderInvalid.
    pub fn parse_line(&mut self, line: &[u8]) -> Result<()> {
        let line = line.strip_suffix(b"\n").map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line));
        let (Some(first), content) = (line.first(), trimmed(line)) else { return Ok(()) };
        if matches!(first, b' ' | b'\t') {
            let (_, value) =
                self.lines.last_mut().ok_or_else(|| invalid("a continued line without a line before it"))?;
            check(b"x", content)?;
            value.pop();
            value.push(b' ');
            value.extend_from_slice(content);
            value.push(0);
            return Ok(());
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let colon = colon.ok_or_else(|| invalid(&format!("no colon in \"{}\"", line.escape_ascii())))?;
        self.add(&line[..colon], trimmed(&line[colon + 1..]))
    }

    /// Adds these fields. On an error nothing is added. Errors: as `add`.
    pub fn add_all<'a>(&mut self, fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<()> {
        let mut added = HeaderFields::new(self.preserve);
        for (name, value) in fields {
            added.add(name, value)?;
        }
        self.lines.append(&mut added.lines);
        Ok(())
    }

    /// Adds field lines, each ended by a line feed, with or without a carriage return before it. On an error nothing is added.
    pub fn parse(&mut self, block: &[u8]) -> Result<()> {
        let mut parsed = HeaderFields::new(self.preserve);
        block
            .split(|byte| *byte == b'\n')
            .try_for_each(|line| parsed.parse_line(line.strip_suffix(b"\r").unwrap_or(line)))?;
        self.lines.append(&mut parsed.lines);
        Ok(())
    }

    /// As they are sent.
    pub fn serialize(&self) -> Vec<u8> {
        self.iter().flat_map(|(name, value)| [name, b": ", value, b"\r\n"].concat()).collect()
    }
}

fn terminated(mut text: Vec<u8>) -> Vec<u8> {
    text.push(0);
    text
}

fn bare(text: &[u8]) -> &[u8] {
    text.split_last().map_or(text, |(_, bare)| bare)
}

fn is(stored: &[u8], name: &[u8]) -> bool {
    super::comparisons::count_one();
    bare(stored).eq_ignore_ascii_case(name)
}

/// `content-TYPE` becomes `Content-Type`.
fn usual_case(name: &[u8]) -> Vec<u8> {
    let mut begins = true;
    name.iter()
        .map(|byte| {
            let cased = if begins { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() };
            begins = *byte == b'-';
            cased
        })
        .collect()
}

fn check(name: &[u8], value: &[u8]) -> Result<()> {
    if !is_token(name) {
        return Err(invalid(&format!("name \"{}\" is not a token", name.escape_ascii())));
    }
    if value.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
        return Err(invalid(&format!("the value of {} holds a control character", name.escape_ascii())));
    }
    if trimmed(value).len() != value.len() {
        return Err(invalid(&format!("spaces or tabs around the value of {}", name.escape_ascii())));
    }
    Ok(())
}

fn invalid(why: &str) -> Error {
    Error::new(Status::HttpHeaderInvalid, format!("header: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_in_any_case_and_kept_in_order() {
        for preserve in [false, true] {
            let mut headers = HeaderFields::new(preserve);
            for (name, value) in [("x-ONE", "1"), ("Two", "\u{e9}"), ("X-one", "2"), ("three", "")] {
                headers.add(name.as_bytes(), value.as_bytes()).unwrap();
            }
            assert_eq!(headers.joined(b"x-one").unwrap(), b"1,2");
            assert_eq!(headers.positions(b"X-ONE", 0).collect::<Vec<_>>(), [0, 2]);
            assert_eq!(headers.joined(b"four"), None);
            assert_eq!(headers.line(0).unwrap().0, if preserve { &b"x-ONE\0"[..] } else { b"X-One\0" });
            headers.set(b"X-ONE", b"3").unwrap();
            assert_eq!(headers.positions(b"x-one", 0).collect::<Vec<_>>(), [0]);
            headers.set(b"five", b"5").unwrap();
            assert_eq!((headers.len(), headers.remove(b"TWO"), headers.remove(b"two")), (4, 1, 0));
            let text = String::from_utf8(headers.serialize()).unwrap();
            let expected = "X-One: 3\r\nThree: \r\nFive: 5\r\n";
            assert_eq!(text.to_lowercase(), expected.to_lowercase());
            assert!(preserve || text == expected);
        }
    }

    #[test]
    fn fields_are_added_together_or_not_at_all() {
        let mut headers = HeaderFields::new(true);
        let fields: [(&[u8], &[u8]); 3] = [(b"a", b"1"), (b"b", b"2"), (b"c", b"\x01")];
        assert_eq!(headers.add_all(fields.into_iter()).unwrap_err().status, Status::HttpHeaderInvalid);
        assert!(headers.is_empty());
        headers.add_all(fields.into_iter().take(2)).unwrap();
        assert_eq!(headers.serialize(), b"a: 1\r\nb: 2\r\n");
    }

    #[test]
    fn a_block_of_fields_is_read_whole_or_not_at_all() {
        let mut headers = HeaderFields::new(false);
        headers.parse(b"a: 1\r\nb:2 \n\tthree\nc:\t\x80 x\r\n\r\n").unwrap();
        assert_eq!(headers.serialize(), b"A: 1\r\nB: 2 three\r\nC: \x80 x\r\n");
        headers.parse_line(b"  four\r\n").unwrap();
        assert_eq!(headers.joined(b"c").unwrap(), b"\x80 x four");
        for bad in [&b" a"[..], b"a", b"a b: c", b"a : b", b": b", b"a: \x01", b"a: b\rc", b"a: b\r\n\x7f\n", b"a: \0"]
        {
            let before = headers.len();
            let mut fresh = HeaderFields::new(true);
            assert_eq!(fresh.parse(bad).unwrap_err().status, Status::HttpHeaderInvalid, "{}", bad.escape_ascii());
            let _ = headers.parse(&[&b"ok: 1\n"[..], bad].concat());
            assert!(headers.len() <= before + 1);
        }
        for (name, value) in [("", "x"), ("a\r", "x"), ("a", "x\r\ny: z"), ("a", " x"), ("a", "x\t")] {
            assert!(headers.add(name.as_bytes(), value.as_bytes()).is_err(), "{name:?} {value:?}");
        }
    }

    #[test]
    fn a_hundred_thousand_lines_of_one_name() {
        let mut headers = HeaderFields::new(false);
        (0..100_000).for_each(|_| headers.add(b"x", b"y").unwrap());
        assert_eq!(headers.joined(b"X").unwrap().len(), 199_999);
        headers.set(b"x", b"z").unwrap();
        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn all_lines_of_a_name_cost_one_look_at_each() {
        let cost = |count: usize| {
            let mut headers = HeaderFields::new(true);
            (0..count).for_each(|_| headers.add(b"x", b"y").unwrap());
            crate::message::comparisons::count_of(|| {
                let (mut found, mut from) = (0, 0);
                while let Some(at) = headers.positions(b"X", from).next() {
                    (found, from) = (found + 1, at + 1);
                }
                assert_eq!(found, count);
            })
        };
        for count in [4000, 8000, 16_000] {
            assert_eq!(cost(count), count as u64);
        }
    }
}
