//! Response heads as the host gives them, checked before any of it is sent. Pure.

use std::borrow::Cow;

use crate::error::{Error, Result, Status};
use crate::h1::{Rules, facts_of};
use crate::message::header_fields::HeaderFields;

/// An informational or final response head.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    pub status: u16,
    pub reason: Cow<'static, [u8]>,
    headers: Vec<(Cow<'static, [u8]>, Vec<u8>)>,
    /// The value of a Content-Length that is sent after the host's fields.
    length_sent: Option<Digits>,
    /// The library's own fields, which come last.
    added: Vec<(&'static str, String)>,
    /// The length of the body that a final head announces, if it does.
    pub length: Option<u64>,
}

impl ResponseHead {
    /// `length` is that of the body, if it is known; otherwise `h1` chooses the framing. Errors: InvalidArgument, HttpHeaderInvalid.
    pub fn new(
        status: u16,
        reason: Option<&[u8]>,
        headers: Option<&HeaderFields>,
        length: Option<u64>,
    ) -> Result<ResponseHead> {
        if !(100..=999).contains(&status) || status == 101 {
            return Err(Error::new(Status::InvalidArgument, format!("status {status}")));
        }
        let reason = reason.map_or(Cow::Borrowed(usual_reason(status)), |reason| Cow::Owned(reason.to_vec()));
        if reason.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
            return Err(Error::new(Status::InvalidArgument, "a control character in the reason phrase"));
        }
        let mut headers = copied(headers);
        let has = |name: &str| headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
        let informational = status < 200;
        if has("transfer-encoding") {
            return Err(invalid("Transfer-Encoding is the library's to set"));
        }
        if has("upgrade") && informational {
            return Err(invalid(&format!("Upgrade in a {status}")));
        }
        let framed = has("content-length");
        if framed && (informational || status == 204) {
            return Err(invalid(&format!("Content-Length in a {status}")));
        }
        let lines = headers.iter().map(|(name, value)| (&name[..], &value[..]));
        let facts = facts_of(lines, &Rules::default()).map_err(|error| invalid(&error.message))?;
        // A sender of Upgrade must also send a Connection field that names it (RFC 9110 section 7.8).
        if facts.upgrade && !facts.connection_upgrade {
            headers.push((Cow::Borrowed(b"Connection"), b"Upgrade".to_vec()));
        }
        let length_sent = length.filter(|_| !informational && status != 204 && !framed).map(Digits::of);
        let length = facts.content_length().or(length).filter(|_| !informational && status != 204);
        Ok(ResponseHead { status, reason, headers, length_sent, added: Vec::new(), length })
    }

    /// Errors: InvalidArgument (an informational head).
    pub fn check_final(&self) -> Result<()> {
        match self.status {
            ..200 => Err(Error::new(Status::InvalidArgument, format!("status {} is not final", self.status))),
            _ => Ok(()),
        }
    }

    /// The head that ends HTTP on a connection: 101, or a 2xx to CONNECT. Errors: InvalidArgument, HttpHeaderInvalid.
    pub fn switching(status: u16, headers: Option<&HeaderFields>) -> Result<ResponseHead> {
        if status != 101 && !(200..300).contains(&status) {
            return Err(Error::new(Status::InvalidArgument, format!("status {status} switches no protocol")));
        }
        let mut headers = copied(headers);
        for framing in ["content-length", "transfer-encoding"] {
            if headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(framing.as_bytes())) {
                return Err(Error::new(Status::HttpHeaderInvalid, format!("{framing} in a {status} that ends HTTP")));
            }
        }
        if status == 101 && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"connection")) {
            headers.push((Cow::Borrowed(b"Connection"), b"Upgrade".to_vec()));
        }
        let reason = Cow::Borrowed(usual_reason(status));
        Ok(ResponseHead { status, reason, headers, length_sent: None, added: Vec::new(), length: None })
    }

    /// Adds a field of the library's own.
    pub fn add(&mut self, name: &'static str, value: &str) {
        self.added.push((name, value.to_owned()));
    }

    pub fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let length = self.length_sent.iter().map(|digits| (&b"Content-Length"[..], digits.text()));
        let added = self.added.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        self.headers.iter().map(|(name, value)| (&name[..], &value[..])).chain(length).chain(added)
    }
}

/// A number in decimal, without memory of its own.
#[derive(Clone, Debug)]
struct Digits {
    digits: [u8; 20],
    from: usize,
}

impl Digits {
    fn of(mut number: u64) -> Digits {
        let (mut digits, mut from) = ([0; 20], 20);
        while from == 20 || number > 0 {
            from -= 1;
            digits[from] = b'0' + (number % 10) as u8;
            number /= 10;
        }
        Digits { digits, from }
    }

    fn text(&self) -> &[u8] {
        &self.digits[self.from..]
    }
}

fn invalid(why: &str) -> Error {
    Error::new(Status::HttpHeaderInvalid, why)
}

fn copied(headers: Option<&HeaderFields>) -> Vec<(Cow<'static, [u8]>, Vec<u8>)> {
    let lines = headers.iter().flat_map(|headers| headers.iter());
    lines.map(|(name, value)| (Cow::Owned(name.to_vec()), value.to_vec())).collect()
}

/// The usual reason phrase (RFC 9110 section 15).
fn usual_reason(status: u16) -> &'static [u8] {
    let known = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    known.unwrap_or_default().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(status: u16, lines: &[(&str, &str)], length: Option<u64>) -> Result<ResponseHead> {
        let mut headers = HeaderFields::new(true);
        lines.iter().try_for_each(|(name, value)| headers.add(name.as_bytes(), value.as_bytes()))?;
        ResponseHead::new(status, None, Some(&headers), length)
    }

    #[test]
    fn what_a_head_cannot_say_is_refused_where_it_is_made() {
        for (status, lines) in [
            (200, &[("Content-Length", "foo")][..]),
            (200, &[("Content-Length", "1"), ("content-length", "1")]),
            (200, &[("Content-Length", "-1")]),
            (200, &[("Transfer-Encoding", "chunked")]),
            (204, &[("Content-Length", "0")]),
            (103, &[("Content-Length", "1")]),
            (103, &[("Upgrade", "x")]),
        ] {
            assert_eq!(made(status, lines, None).unwrap_err().status, Status::HttpHeaderInvalid, "{status} {lines:?}");
        }
        assert_eq!(made(200, &[("Content-Length", "7")], Some(3)).unwrap().length, Some(7));
        assert_eq!(made(200, &[], Some(3)).unwrap().length, Some(3));
        assert_eq!(made(204, &[], Some(3)).unwrap().length, None);
    }

    #[test]
    fn the_length_comes_after_the_fields_of_the_host_and_before_those_of_the_library() {
        for length in [0, 9, 10, 1234567890, u64::MAX] {
            let mut head = made(200, &[], None).unwrap();
            assert_eq!(head.lines().count(), 0);
            head.length_sent = Some(Digits::of(length));
            assert_eq!(head.lines().next().unwrap(), (&b"Content-Length"[..], length.to_string().as_bytes()));
        }
        let mut head = made(200, &[("A", "b")], Some(10)).unwrap();
        head.add("Retry-After", "1");
        let lines: Vec<_> = head.lines().collect();
        let wanted: [(&[u8], &[u8]); 3] = [(b"A", b"b"), (b"Content-Length", b"10"), (b"Retry-After", b"1")];
        assert_eq!(lines, wanted);
    }

    #[test]
    fn upgrade_goes_on_any_final_answer_and_names_itself_in_connection() {
        for (connection, lines) in [(None, 2), (Some("close"), 3), (Some("close, Upgrade"), 2)] {
            let mut given = vec![("Upgrade", "TLS/1.3")];
            given.extend(connection.map(|value| ("Connection", value)));
            let message = made(426, &given, None).unwrap();
            let facts = facts_of(message.lines(), &Rules::default()).unwrap();
            assert!(facts.upgrade && facts.connection_upgrade && message.lines().count() == lines, "{connection:?}");
        }
    }
    #[test]
    fn a_status_or_reason_that_no_head_can_have_is_refused() {
        for status in [0, 99, 101, 1000] {
            assert_eq!(made(status, &[], None).unwrap_err().status, Status::InvalidArgument, "{status}");
        }
        for reason in ["a\r\nSet-Cookie: b", "\0", "\x7f"] {
            let refused = ResponseHead::new(200, Some(reason.as_bytes()), None, None).unwrap_err();
            assert_eq!(refused.status, Status::InvalidArgument, "{reason:?}");
        }
        assert_eq!(
            &*ResponseHead::new(200, Some("S\u{e9}\t".as_bytes()), None, None).unwrap().reason,
            "S\u{e9}\t".as_bytes()
        );
    }

    #[test]
    fn the_usual_reason_is_said_if_the_host_gives_none() {
        for (status, reason) in [(200, "OK"), (404, "Not Found"), (299, ""), (999, "")] {
            assert_eq!(&*made(status, &[], None).unwrap().reason, reason.as_bytes(), "{status}");
        }
    }

    #[test]
    fn a_head_that_ends_http_has_no_length_and_names_upgrade() {
        let switching = |status, name: Option<(&str, &str)>| {
            let mut headers = HeaderFields::new(true);
            name.iter().for_each(|(name, value)| headers.add(name.as_bytes(), value.as_bytes()).expect("a line"));
            ResponseHead::switching(status, Some(&headers))
        };
        let said = |head: ResponseHead| head.lines().any(|(name, value)| (name, value) == (b"Connection", b"Upgrade"));
        assert!(said(switching(101, None).unwrap()) && !said(switching(200, None).unwrap()));
        assert!(!said(switching(101, Some(("connection", "upgrade"))).unwrap()), "the host has said it");
        for status in [100, 199, 300, 404] {
            assert_eq!(switching(status, None).unwrap_err().status, Status::InvalidArgument, "{status}");
        }
        for framing in ["Content-Length", "transfer-encoding"] {
            assert_eq!(
                switching(200, Some((framing, "0"))).unwrap_err().status,
                Status::HttpHeaderInvalid,
                "{framing}"
            );
        }
    }
}
