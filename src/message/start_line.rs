//! Start lines on their own, for callers that read messages themselves (RFC 9112 sections 3 and 4). Pure.

use crate::h1::{start_line, syntax};

/// Method, target and minor version of `METHOD SP target SP HTTP/1.d`.
pub fn request_line(line: &[u8]) -> Option<(&[u8], &[u8], u8)> {
    let (method, target, version) = start_line::request_line(line, syntax::is_raw_target)?;
    Some((method, target, minor(version)?))
}

/// Minor version, status and reason phrase of `HTTP/1.d SP 3DIGIT SP [reason]`: the last space is required, other than by the machine.
pub fn status_line(line: &[u8]) -> Option<(u8, u16, &[u8])> {
    let (version, status, reason) = start_line::status_line(line, false)?;
    (line.get(12) == Some(&b' ')).then_some((minor(version)?, status, reason))
}

fn minor(version: u16) -> Option<u8> {
    (version >> 8 == 1).then_some((version & 0xff) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_lines_are_taken_apart_or_refused() {
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
