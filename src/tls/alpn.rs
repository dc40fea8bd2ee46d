//! Versions of HTTP, and their names in ALPN (RFC 7301): which are offered, and which was agreed on. Pure.

use crate::error::{Error, Phase, Result, Status};

/// The version of HTTP that a connection speaks; 1.0 and 1.1 are told apart message by message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    Http1,
    Http2,
}

/// The versions that an end speaks: at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpVersions {
    http1: bool,
    http2: bool,
}

/// HTTP/1.1 alone.
impl Default for HttpVersions {
    fn default() -> HttpVersions {
        HttpVersions { http1: true, http2: false }
    }
}

impl HttpVersions {
    /// `None` if none is left.
    pub fn new(http1: bool, http2: bool) -> Option<HttpVersions> {
        (http1 || http2).then_some(HttpVersions { http1, http2 })
    }

    pub fn has_http1(self) -> bool {
        self.http1
    }

    pub fn has_http2(self) -> bool {
        self.http2
    }

    /// Their names, the preferred one first.
    pub fn protocols(self) -> Vec<Vec<u8>> {
        let names = [(self.http2, &b"h2"[..]), (self.http1, b"http/1.1")];
        names.iter().filter(|(offered, _)| *offered).map(|(_, name)| name.to_vec()).collect()
    }

    /// What was agreed on: HTTP/1.1 if the other end knows no ALPN. Errors: TlsHandshake, if that is not one of these.
    pub fn agreed(self, alpn: Option<&[u8]>) -> Result<HttpVersion> {
        match alpn {
            None | Some(b"http/1.1") if self.http1 => Ok(HttpVersion::Http1),
            Some(b"h2") if self.http2 => Ok(HttpVersion::Http2),
            other => {
                let name = other.map_or("none".into(), |name| name.escape_ascii().to_string());
                Err(Error::new(Status::TlsHandshake, format!("ALPN {name}")).phase(Phase::Tls))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_offered_can_be_agreed_on() {
        let (old, new, both) =
            (HttpVersions::new(true, false), HttpVersions::new(false, true), HttpVersions::new(true, true));
        let (old, new, both) = (old.unwrap(), new.unwrap(), both.unwrap());
        assert!(HttpVersions::new(false, false).is_none());
        assert_eq!(HttpVersions::default(), old);
        assert_eq!(both.protocols(), [b"h2".to_vec(), b"http/1.1".to_vec()]);
        assert_eq!((old.protocols(), new.protocols()), (vec![b"http/1.1".to_vec()], vec![b"h2".to_vec()]));
        for (versions, alpn, agreed) in [
            (old, None, Some(HttpVersion::Http1)),
            (old, Some("http/1.1"), Some(HttpVersion::Http1)),
            (old, Some("h2"), None),
            (new, None, None),
            (new, Some("http/1.1"), None),
            (new, Some("h2"), Some(HttpVersion::Http2)),
            (both, None, Some(HttpVersion::Http1)),
            (both, Some("h2"), Some(HttpVersion::Http2)),
            (both, Some("h3"), None),
        ] {
            let found = versions.agreed(alpn.map(str::as_bytes));
            assert_eq!(found.as_ref().ok(), agreed.as_ref(), "{versions:?} {alpn:?}");
            assert!(found.is_ok() || found.is_err_and(|error| error.status == Status::TlsHandshake));
        }
    }
}
