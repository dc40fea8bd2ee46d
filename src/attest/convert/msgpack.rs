//! The part of MessagePack that dstack's documents are made of: maps with text as keys, arrays, numbers, text and bytes. Nothing is allocated from a
//! length, every length is compared with what is left, and nesting is bounded, as are the members of a map, which are compared with each other. Pure.

/// Maps and arrays within each other.
const MAX_DEPTH: usize = 8;
/// Of a map that is read; those of documents have ten at most.
const MAX_MEMBERS: usize = 64;

/// One value, with nothing behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoded<'a>(&'a [u8]);

enum Head<'a> {
    Number(u64),
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    Array(usize),
    Map(usize),
    /// Nil, a truth value, a negative number, a fraction: nothing that is read here.
    Other,
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or("it is cut short")?;
        self.rest = rest;
        Ok(taken)
    }

    fn number(&mut self, length: usize) -> Result<u64, String> {
        Ok(self.take(length)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    fn size(&mut self, length: usize) -> Result<usize, String> {
        usize::try_from(self.number(length)?).map_err(|error| error.to_string())
    }

    fn head(&mut self) -> Result<Head<'a>, String> {
        let first = self.take(1)?[0];
        Ok(match first {
            0x00..=0x7f => Head::Number(first.into()),
            0x80..=0x8f => Head::Map((first & 0xf).into()),
            0x90..=0x9f => Head::Array((first & 0xf).into()),
            0xa0..=0xbf => Head::Text(self.take((first & 0x1f).into())?),
            0xc4..=0xc6 => {
                let length = self.size(1 << (first - 0xc4))?;
                Head::Bytes(self.take(length)?)
            }
            0xcc..=0xcf => Head::Number(self.number(1 << (first - 0xcc))?),
            0xd9..=0xdb => {
                let length = self.size(1 << (first - 0xd9))?;
                Head::Text(self.take(length)?)
            }
            0xdc | 0xdd => Head::Array(self.size(2 << (first - 0xdc))?),
            0xde | 0xdf => Head::Map(self.size(2 << (first - 0xde))?),
            0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => Head::Other,
            0xca | 0xd2 => self.take(4).map(|_| Head::Other)?,
            0xcb | 0xd3 => self.take(8).map(|_| Head::Other)?,
            0xd0 => self.take(1).map(|_| Head::Other)?,
            0xd1 => self.take(2).map(|_| Head::Other)?,
            _ => return Err(format!("{first:02x} begins nothing that is read here")),
        })
    }

    /// Passes over one value, and returns it.
    fn value(&mut self, depth: usize) -> Result<Encoded<'a>, String> {
        let whole = self.rest;
        let parts = match self.head()? {
            Head::Array(count) => count,
            Head::Map(count) => count.saturating_mul(2),
            _ => 0,
        };
        if parts > 0 && depth >= MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} containers within each other"));
        }
        // Each has a byte at least, so that this ends with the data.
        for _ in 0..parts {
            self.value(depth + 1)?;
        }
        Ok(Encoded(&whole[..whole.len() - self.rest.len()]))
    }
}

impl<'a> Encoded<'a> {
    /// Errors: it is no value, or something is behind it.
    pub fn read(data: &'a [u8]) -> Result<Encoded<'a>, String> {
        let mut reader = Reader { rest: data };
        let value = reader.value(0)?;
        match reader.rest.len() {
            0 => Ok(value),
            left => Err(format!("{left} bytes after its end")),
        }
    }

    /// Errors: it is no map, it has too many members, or a key is no text, or duplicated.
    pub fn members(self) -> Result<Members<'a>, String> {
        let mut reader = Reader { rest: self.0 };
        let Head::Map(count) = reader.head()? else { return Err("not a map".into()) };
        if count > MAX_MEMBERS {
            return Err(format!("a map of {count} members, at most {MAX_MEMBERS} are read"));
        }
        let mut members: Vec<(&str, Encoded<'_>)> = Vec::new();
        for _ in 0..count {
            let key = reader.value(0)?.text()?;
            if members.iter().any(|(known, _)| *known == key) {
                return Err(format!("{key:?} is duplicated"));
            }
            members.push((key, reader.value(0)?));
        }
        Ok(Members(members))
    }

    /// Errors: it is no array, or has more than `max` items.
    pub fn items(self, max: usize) -> Result<Vec<Encoded<'a>>, String> {
        let mut reader = Reader { rest: self.0 };
        let Head::Array(count) = reader.head()? else { return Err("not an array".into()) };
        if count > max {
            return Err(format!("an array of {count} items, at most {max} are read"));
        }
        (0..count).map(|_| reader.value(0)).collect()
    }

    pub fn number(self) -> Result<u64, String> {
        match (Reader { rest: self.0 }).head()? {
            Head::Number(value) => Ok(value),
            _ => Err("not a number".into()),
        }
    }

    pub fn text(self) -> Result<&'a str, String> {
        match (Reader { rest: self.0 }).head()? {
            Head::Text(raw) => std::str::from_utf8(raw).map_err(|_| "text is not UTF-8".into()),
            _ => Err("not text".into()),
        }
    }

    /// Bytes in one piece, or an array of numbers, which is how some writers put them.
    pub fn bytes(self) -> Result<Vec<u8>, String> {
        let mut reader = Reader { rest: self.0 };
        let byte = |item: Encoded<'_>| u8::try_from(item.number()?).map_err(|_| "not a byte".into());
        match reader.head()? {
            Head::Bytes(raw) => Ok(raw.to_vec()),
            Head::Array(count) => (0..count).map(|_| byte(reader.value(0)?)).collect(),
            _ => Err("not bytes".into()),
        }
    }
}

/// Of one map, each read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members<'a>(Vec<(&'a str, Encoded<'a>)>);

impl<'a> Members<'a> {
    pub fn get(&self, name: &str) -> Option<Encoded<'a>> {
        self.0.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }

    /// One that must be there.
    pub fn need(&self, name: &str) -> Result<Encoded<'a>, String> {
        self.get(name).ok_or_else(|| format!("{name} is missing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let map = Encoded::read(b"\x83\xa1a\x01\xa1b\xc4\x02xy\xd9\x01c\x93\x01\xcc\xff\xcd\x00\x02").unwrap();
        let map = map.members().unwrap();
        assert_eq!(map.need("a").unwrap().number(), Ok(1));
        assert_eq!(map.need("b").unwrap().bytes(), Ok(b"xy".to_vec()));
        assert_eq!(map.need("c").unwrap().bytes(), Ok(vec![1, 255, 2]));
        assert_eq!(map.need("d").unwrap_err(), "d is missing");
        assert_eq!(Encoded::read(b"\xda\x00\x01x").unwrap().text(), Ok("x"));
        assert_eq!(Encoded::read(b"\xdc\x00\x00").unwrap().items(0), Ok(vec![]));
        assert_eq!(Encoded::read(b"\xcf\x00\x00\x00\x01\x00\x00\x00\x00").unwrap().number(), Ok(1 << 32));
        for passed_over in [&b"\xc0"[..], b"\xc3", b"\xff", b"\xcb\0\0\0\0\0\0\0\0", b"\xd0\x80", b"\xca\0\0\0\0"] {
            assert_eq!(Encoded::read(passed_over).unwrap().number().unwrap_err(), "not a number", "{passed_over:x?}");
        }
    }

    #[test]
    fn what_is_refused() {
        for bad in [
            &b""[..],
            b"\xc1",
            b"\xc7\x01\x00x",
            b"\xd4\x00\x00",
            b"\xa2x",
            b"\xc4\x02x",
            b"\x91",
            b"\x81\xa1a",
            b"\xdd\xff\xff\xff\xff",
            b"\xdf\xff\xff\xff\xff\x00",
            b"\x00\x00",
            b"\x91\x91\x91\x91\x91\x91\x91\x91\x91\x00",
        ] {
            assert!(Encoded::read(bad).is_err(), "{bad:x?}");
        }
        assert!(Encoded::read(&[0x91; 100_000]).is_err());
        assert_eq!(Encoded::read(b"\x82\xa1a\x00\xa1a\x00").unwrap().members().unwrap_err(), "\"a\" is duplicated");
        assert!(Encoded::read(b"\x81\x00\x00").unwrap().members().is_err());
        assert!(Encoded::read(b"\x91\xcd\x01\x00").unwrap().bytes().is_err());
        assert_eq!(Encoded::read(b"\xa1\xff").unwrap().text().unwrap_err(), "text is not UTF-8");
        assert_eq!(Encoded::read(b"\xa1x").unwrap().bytes().unwrap_err(), "not bytes");
    }

    #[test]
    fn maps_and_arrays_are_bounded() {
        // Each key is another, so that nothing but the limit ends the comparison of all with all.
        let map = |count: u16| {
            let keys = (0..count).flat_map(|key| [&b"\xa4"[..], format!("{key:04x}").as_bytes(), b"\x00"].concat());
            [&b"\xde"[..], &count.to_be_bytes()].concat().into_iter().chain(keys).collect::<Vec<_>>()
        };
        assert!(Encoded::read(&map(64)).unwrap().members().unwrap().need("003f").is_ok());
        for count in [65, u16::MAX] {
            let error = Encoded::read(&map(count)).unwrap().members().unwrap_err();
            assert_eq!(error, format!("a map of {count} members, at most 64 are read"));
        }
        let array = Encoded::read(b"\x93\x01\x02\x03").unwrap();
        assert_eq!(array.items(3).unwrap().len(), 3);
        assert_eq!(array.items(2).unwrap_err(), "an array of 3 items, at most 2 are read");
        // Bytes may be as long as the document.
        let long = [&b"\xdc\xff\xff"[..], &[7; 0xffff]].concat();
        assert_eq!(Encoded::read(&long).unwrap().bytes(), Ok(vec![7; 0xffff]));
    }
}
