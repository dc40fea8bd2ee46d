//! Logs byte by byte: what is read, and what is refused. Pure.

use super::*;

/// Registers and types, with the digest of SHA-384 that each extends.
type Events<'a> = &'a [(u32, u32, u8)];

fn header(algorithms: &[(u16, u16)]) -> Vec<u8> {
    let mut inner = [&SIGNATURE[..], &[0, 0, 0, 0, 0, 2, 0, 2]].concat();
    inner.extend((algorithms.len() as u32).to_le_bytes());
    for (algorithm, size) in algorithms {
        inner.extend([algorithm.to_le_bytes(), size.to_le_bytes()].concat());
    }
    inner.push(0);
    let mut out = [&1u32.to_le_bytes()[..], &NO_ACTION.to_le_bytes(), &[0; 20]].concat();
    out.extend((inner.len() as u32).to_le_bytes());
    [out, inner].concat()
}

fn event(register: u32, event_type: u32, digests: &[(u16, &[u8])], data: &[u8]) -> Vec<u8> {
    let mut out = [register.to_le_bytes(), event_type.to_le_bytes(), (digests.len() as u32).to_le_bytes()].concat();
    for (algorithm, digest) in digests {
        out.extend([&algorithm.to_le_bytes()[..], digest].concat());
    }
    out.extend((data.len() as u32).to_le_bytes());
    [&out, data].concat()
}

fn log(events: Events<'_>) -> Vec<u8> {
    let one = |(register, event_type, byte): &(u32, u32, u8)| {
        event(*register, *event_type, &[(SHA_384, &[*byte; 48])], b"data")
    };
    [header(&[(SHA_384, 48)]), events.iter().flat_map(one).collect()].concat()
}

/// A log that is in order.
pub fn sample() -> Vec<u8> {
    log(&[(1, 4, 1), (2, 4, 2)])
}

#[track_caller]
fn refused(raw: &[u8], why: &str) {
    let error = BootLog::parse(raw).expect_err("a refusal");
    assert!(error.contains(why), "{error}");
}

#[test]
fn events_go_into_the_register_of_their_number() {
    let found =
        BootLog::parse(&log(&[(1, 4, 0xa), (2, 0x8000_0003, 0xb), (1, NO_ACTION, 0xc), (1, 1, 0xd), (4, 6, 0xe)]))
            .unwrap();
    assert_eq!(found.extended, [vec![[0xa; 48], [0xd; 48]], vec![[0xb; 48]], vec![], vec![[0xe; 48]]]);
    let once = sha384(&[[0; 48], [0xa; 48]].concat());
    assert_eq!(found.replayed(0), sha384(&[once, [0xd; 48]].concat()));
    assert_eq!((found.replayed(2), found.replayed(4)), ([0; 48], [0; 48]));
    for register in [0, 5, 0xffff_fffe, u32::MAX] {
        refused(&log(&[(1, 4, 1), (register, 4, 1)]), "event 1: register");
    }
}

#[test]
fn one_value_may_follow_the_last_event() {
    let raw = log(&[(1, 4, 1)]);
    let whole = BootLog::parse(&raw).unwrap();
    for value in [0, 0xff] {
        for count in [1, 3, 4, 5, 60_000] {
            let padded = [&raw[..], &vec![value; count]].concat();
            assert_eq!(BootLog::parse(&padded).unwrap(), whole, "{value} {count}");
            // Nothing hides behind it.
            assert!(BootLog::parse(&[&padded[..], &[value ^ 0xff]].concat()).is_err(), "{value} {count}");
            assert!(BootLog::parse(&[padded, event(1, 4, &[(SHA_384, &[2; 48])], b"")].concat()).is_err());
        }
    }
    refused(&[&raw[..], &[1; 60]].concat(), "event 1");
    assert_eq!(BootLog::parse(&header(&[(SHA_384, 48)])).unwrap(), BootLog::default());
}

#[test]
fn lengths_are_believed_only_within_the_log() {
    let raw = log(&[(1, 4, 1)]);
    let begin = header(&[(SHA_384, 48)]).len();
    for length in 0..raw.len() {
        // Between events a log may end.
        assert_eq!(BootLog::parse(&raw[..length]).is_ok(), length == begin, "{length}");
    }
    for (at, what) in [(28, "header"), (begin + 8, "digests"), (begin + 12 + 50, "bytes wanted")] {
        for length in [u32::MAX, 1 << 30] {
            let mut bent = raw.clone();
            bent[at..at + 4].copy_from_slice(&length.to_le_bytes());
            refused(&bent, what);
        }
    }
    refused(&vec![0; MAX_BYTES + 1], "at most 1048576");
    let full = vec![(1, 4, 1); MAX_EVENTS];
    assert_eq!(BootLog::parse(&log(&full)).unwrap().extended[0].len(), MAX_EVENTS);
    refused(&log(&[full, vec![(1, 4, 1)]].concat()), "more than 4096");
}

#[test]
fn each_event_has_one_digest_of_sha_384() {
    let both = &[(0x000b, 32), (SHA_384, 48)];
    let with = |digests: &[(u16, &[u8])]| [header(both), event(1, 4, digests, b"")].concat();
    let found = BootLog::parse(&with(&[(0x000b, &[1; 32]), (SHA_384, &[2; 48])])).unwrap();
    assert_eq!(found.extended[0], [[2; 48]]);
    refused(&with(&[(0x000b, &[1; 32])]), "no digest of SHA-384");
    refused(&with(&[]), "no digest of SHA-384");
    refused(&with(&[(SHA_384, &[1; 48]), (SHA_384, &[2; 48])]), "two digests");
    refused(&with(&[(SHA_384, &[1; 48]), (0x000d, &[2; 64])]), "algorithm 0x000d");
    refused(&with(&[(0x000b, &[1; 32]), (SHA_384, &[1; 48]), (0x000b, &[1; 32])]), "3 digests");
}

#[test]
fn the_first_entry_says_what_the_log_is() {
    let good = header(&[(SHA_384, 48)]);
    let bent = |at: usize, value: u8| {
        let mut raw = good.clone();
        raw[at] = value;
        raw
    };
    assert!(BootLog::parse(&bent(0, 0)).is_ok());
    refused(&bent(0, 2), "register 2");
    refused(&bent(4, 4), "type 4");
    refused(&bent(8, 1), "not zero");
    refused(&bent(32, b's'), "signature");
    refused(&bent(good.len() - 1, 1), "1 bytes wanted");
    refused(&header(&[(0x000b, 32)]), "no digests of SHA-384");
    refused(&header(&[(SHA_384, 32)]), "no digests of SHA-384");
    refused(&header(&[(SHA_384, 48), (SHA_384, 48)]), "duplicated");
    refused(&header(&[(1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1), (8, 1), (SHA_384, 48)]), "9 algorithms");
    refused(b"", "header");
}
