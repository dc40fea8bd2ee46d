//! A request's first line, and where it came from. Pure.

use std::net::{IpAddr, SocketAddr};

use super::show::Client;

/// Where a request came from.
pub struct Origin {
    /// The other end of the socket; none for a Unix one.
    pub peer: Option<SocketAddr>,
    /// Whether the connection is in TLS.
    pub secure: bool,
    /// Who asks, and in what scheme, as far as the server's settings let a proxy say.
    pub remote: Option<IpAddr>,
    pub https: bool,
    pub client: Client,
}

/// Method and target, each followed by a NUL: what C is shown, in one piece of memory.
pub struct Line {
    text: Vec<u8>,
    /// Where the target begins.
    target: usize,
}

impl Line {
    pub fn new(method: &[u8], target: &[u8]) -> Line {
        Line { text: [method, b"\0", target, b"\0"].concat(), target: method.len() + 1 }
    }

    /// With its NUL, as is `target_terminated`.
    pub fn method_terminated(&self) -> &[u8] {
        &self.text[..self.target]
    }

    pub fn target_terminated(&self) -> &[u8] {
        &self.text[self.target..]
    }

    pub fn method(&self) -> &[u8] {
        &self.text[..self.target - 1]
    }

    pub fn target(&self) -> &[u8] {
        &self.text[self.target..self.text.len() - 1]
    }
}
