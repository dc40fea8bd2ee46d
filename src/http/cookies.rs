//! A jar of cookies (RFC 6265). They go back to the host that set them and to no other: what a Domain attribute says beyond that would
//! carry them from an attested host to one that is not.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use cookie_store::{CookieStore, RawCookie};

use super::{Head, Location};
use crate::flow::lock;

/// Bytes of one cookie, and cookies of one answer, that are looked at.
const MAX_COOKIE: usize = 4096;
const MAX_SET: usize = 50;
/// Cookies of all hosts together; when there are more, new ones are not taken.
const MAX_COOKIES: usize = 3000;

/// Off until it is enabled.
#[derive(Default)]
pub struct Jar {
    enabled: AtomicBool,
    store: Mutex<CookieStore>,
}

impl Jar {
    /// Takes what an answer from `location` sets.
    pub fn store(&self, head: &Head, location: &Location) {
        let mut fields = head.all("set-cookie").filter(|field| field.len() <= MAX_COOKIE).take(MAX_SET).peekable();
        if !self.enabled() || fields.peek().is_none() {
            return;
        }
        let mut jar = lock(&self.store);
        for field in fields {
            let Some(mut cookie) = std::str::from_utf8(field).ok().and_then(|text| RawCookie::parse(text).ok()) else {
                continue;
            };
            cookie.unset_domain();
            // The prefixes of RFC 6265bis: what such a name promises must hold.
            let promised = match cookie.name() {
                name if name.starts_with("__Host-") => cookie.secure() == Some(true) && cookie.path() == Some("/"),
                name if name.starts_with("__Secure-") => cookie.secure() == Some(true),
                _ => true,
            };
            let secure = cookie.secure() == Some(true);
            let full = || jar.iter_any().count() >= MAX_COOKIES;
            if promised && (!secure || !location.plain) && !full() {
                let _ = jar.insert_raw(&cookie, location.url());
            }
        }
    }

    /// The field value for a request to `location`.
    pub fn field(&self, location: &Location) -> Option<String> {
        if !self.enabled() {
            return None;
        }
        let jar = lock(&self.store);
        let mut found = jar.matches(location.url());
        // Longer paths first (RFC 6265 section 5.4); names keep equal ones in a fixed order.
        found.sort_by(|a, b| b.path.len().cmp(&a.path.len()).then_with(|| a.name().cmp(b.name())));
        let pairs: Vec<String> = found.iter().map(|cookie| format!("{}={}", cookie.name(), cookie.value())).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Turns the jar on, or empties it and turns it off.
    pub fn enable(&self, on: bool) {
        self.enabled.store(on, Ordering::Release);
        if !on {
            lock(&self.store).clear();
        }
    }

    fn enabled(&self) -> bool {
        self.enabled.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> Location {
        Location::parse(url).unwrap()
    }

    fn set(jar: &Jar, url: &str, cookies: &[&str]) {
        let mut head = Head::new(200, 1, b"OK");
        cookies.iter().for_each(|cookie| head.add(b"Set-Cookie", cookie.as_bytes()));
        jar.store(&head, &at(url));
    }

    #[test]
    fn cookies_go_back_to_their_host_only() {
        let jar = Jar::default();
        jar.enable(true);
        set(&jar, "https://a.example/x/y", &["one=1", "two=2; Domain=example; Path=/", "three=3; Secure; Path=/x"]);
        assert_eq!(jar.field(&at("https://a.example/x/z")).as_deref(), Some("one=1; three=3; two=2"));
        assert_eq!(jar.field(&at("https://a.example/")).as_deref(), Some("two=2"));
        assert_eq!(jar.field(&at("http://a.example/x/")).as_deref(), Some("one=1; two=2"));
        for other in ["https://example/", "https://b.example/", "https://b.a.example/"] {
            assert_eq!(jar.field(&at(other)), None, "{other}");
        }
        jar.enable(false);
        assert_eq!(jar.field(&at("https://a.example/x/z")), None);
    }

    #[test]
    fn what_ends_or_lies_is_not_kept() {
        let jar = Jar::default();
        jar.enable(true);
        set(&jar, "https://a.example/", &["gone=1; Max-Age=0", "old=1; Expires=Thu, 01 Jan 1970 00:00:01 GMT"]);
        set(&jar, "https://a.example/", &["__Host-x=1; Path=/", "__Secure-y=1", "=", ""]);
        set(&jar, "http://a.example/", &["s=1; Secure"]);
        assert_eq!(jar.field(&at("https://a.example/")), None);
        set(&jar, "https://a.example/", &["a=1", "a=2", "__Host-x=1; Path=/; Secure"]);
        assert_eq!(jar.field(&at("https://a.example/")).as_deref(), Some("__Host-x=1; a=2"));
        set(&jar, "https://a.example/", &["a=; Max-Age=-1"]);
        assert_eq!(jar.field(&at("https://a.example/")).as_deref(), Some("__Host-x=1"));
    }
}
