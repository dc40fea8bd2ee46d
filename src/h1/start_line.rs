//! Parses start lines (RFC 9112 sections 3 and 4). Anything beyond the grammar, such as the version, is for the caller to judge. Pure.

use super::syntax;

/// Method, target, and version as major << 8 | minor, of `method SP target SP HTTP/d.d`; `is_target` says what a target may be.
pub fn request_line(line: &[u8], is_target: fn(&[u8]) -> bool) -> Option<(&[u8], &[u8], u16)> {
    let (method, rest) = line.split_at(syntax::token_len(line));
    let rest = rest.strip_prefix(b" ").filter(|_| !method.is_empty())?;
    let (target, version) = rest.split_at(memchr::memchr(b' ', rest)?);
    is_target(target).then_some((method, target, read_version(&version[1..])?))
}

/// Version, status and reason phrase of `HTTP/d.d SP 3DIGIT [SP reason]`; `controls` as in `syntax::is_text`.
pub fn status_line(line: &[u8], controls: bool) -> Option<(u16, u16, &[u8])> {
    let (version, rest) = line.split_at_checked(8)?;
    let (code, reason) = rest.strip_prefix(b" ")?.split_at_checked(3)?;
    let reason = if reason.is_empty() { reason } else { reason.strip_prefix(b" ")? };
    let is_code = code.iter().all(u8::is_ascii_digit) && code[0] != b'0';
    let status = code.iter().fold(0, |status, digit| status * 10 + u16::from(digit.wrapping_sub(b'0')));
    (is_code && syntax::is_text(reason, controls)).then_some((read_version(version)?, status, reason))
}

/// HTTP/d.d
fn read_version(text: &[u8]) -> Option<u16> {
    match text {
        [b'H', b'T', b'T', b'P', b'/', major @ b'0'..=b'9', b'.', minor @ b'0'..=b'9'] => {
            Some(u16::from(major - b'0') << 8 | u16::from(minor - b'0'))
        }
        _ => None,
    }
}
