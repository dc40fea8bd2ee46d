//! Hosts, as names and as addresses: what the Host field may hold, and the form in which they are compared. Pure.

use std::net::IpAddr;

use url::Host;

use crate::error::{Error, Result, Status};

/// Checks the value of a Host field. Errors: InvalidArgument.
pub fn check_host(host: &str) -> Result<()> {
    let clean = host.bytes().all(|byte| byte > b' ' && byte != 0x7f);
    if host.is_empty() || !clean || host.contains(['/', '@', ',', '?', '#', '\\']) {
        return Err(unusable_host(host));
    }
    Ok(())
}

pub fn unusable_host(host: &str) -> Error {
    Error::new(Status::InvalidArgument, format!("\"{}\" is not a host", host.escape_debug()))
}

/// A name or an address, with brackets or without, in the form in which hosts are compared; and whether it is an address.
pub fn normal_host(host: &str) -> Option<(String, bool)> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Some((address.to_string(), true));
    }
    let Ok(Host::Domain(name)) = Host::parse(host) else { return None };
    let name = name.trim_end_matches('.');
    (!name.is_empty() && !name.contains('*')).then(|| (name.to_owned(), false))
}

/// Host and port of `host:port`; the whole text is the host unless digits follow its last colon.
pub fn split_host_port(text: &str) -> (&str, Option<u16>) {
    let Some((host, port)) = text.rsplit_once(':') else { return (text, None) };
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(port) if digits && !host.is_empty() => (host, Some(port)),
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_digits_behind_the_last_colon() {
        for (text, host, port) in [
            ("a:80", "a", Some(80)),
            ("[::1]:80", "[::1]", Some(80)),
            ("a", "a", None),
            ("a:", "a:", None),
            (":80", ":80", None),
            ("a:+80", "a:+80", None),
            ("a:65536", "a:65536", None),
        ] {
            assert_eq!(split_host_port(text), (host, port));
        }
    }
}
