//! Frames as they come (RFC 6455 section 5): the payload of messages, without their boundaries. Holds a header or a control frame, but no other payload.
//! Pure.

use std::ops::Range;

use crate::h1::Role;

pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;

/// Bytes of the longest header.
pub const HEADER: usize = 14;
/// Bytes of the largest payload of a control frame.
pub const CONTROL: usize = 125;

/// A violation that ends a connection, with the Close code sent to the peer (section 7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameViolation {
    pub code: u16,
    pub why: &'static str,
}

const fn protocol(why: &'static str) -> FrameViolation {
    FrameViolation { code: 1002, why }
}

const NOT_UTF8: FrameViolation = FrameViolation { code: 1007, why: "text that is not UTF-8" };

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameEvent {
    /// All of the input was taken, and more is needed.
    More,
    /// This part of the input, unmasked in place; never empty.
    Data(Range<usize>),
    /// `control` is its payload, as of the other control frames.
    Ping,
    Pong,
    /// The code, 1005 for none; the reason is in `control`, after two bytes.
    Close(u16),
}

/// Reads, as the side `role`, what the other side sends: frames of a client are masked, and frames of a server are not. After a violation it must not be asked again.
pub struct FrameReader {
    role: Role,
    max_frame: u64,
    header: [u8; HEADER],
    /// How much of it is there.
    have: usize,
    /// The frame whose payload is coming.
    frame: Option<Frame>,
    /// Set within a message; whether it is text.
    message: Option<bool>,
    text: Utf8,
    control: [u8; CONTROL],
    control_len: usize,
}

struct Frame {
    opcode: u8,
    last: bool,
    left: u64,
    key: [u8; 4],
    /// Bytes of the payload that have come.
    at: usize,
}

impl FrameReader {
    /// A frame beyond `max_frame` bytes is refused: no ping and no close could come before its end.
    pub fn new(role: Role, max_frame: u64) -> FrameReader {
        FrameReader {
            role,
            max_frame,
            header: [0; HEADER],
            have: 0,
            frame: None,
            message: None,
            text: Utf8::default(),
            control: [0; CONTROL],
            control_len: 0,
        }
    }

    /// Takes bytes from the beginning of `input`; returns how many, and what they were.
    pub fn next(&mut self, input: &mut [u8]) -> Result<(usize, FrameEvent), FrameViolation> {
        let mut taken = 0;
        loop {
            let mut frame = match self.frame.take() {
                Some(frame) => frame,
                None => match self.head(input, &mut taken)? {
                    Some(frame) => frame,
                    None => return Ok((taken, FrameEvent::More)),
                },
            };
            let count = usize::try_from(frame.left).unwrap_or(usize::MAX).min(input.len() - taken);
            let range = taken..taken + count;
            let piece = &mut input[range.clone()];
            mask(piece, frame.key, frame.at);
            frame.at = frame.at.wrapping_add(count);
            frame.left -= count as u64;
            taken = range.end;
            let (opcode, whole) = (frame.opcode, frame.left == 0);
            if opcode >= CLOSE {
                self.control[self.control_len..self.control_len + count].copy_from_slice(piece);
                self.control_len += count;
            } else {
                self.data(piece, whole && frame.last)?;
            }
            if !whole {
                self.frame = Some(frame);
            }
            match opcode {
                CLOSE.. if whole => return Ok((taken, self.control_event(opcode)?)),
                ..CLOSE if count > 0 => return Ok((taken, FrameEvent::Data(range))),
                _ if !whole => return Ok((taken, FrameEvent::More)),
                // An empty frame carries nothing.
                _ => {}
            }
        }
    }

    /// The payload of the last control frame.
    pub fn control(&self) -> &[u8] {
        &self.control[..self.control_len]
    }

    /// Whether no frame or message is incomplete.
    pub fn is_between(&self) -> bool {
        self.frame.is_none() && self.have == 0 && self.message.is_none()
    }

    /// Takes more of a header; returns the frame once it is complete.
    fn head(&mut self, input: &[u8], taken: &mut usize) -> Result<Option<Frame>, FrameViolation> {
        while self.have < self.wanted() {
            let Some(byte) = input.get(*taken) else { return Ok(None) };
            self.header[self.have] = *byte;
            self.have += 1;
            *taken += 1;
            if self.have == 2 {
                self.check_start()?;
            }
        }
        self.begin().map(Some)
    }

    fn wanted(&self) -> usize {
        let length = match self.header[1] & 0x7f {
            _ if self.have < 2 => return 2,
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + length + if self.role == Role::Server { 4 } else { 0 }
    }

    /// Checks the first two bytes.
    fn check_start(&self) -> Result<(), FrameViolation> {
        let (first, second) = (self.header[0], self.header[1]);
        let (opcode, last) = (first & 0x0f, first & 0x80 != 0);
        if first & 0x70 != 0 {
            return Err(protocol("reserved bits"));
        }
        if (second & 0x80 != 0) != (self.role == Role::Server) {
            return Err(protocol("a mask, or none, where it must not be"));
        }
        match opcode {
            CONTINUATION if self.message.is_none() => Err(protocol("a continuation of nothing")),
            TEXT | BINARY if self.message.is_some() => Err(protocol("a message within a message")),
            CONTINUATION | TEXT | BINARY => Ok(()),
            CLOSE | PING | PONG if !last => Err(protocol("a control frame in parts")),
            CLOSE | PING | PONG if usize::from(second & 0x7f) > CONTROL => Err(protocol("a long control frame")),
            CLOSE | PING | PONG => Ok(()),
            _ => Err(protocol("an unknown opcode")),
        }
    }

    /// The header is complete.
    fn begin(&mut self) -> Result<Frame, FrameViolation> {
        let header = &self.header[..std::mem::take(&mut self.have)];
        let (short, rest) = (header[1] & 0x7f, &header[2..]);
        let (length, rest, least) = match (short, rest) {
            (126, [a, b, rest @ ..]) => (u64::from(u16::from_be_bytes([*a, *b])), rest, 126),
            (127, [a, b, c, d, e, f, g, h, rest @ ..]) => {
                (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), rest, 1 << 16)
            }
            _ => (u64::from(short), rest, 0),
        };
        if length < least || length >> 63 != 0 {
            return Err(protocol("a length in the wrong form"));
        }
        if length > self.max_frame {
            return Err(FrameViolation { code: 1009, why: "a frame that is too long" });
        }
        let key = rest.try_into().unwrap_or_default();
        let (opcode, last) = (header[0] & 0x0f, header[0] & 0x80 != 0);
        match opcode {
            CLOSE.. => self.control_len = 0,
            CONTINUATION => {}
            _ => self.message = Some(opcode == TEXT),
        }
        Ok(Frame { opcode, last, left: length, key, at: 0 })
    }

    /// Checks a part of a message, perhaps its last.
    fn data(&mut self, piece: &[u8], end: bool) -> Result<(), FrameViolation> {
        if self.message == Some(true) && (!self.text.feed(piece) || (end && !self.text.is_whole())) {
            return Err(NOT_UTF8);
        }
        if end {
            self.message = None;
        }
        Ok(())
    }

    fn control_event(&self, opcode: u8) -> Result<FrameEvent, FrameViolation> {
        match (opcode, self.control()) {
            (PING, _) => Ok(FrameEvent::Ping),
            (PONG, _) => Ok(FrameEvent::Pong),
            (_, []) => Ok(FrameEvent::Close(1005)),
            (_, [high, low, reason @ ..]) => match u16::from_be_bytes([*high, *low]) {
                code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => match std::str::from_utf8(reason) {
                    Ok(_) => Ok(FrameEvent::Close(code)),
                    Err(_) => Err(NOT_UTF8),
                },
                _ => Err(protocol("a Close code that must not be sent")),
            },
            _ => Err(protocol("half a Close code")),
        }
    }
}

/// Checks text that comes in pieces.
#[derive(Default)]
struct Utf8 {
    /// The beginning of an incomplete character.
    held: [u8; 4],
    len: usize,
}

impl Utf8 {
    fn is_whole(&self) -> bool {
        self.len == 0
    }

    /// Whether it may still be UTF-8.
    fn feed(&mut self, mut piece: &[u8]) -> bool {
        while self.len > 0 {
            let Some((byte, rest)) = piece.split_first() else { return true };
            self.held[self.len] = *byte;
            self.len += 1;
            piece = rest;
            match std::str::from_utf8(&self.held[..self.len]) {
                Ok(_) => self.len = 0,
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return false,
            }
        }
        match std::str::from_utf8(piece) {
            Ok(_) => true,
            Err(error) if error.error_len().is_none() => {
                let tail = &piece[error.valid_up_to()..];
                self.held[..tail.len()].copy_from_slice(tail);
                self.len = tail.len();
                true
            }
            Err(_) => false,
        }
    }
}

/// Masks, or unmasks, a piece of a payload that begins `at` bytes into it (section 5.3).
pub fn mask(piece: &mut [u8], mut key: [u8; 4], at: usize) {
    if key == [0; 4] {
        return;
    }
    key.rotate_left(at % 4);
    let word = u128::from_ne_bytes(std::array::from_fn(|index| key[index % 4]));
    let (words, rest) = piece.as_chunks_mut::<16>();
    words.iter_mut().for_each(|bytes| *bytes = (u128::from_ne_bytes(*bytes) ^ word).to_ne_bytes());
    rest.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
}

/// Appends the header of a frame that is a message of its own, or a control frame; the caller masks and appends the payload.
pub fn put_header(out: &mut Vec<u8>, opcode: u8, length: usize, key: Option<[u8; 4]>) {
    let masked = if key.is_some() { 0x80 } else { 0 };
    out.push(0x80 | opcode);
    match length {
        0..126 => out.push(masked | length as u8),
        126..0x1_0000 => {
            out.push(masked | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(masked | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&key.unwrap_or_default()[..if key.is_some() { 4 } else { 0 }]);
}

/// Appends a whole frame.
pub fn put(out: &mut Vec<u8>, opcode: u8, payload: &[u8], key: Option<[u8; 4]>) {
    put_header(out, opcode, payload.len(), key);
    let from = out.len();
    out.extend_from_slice(payload);
    mask(&mut out[from..], key.unwrap_or_default(), 0);
}

/// The payload of a Close frame; nothing for 1005.
pub fn close_payload(code: u16, why: &str) -> Vec<u8> {
    match code {
        1005 => Vec::new(),
        code => [&code.to_be_bytes(), why.as_bytes()].concat(),
    }
}

#[cfg(test)]
mod tests;
