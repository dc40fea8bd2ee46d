//! Where a request goes: a URL with its path as it was written, and the patterns that policies name hosts by. No I/O.

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use crate::error::{Error, Result, Status};
use crate::message::credentials::without_login;
use crate::message::host::normal_host;

/// An https or http URL. The path goes on the wire as it was written: no dot segments are removed and nothing is percent-encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// http: without TLS.
    pub plain: bool,
    /// In normal form, IPv6 addresses without brackets.
    pub host: String,
    pub port: u16,
    /// For `Host`: with the port unless it is the scheme's own.
    pub authority: String,
    /// Path and query.
    pub path: String,
    url: Url,
}

impl Location {
    /// Credentials in the URL are left out; see `credentials`. Errors: InvalidArgument, Unsupported (another scheme).
    pub fn parse(text: &str) -> Result<Location> {
        let bad = |why: &str| {
            Error::new(Status::InvalidArgument, format!("URL \"{}\": {why}", without_login(text).escape_debug()))
        };
        // A parser that accepts these could see another host than a reader does.
        if text.bytes().any(|b| b <= b' ' || b == 0x7f || b == b'\\') {
            return Err(bad("a space, a control character or a backslash"));
        }
        let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
        // The path is cut from the text. It is the parser's path only if the authority ends in the same place for both.
        let authority = match text.split_once("://") {
            Some((scheme, after)) if scheme.eq_ignore_ascii_case(url.scheme()) => after,
            _ => return Err(bad("no \"://\" after the scheme")),
        };
        let (authority, rest) = authority.split_at(authority.find(['/', '?', '#']).unwrap_or(authority.len()));
        if authority.is_empty() {
            return Err(bad("no host"));
        }
        let path = rest.split('#').next().unwrap_or_default();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Location::new(url, path)
    }

    fn new(mut url: Url, path: String) -> Result<Location> {
        let plain = match url.scheme() {
            "https" => false,
            "http" => true,
            other => {
                let message = format!("scheme \"{other}\" in URL \"{}\"", shown(&url));
                return Err(Error::new(Status::Unsupported, message));
            }
        };
        let _ = (url.set_username(""), url.set_password(None));
        let own_port = if plain { 80 } else { 443 };
        let host = match url.host() {
            Some(Host::Domain(name)) => name.trim_end_matches('.').to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => String::new(),
        };
        if host.is_empty() {
            return Err(Error::new(Status::InvalidArgument, format!("URL \"{}\" has no host", shown(&url))));
        }
        let port = url.port().unwrap_or(own_port);
        let name = url.host_str().unwrap_or_default();
        let authority = if port == own_port { name.to_owned() } else { format!("{name}:{port}") };
        Ok(Location { plain, host, port, authority, path, url })
    }

    /// The URL that a `Location` field in a response from here names (RFC 9110 section 10.2.2).
    pub fn join(&self, reference: &[u8]) -> Result<Location> {
        let bad =
            |why: &str| Error::new(Status::HttpProtocol, format!("Location \"{}\": {why}", shown_bytes(reference)));
        let text = std::str::from_utf8(reference).map_err(|_| bad("not UTF-8"))?;
        if text.bytes().any(|b| b < b' ' || b == 0x7f || b == b'\\') {
            return Err(bad("a control character or a backslash"));
        }
        let mut url = self.url.join(text).map_err(|error| bad(&error.to_string()))?;
        if url.fragment().is_none() {
            url.set_fragment(self.url.fragment());
        }
        let query = url.query().map_or(String::new(), |query| format!("?{query}"));
        let path = format!("{}{query}", url.path());
        Location::new(url, path)
    }

    pub fn same_origin(&self, other: &Location) -> bool {
        self.plain == other.plain && self.host == other.host && self.port == other.port
    }

    /// For cookies.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The URL as the server gets it, with the fragment, which the server does not get.
    pub fn on_the_wire(&self) -> String {
        let scheme = if self.plain { "http" } else { "https" };
        let fragment = self.url.fragment().map_or(String::new(), |fragment| format!("#{fragment}"));
        format!("{scheme}://{}{}{fragment}", self.authority, self.path)
    }

    /// The URL, for people and logs.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }
}

/// User and password in a URL, percent-decoded; `None` if there are none. Errors: InvalidArgument (not UTF-8).
pub fn credentials(url: &str) -> Result<Option<(String, String)>> {
    let Ok(url) = Url::parse(url) else { return Ok(None) };
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let bad =
        |what: &str| Error::new(Status::InvalidArgument, format!("{what} in URL \"{}\" is not UTF-8", shown(&url)));
    let decoded = |text: &str| Some(percent_decode_str(text).decode_utf8().ok()?.into_owned());
    let user = decoded(url.username()).ok_or_else(|| bad("the user"))?;
    let password = decoded(url.password().unwrap_or_default()).ok_or_else(|| bad("the password"))?;
    Ok(Some((user, password)))
}

fn shown_bytes(reference: &[u8]) -> String {
    without_login(&reference.escape_ascii().to_string()).into_owned()
}

/// Without credentials.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

/// Which hosts a policy covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    Exact(String),
    /// Every name below this one, at any depth, but not this one.
    Below(String),
}

impl HostPattern {
    /// A name, an address, or `*.` and a name. Errors: InvalidArgument.
    pub fn parse(text: &str) -> Result<HostPattern> {
        let (name, below) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text, false),
        };
        let bad = || Error::new(Status::InvalidArgument, format!("host pattern \"{}\"", text.escape_debug()));
        let Some((normal, is_address)) = normal_host(name) else { return Err(bad()) };
        if below && is_address {
            return Err(bad());
        }
        Ok(if below { HostPattern::Below(normal) } else { HostPattern::Exact(normal) })
    }

    /// How closely this matches `host`, which is in normal form; `None` if it does not match.
    pub fn covers(&self, host: &str) -> Option<usize> {
        match self {
            HostPattern::Exact(name) => (name == host).then_some(usize::MAX),
            HostPattern::Below(name) => {
                let above = host.strip_suffix(name.as_str())?.strip_suffix('.')?;
                (!above.is_empty()).then_some(name.len())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_its_host_brought_to_one_form() {
        for (text, host, port, authority, path) in [
            ("https://Example.COM", "example.com", 443, "example.com", "/"),
            ("https://example.com.:8443/a/../b?c#d", "example.com", 8443, "example.com.:8443", "/a/../b?c"),
            ("https://example.com?q", "example.com", 443, "example.com", "/?q"),
            ("https://[::1]:443/%7e", "::1", 443, "[::1]", "/%7e"),
            ("https://b\u{fc}cher.example/", "xn--bcher-kva.example", 443, "xn--bcher-kva.example", "/"),
            ("http://a.example:80/x", "a.example", 80, "a.example", "/x"),
            ("http://a.example:443", "a.example", 443, "a.example:443", "/"),
            ("https://user:p%20w@a.example/x", "a.example", 443, "a.example", "/x"),
        ] {
            let found = Location::parse(text).unwrap();
            assert_eq!((&*found.host, found.port, &*found.authority, &*found.path), (host, port, authority, path));
        }
        for text in [
            "",
            "example.com",
            "ftp://a/",
            "https://",
            "https:///x",
            "https:/a/?u=://b/",
            "https:a://b/",
            "https:example.com",
            "https://a b/",
            "https://a\\@b/",
            "https://a:99999/",
            "https://a/\r\nX: y",
        ] {
            assert!(Location::parse(text).is_err(), "{text:?}");
        }
        let refused = Location::parse("ftp://u:secret@example.com/").unwrap_err();
        assert!(!refused.message.contains("secret"), "{refused}");
        assert!(!Location::parse("https://u:secret@example.com/").unwrap().as_str().contains('@'));
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(credentials("https://u%40:p%20w@a/").unwrap(), pair("u@", "p w"));
        assert_eq!(credentials("https://user@a/").unwrap(), pair("user", ""));
        assert_eq!(credentials("https://a/").unwrap(), None);
    }

    #[test]
    fn no_message_has_a_password() {
        let here = Location::parse("https://a.example/").unwrap();
        for url in [
            "https://u:secret@a b/",
            "https://u:a/secret@b:x/",
            "https://u:secret@",
            "u:secret@a\\",
            "https://u:se@secret@[a/",
        ] {
            let why = Location::parse(url).unwrap_err().message;
            assert!(!why.contains("secret"), "{why}");
        }
        let why = here.join(b"https://u:secret@a\\b/").unwrap_err().message;
        assert!(!why.contains("secret") && why.contains("***@a"), "{why}");
        for (url, part) in [("https://u%ff:secret@a/", "the user"), ("https://u:%ffsecret@a/", "the password")] {
            let why = credentials(url).unwrap_err().message;
            assert!(why.starts_with(part) && !why.contains("secret"), "{why}");
        }
        assert!(Location::parse("https://a b/").unwrap_err().message.contains("https://a b/"));
    }

    #[test]
    fn a_reference_is_resolved_against_where_it_stands() {
        let here = Location::parse("https://a.example:8443/x/y?z").unwrap();
        for (reference, host, port, path) in [
            ("/n?m", "a.example", 8443, "/n?m"),
            ("n", "a.example", 8443, "/x/n"),
            ("../n#f", "a.example", 8443, "/n"),
            ("//b.example/", "b.example", 443, "/"),
            ("https://A.example:8443/n", "a.example", 8443, "/n"),
            ("https://u:p@a.example:8443/n", "a.example", 8443, "/n"),
            ("http://a.example:8444/", "a.example", 8444, "/"),
        ] {
            let found = here.join(reference.as_bytes()).unwrap();
            assert_eq!((&*found.host, found.port, &*found.path), (host, port, path), "{reference}");
            assert_eq!(found.same_origin(&here), host == "a.example" && port == 8443);
        }
        let here = Location::parse("https://a.example/a/../b?%7e#f").unwrap();
        assert_eq!(here.on_the_wire(), "https://a.example/a/../b?%7e#f");
        // RFC 9110 section 10.2.2.
        for (reference, url) in [
            ("/n", "https://a.example/n#f"),
            ("/n#g", "https://a.example/n#g"),
            ("//b.example:81/#", "https://b.example:81/#"),
            ("http://b.example", "http://b.example/#f"),
        ] {
            assert_eq!(here.join(reference.as_bytes()).unwrap().on_the_wire(), url);
        }
        for reference in [&b"ftp://a.example/"[..], b"\xff", b"https://a\x01", b"https://x\\@y/"] {
            assert!(here.join(reference).is_err());
        }
    }

    #[test]
    fn patterns_are_compared_in_normal_form() {
        let covers = |pattern: &str, host: &str| HostPattern::parse(pattern).unwrap().covers(host).is_some();
        assert!(covers("LLM.example.", "llm.example") && !covers("llm.example", "x.llm.example"));
        assert!(covers("*.llm.example", "a.llm.example") && covers("*.llm.example", "a.b.llm.example"));
        assert!(!covers("*.llm.example", "llm.example") && !covers("*.llm.example", "evilllm.example"));
        assert!(
            covers("b\u{fc}cher.example", "xn--bcher-kva.example") && covers("[::1]", "::1") && covers("0:0::1", "::1")
        );
        for bad in ["", "*", "*.", "a.*.b", "**.a", "*.1.2.3.4", "a/b", "a b"] {
            assert!(HostPattern::parse(bad).is_err(), "{bad}");
        }
        let close = |pattern: &str| HostPattern::parse(pattern).unwrap().covers("a.b.c");
        assert!(close("a.b.c") > close("*.b.c") && close("*.b.c") > close("*.c"));
    }
}
