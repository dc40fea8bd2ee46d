//! A value with parameters, as in Content-Disposition and Content-Type: quoted strings (RFC 9110 section 5.6), and names in other character sets
//! (RFC 8187, RFC 2231). Pure.

use percent_encoding::percent_decode_str;

/// By name, in lower case; each stands once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// `name*`, where it can be read, goes before `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        let find = |wanted: &str| self.0.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        find(&format!("{name}*")).or_else(|| find(name))
    }
}

/// The value in lower case, and its parameters.
pub fn parse(text: &[u8]) -> Result<(String, Parameters), String> {
    let text = std::str::from_utf8(text).map_err(|_| "a value that is not UTF-8")?;
    let mut pieces = split(text).into_iter();
    let value = pieces.next().unwrap_or_default().trim().to_ascii_lowercase();
    let mut parameters = Parameters::default();
    for piece in pieces.map(str::trim).filter(|piece| !piece.is_empty()) {
        let (name, value) = piece.split_once('=').ok_or_else(|| format!("parameter {piece:?} without a value"))?;
        let (name, value) = (name.trim().to_ascii_lowercase(), unquoted(value.trim()));
        if parameters.0.iter().any(|(other, _)| *other == name) {
            return Err(format!("parameter {name:?} stands twice"));
        }
        match name.ends_with('*') {
            false => parameters.0.push((name, value)),
            // What cannot be read is as if it were not there.
            true => parameters.0.extend(extended(&value).map(|value| (name, value))),
        }
    }
    Ok((value, parameters))
}

/// At each semicolon outside quotes.
fn split(text: &str) -> Vec<&str> {
    let (mut pieces, mut from, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b';' if !quoted => {
                pieces.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&text[from..]);
    pieces
}

/// Without quotes and what escapes them; a backslash before anything else is one.
fn unquoted(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return text.to_owned() };
    let mut out = String::with_capacity(inner.len());
    let mut characters = inner.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if matches!(characters.peek(), Some('\\' | '"')) => out.extend(characters.next()),
            other => out.push(other),
        }
    }
    out
}

/// `charset'language'percent-encoded`.
fn extended(text: &str) -> Option<String> {
    let mut pieces = text.splitn(3, '\'');
    let (charset, _, value) = (pieces.next()?, pieces.next()?, pieces.next()?);
    let bytes: Vec<u8> = percent_decode_str(value).collect();
    match charset.to_ascii_lowercase().as_str() {
        "utf-8" => String::from_utf8(bytes).ok(),
        "iso-8859-1" | "us-ascii" => Some(bytes.into_iter().map(char::from).collect()),
        _ => None,
    }
}
