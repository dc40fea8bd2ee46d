//! Request targets (RFC 9112 section 3.2), and which authority a request is for. Pure.

use crate::h1::syntax::is_host;

/// The authority that counts (RFC 9112 section 3.3): that of a target in absolute form, whatever Host says; the target of a CONNECT; else that of
/// Host. `None` if that is not an authority, or has user information, which only attackers use (RFC 9110 section 4.2.4).
pub fn authority<'a>(method: &[u8], target: &'a [u8], host: Option<&'a [u8]>) -> Option<&'a [u8]> {
    let found = if method == b"CONNECT" { Some(target) } else { of_absolute(target).or(host) };
    found.filter(|authority| !authority.is_empty() && is_host(authority))
}

fn of_absolute(target: &[u8]) -> Option<&[u8]> {
    let colon = target.iter().position(|byte| !is_of_scheme(*byte))?;
    let rest = target[colon..].strip_prefix(b"://")?;
    let is_scheme = target[..colon].first().is_some_and(u8::is_ascii_alphabetic);
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    is_scheme.then_some(&rest[..end])
}

fn is_of_scheme(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_authority_counts() {
        let host = Some(&b"h.example:8"[..]);
        for (method, target, host, wanted) in [
            ("GET", "/", host, Some("h.example:8")),
            ("GET", "/http://other.example/", host, Some("h.example:8")),
            ("GET", "/?u=http://other.example/", host, Some("h.example:8")),
            ("OPTIONS", "*", host, Some("h.example:8")),
            ("GET", "http://other.example/x", host, Some("other.example")),
            ("GET", "HTTPS://other.example:1?x", host, Some("other.example:1")),
            ("GET", "http://[::1]:2", None, Some("[::1]:2")),
            ("GET", "http://user@other.example/", host, None),
            ("GET", "http:///", host, None),
            ("GET", "://other.example/", host, Some("h.example:8")),
            ("GET", "1http://other.example/", host, Some("h.example:8")),
            ("CONNECT", "other.example:443", host, Some("other.example:443")),
            ("CONNECT", "http://other.example/", host, None),
            ("GET", "/", None, None),
            ("GET", "/", Some(&b""[..]), None),
        ] {
            let found = authority(method.as_bytes(), target.as_bytes(), host);
            assert_eq!(found, wanted.map(str::as_bytes), "{method} {target}");
        }
    }
}
