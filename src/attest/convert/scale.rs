//! The part of SCALE (simple concatenated aggregate little-endian) that dstack's documents are made of. Nothing is allocated, and every length is
//! compared with what is left. Pure.

/// What is left to read.
pub struct Reader<'a> {
    rest: &'a [u8],
}

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

    pub fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or("it is cut short")?;
        self.rest = rest;
        Ok(taken)
    }

    pub fn byte(&mut self) -> Result<u8, String> {
        self.take(1).map(|taken| taken[0])
    }

    pub fn u32(&mut self) -> Result<u32, String> {
        Ok(little_endian(self.take(4)?))
    }

    /// A compact number, in its shortest form.
    fn compact(&mut self) -> Result<usize, String> {
        let length = match self.rest.first().map(|first| first & 3) {
            Some(0) => 1,
            Some(1) => 2,
            Some(2) => 4,
            Some(_) => return Err("a length that is too long".into()),
            None => return Err("it is cut short".into()),
        };
        let value = little_endian(self.take(length)?) >> 2;
        let least = match length {
            1 => 0,
            2 => 1 << 6,
            _ => 1 << 14,
        };
        if value < least {
            return Err("a length is longer than it must be".into());
        }
        usize::try_from(value).map_err(|error| error.to_string())
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], String> {
        let length = self.compact()?;
        self.take(length)
    }

    pub fn text(&mut self) -> Result<&'a str, String> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "text is not UTF-8".into())
    }

    /// A list of at most `max` items, which have at least one byte each.
    pub fn list<T>(
        &mut self,
        max: usize,
        mut item: impl FnMut(&mut Reader<'a>) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let count = self.compact()?;
        if count > max {
            return Err(format!("a list of {count} items, at most {max} are read"));
        }
        if count > self.rest.len() {
            return Err("it is cut short".into());
        }
        (0..count).map(|_| item(self)).collect()
    }
}

fn little_endian(data: &[u8]) -> u32 {
    data.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lists_and_texts() {
        let mut reader = Reader::new(b"\x08ab\x04\xc3\x08\x04x\x00\x01\x00\x00\x02\x07");
        assert_eq!(reader.bytes(), Ok(&b"ab"[..]));
        assert_eq!(reader.text().unwrap_err(), "text is not UTF-8");
        assert_eq!(reader.list(2, |reader| reader.text()), Ok(vec!["x", ""]));
        assert_eq!((reader.u32(), reader.byte(), reader.end()), (Ok(0x0200_0001), Ok(7), Ok(())));
        for (raw, value) in [(&b"\xfc"[..], 63), (b"\x01\x01", 64), (b"\xfd\xff", 16383), (b"\x02\x00\x01\x00", 16384)]
        {
            assert_eq!(Reader::new(raw).compact(), Ok(value), "{raw:x?}");
        }
    }

    #[test]
    fn what_is_refused() {
        for bad in
            [&b""[..], b"\x01", b"\x01\x00", b"\xfd\x00", b"\x02\x00\x00", b"\x02\x00\x00\x00", b"\x03\x00\x00\x00\x40"]
        {
            assert!(Reader::new(bad).compact().is_err(), "{bad:x?}");
        }
        assert!(Reader::new(b"\x08a").bytes().is_err());
        assert!(Reader::new(b"\xfe\xff\xff\xff").list(usize::MAX, |reader| reader.byte()).is_err());
        let error = Reader::new(b"\x0cabc").list(2, |reader| reader.byte()).unwrap_err();
        assert_eq!(error, "a list of 3 items, at most 2 are read");
        assert_eq!(Reader::new(b"\x00").end().unwrap_err(), "1 bytes after its end");
    }
}
