//! Where a tunnel leads, and what a forwarder allows. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

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

#[cfg(test)]
mod tests {
    use super::*;

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
