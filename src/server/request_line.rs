//! A request's first line, and where it came from. Pure.

use std::net::{IpAddr, SocketAddr};

use super::attestation::ClientIdentity;
use crate::message::target::authority;

/// Where a request came from.
pub struct RequestContext {
    /// The other end of the socket; none for a Unix one.
    pub peer: Option<SocketAddr>,
    /// Whether the connection is in TLS.
    pub secure: bool,
    /// Who asks, and in what scheme, as far as the server's settings let a proxy say.
    pub remote: Option<IpAddr>,
    pub https: bool,
    pub client: ClientIdentity,
}

/// Method, target, and the authority that counts, each followed by a NUL: what C is shown, in one piece of memory.
pub struct RequestLine {
    text: Vec<u8>,
    /// Where the target begins, and the authority.
    target: usize,
    authority: usize,
}

impl RequestLine {
    /// `host` is the value of that line.
    pub fn new(method: &[u8], target: &[u8], host: Option<&[u8]>) -> RequestLine {
        let authority = authority(method, target, host).unwrap_or_default();
        let text = [method, b"\0", target, b"\0", authority, b"\0"].concat();
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
