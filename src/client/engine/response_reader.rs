//! Reads responses with the state machine of `h1`, beside hyper and before it: so both of the library's engines agree on what a message is. No I/O.

use super::faults::refused;
use super::head_judge::{HeadJudge, checked};
use crate::client::request_options::HeadLimits;
use crate::error::Result;
use crate::h1::{Connection, EventKind, FieldFacts, Framing, Role};
use crate::message::ReceivedHead;

/// Bytes that are read at a time: heads and chunk sizes are short, and the bytes of a body are skipped.
const PIECE: usize = 1 << 10;

/// Reads the response to one request, and the informational ones before it.
pub struct ResponseReader {
    conn: Connection,
    judge: HeadJudge,
    over: bool,
    /// Bytes after the response that came together with its end.
    left_over: usize,
}

impl ResponseReader {
    /// `request` is the head of the request. Errors: those of `h1` for a request that cannot be sent.
    pub fn new(request: &[u8], limits: HeadLimits) -> Result<ResponseReader> {
        let mut conn = Connection::new(Role::Client, HeadJudge::rules(&limits));
        let method = request.split(|byte| *byte == b' ').next().unwrap_or_default();
        // The exchange checks whether a switch of protocols was asked for.
        let facts = FieldFacts::of_request(Framing::UntilClose, false, true);
        conn.note_request(method, facts).map_err(|error| refused(&error))?;
        conn.send_end_of_message(std::iter::empty()).map_err(|error| refused(&error))?;
        Ok(ResponseReader { conn, judge: HeadJudge::new(limits), over: false, left_over: 0 })
    }

    /// Whether there is nothing more to read.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Takes more bytes of the response, or of what follows it. Calls `found` with each head, as it is spelled. Errors: HttpProtocol, for good.
    pub fn read(&mut self, mut came: &[u8], mut found: impl FnMut(ReceivedHead)) -> Result<()> {
        while !self.over && !came.is_empty() {
            came = &came[self.conn.pass_over(came)..];
            let (piece, rest) = came.split_at(came.len().min(PIECE));
            came = rest;
            self.conn.receive(piece);
            self.read_events(&mut found).inspect_err(|_| self.over = true)?;
        }
        if self.over {
            self.left_over = self.conn.trailing_data().0.len() + came.len();
        }
        Ok(())
    }

    /// How many bytes that nobody asked for came with the end of the response.
    pub fn left_over(&self) -> usize {
        self.left_over
    }

    fn read_events(&mut self, found: &mut impl FnMut(ReceivedHead)) -> Result<()> {
        loop {
            let before = self.conn.trailing_data().0.len();
            let event = self.conn.next_event().map_err(|error| self.judge.refusal(&error))?;
            let kind = event.kind;
            let head = match event.kind {
                EventKind::NeedData if self.judge.final_head_seen() => return Ok(()),
                EventKind::NeedData => return HeadJudge::may_become_a_head(self.conn.trailing_data().0),
                EventKind::Data => continue,
                EventKind::InformationalResponse | EventKind::Response => checked(&event)?,
                _ => {
                    self.over = true;
                    return Ok(());
                }
            };
            self.judge.count(kind, &head, before - self.conn.trailing_data().0.len())?;
            found(head);
        }
    }

    /// Whether the final head has arrived, or its first bytes have: they show a status of 200 or more.
    pub fn final_head_has_begun(&self) -> bool {
        self.judge.final_head_has_begun(self.conn.trailing_data().0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Detail;

    /// What the reader makes of a response that arrives in pieces of any size: the heads, the detail of a refusal, whether it is over.
    fn read(request: &str, response: &[u8], limits: HeadLimits) -> (Vec<ReceivedHead>, Option<Detail>, bool) {
        let mut all = Vec::new();
        for piece in [1, 3, 5000] {
            let mut reader = ResponseReader::new(request.as_bytes(), limits).unwrap();
            let mut heads = Vec::new();
            let fault = response.chunks(piece).find_map(|came| reader.read(came, |head| heads.push(head)).err());
            all.push((heads, fault.map(|fault| fault.detail), reader.is_over()));
        }
        let shown = |(heads, fault, over): &(Vec<ReceivedHead>, _, _)| format!("{heads:?} {fault:?} {over}");
        assert!(all.iter().all(|one| shown(one) == shown(&all[0])), "{}: {all:?}", response.escape_ascii());
        all.swap_remove(0)
    }

    #[test]
    fn it_reads_as_far_as_the_response_goes() {
        let judged = |request: &str, response: &str| {
            let (_, fault, over) = read(request, response.as_bytes(), HeadLimits::default());
            (fault, over)
        };
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let long = format!("HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n{}", "x".repeat(9000));
        let early = "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
        assert_eq!(judged("GET ", early), (None, true));
        assert_eq!(judged("GET ", &long), (None, true));
        assert_eq!(judged("GET ", &format!("{long} and what is nobody's")), (None, true));
        assert_eq!(judged("GET ", &long[..8000]), (None, false));
        assert_eq!(judged("HEAD ", chunked), (None, true));
        assert_eq!(judged("GET ", &format!("{chunked}1388\r\n{}\r\n0\r\n\r\n", "x".repeat(5000))), (None, true));
        assert_eq!(judged("GET ", &format!("{chunked}5\r\nhello\n")), (Some(Detail::BadChunk), true));
        let old = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(judged("GET ", old), (Some(Detail::BadTransferEncoding), true));
        assert_eq!(judged("GET ", "HTTP/1.1 101 Switching\r\n\r\n"), (None, true));
        assert_eq!(judged("GET ", "SSH-2.0-"), (Some(Detail::BadStartLine), true));
        assert_eq!(judged("GET ", "HTTP/1.1 103 Early\r\n\r\nHTT0"), (Some(Detail::BadStartLine), true));
        assert_eq!(judged("GET ", &format!("{chunked}5\r\nhel")), (None, false));
    }

    #[test]
    fn heads_come_as_they_are_spelled() {
        let response = b"HTTP/1.1 103 \xe9\r\nlInK:  a\t\r\n b \r\nLink: c\r\n\r\nHTTP/1.0 200\nContent-LENGTH: 1, 1\ncontent-length: 1\nX:\r\n\r\n!";
        let (heads, fault, over) = read("GET ", response, HeadLimits::default());
        assert_eq!((heads.len(), fault, over), (2, None, true));
        let shown = |head: &ReceivedHead| {
            let lines: Vec<_> = head.lines().map(|(name, value)| [name, b"=", value].concat()).collect();
            let start = format!("{} 1.{} {}", head.status, head.minor_version, head.reason().escape_ascii());
            (start, lines.join(&b"|"[..]).escape_ascii().to_string())
        };
        assert_eq!(shown(&heads[0]), (r"103 1.1 \xe9\x00".into(), r"lInK=a\t b|Link=c".into()));
        assert_eq!(shown(&heads[1]), (r"200 1.0 \x00".into(), "Content-LENGTH=1, 1|content-length=1|X=".into()));
        let coded = b"HTTP/1.1 200 OK\r\nTRANSFER-encoding: ChunkED\r\n\r\n0\r\n\r\n";
        let (heads, ..) = read("GET ", coded, HeadLimits::default());
        assert_eq!(shown(&heads[0]).1, "TRANSFER-encoding=ChunkED");
    }

    #[test]
    fn limits_hold_for_each_head_and_for_informational_ones_together() {
        let fault = |response: &str, limits: HeadLimits| read("GET ", response.as_bytes(), limits).1;
        let (hint, end) = ("HTTP/1.1 103 Early\r\nA: b\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let limits = HeadLimits { bytes: end.len(), lines: 1, informational: 1 };
        assert_eq!(fault(&format!("{hint}{end}"), limits), None);
        assert_eq!(fault(&format!("{hint}{hint}{end}"), limits), Some(Detail::TooManyInformational));
        let many = HeadLimits { informational: u32::MAX, ..limits };
        assert_eq!(fault(&format!("{hint}{hint}{end}"), many), Some(Detail::TooManyInformational));
        let short = HeadLimits { bytes: end.len() - 1, ..limits };
        assert_eq!(fault(end, short), Some(Detail::HeadTooLarge));
        assert_eq!(fault(&end.replace("\r\n\r\n", "\r\nB: c\r\n\r\n"), HeadLimits::default()), None);
        assert_eq!(fault("HTTP/1.1 200 OK\r\nA: b\r\nB: c\r\n\r\n", limits), Some(Detail::HeadTooLarge));
    }

    #[test]
    fn no_body_is_announced_where_there_can_be_none() {
        for status in [100, 103, 204] {
            let fault = |field: &str| {
                let response = format!("HTTP/1.1 {status} X\r\n{field}\r\n\r\n");
                read("GET ", response.as_bytes(), HeadLimits::default()).1
            };
            assert_eq!(fault("Content-Length: 0"), None);
            assert_eq!(fault("Content-Length: 10"), Some(Detail::UnexpectedBody));
            assert_eq!(fault("transfer-encoding: chunked"), Some(Detail::UnexpectedBody));
        }
    }

    #[test]
    fn a_final_head_shows_by_its_first_bytes() {
        let begun = |came: &str| {
            let mut reader = ResponseReader::new(b"GET ", HeadLimits::default()).unwrap();
            reader.read(came.as_bytes(), |_| ()).unwrap();
            reader.final_head_has_begun()
        };
        for (came, wanted) in [
            ("", false),
            ("HTTP/1.1 1", false),
            ("HTTP/1.1 103 X\r\n\r\nHTTP/1.1 ", false),
            ("HTTP/1.1 103 X\r\n\r\nHTTP/1.1 4", true),
            ("HTTP/1.0 2", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true),
        ] {
            assert_eq!(begun(came), wanted, "{came}");
        }
    }
}
