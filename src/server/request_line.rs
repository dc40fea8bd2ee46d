//! A request's first line, and what is known of where it came from. Pure.

use std::net::{IpAddr, SocketAddr};

use smallvec::SmallVec;

use super::attestation::ClientIdentity;
use crate::message::request_target::authority;
use crate::tls::HttpVersion;

/// Where a request came from.
pub struct RequestContext {
    /// The other end of the socket; none for a Unix socket.
    pub peer: Option<SocketAddr>,
    /// Whether the connection is in TLS.
    pub secure: bool,
    /// Address of the client, and whether its scheme is https; as a trusted proxy states them, if the server's settings allow that.
    pub remote: Option<IpAddr>,
    pub https: bool,
    pub client: ClientIdentity,
    pub version: HttpVersion,
}

/// Bytes that need no memory of their own.
const USUAL: usize = 64;

/// Method, target, and the effective authority, each followed by a NUL: what C is shown, in one piece of memory.
pub struct RequestLine {
    text: SmallVec<[u8; USUAL]>,
    /// Where the target begins, and the authority.
    target: usize,
    authority: usize,
}

impl RequestLine {
    /// `host` is the value of the Host field.
    pub fn new(method: &[u8], target: &[u8], host: Option<&[u8]>) -> RequestLine {
        let authority = authority(method, target, host).unwrap_or_default();
        let mut text = SmallVec::with_capacity(method.len() + target.len() + authority.len() + 3);
        for part in [method, target, authority] {
            text.extend_from_slice(part);
            text.push(0);
        }
        let target_at = method.len() + 1;
        RequestLine { text, target: target_at, authority: target_at + target.len() + 1 }
    }

    /// With its NUL, as are the others.
    pub fn method_terminated(&self) -> &[u8] {
        &self.text[..self.target]
    }

    pub fn target_terminated(&self) -> &[u8] {
        &self.text[self.target..self.authority]
    }

    pub fn authority_terminated(&self) -> &[u8] {
        &self.text[self.authority..]
    }

    pub fn method(&self) -> &[u8] {
        &self.text[..self.target - 1]
    }

    pub fn target(&self) -> &[u8] {
        &self.text[self.target..self.authority - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_there_with_its_nul_and_without() {
        let line = RequestLine::new(b"GET", b"/a?b", Some(b"h.example:1"));
        assert_eq!((line.method(), line.target()), (&b"GET"[..], &b"/a?b"[..]));
        assert_eq!(line.method_terminated(), b"GET\0");
        assert_eq!(line.target_terminated(), b"/a?b\0");
        assert_eq!(line.authority_terminated(), b"h.example:1\0");
    }

    #[test]
    fn the_authority_that_counts_is_shown_or_none() {
        for (method, target, host, wanted) in [
            ("GET", "/", Some("a.example"), "a.example"),
            ("GET", "/", None, ""),
            ("GET", "http://b.example:1/x", Some("a.example"), "b.example:1"),
            ("GET", "http://me@b.example/", Some("a.example"), ""),
            ("OPTIONS", "*", Some("a.example"), "a.example"),
            ("CONNECT", "b.example:443", Some("a.example"), "b.example:443"),
        ] {
            let line = RequestLine::new(method.as_bytes(), target.as_bytes(), host.map(str::as_bytes));
            let shown = line.authority_terminated().strip_suffix(b"\0").expect("a NUL");
            assert_eq!(shown, wanted.as_bytes(), "{method} {target} {host:?}");
            assert_eq!(line.target(), target.as_bytes());
        }
    }
}
