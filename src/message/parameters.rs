//! Field values with parameters, as in Content-Disposition and Content-Type: quoted strings (RFC 9110 section 5.6), and names in other character sets
//! (RFC 8187, RFC 2231). Pure.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use percent_encoding::percent_decode_str;

use super::comparisons::CountedKey;

/// By name, in lower case; no name is duplicated. A value that cannot be decoded is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldParameters(HashMap<CountedKey<String>, Option<String>>);

impl FieldParameters {
    /// The plain form, and no other.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(&CountedKey(name.to_owned()))?.as_deref()
    }

    /// `name*` only if `name` is absent: a form must not have it (RFC 7578 section 4.2), and a reader that follows that rule uses the plain one.
    pub fn get_or_extended(&self, name: &str) -> Option<&str> {
        match self.0.contains_key(&CountedKey(name.to_owned())) {
            true => self.get(name),
            false => self.get(&format!("{name}*")),
        }
    }
}

/// The value in lower case, and its parameters.
pub fn parse(text: &[u8]) -> Result<(String, FieldParameters), String> {
    let text = std::str::from_utf8(text).map_err(|_| "a value that is not UTF-8")?;
    let mut pieces = split(text).into_iter();
    let value = pieces.next().unwrap_or_default().trim().to_ascii_lowercase();
    let mut parameters = FieldParameters::default();
    for piece in pieces.map(str::trim).filter(|piece| !piece.is_empty()) {
        let (name, value) = piece.split_once('=').ok_or_else(|| format!("parameter {piece:?} without a value"))?;
        let (name, value) = (name.trim().to_ascii_lowercase(), unquoted(value.trim()));
        let value = if name.ends_with('*') { extended(&value) } else { Some(value) };
        match parameters.0.entry(CountedKey(name)) {
            Entry::Occupied(other) => return Err(format!("parameter {:?} is duplicated", other.key().0)),
            Entry::Vacant(place) => drop(place.insert(value)),
        }
    }
    Ok((value, parameters))
}

/// Splits at each semicolon outside quotes.
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

/// Without the quotes, and without the backslashes before quotes and backslashes; other backslashes stay.
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
    if bytes.iter().any(u8::is_ascii_control) {
        return None;
    }
    match charset.to_ascii_lowercase().as_str() {
        "utf-8" => String::from_utf8(bytes).ok(),
        "iso-8859-1" | "us-ascii" => Some(bytes.into_iter().map(char::from).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::comparisons::count_of;

    #[test]
    fn parameters_cost_what_they_are() {
        let cost = |count: usize| {
            let text: String = (0..count).map(|number| format!("; p{number}=v")).collect();
            count_of(|| assert_eq!(parse(format!("form-data{text}").as_bytes()).unwrap().1.0.len(), count))
        };
        for count in [1000, 2000, 4000] {
            assert!(cost(count) <= 4 * count as u64, "{count} parameters: {} comparisons", cost(count));
        }
    }
}
