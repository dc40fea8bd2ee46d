//! Response heads as the host gives them, checked before any of it is sent.

use std::borrow::Cow;

use crate::error::{Error, Result, Status};
use crate::http::headers::Headers;

/// An informational or final response head.
#[derive(Clone, Debug)]
pub struct Message {
    pub status: u16,
    pub reason: Cow<'static, [u8]>,
    pub headers: Vec<(Cow<'static, [u8]>, Vec<u8>)>,
}

impl Message {
    /// `length` is that of the body, where it is known; where it is not the machine chooses the framing. Errors: InvalidArgument, HttpHeaderInvalid.
    pub fn new(status: u16, reason: Option<&[u8]>, headers: Option<&Headers>, length: Option<u64>) -> Result<Message> {
        if !(100..=999).contains(&status) || status == 101 {
            return Err(Error::new(Status::InvalidArgument, format!("status {status}")));
        }
        let reason = reason.map_or(Cow::Borrowed(usual_reason(status)), |reason| Cow::Owned(reason.to_vec()));
        if reason.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
            return Err(Error::new(Status::InvalidArgument, "a control character in the reason phrase"));
        }
        let mut headers = copied(headers);
        let has = |name: &str| headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
        for taken in ["transfer-encoding", "upgrade"] {
            if has(taken) {
                return Err(Error::new(Status::HttpHeaderInvalid, format!("{taken} is the library's to set")));
            }
        }
        let informational = status < 200;
        let framed = has("content-length");
        if framed && (informational || status == 204) {
            return Err(Error::new(Status::HttpHeaderInvalid, format!("Content-Length in a {status}")));
        }
        if let Some(length) = length.filter(|_| !informational && status != 204 && !framed) {
            headers.push((Cow::Borrowed(b"Content-Length"), length.to_string().into_bytes()));
        }
        Ok(Message { status, reason, headers })
    }

    /// The head that ends HTTP on a connection: 101, or a 2xx to CONNECT. Errors: InvalidArgument.
    pub fn switching(status: u16, headers: Option<&Headers>) -> Result<Message> {
        if status != 101 && !(200..300).contains(&status) {
            return Err(Error::new(Status::InvalidArgument, format!("status {status} switches no protocol")));
        }
        let mut headers = copied(headers);
        if status == 101 && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"connection")) {
            headers.push((Cow::Borrowed(b"Connection"), b"Upgrade".to_vec()));
        }
        Ok(Message { status, reason: Cow::Borrowed(usual_reason(status)), headers })
    }

    /// One more line, which is the library's own.
    pub fn add(&mut self, name: &'static str, value: &str) {
        self.headers.push((Cow::Borrowed(name.as_bytes()), value.as_bytes().to_vec()));
    }

    pub fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.headers.iter().map(|(name, value)| (&name[..], &value[..]))
    }
}

fn copied(headers: Option<&Headers>) -> Vec<(Cow<'static, [u8]>, Vec<u8>)> {
    let lines = headers.iter().flat_map(|headers| headers.iter());
    lines.map(|(name, value)| (Cow::Owned(name.to_vec()), value.to_vec())).collect()
}

/// What is usually said (RFC 9110 section 15).
fn usual_reason(status: u16) -> &'static [u8] {
    let known = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    known.unwrap_or_default().as_bytes()
}
