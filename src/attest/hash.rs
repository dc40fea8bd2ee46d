//! Digests and hexadecimal text. Pure.

use aws_lc_rs::digest;

pub fn sha256(data: &[u8]) -> [u8; 32] {
    fixed(digest::digest(&digest::SHA256, data))
}

pub fn sha384(data: &[u8]) -> [u8; 48] {
    fixed(digest::digest(&digest::SHA384, data))
}

/// As `sha384`, of the parts one after the other.
pub fn sha384_of(parts: &[&[u8]]) -> [u8; 48] {
    let mut context = digest::Context::new(&digest::SHA384);
    parts.iter().for_each(|part| context.update(part));
    fixed(context.finish())
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

/// Lower-case hexadecimal. Not inlined: hundreds of places call it.
#[inline(never)]
pub fn hex(data: &[u8]) -> String {
    let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
    let mut text = vec![0; data.len() * 2];
    for (pair, byte) in text.as_chunks_mut().0.iter_mut().zip(data) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
    // Digits are text.
    String::from_utf8(text).unwrap_or_default()
}

/// Decodes hexadecimal of either case; `None` for an odd length or any other character (no `0x`, no blanks).
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut out = Vec::with_capacity(pairs.len());
    // Every digit is looked up before any is judged: the usual text has no other characters.
    let mut seen = 0;
    out.extend(pairs.iter().map(|[high, low]| {
        let (high, low) = (NIBBLES[usize::from(*high)], NIBBLES[usize::from(*low)]);
        seen |= high | low;
        high << 4 | (low & 15)
    }));
    (rest.is_empty() && seen < NONE).then_some(out)
}

/// As [`unhex`], for exactly `N` bytes.
pub fn unhex_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    unhex(text)?.try_into().ok()
}

/// What stands in [`NIBBLES`] for characters that are no digits: a bit that no digit has.
const NONE: u8 = 0x10;

/// The value of each hexadecimal digit.
static NIBBLES: [u8; 256] = {
    let mut table = [NONE; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value] as usize] = value as u8;
        table[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    table
};

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
        assert_eq!(unhex_array::<1>("0000"), None);
        for character in (0..=0xff).map(char::from) {
            let value = character.to_digit(16).map(|value| value as u8);
            assert_eq!(unhex(&format!("0{character}")), value.map(|value| vec![value]), "{character:?}");
            assert_eq!(unhex(&format!("{character}1")), value.map(|value| vec![value << 4 | 1]), "{character:?}");
        }
    }
}
