//! Start lines on their own (RFC 9112 sections 3 and 4).

use super::head::is_token;

/// Method, target and minor version of `METHOD SP target SP HTTP/1.d`.
pub fn request_line(line: &[u8]) -> Option<(&[u8], &[u8], u8)> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (method, target, version) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = parts.next().is_none() && !method.is_empty() && method.iter().all(|byte| is_token(*byte));
    let sane = !target.is_empty() && target.iter().all(|byte| *byte > b' ' && *byte != 0x7f);
    (whole && sane).then_some((method, target, minor(version)?))
}

/// Minor version, status and reason phrase of `HTTP/1.d SP 3DIGIT SP [reason]`.
pub fn status_line(line: &[u8]) -> Option<(u8, u16, &[u8])> {
    let (version, rest) = line.split_at_checked(8)?;
    let [b' ', digits @ .., b' '] = rest.get(..5)? else { return None };
    let reason = &rest[5..];
    let number =
        digits.iter().all(u8::is_ascii_digit).then(|| digits.iter().fold(0, |n, d| n * 10 + u16::from(d - b'0')));
    let sane = reason.iter().all(|byte| *byte >= b' ' && *byte != 0x7f || *byte == b'\t');
    let (version, number) = (minor(version)?, number?);
    (sane && number >= 100).then_some((version, number, reason))
}

fn minor(version: &[u8]) -> Option<u8> {
    match version.strip_prefix(b"HTTP/1.")? {
        [digit @ b'0'..=b'9'] => Some(digit - b'0'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_lines() {
        assert_eq!(request_line(b"GET /a?b HTTP/1.1"), Some((&b"GET"[..], &b"/a?b"[..], 1)));
        assert_eq!(request_line(b"x-Y \xff<> HTTP/1.0"), Some((&b"x-Y"[..], &b"\xff<>"[..], 0)));
        for bad in [
            "",
            "GET",
            "GET /",
            "GET  / HTTP/1.1",
            "GET / HTTP/2.0",
            "GET / HTTP/1.10",
            "G(T / HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET /\t HTTP/1.1",
        ] {
            assert_eq!(request_line(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(status_line(b"HTTP/1.1 200 OK then"), Some((1, 200, &b"OK then"[..])));
        assert_eq!(status_line(b"HTTP/1.0 404 "), Some((0, 404, &b""[..])));
        for bad in [
            "",
            "HTTP/1.1 200",
            "HTTP/1.1 20 OK",
            "HTTP/1.1  200 OK",
            "HTTP/2.0 200 OK",
            "HTTP/1.1 2000 OK",
            "HTTP/1.1 200 a\rb",
            "HTTP/1.1 099 x",
        ] {
            assert_eq!(status_line(bad.as_bytes()), None, "{bad}");
        }
    }
}
