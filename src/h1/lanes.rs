//! Looks at bytes sixteen at a time: loops over arrays, without branches, which the compiler turns into vector instructions. Each check has a plain
//! one beside it in `syntax`, for what it does not know and for the tests. Pure.

/// Letters, digits and hyphens: what nearly every name consists of.
#[inline]
fn plain(byte: u8) -> bool {
    ((byte | 0x20).wrapping_sub(b'a') < 26) | (byte.wrapping_sub(b'0') < 10) | (byte == b'-')
}

#[inline]
fn all<const N: usize>(chunk: &[u8; N], good: impl Fn(u8) -> bool) -> bool {
    chunk.iter().fold(0, |bad, &byte| bad | u8::from(!good(byte))) == 0
}

/// Whether every byte is good. The last chunk overlaps the one before it.
#[inline]
fn every(bytes: &[u8], good: impl Fn(u8) -> bool + Copy) -> bool {
    if let Some(last) = bytes.last_chunk::<16>() {
        let (chunks, _) = bytes.as_chunks::<16>();
        return chunks.iter().all(|chunk| all(chunk, good)) && all(last, good);
    }
    match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) => all(first, good) & all(last, good),
        _ => match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            (Some(first), Some(last)) => all(first, good) & all(last, good),
            _ => bytes.iter().all(|&byte| good(byte)),
        },
    }
}

pub fn all_plain(bytes: &[u8]) -> bool {
    every(bytes, plain)
}

/// Letters, digits, hyphens and dots.
pub fn all_host(bytes: &[u8]) -> bool {
    every(bytes, |byte| plain(byte) | (byte == b'.'))
}

/// Whether no byte is below 20 or 7F.
pub fn no_control(bytes: &[u8]) -> bool {
    every(bytes, |byte| !is_control(byte))
}

#[inline]
fn is_control(byte: u8) -> bool {
    (byte < 0x20) | (byte == 0x7f)
}

/// Writes as many chunks of `bytes` as have room in `lower`, in lower case, until one is not plain; returns how many plain bytes there are before
/// the first other one. What is written beyond them means nothing.
#[inline]
pub fn lower_plain(bytes: &[u8], lower: &mut [u8]) -> usize {
    let mut length = 0;
    while let Some(chunk) = bytes.get(length..).and_then(<[u8]>::first_chunk::<16>)
        && let Some(to) = lower.get_mut(length..).and_then(<[u8]>::first_chunk_mut::<16>)
    {
        let mut other = [0; 16];
        // A loop, because `map` of an array is one only where the compiler inlines it.
        for ((to, other), &byte) in to.iter_mut().zip(&mut other).zip(chunk) {
            (*to, *other) = (byte | 0x20, if plain(byte) { 0 } else { 0xff });
        }
        let good = u128::from_le_bytes(other).trailing_zeros() as usize / 8;
        length += good;
        if good < 16 {
            break;
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h1::syntax;

    /// Each check beside the plain one.
    struct Check(fn(&[u8]) -> bool, fn(u8) -> bool);

    const CHECKS: [Check; 3] = [
        Check(all_plain, |b| b.is_ascii_alphanumeric() || b == b'-'),
        Check(all_host, |b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.'),
        Check(no_control, |b| b >= 0x20 && b != 0x7f),
    ];

    fn agree(bytes: &[u8]) {
        for (number, Check(check, good)) in CHECKS.iter().enumerate() {
            assert_eq!(check(bytes), bytes.iter().all(|&b| good(b)), "check {number} of {bytes:?}");
        }
        assert_eq!(
            syntax::is_token(bytes),
            !bytes.is_empty() && bytes.iter().all(|&b| syntax::is_tchar(b)),
            "{bytes:?}"
        );
        let text = |b: u8, controls| match b {
            b'\t' => true,
            0 | 0x0a..=0x0d => false,
            ..0x20 | 0x7f => controls,
            _ => true,
        };
        for controls in [false, true] {
            assert_eq!(syntax::is_text(bytes, controls), bytes.iter().all(|&b| text(b, controls)), "{bytes:?}");
        }
        let length = bytes.iter().take_while(|&&b| syntax::is_tchar(b)).count();
        for room in [bytes.len(), bytes.len() + 16] {
            let mut lower = vec![0; room];
            assert_eq!(syntax::lower_token(bytes, &mut lower), length, "{bytes:?}");
            assert_eq!(lower[..length], bytes[..length].to_ascii_lowercase(), "{bytes:?}");
        }
        let (host, port) = bytes.split_at(bytes.iter().position(|&b| b == b':').unwrap_or(bytes.len()));
        let is_host = syntax::is_reg_name(host) && port.iter().skip(1).all(u8::is_ascii_digit);
        assert!(bytes.first() == Some(&b'[') || syntax::is_host(bytes) == is_host, "{bytes:?}");
    }

    #[test]
    fn every_byte_at_every_position_of_every_length() {
        for length in 0..=64 {
            let mut bytes = vec![b'a'; length];
            agree(&bytes);
            for position in 0..length {
                for byte in 0..=255 {
                    bytes[position] = byte;
                    agree(&bytes);
                }
                bytes[position] = b'a';
            }
        }
    }

    #[test]
    fn random_bytes_in_random_lengths() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = |most: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 20) % most
        };
        const NEAR: &[u8] = b"azAZ059-.:%_~^`@[{/ \t\r\n\x00\x1f\x7f\x80\xff";
        for _ in 0..20_000 {
            let (length, near) = (next(200), next(2) == 0);
            let byte = |_| if near { NEAR[next(NEAR.len() as u64) as usize] } else { next(256) as u8 };
            agree(&(0..length).map(byte).collect::<Vec<u8>>());
        }
    }
}
