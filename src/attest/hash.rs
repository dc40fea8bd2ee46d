//! Digests and hexadecimal text. Pure.

use aws_lc_rs::digest;

pub fn sha256(data: &[u8]) -> [u8; 32] {
    fixed(digest::digest(&digest::SHA256, data))
}

pub fn sha384(data: &[u8]) -> [u8; 48] {
    fixed(digest::digest(&digest::SHA384, data))
}

pub fn sha512(parts: &[&[u8]]) -> [u8; 64] {
    let mut context = digest::Context::new(&digest::SHA512);
    for part in parts {
        context.update(part);
    }
    fixed(context.finish())
}

fn fixed<const N: usize>(digest: digest::Digest) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(digest.as_ref());
    out
}

/// Lower-case hexadecimal.
pub fn hex(data: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(data.len() * 2);
    for byte in data {
        text.push(DIGITS[usize::from(byte >> 4)] as char);
        text.push(DIGITS[usize::from(byte & 15)] as char);
    }
    text
}

/// Decodes hexadecimal of either case; `None` for an odd length or any other character (no `0x`, no blanks).
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks_exact(2).map(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?)).collect()
}

/// As [`unhex`], for exactly `N` bytes.
pub fn unhex_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    unhex(text)?.try_into().ok()
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_round_trip_and_refusals() {
        assert_eq!(hex(&[0, 0x1f, 0xff]), "001fff");
        assert_eq!(unhex("001FfF"), Some(vec![0, 0x1f, 0xff]));
        for bad in ["0", "0x00", "zz", " 00", "0\u{e9}0"] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
        assert_eq!(unhex_array::<2>("00"), None);
    }
}
