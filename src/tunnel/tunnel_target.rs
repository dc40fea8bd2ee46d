//! Where a tunnel leads, what a forwarder allows, and the addresses to which a name must not lead. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `host:port`; the host is a name in lower case, or an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelTarget {
    /// Without brackets.
    pub host: String,
    pub port: u16,
}

impl TunnelTarget {
    pub fn parse(text: &str) -> Result<TunnelTarget, String> {
        let invalid = || format!("target {:?} is not host:port", text.chars().take(100).collect::<String>());
        let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
        let port = match port.bytes().all(|byte| byte.is_ascii_digit()) {
            true => port.parse().ok().filter(|port| *port != 0).ok_or_else(invalid)?,
            false => return Err(invalid()),
        };
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(literal) => literal.parse::<Ipv6Addr>().map_err(|_| invalid())?.to_string(),
            None => host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase(),
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
        if host.is_empty()
            || host.len() > 253
            || !host.bytes().all(plain)
            || (host.contains(':') && !text.starts_with('['))
        {
            return Err(invalid());
        }
        Ok(TunnelTarget { host, port })
    }

    /// Whether it is an address in the usual notation. Unusual ones (`127.1`) are treated as names, with the rules of names.
    pub fn is_literal(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok() || self.host == "localhost"
    }
}

impl fmt::Display for TunnelTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// An entry of the list of allowed targets: a target, or every name below one (`*.example.com:443`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedTarget {
    below: bool,
    target: TunnelTarget,
}

impl AllowedTarget {
    pub fn parse(text: &str) -> Result<AllowedTarget, String> {
        let (below, rest) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        let target =
            TunnelTarget::parse(rest).map_err(|_| format!("entry {text:?} is neither host:port nor *.suffix:port"))?;
        if below && target.is_literal() {
            return Err(format!("entry {text:?}: there is nothing below an address"));
        }
        Ok(AllowedTarget { below, target })
    }

    pub fn covers(&self, target: &TunnelTarget) -> bool {
        let host = match self.below {
            false => target.host == self.target.host,
            true => {
                target.host.strip_suffix(&self.target.host).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
        };
        host && target.port == self.target.port
    }
}

/// Whether an address is not of the public internet: loopback, private, link-local, shared, multicast and the like (RFC 6890).
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_private_v4(v4),
        IpAddr::V6(v6) => match embedded(v6) {
            Some(v4) => is_private_v4(v4),
            None => !matches!(v6.segments()[0], 0x2000..=0x3fff) || is_special_v6(v6),
        },
    }
}

fn is_private_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_multicast()
        || v4.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 198 && matches!(b, 18 | 19))
        || (a, b, c) == (192, 0, 0)
}

/// The IPv4 address that packets to this address reach in the end: 6to4 (RFC 3056), NAT64 (RFC 6052), IPv4-compatible.
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let of = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (a, b, c, d, e, f) {
        (0x2002, ..) => Some(of(b, c)),
        (0x0064, 0xff9b, 0, 0, 0, 0) | (0, 0, 0, 0, 0, 0) => Some(of(g, h)),
        _ => None,
    }
}

/// Documentation (RFC 3849), Teredo (RFC 4380).
fn is_special_v6(v6: Ipv6Addr) -> bool {
    let [a, b, ..] = v6.segments();
    (a == 0x2001 && matches!(b, 0 | 0x0db8)) || (a == 0x3fff && b < 0x1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_told_from_public_ones() {
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "2002:7f00:1::",
            "64:ff9b::a00:1",
            "ff02::1",
            "::127.0.0.1",
            "2001:db8::1",
        ] {
            assert!(is_private(text.parse().unwrap()), "{text}");
        }
        for text in [
            "1.1.1.1",
            "93.184.216.34",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "64:ff9b::101:101",
            "2002:101:101::",
        ] {
            assert!(!is_private(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn an_allowed_target_covers_its_name_and_no_other() {
        for bad in ["", "*", "*.", "a", "a:", "*.127.0.0.1:1", "a b:1", "*.*.a:1", "a:99999", "a:+1"] {
            assert!(AllowedTarget::parse(bad).is_err(), "{bad}");
        }
        let target = |text| TunnelTarget::parse(text).unwrap();
        assert!(AllowedTarget::parse("A.example.:1").unwrap().covers(&target("a.EXAMPLE:1")));
        assert!(!AllowedTarget::parse("*.example:1").unwrap().covers(&target(".example:1")));
    }
}
