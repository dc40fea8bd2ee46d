//! What requests carry as names and values: queries, cookies, and forms, by the type of their body. Pure; names and values are bytes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use percent_encoding::percent_decode;

use super::comparisons::CountedKey;
use super::multipart::{MultipartLimits, MultipartParser, Part, PartEvent, malformed, or_default};
use crate::error::Result;

/// A name with its value, or a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    pub name: Vec<u8>,
    pub value: Vec<u8>,
    pub file_name: Option<String>,
    pub content_type: Option<String>,
}

impl Argument {
    fn plain(name: Vec<u8>, value: Vec<u8>) -> Argument {
        Argument { name, value, file_name: None, content_type: None }
    }

    fn of_part(part: Part, value: Vec<u8>) -> Argument {
        let Part { name, file_name, content_type } = part;
        Argument { name: name.into_bytes(), value, file_name, content_type }
    }
}

/// Limits of a form.
#[derive(Clone, Copy, Debug)]
pub struct FormLimits {
    pub multipart: MultipartLimits,
    /// Pairs of a query or urlencoded form.
    pub pairs: usize,
}

impl FormLimits {
    const PAIRS: usize = 10_000;

    /// As a caller chooses them; 0 is the default of each.
    pub fn chosen(parts: usize, part_head: usize, pairs: usize) -> FormLimits {
        FormLimits { multipart: MultipartLimits::chosen(parts, part_head), pairs: or_default(pairs, FormLimits::PAIRS) }
    }
}

/// A query. Errors: HttpProtocol, with 400.
pub fn query_arguments(text: &[u8]) -> Result<Vec<Argument>> {
    urlencoded(text, FormLimits::PAIRS).map_err(malformed)
}

/// A whole body, read as its Content-Type says; a body of another type has no arguments. Errors: HttpProtocol, with 400, or 415 for an encoded body.
pub fn form_arguments(
    content_type: &str,
    content_encoding: Option<&str>,
    body: &[u8],
    limits: FormLimits,
) -> Result<Vec<Argument>> {
    if let Some(coding) = content_encoding.filter(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return Err(malformed(format!("Content-Encoding {}", coding.escape_debug())).http_status(415));
    }
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media_type == "application/x-www-form-urlencoded" {
        return urlencoded(body, limits.pairs).map_err(malformed);
    }
    match media_type.starts_with("multipart/form-data") {
        true => parts(content_type, body, limits.multipart),
        false => Ok(Vec::new()),
    }
}

fn parts(content_type: &str, body: &[u8], limits: MultipartLimits) -> Result<Vec<Argument>> {
    let mut parser = MultipartParser::new(content_type.as_bytes(), limits)?;
    parser.push(body);
    parser.end();
    let (mut found, mut open): (Vec<Argument>, Option<(Part, Vec<u8>)>) = (Vec::new(), None);
    loop {
        match parser.next_event()? {
            Some(PartEvent::Part(part)) => open = Some((part, Vec::new())),
            Some(PartEvent::Data(data)) => open.iter_mut().for_each(|(_, value)| value.extend_from_slice(&data)),
            Some(PartEvent::PartEnd) => found.extend(open.take().map(|(part, value)| Argument::of_part(part, value))),
            Some(PartEvent::End) | None => return Ok(found),
        }
    }
}

/// application/x-www-form-urlencoded. Empty values are kept; a pair without `=` is a name with an empty value. Errors: why it is refused. A name with a NUL
/// would be another name to a host that reads it as a C string.
pub fn urlencoded(text: &[u8], most: usize) -> std::result::Result<Vec<Argument>, String> {
    let decode = |part: &[u8]| {
        let spaces: Vec<u8> = part.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        percent_decode(&spaces).collect::<Vec<u8>>()
    };
    let mut found = Vec::new();
    for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        if found.len() == most {
            return Err(format!("more than {most} pairs"));
        }
        let (name, value) = halves(pair).unwrap_or((pair, b""));
        let name = decode(name);
        if name.contains(&0) {
            return Err(format!("a NUL in the name \"{}\"", name.escape_ascii()));
        }
        found.push(Argument::plain(name, decode(value)));
    }
    Ok(found)
}

/// A Cookie field, read as web servers do and not by the grammar of RFC 6265: split at each `;`, at the first `=`; without one the name is empty;
/// of several cookies with one name the last counts.
pub fn cookies(text: &[u8]) -> Vec<Argument> {
    let mut found: Vec<Argument> = Vec::new();
    let mut places: HashMap<CountedKey<Vec<u8>>, usize> = HashMap::new();
    for piece in text.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).filter(|piece| !piece.is_empty()) {
        let (name, value) = halves(piece).unwrap_or((b"", piece));
        let (name, value) = (name.trim_ascii().to_vec(), unquoted(value.trim_ascii()));
        match places.entry(CountedKey(name.clone())) {
            Entry::Occupied(place) => found[*place.get()].value = value,
            Entry::Vacant(place) => {
                place.insert(found.len());
                found.push(Argument::plain(name, value));
            }
        }
    }
    found
}

fn halves(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = pair.iter().position(|byte| *byte == b'=')?;
    Some((&pair[..at], &pair[at + 1..]))
}

/// In quotes, `\ooo` with a first digit up to 3, and `\x` for any other x.
fn unquoted(value: &[u8]) -> Vec<u8> {
    let [b'"', inner @ .., b'"'] = value else { return value.to_vec() };
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((byte, after)) = rest.split_first() {
        (rest, _) = match (byte, after) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                (after, out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0')))
            }
            (b'\\', [escaped, after @ ..]) => (after, out.push(*escaped)),
            _ => (after, out.push(*byte)),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::comparisons::count_of;

    fn shown(found: Vec<Argument>) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        found.iter().map(|argument| (text(&argument.name), text(&argument.value))).collect()
    }

    #[test]
    fn pairs_are_decoded_within_their_limit() {
        let of = |text: &str| shown(urlencoded(text.as_bytes(), 100).unwrap());
        let wanted = [("a", "b c"), ("d", ""), ("e", ""), ("", "f"), ("a", "="), ("\\xe4", "\\x00%zz")];
        assert_eq!(of("a=b+c&d=&e&=f&&a==&%e4=%00%zz"), wanted.map(|(name, value)| (name.into(), value.into())));
        assert!(of("").is_empty());
        assert!(urlencoded(&b"a&".repeat(101), 100).unwrap_err().contains("more than 100"));
        assert!(urlencoded(b"b=1&a%00b=2", 100).unwrap_err().contains("NUL in the name"));
    }

    #[test]
    fn a_body_is_read_as_its_type_says() {
        let read = |kind: &str, coding: Option<&str>, body: &str| {
            let found = form_arguments(kind, coding, body.as_bytes(), FormLimits::chosen(0, 0, 2));
            found.map(shown).map_err(|error| error.http_status)
        };
        let wanted = Ok(vec![("a".to_owned(), "1".to_owned())]);
        let multipart = "--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x--\r\n";
        assert_eq!(read("Application/X-WWW-Form-URLencoded ; charset=utf-8", None, "a=1"), wanted);
        assert_eq!(read("Multipart/Form-Data; boundary=x", Some("Identity"), multipart), wanted);
        for other in ["text/plain", "", "application/x-www-form-urlencoded2", "multipart/mixed; boundary=x"] {
            assert_eq!(read(other, None, "a=1"), Ok(Vec::new()), "{other}");
        }
        assert_eq!(read("application/x-www-form-urlencoded", Some("gzip"), "a=1"), Err(415));
        assert_eq!(read("application/x-www-form-urlencoded", None, "a=1&b=2&c=3"), Err(400));
        assert_eq!(read("multipart/form-data2; boundary=x", None, multipart), Err(400));
        assert_eq!(read("multipart/form-data", None, multipart), Err(400));
    }

    #[test]
    fn cookies_are_parsed_and_the_last_of_a_name_counts() {
        for (text, wanted) in [
            ("a=b; c=d", &[("a", "b"), ("c", "d")][..]),
            ("a=b=c; d", &[("a", "b=c"), ("", "d")]),
            ("a=1; a=2", &[("a", "2")]),
            (r#"a="b\073c\"d\\"; e="x"#, &[("a", r#"b;c\"d\\"#), ("e", r#"\"x"#)]),
            (r#"a="b;c""#, &[("a", r#"\"b"#), ("", r#"c\""#)]),
            (" ; ;a = b ;", &[("a", "b")]),
            ("", &[]),
        ] {
            let wanted: Vec<_> = wanted.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            assert_eq!(shown(cookies(text.as_bytes())), wanted, "{text}");
        }
        for count in [10_000, 20_000, 40_000] {
            let many: String = (0..count).map(|number| format!("n{number}=\"{}\"; ", "\\".repeat(5))).collect();
            let cost = count_of(|| assert_eq!(cookies(many.as_bytes()).len(), count));
            assert!(cost <= 4 * count as u64, "{count} cookies: {cost} comparisons");
        }
    }
}
