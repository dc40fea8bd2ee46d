//! Reads the body of a message as it arrives: within a limit, decoded if asked for, and delivered no faster than there is credit. Pure.

use bytes::Bytes;

use super::ReceivedHead;
use super::decode::Decoder;
use crate::error::{Error, Phase, Result, Status};
use crate::h1::{Connection, EventKind, ProtocolError};

/// A body that is being received.
#[derive(Default)]
pub struct BodyReader {
    /// Bytes that the host has no credit for yet.
    pending: Bytes,
    decoder: Option<Decoder>,
    limit: u64,
    /// How many bytes may still arrive, encoded and decoded.
    left: (u64, u64),
    /// The end has arrived, with these trailers.
    end: Option<Option<ReceivedHead>>,
    /// More has arrived than the limit allows.
    excess: bool,
}

/// What the host gets next.
pub enum BodyStep {
    /// There are bytes to take.
    Bytes,
    End(Option<ReceivedHead>),
    /// Nothing, until more arrives.
    Nothing,
}

impl BodyReader {
    /// For a body of at most `limit` bytes; `head` is that of the message whose body is to be decoded. Errors: ContentCoding, with 415.
    pub fn new(limit: u64, head: Option<&ReceivedHead>) -> Result<BodyReader> {
        let decoder = head.map_or(Ok(None), |head| Decoder::new(head.all("content-encoding")));
        let decoder = decoder.map_err(|error| error.http_status(415))?;
        Ok(BodyReader { decoder, limit, left: (limit, limit), ..BodyReader::default() })
    }

    /// Changes the limit, which includes what has arrived already.
    pub fn set_limit(&mut self, limit: u64) {
        let used = (self.limit - self.left.0, self.limit - self.left.1);
        self.left = (limit.saturating_sub(used.0), limit.saturating_sub(used.1));
        // If it is exceeded already, the next byte is too much.
        self.limit = limit.max(used.0).max(used.1);
    }

    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Whether so many bytes more are within the limit.
    pub fn takes(&self, count: usize) -> bool {
        count as u64 <= self.left.0
    }

    /// Takes some of the body, still encoded. Everything before must have been taken out. Errors: BodyTooLarge.
    pub fn push(&mut self, data: Bytes) -> Result<()> {
        self.left.0 = self.less(self.left.0, &data)?;
        match &mut self.decoder {
            Some(decoder) => decoder.push(data),
            None => self.pending = data,
        }
        Ok(())
    }

    /// Takes some of the body, or its end, from `gather`. In whatever pieces it arrives, what is within the limit is delivered first, and then `proceed` fails for
    /// what is beyond it. Errors: as `push`.
    pub fn take_in(&mut self, mut gathered: GatheredBody) -> Result<()> {
        if !self.takes(gathered.data.len()) {
            gathered.data.truncate(usize::try_from(self.left.0).unwrap_or(usize::MAX));
            self.excess = true;
        }
        if !gathered.data.is_empty() {
            self.push(gathered.data)?;
        }
        if gathered.kind == EventKind::EndOfMessage {
            self.end(gathered.trailers);
        }
        Ok(())
    }

    /// The end of the body.
    pub fn end(&mut self, trailers: Option<ReceivedHead>) {
        self.decoder.iter_mut().for_each(Decoder::end);
        self.end = Some(trailers);
    }

    /// What is next. Errors: BodyTooLarge; ContentCoding and Truncated, with 400.
    pub fn proceed(&mut self) -> Result<BodyStep> {
        if self.pending.is_empty()
            && let Some(decoder) = &mut self.decoder
            && let Some(data) = decoder.take().map_err(|error| error.http_status(400))?
        {
            self.left.1 = self.less(self.left.1, &data)?;
            self.pending = data;
        }
        if self.waits() {
            return Ok(BodyStep::Bytes);
        }
        if self.excess {
            return Err(too_large(self.limit));
        }
        Ok(self.end.take().map_or(BodyStep::Nothing, BodyStep::End))
    }

    /// Whether there are bytes to take.
    pub fn waits(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Takes up to `most` of them.
    pub fn take(&mut self, most: usize) -> Bytes {
        self.pending.split_to(self.pending.len().min(most))
    }

    fn less(&self, left: u64, data: &Bytes) -> Result<u64> {
        left.checked_sub(data.len() as u64).ok_or_else(|| too_large(self.limit))
    }
}

/// What `gather` has found of a body.
pub struct GatheredBody {
    /// What came last: Data if there may be more, EndOfMessage, or another event if there was nothing of a body.
    pub kind: EventKind,
    pub data: Bytes,
    pub trailers: Option<ReceivedHead>,
}

/// Takes what `conn` has received of a body (`Connection::take_body`), and its trailers at the end.
pub fn gather(conn: &mut Connection, most: usize) -> std::result::Result<GatheredBody, ProtocolError> {
    let (data, event) = conn.take_body(most)?;
    let fields = event.fields.iter().filter(|_| event.kind == EventKind::EndOfMessage);
    let trailers = ReceivedHead::trailers(fields.map(|(_, name, value)| (name, value)));
    Ok(GatheredBody { kind: event.kind, data, trailers })
}

/// A body beyond its limit.
pub fn too_large(limit: u64) -> Error {
    Error::new(Status::BodyTooLarge, format!("the body is larger than {limit} bytes")).phase(Phase::Transfer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(reader: &mut BodyReader, most: usize) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        while let BodyStep::Bytes = reader.proceed()? {
            let piece = reader.take(most);
            assert!(!piece.is_empty() && piece.len() <= most);
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    #[test]
    fn a_body_is_told_in_pieces_and_ends_once() {
        let mut reader = BodyReader::new(10, None).unwrap();
        assert!(matches!(reader.proceed().unwrap(), BodyStep::Nothing));
        reader.push(Bytes::from_static(b"0123456")).unwrap();
        assert_eq!(told(&mut reader, 3).unwrap(), b"0123456");
        reader.push(Bytes::from_static(b"789")).unwrap();
        reader.end(None);
        assert_eq!(told(&mut reader, 100).unwrap(), b"789");
        // `told` has taken the end.
        assert!(matches!(reader.proceed().unwrap(), BodyStep::Nothing));
        assert_eq!(reader.push(Bytes::from_static(b"x")).unwrap_err().status, Status::BodyTooLarge);
    }

    #[test]
    fn a_limit_that_changes_counts_what_has_come() {
        let mut reader = BodyReader::new(10, None).unwrap();
        reader.push(Bytes::from_static(b"0123456")).unwrap();
        told(&mut reader, 100).unwrap();
        reader.set_limit(8);
        assert!(reader.takes(1) && !reader.takes(2));
        reader.set_limit(3);
        assert!(!reader.takes(1));
        reader.set_limit(9);
        assert!(reader.takes(2) && !reader.takes(3));
        reader.push(Bytes::from_static(b"78")).unwrap();
        told(&mut reader, 100).unwrap();
        assert_eq!(reader.push(Bytes::from_static(b"9")).unwrap_err().status, Status::BodyTooLarge);
    }

    /// However a body is cut into chunks, and however they arrive: the same bytes, the same trailers or the same error.
    #[test]
    fn what_arrived_together_is_told_together_and_cuts_change_nothing() {
        let told = |wire: &[u8], limit: u64, piece: usize| {
            let mut conn = Connection::new(crate::h1::Role::Server, crate::h1::Rules::default());
            conn.receive(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            assert_eq!(conn.next_event().unwrap().kind, EventKind::Request);
            let (mut reader, mut all, mut events) = (BodyReader::new(limit, None).unwrap(), Vec::new(), 0);
            for part in wire.chunks(piece) {
                conn.receive(part);
                loop {
                    match reader.proceed() {
                        Err(error) => return (all, events, Some(error.status), false),
                        Ok(BodyStep::End(trailers)) => return (all, events, None, trailers.is_some()),
                        Ok(BodyStep::Bytes) => {
                            events += 1;
                            all.extend_from_slice(&reader.take(usize::MAX));
                            continue;
                        }
                        Ok(BodyStep::Nothing) => {}
                    }
                    let gathered = match gather(&mut conn, 64 << 10) {
                        Ok(gathered) => gathered,
                        Err(_) => return (all, events, Some(Status::HttpProtocol), false),
                    };
                    if gathered.kind == EventKind::NeedData {
                        break;
                    }
                    reader.take_in(gathered).unwrap();
                }
            }
            (all, events, Some(Status::Truncated), false)
        };
        let good = ["1\r\nx\r\n".repeat(2000), "0\r\nA: b\r\n\r\n".into()].concat();
        let bad = ["1\r\nx\r\n".repeat(2000), "g\r\n".into()].concat();
        let large = ["1388\r\n", &"x".repeat(5000), "\r\n"].concat().repeat(5) + "7\r\n1234567\r\n0\r\nA: b\r\n\r\n";
        for (wire, limit, length, status, trailers) in [
            (&large, 25007, 25007, None, true),
            (&large, 25006, 25006, Some(Status::BodyTooLarge), false),
            (&good, 2000, 2000, None, true),
            (&good, 1999, 1999, Some(Status::BodyTooLarge), false),
            (&good, 0, 0, Some(Status::BodyTooLarge), false),
            (&bad, 9999, 2000, Some(Status::HttpProtocol), false),
        ] {
            for piece in [1, 2, 7, 100, 4096, wire.len()] {
                let (all, events, failed, ended) = told(wire.as_bytes(), limit, piece);
                assert_eq!((all.len(), failed, ended), (length, status, trailers), "limit {limit}, pieces of {piece}");
                assert!(
                    events <= wire.len().div_ceil(piece) + wire.len() / 4096,
                    "{events} events for pieces of {piece}"
                );
            }
        }
    }

    #[test]
    fn the_limit_holds_for_what_is_decoded_too() {
        // 1,000 zeros, by gzip (RFC 1952).
        const ZEROS: &[u8] =
            b"\x1f\x8b\x08\0\0\0\0\0\x02\x03\x63\x60\x18\x05\xa3\x60\x14\x0c\x77\0\0\x80\x17\x0b\x06\xe8\x03\0\0";
        let coded = |coding: &[u8]| {
            let mut head = ReceivedHead::new(0, 1, b"");
            head.add(b"Content-Encoding", coding);
            head
        };
        let read = |limit: u64, wire: &'static [u8]| {
            let mut reader = BodyReader::new(limit, Some(&coded(b"gzip"))).unwrap();
            reader.push(Bytes::from_static(wire))?;
            reader.end(None);
            told(&mut reader, 100)
        };
        assert_eq!(read(1000, ZEROS).unwrap(), [0; 1000]);
        for limit in [999, ZEROS.len() as u64 - 1] {
            assert_eq!(read(limit, ZEROS).unwrap_err().status, Status::BodyTooLarge);
        }
        let cut = read(5000, &ZEROS[..ZEROS.len() - 1]).unwrap_err();
        assert_eq!((cut.status, cut.http_status), (Status::Truncated, 400));
        assert_eq!(BodyReader::new(1, Some(&coded(b"rot13"))).err().map(|error| error.http_status), Some(415));
    }
}
