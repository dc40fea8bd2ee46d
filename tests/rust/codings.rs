//! A coded body means the same however the network cuts it: whole or refused, in every coding and in several on top of one another.

use atls::error::{Detail, Error, Status};
use atls::message::decode::Decoder;
use bytes::Bytes;
use compression_codecs::core::Level;
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::{BrotliEncoder, DeflateEncoder, EncodeV2, GzipEncoder, ZlibEncoder, ZstdEncoder};

#[path = "support/random.rs"]
mod random;
use random::Random;

/// What a host sees of a body: bytes, or the error, and the bytes before it.
type Seen = (Vec<u8>, Option<(Status, Detail)>);

fn encode(coding: &str, data: &[u8]) -> Vec<u8> {
    let level = || Level::Default.into();
    let mut codec: Box<dyn EncodeV2> = match coding {
        "gzip" => Box::new(GzipEncoder::new(level())),
        "zlib" => Box::new(ZlibEncoder::new(level())),
        "raw" => Box::new(DeflateEncoder::new(level())),
        "br" => Box::new(BrotliEncoder::new(Default::default())),
        _ => Box::new(ZstdEncoder::new(1)),
    };
    let mut space = vec![0; data.len() + 4096];
    let (mut from, mut to) = (PartialBuffer::new(data), WriteBuffer::new_initialized(&mut space));
    while !from.unwritten().is_empty() {
        codec.encode(&mut from, &mut to).unwrap();
    }
    while !codec.finish(&mut to).unwrap() {}
    to.written().to_vec()
}

fn take(decoder: &mut Decoder, out: &mut Vec<u8>) -> Result<(), Error> {
    while let Some(data) = decoder.take()? {
        assert!(!data.is_empty());
        out.extend_from_slice(&data);
    }
    Ok(())
}

fn read<'a>(field: &str, pieces: impl Iterator<Item = &'a [u8]>) -> Seen {
    let mut decoder = Decoder::new([field.as_bytes()].into_iter()).unwrap().expect("a coding");
    let mut out = Vec::new();
    let all = || {
        for piece in pieces.filter(|piece| !piece.is_empty()) {
            decoder.push(Bytes::copy_from_slice(piece));
            take(&mut decoder, &mut out)?;
        }
        decoder.end();
        take(&mut decoder, &mut out)
    };
    let end = all().err().map(|error: Error| (error.status, error.detail));
    (out, end)
}

/// In one piece, in every two, in even ones and by chance: the same. `exact` where the bytes before an error are to be the same as well.
fn same_in_any_cut(field: &str, wire: &[u8], exact: bool, random: &mut Random) -> Seen {
    let whole = read(field, std::iter::once(wire));
    let check = |cut: Seen, how: &str| {
        assert_eq!(cut.1, whole.1, "{field}, {how}: {}", wire.escape_ascii());
        if exact || whole.1.is_none() {
            assert!(cut.0 == whole.0, "{field}, {how}: {}", wire.escape_ascii());
        }
    };
    for at in 1..wire.len().min(300) {
        check(read(field, [&wire[..at], &wire[at..]].into_iter()), &format!("cut at {at}"));
    }
    for step in [1, 2, 3, 7] {
        check(read(field, wire.chunks(step)), &format!("in pieces of {step}"));
    }
    for _ in 0..10 {
        let (mut rest, mut pieces) = (wire, Vec::new());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(1 + random.next(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        check(read(field, pieces.iter().copied()), &format!("in {} pieces", pieces.len()));
    }
    whole
}

/// Name of the encoder, and name in the field: deflate may be either of two.
const CODINGS: [(&str, &str); 5] =
    [("gzip", "gzip"), ("zlib", "deflate"), ("raw", "deflate"), ("br", "br"), ("zstd", "zstd")];

/// What may stand behind a complete body, and is no body.
const STRAY: [&[u8]; 6] = [b"\0", &[0; 10], b"\x1f", b"\x1f\x8b\x08\x00", b"(\xb5/\xfd", b"text\r\n"];

#[test]
fn bytes_behind_one_coding_are_refused_wherever_it_is_cut() {
    let random = &mut Random(7);
    for (encoder, field) in CODINGS {
        let member = encode(encoder, b"abc");
        assert_eq!(same_in_any_cut(field, &member, true, random), (b"abc".to_vec(), None));
        for stray in STRAY {
            let wire = [&member[..], stray].concat();
            let (shown, end) = same_in_any_cut(field, &wire, true, random);
            assert!(shown == b"abc" && end.is_some(), "{encoder} and {}: {end:?}", stray.escape_ascii());
            // Whatever comes after that saves nothing.
            let again = same_in_any_cut(field, &[&wire[..], &member].concat(), true, random);
            assert!(again.0 == b"abc" && again.1.is_some(), "{encoder} and {}", stray.escape_ascii());
        }
        let twice = same_in_any_cut(field, &[&member[..], &member].concat(), true, random);
        match field {
            "gzip" | "zstd" => assert_eq!(twice, (b"abcabc".to_vec(), None)),
            _ => assert_eq!(twice.1, Some((Status::ContentCoding, Detail::BadCoding)), "{encoder}"),
        }
    }
    // A frame that says nothing (RFC 8878 section 3.1.2), before and behind.
    let (skip, frame) = (&b"\x53\x2a\x4d\x18\x03\0\0\0xyz"[..], encode("zstd", b"abc"));
    let wire = [skip, &frame, skip, &frame, skip].concat();
    assert_eq!(same_in_any_cut("zstd", &wire, true, random), (b"abcabc".to_vec(), None));
}

#[test]
fn codings_on_top_of_one_another() {
    let random = &mut Random(11);
    for (inner, inner_field) in CODINGS {
        for (outer, outer_field) in CODINGS {
            let field = format!("{inner_field}, {outer_field}");
            let member = encode(inner, b"abc");
            let wire = encode(outer, &member);
            assert_eq!(same_in_any_cut(&field, &wire, true, random), (b"abc".to_vec(), None), "{field}");
            let within = encode(outer, &[&member[..], &[0; 10], &member].concat());
            let (shown, end) = same_in_any_cut(&field, &within, true, random);
            assert!(shown == b"abc" && end.is_some(), "{field}: {end:?}");
            let behind = same_in_any_cut(&field, &[&wire[..], &[0; 10]].concat(), true, random);
            assert!(behind.0 == b"abc" && behind.1.is_some(), "{field}: {:?}", behind.1);
        }
    }
}

#[test]
fn what_was_bent_or_cut_off() {
    let random = &mut Random(13);
    let text: Vec<u8> = (0..400).map(|_| b"the cat sat on a mat. "[random.next(22)]).collect();
    for (encoder, field) in CODINGS {
        let wire = [encode(encoder, &text[..200]), encode(encoder, &text[200..])].concat();
        for _ in 0..40 {
            let mut bent = wire.clone();
            match random.next(3) {
                0 => bent.truncate(1 + random.next(wire.len())),
                1 => drop(bent.splice(random.next(wire.len()).., *b"?")),
                _ => {
                    let at = random.next(wire.len());
                    bent[at] ^= 1 << random.next(8);
                }
            }
            same_in_any_cut(field, &bent, false, random);
        }
    }
}
