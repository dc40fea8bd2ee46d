//! The bytes of HTTP/1.1: tokens, field values, lists, hosts (RFC 9110 section 5.6, RFC 9112, RFC 3986 section 3.2). Pure.

use super::lanes;

/// tchar (RFC 9110 section 5.6.2) in lower case; 0 for any other byte.
static TCHAR: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        let is = b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        if is {
            table[byte] = b.to_ascii_lowercase();
        }
        byte += 1;
    }
    table
};

#[inline]
pub fn is_tchar(byte: u8) -> bool {
    TCHAR[byte as usize] != 0
}

/// How many bytes of a token `bytes` begins with.
pub fn token_len(bytes: &[u8]) -> usize {
    bytes.iter().position(|&b| TCHAR[b as usize] == 0).unwrap_or(bytes.len())
}

/// Writes the token that `bytes` begins with, in lower case, to the front of `lower`, which has room for it, and returns its length.
pub fn lower_token(bytes: &[u8], lower: &mut [u8]) -> usize {
    let mut length = lanes::lower_plain(bytes, lower);
    if bytes.get(length).is_some_and(|byte| !is_tchar(*byte)) {
        return length;
    }
    for (to, from) in lower[length..].iter_mut().zip(&bytes[length..]) {
        let byte = TCHAR[*from as usize];
        if byte == 0 {
            break;
        }
        *to = byte;
        length += 1;
    }
    length
}

pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && (lanes::all_plain(bytes) || bytes.iter().all(|&b| is_tchar(b)))
}

/// 21-7E, at least one.
pub fn is_target(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().fold(true, |ok, b| ok & b.is_ascii_graphic())
}

/// Like `is_target`, but also allows bytes beyond ASCII, which some clients send without escaping them.
pub fn is_raw_target(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().fold(true, |ok, b| ok & (b.is_ascii_graphic() | !b.is_ascii()))
}

pub fn is_ows(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// `bytes` without the spaces and tabs around them.
pub fn trimmed(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_ows(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_ows(*last)
    {
        bytes = rest;
    }
    bytes
}

/// Whether every byte is allowed in a field value or a reason phrase. `controls` allows 01-08, 0E-1F and 7F; NUL and the line and
/// page breaks are never allowed.
pub fn is_text(bytes: &[u8], controls: bool) -> bool {
    lanes::no_control(bytes)
        || bytes.iter().all(|&b| match b {
            b'\t' => true,
            0 | 0x0a..=0x0d => false,
            ..0x20 | 0x7f => controls,
            _ => true,
        })
}

/// Whether `bytes` are chunk extensions (RFC 9112 section 7.1.1): *( BWS ";" BWS token \[ BWS "=" BWS ( token / quoted-string ) ] )
pub fn is_chunk_extensions(mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let Some((b';', rest)) = without_ows(bytes).split_first() else { return false };
        let rest = without_ows(rest);
        let name = token_len(rest);
        if name == 0 {
            return false;
        }
        bytes = &rest[name..];
        if let Some((b'=', rest)) = without_ows(bytes).split_first() {
            let rest = without_ows(rest);
            let value = if rest.first() == Some(&b'"') { quoted_len(rest) } else { token_len(rest) };
            if value == 0 {
                return false;
            }
            bytes = &rest[value..];
        }
    }
    true
}

fn without_ows(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().take_while(|b| is_ows(**b)).count()..]
}

/// How many bytes of a quoted-string `bytes` begins with (RFC 9110 section 5.6.4); it begins with its quote.
fn quoted_len(bytes: &[u8]) -> usize {
    let text = |b: u8| b == b'\t' || (b >= 0x20 && b != 0x7f);
    let mut at = 1;
    loop {
        at += match bytes[at..] {
            [b'"', ..] => return at + 1,
            [b'\\', escaped, ..] if text(escaped) => 2,
            [b'\\', ..] | [] => return 0,
            [b, ..] if text(b) => 1,
            _ => return 0,
        };
    }
}

/// The members of a comma-separated list, without spaces and tabs around them; empty ones are skipped.
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(trimmed).filter(|member| !member.is_empty())
}

/// Whether `value` is `uri-host [ ":" port ]`, or empty (RFC 9112 section 3.2, RFC 3986 section 3.2.2).
pub fn is_host(value: &[u8]) -> bool {
    if lanes::all_host(value) {
        return true;
    }
    let (host, port) = if value.first() == Some(&b'[') {
        let Some(end) = value.iter().position(|&b| b == b']') else { return false };
        if !is_ip_literal(&value[1..end]) {
            return false;
        }
        (&value[..0], &value[end + 1..])
    } else {
        let end = value.iter().position(|&b| b == b':').unwrap_or(value.len());
        value.split_at(end)
    };
    let port = match port {
        [] => port,
        [b':', digits @ ..] => digits,
        _ => return false,
    };
    (lanes::all_host(host) || is_reg_name(host)) && port.iter().all(u8::is_ascii_digit)
}

/// What is between the brackets: an IPv6 address, or an IPvFuture (`v` and a version), which is not in use.
fn is_ip_literal(inner: &[u8]) -> bool {
    match inner {
        [b'v' | b'V', rest @ ..] => match rest.iter().position(|&b| b == b'.') {
            Some(dot) if dot > 0 && dot + 1 < rest.len() => {
                rest[..dot].iter().all(u8::is_ascii_hexdigit)
                    && rest[dot + 1..].iter().all(|&b| is_unreserved(b) || is_sub_delim(b) || b == b':')
            }
            _ => false,
        },
        _ => std::str::from_utf8(inner).is_ok_and(|text| text.parse::<core::net::Ipv6Addr>().is_ok()),
    }
}

pub(super) fn is_reg_name(mut host: &[u8]) -> bool {
    loop {
        host = match host {
            [] => return true,
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest,
            [b, rest @ ..] if is_unreserved(*b) || is_sub_delim(*b) => rest,
            _ => return false,
        }
    }
}

fn is_unreserved(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~')
}

fn is_sub_delim(b: u8) -> bool {
    matches!(b, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
}
