//! The client's address and scheme as a proxy states them: X-Forwarded-For, X-Real-Ip, X-Scheme, X-Forwarded-Proto. Pure.

use std::net::IpAddr;

use crate::message::ReceivedHead;

/// Whether these fields count, and which proxies are trusted.
#[derive(Clone, Debug, Default)]
pub struct Forwarded {
    pub enabled: bool,
    /// The operator's own proxies: skipped when the client is looked for in X-Forwarded-For.
    pub trusted: Vec<IpAddr>,
}

impl Forwarded {
    /// The client's address, and whether its scheme is https; those of the peer if the head states nothing usable.
    pub fn read(&self, head: &ReceivedHead, peer: Option<IpAddr>, secure: bool) -> (Option<IpAddr>, bool) {
        if !self.enabled {
            return (peer, secure);
        }
        (self.address(head).or(peer), scheme(head).unwrap_or(secure))
    }

    fn address(&self, head: &ReceivedHead) -> Option<IpAddr> {
        let named = last(head, "x-real-ip").or_else(|| {
            let trusted = |item: &[u8]| parse(item).is_some_and(|address| self.trusted.contains(&address));
            items(head, "x-forwarded-for")
                .rev()
                .find(|item| !trusted(item))
                .or_else(|| items(head, "x-forwarded-for").next())
        });
        parse(named?)
    }
}

/// The items of a list, over all fields of this name. A proxy appends to what it received: earlier items may come from the client.
fn items<'h>(head: &'h ReceivedHead, name: &'h str) -> impl DoubleEndedIterator<Item = &'h [u8]> {
    let lines: Vec<&[u8]> = head.all(name).collect();
    lines.into_iter().flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

fn last<'h>(head: &'h ReceivedHead, name: &'h str) -> Option<&'h [u8]> {
    items(head, name).next_back()
}

fn parse(text: &[u8]) -> Option<IpAddr> {
    Some(std::str::from_utf8(text).ok()?.trim().parse::<IpAddr>().ok()?.to_canonical())
}

fn scheme(head: &ReceivedHead) -> Option<bool> {
    match last(head, "x-scheme").or_else(|| last(head, "x-forwarded-proto"))? {
        b"https" => Some(true),
        b"http" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[(&str, &str)], trusted: &[&str]) -> (String, bool) {
        let mut head = ReceivedHead::new(0, 1, b"");
        lines.iter().for_each(|(name, value)| head.add(name.as_bytes(), value.as_bytes()));
        let trusted = trusted.iter().map(|text| text.parse().unwrap()).collect();
        let (address, secure) =
            Forwarded { enabled: true, trusted }.read(&head, Some("9.9.9.9".parse().unwrap()), false);
        (address.unwrap().to_string(), secure)
    }

    #[test]
    fn the_last_address_that_is_no_trusted_proxy_counts() {
        for (lines, trusted, wanted) in [
            (&[][..], &[][..], "9.9.9.9"),
            (&[("X-Forwarded-For", "1.1.1.1")], &[], "1.1.1.1"),
            (&[("X-Forwarded-For", "1.1.1.1, 2.2.2.2")], &[], "2.2.2.2"),
            (&[("X-Forwarded-For", "1.1.1.1, 2.2.2.2, 3.3.3.3")], &["3.3.3.3", "2.2.2.2"], "1.1.1.1"),
            (&[("X-Forwarded-For", "2.2.2.2,3.3.3.3")], &["3.3.3.3", "2.2.2.2"], "2.2.2.2"),
            (&[("X-Forwarded-For", "1.1.1.1"), ("x-forwarded-for", "2.2.2.2")], &[], "2.2.2.2"),
            (&[("X-Forwarded-For", "1.1.1.1"), ("X-Real-Ip", "4.4.4.4")], &[], "4.4.4.4"),
            (&[("X-Real-Ip", "2001:db8::1")], &[], "2001:db8::1"),
            (&[("X-Real-Ip", "::ffff:1.1.1.1")], &[], "1.1.1.1"),
            (&[("X-Forwarded-For", "1.1.1.1, ::ffff:3.3.3.3")], &["3.3.3.3"], "1.1.1.1"),
            (&[("X-Real-Ip", "6.6.6.6"), ("x-real-ip", "4.4.4.4")], &[], "4.4.4.4"),
            (&[("X-Real-Ip", "6.6.6.6, 4.4.4.4")], &[], "4.4.4.4"),
            (&[("X-Real-Ip", "4.4.4.4"), ("X-Real-Ip", "")], &[], "9.9.9.9"),
            (&[("X-Real-Ip", "4.4.4.4<script>")], &[], "9.9.9.9"),
            (&[("X-Forwarded-For", "www.google.com")], &[], "9.9.9.9"),
            (&[("X-Forwarded-For", "")], &[], "9.9.9.9"),
        ] {
            assert_eq!(read(lines, trusted).0, wanted, "{lines:?}");
        }
    }

    #[test]
    fn the_last_scheme_counts_if_it_is_known() {
        for (lines, wanted) in [
            (&[("X-Scheme", "https")][..], true),
            (&[("X-Forwarded-Proto", "https")], true),
            (&[("X-Forwarded-Proto", "http, https")], true),
            (&[("X-Forwarded-Proto", "https,http")], false),
            (&[("X-Forwarded-Proto", "ftp")], false),
            (&[("X-Scheme", "http"), ("X-Forwarded-Proto", "https")], false),
            (&[("X-Forwarded-Proto", "https"), ("x-forwarded-proto", "http")], false),
            (&[("X-Forwarded-Proto", "http"), ("X-Forwarded-Proto", "https")], true),
            (&[("X-Scheme", "https"), ("X-Scheme", "http")], false),
        ] {
            assert_eq!(read(lines, &[]).1, wanted, "{lines:?}");
        }
    }
    #[test]
    fn nothing_is_believed_unless_the_host_says_so() {
        let mut head = ReceivedHead::new(0, 1, b"");
        [
            ("X-Forwarded-For", "1.1.1.1"),
            ("X-Real-Ip", "1.1.1.1"),
            ("X-Scheme", "https"),
            ("X-Forwarded-Proto", "https"),
        ]
        .iter()
        .for_each(|(name, value)| head.add(name.as_bytes(), value.as_bytes()));
        let peer = Some("9.9.9.9".parse().unwrap());
        assert_eq!(Forwarded::default().read(&head, peer, false), (peer, false));
        assert_eq!(Forwarded::default().read(&head, None, true), (None, true));
    }
}
