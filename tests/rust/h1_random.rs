//! What the fuzz targets look for, with a seeded generator in every run of the tests: bytes near the vectors in any pieces, and two connections
//! back to back. ATLS_ROBUST_ROUNDS makes it longer.

#[path = "support/h1_pair.rs"]
mod pair;
#[path = "support/random.rs"]
mod random;
#[path = "support/h1.rs"]
mod support;
#[path = "support/h1_vectors.rs"]
mod vectors;

use atls::h1::{Connection, Role, Rules, flags};
use random::Random;
use vectors::{Side, VECTORS};

fn rounds(default: usize) -> usize {
    std::env::var("ATLS_ROBUST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A vector, or two in a row, with a few bytes changed, added or gone.
fn near_a_vector(random: &mut Random) -> (Side, Vec<u8>) {
    let (first, second) = (&VECTORS[random.next(VECTORS.len())], &VECTORS[random.next(VECTORS.len())]);
    let mut bytes = first.bytes();
    if random.once_in(3) {
        bytes.extend(second.bytes());
    }
    for _ in 0..random.next(4) {
        let at = random.next(bytes.len());
        let byte = random.pick(b"\r\n\t :;,05aA\0\x01\x7f\xff");
        match random.next(3) {
            0 if !bytes.is_empty() => bytes[at] = byte,
            1 if !bytes.is_empty() => drop(bytes.remove(at)),
            _ => bytes.insert(at, byte),
        }
    }
    (first.from, bytes)
}

#[test]
fn the_pieces_make_no_difference() {
    let mut random = Random(0x0123_4567_89ab_cdef);
    let mut accepted = 0;
    let rounds = rounds(20_000);
    for _ in 0..rounds {
        let (from, bytes) = near_a_vector(&mut random);
        let allowed = random.next(128) as u32 & flags::ALL;
        let small = Rules { flags: allowed, max_incomplete: 40 + random.next(200), max_fields: 1 + random.next(5) };
        let make = || match from {
            Side::Request => Connection::new(Role::Server, small),
            Side::Response(method) => support::client(allowed, method),
        };
        let whole = support::converse(&mut make(), std::iter::once(&bytes[..]), true);
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(1 + random.next(rest.len().min(9)));
            pieces.push(piece);
            rest = after;
        }
        let parts = support::converse(&mut make(), pieces.into_iter(), true);
        assert_eq!(whole, parts, "{allowed:#x} {}", bytes.escape_ascii());
        accepted += usize::from(!whole.contains("error"));
    }
    assert!(accepted * 20 > rounds && accepted * 2 < rounds, "{accepted} of {rounds} were accepted");
}

#[test]
fn what_one_sends_the_other_reads() {
    let mut random = Random(0xfedc_ba98_7654_3210);
    let (mut through, rounds) = (0, rounds(50_000));
    for _ in 0..rounds {
        let data: Vec<u8> = (0..random.next(500)).map(|_| random.next(256) as u8).collect();
        through += pair::play(&data);
    }
    assert!(through > rounds as u64, "{through} events and bytes in {rounds} rounds");
}
