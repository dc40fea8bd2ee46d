//! The part of CBOR (RFC 8949) that Nitro documents are made of: lengths in their shortest form, containers of known and of unknown length, strings
//! in one piece. Nothing is allocated, every length is compared with what is left, and nesting is bounded. Pure.

/// Containers within containers, the outermost one counted.
pub const MAX_DEPTH: usize = 4;

const UNSIGNED: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const SIMPLE: u8 = 7;

const NULL: u8 = 0xf6;
const BREAK: u8 = 0xff;

/// What is left to read.
pub struct Reader<'a> {
    rest: &'a [u8],
}

/// What is left of a container: so many items, or up to the mark of its end.
pub struct Items(Option<u64>);

impl<'a> Reader<'a> {
    pub fn new(data: &'a [u8]) -> Reader<'a> {
        Reader { rest: data }
    }

    /// Errors: something is left.
    pub fn end(&self) -> Result<(), String> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(format!("{left} bytes after its end")),
        }
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], String> {
        let count = usize::try_from(count).ok().filter(|count| *count <= self.rest.len()).ok_or("it is cut short")?;
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(taken)
    }

    /// Major type and argument; `None` for a length that is not told.
    fn head(&mut self) -> Result<(u8, Option<u64>), String> {
        let first = self.take(1)?[0];
        let (major, short) = (first >> 5, first & 0x1f);
        let length = match short {
            0..=23 => return Ok((major, Some(short.into()))),
            24..=27 => 1 << (short - 24),
            31 if matches!(major, ARRAY | MAP) => return Ok((major, None)),
            _ => return Err(format!("{first:02x} begins nothing that is read here")),
        };
        let value = self.take(length)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let least = match length {
            1 => 24,
            _ => 1 << (4 * length),
        };
        // Of a float it is no number.
        if major != SIMPLE && value < least {
            return Err("a number is longer than it must be".into());
        }
        Ok((major, Some(value)))
    }

    fn argument(&mut self, wanted: u8, what: &str) -> Result<Option<u64>, String> {
        match self.head()? {
            (major, argument) if major == wanted => Ok(argument),
            _ => Err(format!("not {what}")),
        }
    }

    fn known(&mut self, wanted: u8, what: &str) -> Result<u64, String> {
        self.argument(wanted, what)?.ok_or_else(|| format!("{what} of unknown length"))
    }

    pub fn unsigned(&mut self) -> Result<u64, String> {
        self.known(UNSIGNED, "a number")
    }

    pub fn bytes(&mut self, most: usize) -> Result<&'a [u8], String> {
        let length = self.known(BYTES, "a byte string")?;
        bounded(self.take(length)?, most)
    }

    /// `None` for null.
    pub fn optional_bytes(&mut self, most: usize) -> Result<Option<&'a [u8]>, String> {
        match self.rest.split_first() {
            Some((&NULL, rest)) => {
                self.rest = rest;
                Ok(None)
            }
            _ => self.bytes(most).map(Some),
        }
    }

    pub fn text(&mut self, most: usize) -> Result<&'a str, String> {
        let length = self.known(TEXT, "text")?;
        std::str::from_utf8(bounded(self.take(length)?, most)?).map_err(|_| "text is not UTF-8".into())
    }

    pub fn array(&mut self) -> Result<Items, String> {
        self.argument(ARRAY, "an array").map(Items)
    }

    /// An array of as many items.
    pub fn array_of(&mut self, count: u64) -> Result<(), String> {
        match self.array()?.0 {
            Some(found) if found == count => Ok(()),
            _ => Err(format!("not an array of {count}")),
        }
    }

    pub fn map(&mut self) -> Result<Items, String> {
        self.argument(MAP, "a map").map(Items)
    }

    pub fn empty_map(&mut self) -> Result<(), String> {
        match self.map()?.0 {
            Some(0) => Ok(()),
            _ => Err("not an empty map".into()),
        }
    }

    /// Whether the container has another item, or another pair.
    pub fn another(&mut self, items: &mut Items) -> Result<bool, String> {
        match &mut items.0 {
            Some(0) => Ok(false),
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
            None => match self.rest.split_first() {
                Some((&BREAK, rest)) => {
                    self.rest = rest;
                    Ok(false)
                }
                _ => Ok(true),
            },
        }
    }

    /// Passes over whatever it is, `depth` containers down.
    pub fn skip(&mut self, depth: usize) -> Result<(), String> {
        let (major, argument) = self.head()?;
        let parts = match (major, argument) {
            (BYTES | TEXT, Some(length)) => return self.take(length).map(|_| ()),
            (ARRAY, _) => 1,
            (MAP, _) => 2,
            (TAG, _) => return Err("a tag".into()),
            _ => return Ok(()),
        };
        if depth >= MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} containers within each other"));
        }
        let mut items = Items(argument);
        while self.another(&mut items)? {
            for _ in 0..parts {
                self.skip(depth + 1)?;
            }
        }
        Ok(())
    }
}

fn bounded(data: &[u8], most: usize) -> Result<&[u8], String> {
    match data.len() {
        length if length <= most => Ok(data),
        length => Err(format!("{length} bytes, at most {most}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether one value that fills `data` is passed over.
    fn skips(data: &[u8]) -> bool {
        let mut reader = Reader::new(data);
        reader.skip(0).is_ok() && reader.end().is_ok()
    }

    #[test]
    fn values_that_are_passed_over() {
        for good in [
            &b"\x00"[..],
            b"\x17",
            b"\x18\x18",
            b"\x19\x01\x00",
            b"\x1a\x00\x01\x00\x00",
            b"\x1b\x00\x00\x00\x01\x00\x00\x00\x00",
            b"\x20",
            b"\x41a",
            b"\x61a",
            b"\x80",
            b"\x82\x01\x9f\xff",
            b"\x9f\x01\x02\xff",
            b"\xa1\x01\xbf\x01\x02\xff",
            b"\xf4",
            b"\xf6",
            b"\xf9\x00\x00",
            b"\xfb\x00\x00\x00\x00\x00\x00\x00\x00",
            b"\x81\x81\x81\x80",
        ] {
            assert!(skips(good), "{good:x?}");
        }
    }

    #[test]
    fn values_that_are_refused() {
        for bad in [
            &b""[..],
            b"\x18\x17",
            b"\x19\x00\xff",
            b"\x1a\x00\x00\xff\xff",
            b"\x1b\x00\x00\x00\x00\xff\xff\xff\xff",
            b"\x1c",
            b"\x1f",
            b"\x5f\x41a\xff",
            b"\x7f\xff",
            b"\x42a",
            b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff\x00",
            b"\x82\x01",
            b"\x9f\x01",
            b"\xa1\x01",
            b"\xbf\x01\xff",
            b"\xc0\x00",
            b"\xff",
            b"\x00\x00",
            b"\x81\x81\x81\x81\x80",
        ] {
            assert!(!skips(bad), "{bad:x?}");
        }
        assert!(!skips(&[0x81; 300]) && !skips(&[0x9f; 300]));
    }

    #[test]
    fn values_of_another_kind() {
        assert_eq!(Reader::new(b"\x41a").unsigned().unwrap_err(), "not a number");
        assert_eq!(Reader::new(b"\x61a").bytes(9).unwrap_err(), "not a byte string");
        assert_eq!(Reader::new(b"\x42ab").bytes(1).unwrap_err(), "2 bytes, at most 1");
        assert_eq!(Reader::new(b"\x61\xff").text(9).unwrap_err(), "text is not UTF-8");
        assert_eq!(Reader::new(b"\xf6").optional_bytes(9), Ok(None));
        assert_eq!(Reader::new(b"\x41a").optional_bytes(9), Ok(Some(&b"a"[..])));
        assert!(Reader::new(b"\xf4").optional_bytes(9).is_err());
        assert!(Reader::new(b"\x9f\xff").array_of(0).is_err() && Reader::new(b"\xbf\xff").empty_map().is_err());
        assert!(Reader::new(b"\xa1\x00\x00").empty_map().is_err() && Reader::new(b"\x81").map().is_err());
    }
}
