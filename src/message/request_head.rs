//! The head of a request to send, checked before a byte is sent. Pure.

use super::host::check_host;
use crate::error::{Error, Result, Status};
use crate::h1::syntax::is_token;

/// A request as the host describes it.
#[derive(Clone, Debug)]
pub struct RequestHead {
    pub method: String,
    /// Origin form: path and query, as they are sent.
    pub path: String,
    pub host: String,
    /// The value of the Host field, if it is another.
    pub host_line: Option<String>,
    /// The target is sent in absolute form, for a proxy.
    pub absolute: bool,
    pub headers: Vec<(String, Vec<u8>)>,
}

impl RequestHead {
    /// The head in the host's own order and case, with `Host` first and the framing of a body of `length` bytes (`None`: chunks).
    /// Errors: InvalidArgument, HttpHeaderInvalid, Unsupported.
    pub fn head(&self, length: Option<u64>) -> Result<Vec<u8>> {
        self.check()?;
        let mut head = Vec::with_capacity(256);
        let origin = if self.absolute { ["http://", &self.host] } else { ["", ""] };
        let host = self.host_line.as_ref().unwrap_or(&self.host);
        let line = [&self.method, " ", origin[0], origin[1], &self.path, " HTTP/1.1\r\nHost: ", host, "\r\n"];
        for part in line {
            head.extend_from_slice(part.as_bytes());
        }
        let mut given_length = None;
        for (name, value) in &self.headers {
            check_header(name, value)?;
            if name.eq_ignore_ascii_case("content-length") {
                given_length = Some(parse_length(value)?);
            }
            for part in [name.as_bytes(), b": ", value, b"\r\n"] {
                head.extend_from_slice(part);
            }
        }
        match (given_length, length) {
            (None, None) => head.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            (None, Some(0)) if !matches!(self.method.as_str(), "POST" | "PUT" | "PATCH") => {}
            (None, Some(length)) => head.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes()),
            (Some(given), Some(length)) if given == length => {}
            (Some(given), length) => {
                let body = length.map_or("of unknown length".into(), |length| format!("of {length} bytes"));
                return Err(invalid(format!("Content-Length: {given} for a body {body}")));
            }
        }
        head.extend_from_slice(b"\r\n");
        Ok(head)
    }

    /// Whether there is a field with this name.
    pub fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name))
    }

    pub fn add(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.headers.push((name.to_owned(), value.into()));
    }

    /// Removes the fields with these names, which are in lower case.
    pub fn remove(&mut self, names: &[&str]) {
        self.headers.retain(|(name, _)| !names.iter().any(|gone| name.eq_ignore_ascii_case(gone)));
    }

    fn check(&self) -> Result<()> {
        if !is_token(self.method.as_bytes()) {
            return Err(Error::new(Status::InvalidArgument, format!("method {:?} is not a token", self.method)));
        }
        if self.method == "CONNECT" {
            return Err(Error::new(Status::Unsupported, "method CONNECT: use a raw stream for that"));
        }
        let clean = |text: &str| text.bytes().all(|byte| byte > b' ' && byte != 0x7f);
        if !(self.path.starts_with('/') || self.path == "*") || !clean(&self.path) {
            let shown = self.path.escape_debug();
            return Err(Error::new(
                Status::InvalidArgument,
                format!("path \"{shown}\" must begin with / and contain no spaces"),
            ));
        }
        [Some(&self.host), self.host_line.as_ref()].into_iter().flatten().try_for_each(|host| check_host(host))
    }
}

/// Checks a field that a host wants to send (RFC 9110 section 5): it must not end the line or the head, or frame the body a second time.
pub fn check_header(name: &str, value: &[u8]) -> Result<()> {
    if !is_token(name.as_bytes()) {
        return Err(invalid(format!("header name \"{}\" is not a token", name.escape_debug())));
    }
    let forbidden = |byte: &u8| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f;
    if value.iter().any(forbidden) {
        return Err(invalid(format!("value of {name} contains a control character"))); // the value itself may be a secret
    }
    if name.eq_ignore_ascii_case("host") {
        return Err(invalid("Host comes from the request's host".into()));
    }
    if ["transfer-encoding", "upgrade", "trailer"].iter().any(|taken| name.eq_ignore_ascii_case(taken)) {
        return Err(invalid(format!("{name} is set by the library")));
    }
    Ok(())
}

fn parse_length(value: &[u8]) -> Result<u64> {
    let text = std::str::from_utf8(value).unwrap_or_default();
    match text.parse() {
        Ok(length) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(length),
        _ => Err(invalid(format!("Content-Length \"{}\" is not a number", text.escape_debug()))),
    }
}

fn invalid(message: String) -> Error {
    Error::new(Status::HttpHeaderInvalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> RequestHead {
        let pair = |(name, value): &(&str, &str)| (name.to_string(), value.as_bytes().to_vec());
        RequestHead {
            method: "POST".into(),
            path: "/p?q".into(),
            host: "h".into(),
            host_line: None,
            absolute: false,
            headers: headers.iter().map(pair).collect(),
        }
    }

    #[test]
    fn order_and_case_are_the_hosts() {
        let head = request(&[("x-B", "1"), ("A", "2"), ("x-b", "3")]).head(Some(3)).unwrap();
        let text = String::from_utf8(head).unwrap();
        assert_eq!(text, "POST /p?q HTTP/1.1\r\nHost: h\r\nx-B: 1\r\nA: 2\r\nx-b: 3\r\nContent-Length: 3\r\n\r\n");
    }

    #[test]
    fn injection_is_refused() {
        for (name, value) in [
            ("X", "a\r\nY: b"),
            ("X", "a\nb"),
            ("X", "\0"),
            ("X\r\n", "a"),
            ("X Y", "a"),
            ("", "a"),
            ("X:", "a"),
            ("Host", "other"),
            ("Transfer-Encoding", "chunked"),
            ("Content-Length", "7"),
            ("Content-Length", "+0"),
        ] {
            let error = request(&[(name, value)]).head(Some(0)).unwrap_err();
            assert_eq!(error.status, Status::HttpHeaderInvalid, "{name:?}: {value:?}");
        }
        let refuse = |change: fn(&mut RequestHead)| {
            let mut request = request(&[]);
            change(&mut request);
            request.head(Some(0)).unwrap_err().status
        };
        assert_eq!(refuse(|r| r.path = "/a b".into()), Status::InvalidArgument);
        assert_eq!(refuse(|r| r.path = "/a\r\nX: y".into()), Status::InvalidArgument);
        assert_eq!(refuse(|r| r.path = "http://x/".into()), Status::InvalidArgument);
        assert_eq!(refuse(|r| r.method = "GET /".into()), Status::InvalidArgument);
        assert_eq!(refuse(|r| r.host = "a\r\nb".into()), Status::InvalidArgument);
        assert_eq!(refuse(|r| r.method = "CONNECT".into()), Status::Unsupported);
    }
}
