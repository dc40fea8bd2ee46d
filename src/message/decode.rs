//! Content codings (RFC 9110 section 8.4.1): gzip, deflate, br and zstd, decoded as the bytes arrive, in pieces of bounded size. Pure.

use bytes::Bytes;
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::zstd::params::DParameter;
use compression_codecs::{BrotliDecoder, DecodeV2, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};

use crate::error::{Detail, Error, Phase, Result, Status};

/// Most bytes that one step returns: a little input can become much output.
const PIECE: usize = 64 << 10;
/// Most codings on top of each other; more are of no use.
const MOST: usize = 4;
/// Window of zstd, as a power of two, beyond which a frame is refused (RFC 8878 section 3.1.1.1.2 recommends 8 MiB).
const ZSTD_WINDOW: u32 = 23;

/// What requests say in Accept-Encoding.
pub const ACCEPTED: &str = "gzip, deflate, br, zstd";

/// The codings of a body, the one that was applied last first.
pub struct Decoder {
    layers: Vec<Layer>,
}

struct Layer {
    name: &'static str,
    codec: Codec,
    input: Bytes,
    /// Some input has come.
    begun: bool,
    /// A member is complete, and no other has begun.
    done: bool,
    /// The end of the input has come.
    ended: bool,
    output: Vec<u8>,
}

enum Codec {
    Boxed(Box<dyn DecodeV2 + Send>),
    /// "deflate": zlib's format or, from some servers, the raw one. The first byte tells which.
    Deflate,
}

impl Decoder {
    /// For the codings of Content-Encoding fields, in the order in which they were applied; `None` if the body is not encoded. Errors: ContentCoding for a coding
    /// that was not accepted.
    pub fn new<'a>(codings: impl Iterator<Item = &'a [u8]>) -> Result<Option<Decoder>> {
        let mut layers = Vec::new();
        let names = codings.flat_map(|field| field.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
        for name in names.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity")) {
            if layers.len() == MOST {
                return Err(broken(format!("more than {MOST} content codings")));
            }
            layers.push(Layer::new(name)?);
        }
        layers.reverse();
        Ok(Some(Decoder { layers }).filter(|decoder| !decoder.layers.is_empty()))
    }

    /// Takes more bytes of the encoded body. Everything before must have been taken out.
    pub fn push(&mut self, data: Bytes) {
        self.layers[0].push(data);
    }

    /// The body has ended.
    pub fn end(&mut self) {
        self.layers[0].ended = true;
    }

    /// Decoded bytes; `None` if more input is needed, or at the end.
    pub fn take(&mut self) -> Result<Option<Bytes>> {
        self.take_from(self.layers.len() - 1)
    }

    fn take_from(&mut self, layer: usize) -> Result<Option<Bytes>> {
        loop {
            if let Some(data) = self.layers[layer].step()? {
                return Ok(Some(data));
            }
            // The end of a member has no output, and the next member may be there already.
            if !self.layers[layer].input.is_empty() {
                continue;
            }
            if layer == 0 {
                return Ok(None);
            }
            match self.take_from(layer - 1)? {
                Some(data) => self.layers[layer].push(data),
                None if self.layers[layer - 1].is_over() && !self.layers[layer].ended => {
                    self.layers[layer].ended = true
                }
                None => return Ok(None),
            }
        }
    }
}

impl Layer {
    fn new(name: &[u8]) -> Result<Layer> {
        let is = |names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
        let (name, codec) = if is(&["gzip", "x-gzip"]) {
            ("gzip", Codec::Boxed(Box::new(GzipDecoder::new())))
        } else if is(&["deflate"]) {
            ("deflate", Codec::Deflate)
        } else if is(&["br"]) {
            ("br", Codec::Boxed(Box::new(BrotliDecoder::new())))
        } else if is(&["zstd"]) {
            let params = [DParameter::window_log_max(ZSTD_WINDOW)];
            ("zstd", Codec::Boxed(Box::new(ZstdDecoder::new_with_params(&params))))
        } else {
            return Err(broken(format!("content coding \"{}\" was not asked for", name.escape_ascii()))
                .detail(Detail::UnknownCoding));
        };
        Ok(Layer { name, codec, input: Bytes::new(), begun: false, done: false, ended: false, output: Vec::new() })
    }

    fn push(&mut self, data: Bytes) {
        self.input = data;
    }

    fn is_over(&self) -> bool {
        self.ended && self.input.is_empty()
    }

    fn step(&mut self) -> Result<Option<Bytes>> {
        if self.done && !self.input.is_empty() {
            self.between_members()?;
        }
        if self.done || (self.input.is_empty() && !self.begun) {
            return Ok(None);
        }
        self.begun = true;
        let (name, ended) = (self.name, self.ended);
        let failed = |error| broken(format!("content coding {name}: {error}"));
        let input = std::mem::take(&mut self.input);
        let mut output = std::mem::take(&mut self.output);
        output.resize(PIECE, 0);
        let codec = self.codec(&input);
        let (mut from, mut to) = (PartialBuffer::new(&input[..]), WriteBuffer::new_initialized(&mut output));
        let mut done = false;
        while !done && !from.unwritten().is_empty() && !to.has_no_spare_space() {
            done = codec.decode(&mut from, &mut to).map_err(failed)?;
        }
        // Take out what the codec still holds: a server that flushes wants its bytes to be seen.
        if !done && from.unwritten().is_empty() && !to.has_no_spare_space() {
            match name {
                "gzip" | "deflate" => drop(codec.flush(&mut to).map_err(failed)?),
                // Only decoding tells where a member of these formats ends.
                _ => done = codec.decode(&mut from, &mut to).map_err(failed)?,
            }
            if ended && !done && to.written_len() == 0 {
                done = codec.finish(&mut to).is_ok_and(|done| done);
                if !done && to.written_len() == 0 {
                    return Err(truncated(name));
                }
            }
        }
        self.input = input.slice(from.written_len()..);
        self.done = done;
        let written = to.written_len();
        let piece = (written > 0).then(|| Bytes::copy_from_slice(&output[..written]));
        self.output = output;
        Ok(piece)
    }

    /// gzip and zstd bodies are sequences of members (RFC 1952 section 2.2, RFC 8878 section 3; skippable frames are frames). Other bytes after the end would
    /// be read by some readers and not by others. The first byte decides, so that it does not matter in which pieces they arrive.
    fn between_members(&mut self) -> Result<()> {
        let another = match self.name {
            "gzip" => self.input.starts_with(&[0x1f]),
            "zstd" => self.input.first().is_some_and(|byte| matches!(byte, 0x28 | 0x50..=0x5f)),
            _ => false,
        };
        if !another {
            return Err(broken(format!("bytes after the end of the content coding {}", self.name)));
        }
        self.done = false;
        match &mut self.codec {
            Codec::Boxed(codec) => codec.reinit().map_err(|error| broken(error.to_string())),
            Codec::Deflate => Ok(()),
        }
    }

    fn codec(&mut self, input: &[u8]) -> &mut dyn DecodeV2 {
        if let Codec::Deflate = self.codec {
            // RFC 1950: the method in the low half of the first byte is 8. No block of the bare format begins so unless it is stored, with
            // padding that is not zero.
            let zlib = input.first().is_some_and(|byte| byte & 0x0f == 8 && byte >> 4 <= 7);
            self.codec = Codec::Boxed(match zlib {
                true => Box::new(ZlibDecoder::new()),
                false => Box::new(DeflateDecoder::new()),
            });
        }
        match &mut self.codec {
            Codec::Boxed(codec) => &mut **codec,
            Codec::Deflate => unreachable!("was replaced above"),
        }
    }
}

fn broken(message: String) -> Error {
    Error::new(Status::ContentCoding, message).phase(Phase::Transfer).detail(Detail::BadCoding)
}

fn truncated(name: &str) -> Error {
    let message = format!("the body ends in the middle of its content coding {name}");
    Error::new(Status::Truncated, message).phase(Phase::Transfer).detail(Detail::TruncatedCoding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use compression_codecs::{BrotliEncoder, DeflateEncoder, EncodeV2, GzipEncoder, ZlibEncoder, ZstdEncoder};

    const CODINGS: [&str; 5] = ["gzip", "zlib", "raw", "br", "zstd"];

    /// The name in the field; both kinds of deflate have one name.
    fn field(coding: &str) -> &str {
        if matches!(coding, "zlib" | "raw") { "deflate" } else { coding }
    }

    fn encoder(coding: &str) -> Box<dyn EncodeV2> {
        let level = || compression_codecs::core::Level::Default.into();
        match coding {
            "gzip" => Box::new(GzipEncoder::new(level())),
            "zlib" => Box::new(ZlibEncoder::new(level())),
            "raw" => Box::new(DeflateEncoder::new(level())),
            "br" => Box::new(BrotliEncoder::new(Default::default())),
            _ => Box::new(ZstdEncoder::new(1)),
        }
    }

    fn encode(coding: &str, data: &[u8]) -> Vec<u8> {
        let mut codec = encoder(coding);
        let mut space = vec![0; data.len() + 4096];
        let (mut from, mut to) = (PartialBuffer::new(data), WriteBuffer::new_initialized(&mut space));
        while !from.unwritten().is_empty() {
            codec.encode(&mut from, &mut to).unwrap();
        }
        while !codec.finish(&mut to).unwrap() {}
        to.written().to_vec()
    }

    fn decode(fields: &str, wire: &[u8], step: usize) -> Result<Vec<u8>> {
        let mut decoder = Decoder::new([fields.as_bytes()].into_iter())?.expect("a coding");
        let mut out = Vec::new();
        for piece in wire.chunks(step.max(1)) {
            decoder.push(Bytes::copy_from_slice(piece));
            while let Some(data) = decoder.take()? {
                assert!(!data.is_empty() && data.len() <= PIECE);
                out.extend_from_slice(&data);
            }
        }
        decoder.end();
        while let Some(data) = decoder.take()? {
            out.extend_from_slice(&data);
        }
        Ok(out)
    }

    fn sample(length: usize) -> Vec<u8> {
        (0..length).map(|index| ((index / 7) % 251) as u8 ^ (index % 13) as u8).collect()
    }

    #[test]
    fn what_was_encoded_comes_back_however_it_is_cut() {
        for coding in CODINGS {
            for length in [0, 1, 1000, PIECE - 1, PIECE, PIECE + 1, 4 * PIECE] {
                let data = sample(length);
                let wire = encode(coding, &data);
                for step in [1, 7, 1000, usize::MAX] {
                    if step == 1 && length > PIECE {
                        continue;
                    }
                    let found =
                        decode(field(coding), &wire, step).unwrap_or_else(|error| panic!("{coding} {length}: {error}"));
                    assert!(found == data, "{coding}, {length} bytes in steps of {step}");
                }
            }
        }
    }

    #[test]
    fn a_body_cut_anywhere_is_an_error() {
        for coding in CODINGS {
            let data = sample(5000);
            let wire = encode(coding, &data);
            for cut in 1..wire.len() {
                let error = decode(field(coding), &wire[..cut], 100).expect_err("cut");
                assert_eq!(error.status, Status::Truncated, "{coding} at {cut}: {error}");
            }
        }
    }

    #[test]
    fn a_bomb_comes_in_pieces() {
        for coding in CODINGS {
            let wire = encode(coding, &vec![0; 16 << 20]);
            assert!(wire.len() < 64 << 10, "{coding}: {}", wire.len());
            assert_eq!(decode(field(coding), &wire, usize::MAX).unwrap().len(), 16 << 20);
        }
    }

    #[test]
    fn members_layers_and_what_is_behind_the_end() {
        for coding in ["gzip", "zstd"] {
            let two = [encode(coding, b"one, "), encode(coding, b"two")].concat();
            assert_eq!(decode(coding, &two, 3).unwrap(), b"one, two");
            let cut = decode(coding, &two[..two.len() - 1], 3).unwrap_err();
            assert_eq!(cut.status, Status::Truncated);
        }
        for coding in CODINGS {
            for stray in [&b"\0"[..], &[0; 10], b"\x1f\x8b\x07", b"x"] {
                let wire = [encode(coding, b"data"), stray.to_vec()].concat();
                let error = decode(field(coding), &wire, 5).unwrap_err();
                assert_eq!(
                    (error.status, error.detail),
                    (Status::ContentCoding, Detail::BadCoding),
                    "{coding}: {error}"
                );
            }
        }
        let layered = encode("br", &encode("gzip", b"data"));
        assert_eq!(decode("gzip, br", &layered, 4).unwrap(), b"data");
        assert!(decode("br, gzip", &layered, 4).is_err());
    }

    #[test]
    fn what_a_server_flushed_is_seen() {
        for coding in CODINGS {
            let mut codec = encoder(coding);
            let mut decoder = Decoder::new([field(coding).as_bytes()].into_iter()).unwrap().unwrap();
            for token in ["Hello", " world", "!"] {
                let mut space = [0; 4096];
                let mut to = WriteBuffer::new_initialized(&mut space);
                let mut from = PartialBuffer::new(token.as_bytes());
                while !from.unwritten().is_empty() {
                    codec.encode(&mut from, &mut to).unwrap();
                }
                while !codec.flush(&mut to).unwrap() {}
                decoder.push(Bytes::copy_from_slice(to.written()));
                let mut shown = Vec::new();
                while let Some(data) = decoder.take().unwrap() {
                    shown.extend_from_slice(&data);
                }
                assert_eq!(shown, token.as_bytes(), "{coding}");
            }
        }
    }

    #[test]
    fn codings_that_are_unknown_or_broken_are_refused() {
        let made = |field: &str| Decoder::new([field.as_bytes()].into_iter());
        assert!(made("").unwrap().is_none() && made("identity, ,").unwrap().is_none());
        assert!(made("GZip").unwrap().is_some());
        for unknown in ["compress", "gzip, x", "gzip;q=1", "gzip, gzip, gzip, gzip, gzip"] {
            assert_eq!(made(unknown).err().map(|error| error.status), Some(Status::ContentCoding), "{unknown}");
        }
        for (coding, bad) in
            [("gzip", &b"plain text"[..]), ("br", b"\xff\xff\xff"), ("zstd", b"plain text"), ("deflate", b"\x78\xff")]
        {
            assert!(decode(coding, bad, 100).is_err(), "{coding}");
        }
    }
}
