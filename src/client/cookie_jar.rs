//! A cookie jar (RFC 6265). A cookie goes back only to the host that set it: a Domain attribute could carry it from an attested host to one that is not.
//! No host can use up the room of the others, or make requests grow. Touches the clock.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use cookie_store::{Cookie, RawCookie};

use super::Location;
use crate::io::clock;
use crate::io::sync::lock;
use crate::message::ReceivedHead;

/// Most bytes of a Set-Cookie value; longer ones are ignored. Most cookies of one host, and of all (RFC 6265 section 6.1 asks for 4,096, 50 and 3,000).
const MAX_COOKIE: usize = 4096;
const PER_HOST: usize = 100;
const IN_ALL: usize = 3000;
/// Most bytes of the Cookie field of a request: what servers commonly accept. If not all fit, the newest are sent.
const MAX_LINE: usize = 8 << 10;

/// Off until it is enabled.
#[derive(Default)]
pub struct CookieJar {
    enabled: AtomicBool,
    kept: Mutex<KeptCookies>,
}

/// Invariants: `count` is the number of all entries; every host in it has at least one.
#[derive(Default)]
struct KeptCookies {
    hosts: HashMap<String, Vec<Entry>>,
    count: usize,
    /// Grows by one with each cookie that is stored and each request that is made.
    clock: u64,
}

struct Entry {
    cookie: Cookie<'static>,
    /// When it was first set, when last, and when it was last sent or set.
    made: u64,
    set: u64,
    used: u64,
}

impl CookieJar {
    /// Stores what a response from `location` sets.
    pub fn store(&self, head: &ReceivedHead, location: &Location) {
        let mut fields = head.all("set-cookie").filter(|field| field.len() <= MAX_COOKIE).peekable();
        if !self.enabled() || fields.peek().is_none() {
            return;
        }
        let mut kept = lock(&self.kept);
        for cookie in fields.filter_map(|field| acceptable(field, location)) {
            kept.take(host(location), cookie);
        }
    }

    /// The field value for a request to `location`.
    pub fn field(&self, location: &Location) -> Option<String> {
        if !self.enabled() {
            return None;
        }
        let mut kept = lock(&self.kept);
        kept.clock += 1;
        let now = kept.clock;
        let entries = kept.hosts.get_mut(host(location))?;
        let fits = |entry: &&mut Entry| !entry.cookie.is_expired() && entry.cookie.matches(location.url());
        let mut found: Vec<&mut Entry> = entries.iter_mut().filter(fits).collect();
        found.sort_by_key(|entry| Reverse(entry.set));
        let (mut length, mut count) = (0, 0);
        for entry in &found {
            length += pair_length(&entry.cookie) + if count == 0 { 0 } else { 2 };
            if length > MAX_LINE {
                break;
            }
            count += 1;
        }
        found.truncate(count);
        // Longer paths first, then the older ones (RFC 6265 section 5.4).
        found.sort_by(|a, b| b.cookie.path.len().cmp(&a.cookie.path.len()).then(a.made.cmp(&b.made)));
        found.iter_mut().for_each(|entry| entry.used = now);
        let pairs: Vec<String> =
            found.iter().map(|entry| format!("{}={}", entry.cookie.name(), entry.cookie.value())).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Turns the jar on, or empties it and turns it off.
    pub fn enable(&self, on: bool) {
        self.enabled.store(on, Ordering::Release);
        if !on {
            *lock(&self.kept) = KeptCookies::default();
        }
    }

    /// Without a usable clock the jar counts as off: what has expired is unknown, and `cookie_store` panics.
    fn enabled(&self) -> bool {
        self.enabled.load(Ordering::Acquire) && clock::now().is_ok()
    }
}

impl KeptCookies {
    /// Sets or replaces a cookie, or removes it if it has expired. Only a new one needs room.
    fn take(&mut self, host: &str, cookie: Cookie<'static>) {
        self.clock += 1;
        let now = self.clock;
        let entries = self.hosts.get_mut(host);
        let same = |entry: &Entry| {
            crate::message::comparisons::count_one();
            entry.cookie.name() == cookie.name() && *entry.cookie.path == *cookie.path
        };
        let place = entries.as_ref().and_then(|entries| entries.iter().position(same));
        match (place, entries) {
            (Some(place), _) if cookie.is_expired() => self.remove(host, place),
            (Some(place), Some(entries)) => {
                let made = entries[place].made;
                entries[place] = Entry { cookie, made, set: now, used: now };
            }
            _ if cookie.is_expired() => {}
            _ => {
                self.make_room(host);
                let entry = Entry { cookie, made: now, set: now, used: now };
                self.hosts.entry(host.to_owned()).or_default().push(entry);
                self.count += 1;
            }
        }
    }

    /// Removes expired cookies first, then the one that was unused longest: of this host if it is at its limit, otherwise of all hosts.
    fn make_room(&mut self, host: &str) {
        let of_host = self.hosts.get(host).map_or(0, Vec::len) >= PER_HOST;
        if !of_host && self.count < IN_ALL {
            return;
        }
        let worst = |entries: &[Entry]| {
            let rank = |(_, entry): &(usize, &Entry)| (!entry.cookie.is_expired(), entry.used, entry.set);
            entries.iter().enumerate().min_by_key(rank).map(|found| (rank(&found), found.0))
        };
        let found = match of_host {
            true => self.hosts.get(host).and_then(|entries| worst(entries)).map(|(_, place)| (host.to_owned(), place)),
            false => {
                let each = self.hosts.iter().filter_map(|(host, entries)| Some((worst(entries)?, host)));
                each.min().map(|((_, place), host)| (host.clone(), place))
            }
        };
        if let Some((host, place)) = found {
            self.remove(&host, place);
        }
    }

    fn remove(&mut self, host: &str, place: usize) {
        let Some(entries) = self.hosts.get_mut(host) else { return };
        entries.remove(place);
        self.count -= 1;
        if entries.is_empty() {
            self.hosts.remove(host);
        }
    }
}

fn host(location: &Location) -> &str {
    location.url().host_str().unwrap_or_default()
}

fn pair_length(cookie: &Cookie<'_>) -> usize {
    cookie.name().len() + 1 + cookie.value().len()
}

/// One Set-Cookie line, parsed; `None` if it is invalid or must not be kept.
fn acceptable(field: &[u8], location: &Location) -> Option<Cookie<'static>> {
    let mut cookie = RawCookie::parse(std::str::from_utf8(field).ok()?).ok()?;
    cookie.unset_domain();
    // The name prefixes of RFC 6265bis: what they promise must be true.
    let promised = match cookie.name() {
        name if name.starts_with("__Host-") => cookie.secure() == Some(true) && cookie.path() == Some("/"),
        name if name.starts_with("__Secure-") => cookie.secure() == Some(true),
        _ => true,
    };
    let secure = cookie.secure() == Some(true);
    if !promised || (secure && location.plain) {
        return None;
    }
    Cookie::try_from_raw_cookie(&cookie, location.url()).ok().map(Cookie::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> Location {
        Location::parse(url).unwrap()
    }

    fn set(jar: &CookieJar, url: &str, cookies: &[&str]) {
        let mut head = ReceivedHead::new(200, 1, b"OK");
        cookies.iter().for_each(|cookie| head.add(b"Set-Cookie", cookie.as_bytes()));
        jar.store(&head, &at(url));
    }

    #[test]
    fn cookies_go_back_to_their_host_only() {
        let jar = CookieJar::default();
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
        let jar = CookieJar::default();
        jar.enable(true);
        set(&jar, "https://a.example/", &["gone=1; Max-Age=0", "old=1; Expires=Thu, 01 Jan 1970 00:00:01 GMT"]);
        set(&jar, "https://a.example/", &["__Host-x=1; Path=/", "__Secure-y=1", "=", ""]);
        set(&jar, "http://a.example/", &["s=1; Secure"]);
        assert_eq!(jar.field(&at("https://a.example/")), None);
        set(&jar, "https://a.example/", &["a=1", "a=2", "__Host-x=1; Path=/; Secure"]);
        assert_eq!(jar.field(&at("https://a.example/")).as_deref(), Some("a=2; __Host-x=1"));
        set(&jar, "https://a.example/", &["a=; Max-Age=-1"]);
        assert_eq!(jar.field(&at("https://a.example/")).as_deref(), Some("__Host-x=1"));
    }

    #[test]
    fn a_full_jar_keeps_what_others_need() {
        let jar = CookieJar::default();
        jar.enable(true);
        set(&jar, "https://b.example/", &["session=1", "theme=dark"]);
        let big: Vec<String> = (0..500).map(|number| format!("c{number}={}", "x".repeat(4000))).collect();
        let big: Vec<&str> = big.iter().map(String::as_str).collect();
        set(&jar, "https://a.example/", &big);
        let kept = lock(&jar.kept);
        assert_eq!((kept.count, kept.hosts.values().map(Vec::len).sum::<usize>()), (PER_HOST + 2, PER_HOST + 2));
        drop(kept);
        // The newest are sent, and no more than a line holds.
        let sent = jar.field(&at("https://a.example/")).unwrap();
        assert!(sent.len() <= MAX_LINE && sent.contains("c499=") && sent.contains("c498=") && !sent.contains("c400="));
        // The other host's are changed and ended as before.
        set(&jar, "https://b.example/", &["session=2"]);
        assert_eq!(jar.field(&at("https://b.example/")).as_deref(), Some("session=2; theme=dark"));
        set(&jar, "https://b.example/", &["session=; Max-Age=0"]);
        assert_eq!(jar.field(&at("https://b.example/")).as_deref(), Some("theme=dark"));
        // So are those of the host that has its share: what was used is kept, and what is new comes in.
        set(&jar, "https://a.example/", &["c450=short", "new=1", "c499=; Max-Age=0", "c498=; Max-Age=0"]);
        let sent = jar.field(&at("https://a.example/")).unwrap();
        assert!(
            sent.contains("c450=short") && sent.contains("new=1") && !sent.contains("c499") && !sent.contains("c498")
        );
    }

    #[test]
    fn of_all_hosts_the_longest_unused_goes() {
        let jar = CookieJar::default();
        jar.enable(true);
        set(&jar, "https://old.example/", &["unused=1"]);
        set(&jar, "https://b.example/", &["session=1"]);
        for host in 0..40 {
            assert_eq!(jar.field(&at("https://b.example/")).as_deref(), Some("session=1"));
            let many: Vec<String> = (0..PER_HOST).map(|number| format!("n{number}=1")).collect();
            set(&jar, &format!("https://h{host}.example/"), &many.iter().map(String::as_str).collect::<Vec<_>>());
        }
        assert_eq!(lock(&jar.kept).count, IN_ALL);
        assert_eq!(jar.field(&at("https://old.example/")), None);
        assert_eq!(jar.field(&at("https://h0.example/")), None);
        assert_eq!(jar.field(&at("https://b.example/")).as_deref(), Some("session=1"));
        assert!(!lock(&jar.kept).hosts.values().any(Vec::is_empty));
    }

    #[test]
    fn an_answer_costs_what_it_sets() {
        for count in [400, 800, 1600] {
            let jar = CookieJar::default();
            jar.enable(true);
            let many: Vec<String> = (0..count).map(|number| format!("n{number}=1")).collect();
            let many: Vec<&str> = many.iter().map(String::as_str).collect();
            let cost = crate::message::comparisons::count_of(|| set(&jar, "https://a.example/", &many));
            assert!(cost <= (count * PER_HOST) as u64, "{count} cookies: {cost} comparisons");
        }
    }
}
