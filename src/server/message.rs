//! Response heads as the host gives them, checked before any of it is sent.

use crate::error::{Error, Result, Status};
use crate::http::headers::Headers;

/// An informational or final response head.
#[derive(Clone, Debug)]
pub struct Message {
    pub status: u16,
    pub reason: Vec<u8>,
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Message {
    /// `length` is that of the body, where it is known; where it is not the machine chooses the framing. Errors: InvalidArgument, HttpHeaderInvalid.
    pub fn new(status: u16, reason: Option<&[u8]>, headers: Option<&Headers>, length: Option<u64>) -> Result<Message> {
        if !(100..=999).contains(&status) || status == 101 {
            return Err(Error::new(Status::InvalidArgument, format!("status {status}")));
        }
        let reason = reason.unwrap_or_else(|| usual_reason(status)).to_vec();
        if reason.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
            return Err(Error::new(Status::InvalidArgument, "a control character in the reason phrase"));
        }
        let mut lines: Vec<(Vec<u8>, Vec<u8>)> = headers
            .iter()
            .flat_map(|headers| headers.iter())
            .map(|(name, value)| (name.to_vec(), value.to_vec()))
            .collect();
        let has = |name: &str, lines: &[(Vec<u8>, Vec<u8>)]| {
            lines.iter().any(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))
        };
        for taken in ["transfer-encoding", "upgrade"] {
            if has(taken, &lines) {
                return Err(Error::new(Status::HttpHeaderInvalid, format!("{taken} is the library's to set")));
            }
        }
        let informational = status < 200;
        if has("content-length", &lines) && (informational || status == 204) {
            return Err(Error::new(Status::HttpHeaderInvalid, format!("Content-Length in a {status}")));
        }
        if let Some(length) = length.filter(|_| !informational && status != 204 && !has("content-length", &lines)) {
            lines.push((b"Content-Length".to_vec(), length.to_string().into_bytes()));
        }
        Ok(Message { status, reason, headers: lines })
    }

    /// The head that ends HTTP on a connection: 101, or a 2xx to CONNECT. Errors: InvalidArgument.
    pub fn switching(status: u16, headers: Option<&Headers>) -> Result<Message> {
        if status != 101 && !(200..300).contains(&status) {
            return Err(Error::new(Status::InvalidArgument, format!("status {status} switches no protocol")));
        }
        let lines = headers.iter().flat_map(|headers| headers.iter());
        let mut lines: Vec<_> = lines.map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        if status == 101 && !lines.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"connection")) {
            lines.push((b"Connection".to_vec(), b"Upgrade".to_vec()));
        }
        Ok(Message { status, reason: usual_reason(status).to_vec(), headers: lines })
    }

    pub fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.headers.iter().map(|(name, value)| (&name[..], &value[..]))
    }
}

/// What is usually said (RFC 9110 section 15).
fn usual_reason(status: u16) -> &'static [u8] {
    let known = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    known.unwrap_or_default().as_bytes()
}
