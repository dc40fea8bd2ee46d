//! Both sides of the WebSocket handshake: what a forwarder checks in the request (RFC 6455 section 4.2), and a client in the response (section 4.1). Pure.

use super::forwarder::TunnelRefusal;
use super::websocket::accept_of;
use crate::h1::Fields;
use crate::message::ReceivedHead;

/// The first `target` in a query.
pub(super) fn target_of(query: &str) -> Option<String> {
    parameter(query, "target")
}

pub(super) fn parameter(query: &str, name: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Whether one of these values, which are lists, has the item `wanted`.
fn any_lists<'v>(mut values: impl Iterator<Item = &'v [u8]>, wanted: &[u8]) -> bool {
    values.any(|value| value.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(wanted)))
}

/// The forwarder's side: checks the request, and answers what `Sec-WebSocket-Accept` must be in the response. `minor_version` is that of the request's
/// HTTP/1.
pub fn accept_key(method: &[u8], head: &ReceivedHead, minor_version: u8) -> Result<String, TunnelRefusal> {
    let lists = |name: &'static str, wanted: &[u8]| any_lists(head.all(name), wanted);
    if method != b"GET" || minor_version == 0 || !lists("upgrade", b"websocket") || !lists("connection", b"upgrade") {
        return Err(TunnelRefusal::new(426, "this is a WebSocket server"));
    }
    if head.find("sec-websocket-version") != Some(b"13") {
        return Err(TunnelRefusal::new(426, "WebSocket version 13 is wanted"));
    }
    let mut keys = head.all("sec-websocket-key");
    let key = keys.next().filter(|_| keys.next().is_none());
    // 16 bytes in base64.
    let good = |key: &&[u8]| key.len() == 24 && key.ends_with(b"==") && key[..22].iter().all(|byte| is_base64(*byte));
    let key = key.filter(good).ok_or_else(|| TunnelRefusal::new(400, "Sec-WebSocket-Key is not one"))?;
    Ok(accept_of(key))
}

/// The client's side: checks the 101 to a request with `key`. Errors: what is wrong with it.
pub(super) fn check_answer(fields: &Fields, key: &str) -> Result<(), &'static str> {
    let all = |name: &'static [u8]| fields.iter().filter(move |(found, ..)| *found == name).map(|(.., value)| value);
    if !any_lists(all(b"upgrade"), b"websocket") || !any_lists(all(b"connection"), b"upgrade") {
        return Err("the switch is not to WebSocket");
    }
    let mut accepts = all(b"sec-websocket-accept");
    match (accepts.next(), accepts.next()) {
        (Some(accept), None) if accept == accept_of(key.as_bytes()).as_bytes() => Ok(()),
        _ => Err("Sec-WebSocket-Accept is not what the key makes of it"),
    }
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(lines: &[(&str, &str)]) -> Result<String, u16> {
        let mut head = ReceivedHead::new(0, 1, b"");
        lines.iter().for_each(|(name, value)| head.add(name.as_bytes(), value.as_bytes()));
        accept_key(b"GET", &head, 1).map_err(|refusal| refusal.status)
    }

    #[test]
    fn a_handshake_without_a_part_has_its_status() {
        // The example of RFC 6455 section 1.3.
        let good = [
            ("Upgrade", "WebSocket"),
            ("Connection", "keep-alive, Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        assert_eq!(ask(&good).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for (index, status) in [(0, 426), (1, 426), (2, 426), (3, 400)] {
            let mut lacking = good.to_vec();
            lacking.remove(index);
            assert_eq!(ask(&lacking), Err(status), "without {}", good[index].0);
        }
        let mut twice = good.to_vec();
        twice.push(good[3]);
        assert_eq!(ask(&twice), Err(400));
        for bad in ["", "AAAA", "dGhlIHNhbXBsZSBub25jZQ= =", "dGhlIHNhbXBsZSBub25jZQ\u{e9}="] {
            let mut lines = good;
            lines[3].1 = bad;
            assert_eq!(ask(&lines), Err(400), "{bad}");
        }
        let mut head = ReceivedHead::new(0, 0, b"");
        good.iter().for_each(|(name, value)| head.add(name.as_bytes(), value.as_bytes()));
        assert!(accept_key(b"GET", &head, 0).is_err() && accept_key(b"POST", &head, 1).is_err());
    }
}
