//! Frames however they are cut into pieces, and what violates the protocol. Pure.

use super::*;

/// What was said, data joined; the violation's code, if there was one.
fn read(role: Role, wire: &[u8], step: usize) -> (Vec<String>, Option<u16>) {
    let mut reader = FrameReader::new(role, 100_000);
    let (mut said, mut data) = (Vec::new(), Vec::new());
    for piece in wire.chunks(step) {
        let mut piece = piece.to_vec();
        let mut rest = &mut piece[..];
        while !rest.is_empty() {
            let (taken, event) = match reader.next(rest) {
                Ok(found) => found,
                Err(violation) => return (said, Some(violation.code)),
            };
            match event {
                FrameEvent::More => {}
                FrameEvent::Data(range) => data.extend_from_slice(&rest[range]),
                other => said.push(format!("{other:?} {}", reader.control().escape_ascii())),
            }
            rest = &mut rest[taken..];
        }
    }
    said.push(data.escape_ascii().to_string());
    (said, None)
}

/// Read by a server, in pieces of every size.
fn by_all(frames: &[(u8, &[u8])]) -> (Vec<String>, Option<u16>) {
    let mut wire = Vec::new();
    for (first, payload) in frames {
        let from = wire.len();
        put(&mut wire, first & 0x0f, payload, Some([1, 2, 3, 250]));
        wire[from] = *first;
    }
    let whole = read(Role::Server, &wire, wire.len());
    for step in 1..wire.len().min(200) {
        assert_eq!(read(Role::Server, &wire, step), whole, "in pieces of {step}");
    }
    whole
}

#[test]
fn messages_are_bytes_in_whatever_frames() {
    let long = [b'x'; 70_000];
    let (said, end) = by_all(&[(0x82, &long[..200])]);
    assert_eq!((said[0].len(), end), (200, None));
    assert_eq!(
        read(
            Role::Client,
            &{
                let mut wire = Vec::new();
                put(&mut wire, BINARY, &long, None);
                wire
            },
            1000
        )
        .0[0]
            .len(),
        70_000
    );
    let frames = [
        (0x02, &b"ab"[..]),
        (0x89, b"ping"),
        (0x00, b""),
        (0x80, b"cd"),
        (0x81, b"\xc3\xa4"),
        (0x8a, b""),
        (0x88, b"\x03\xe8bye"),
    ];
    let (said, end) = by_all(&frames);
    assert_eq!((said.join("|").as_str(), end), ("Ping ping|Pong |Close(1000) \\x03\\xe8bye|abcd\\xc3\\xa4", None));
    assert_eq!(by_all(&[(0x88, b"")]).0[0], "Close(1005) ");
    // A character over three frames.
    assert_eq!(by_all(&[(0x01, b"\xf0\x9f"), (0x00, b"\x98"), (0x80, b"\x80")]).1, None);
}

#[test]
fn violations_have_their_codes() {
    for (frames, code) in [
        (&[(0xc2, &b"x"[..])][..], 1002),
        (&[(0x83, b"x")], 1002),
        (&[(0x8b, b"x")], 1002),
        (&[(0x80, b"x")], 1002),
        (&[(0x02, b"x"), (0x82, b"x")], 1002),
        (&[(0x09, b"x")], 1002),
        (&[(0x89, &[b'x'; 126])], 1002),
        (&[(0x88, b"x")], 1002),
        (&[(0x88, b"\x03\xed")], 1002),
        (&[(0x88, b"\x03\xee")], 1002),
        (&[(0x88, b"\x00\x01")], 1002),
        (&[(0x88, b"\x03\xe8\xff")], 1007),
        (&[(0x81, b"\xff")], 1007),
        (&[(0x81, b"\xc3")], 1007),
        (&[(0x01, b"\xe0"), (0x80, b"\x80\x80")], 1007),
    ] {
        assert_eq!(by_all(frames).1, Some(code), "{frames:?}");
    }
    for (role, wire, code) in [
        (Role::Server, &b"\x82\x01x"[..], 1002),
        (Role::Client, b"\x82\x81\0\0\0\0x", 1002),
        (Role::Client, b"\x82\x7e\0\x01x", 1002),
        (Role::Client, b"\x82\x7f\0\0\0\0\0\0\xff\xff", 1002),
        (Role::Client, b"\x82\x7f\x80\0\0\0\0\x01\0\0", 1002),
        (Role::Client, b"\x82\x7f\0\0\0\0\0\x01\x86\xa1", 1009),
        (Role::Server, b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 1009),
    ] {
        for step in [1, 100] {
            assert_eq!(read(role, wire, step).1, Some(code), "{}", wire.escape_ascii());
        }
    }
}

#[test]
fn frames_have_the_shortest_length_and_the_mask_of_their_side() {
    let mut wire = Vec::new();
    put(&mut wire, TEXT, b"Hello", Some([0x37, 0xfa, 0x21, 0x3d]));
    // The example of section 5.7.
    assert_eq!(wire, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    for length in [125, 126, 65_535, 65_536] {
        let mut wire = Vec::new();
        put(&mut wire, BINARY, &vec![7; length], None);
        assert_eq!(read(Role::Client, &wire, 999).1, None);
        assert_eq!(
            wire.len() - length,
            [2, 4, 4, 10][[125, 126, 65_535, 65_536].iter().position(|l| *l == length).unwrap()]
        );
    }
}
