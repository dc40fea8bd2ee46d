//! The state machine of `h1` beside hyper: it reads the same bytes of a response, and what it refuses is refused, so that both of the library's engines agree
//! on what a message is. No I/O.

use crate::client::options::HeadLimits;
use crate::h1::{Connection, EventKind, ProtocolError, Role, Rules, flags};

/// The leniency that RFC 9112 allows a recipient, in sections 2.2 and 6.3.
const BEARS_WITH: u32 = flags::ALLOW_BARE_LF | flags::MERGE_EQUAL_CONTENT_LENGTH;
/// Bytes that are judged at a time: heads and chunk sizes are short, and the bytes of a body are skipped.
const PIECE: usize = 1 << 10;

/// Of one response.
pub struct Judge {
    conn: Connection,
    in_body: bool,
    over: bool,
}

/// What is wrong, and whether with the body.
pub struct Fault {
    pub error: ProtocolError,
    pub in_body: bool,
}

impl Judge {
    /// `request` is the head of what is answered.
    pub fn new(request: &[u8], limits: &HeadLimits) -> Judge {
        let rules = Rules { flags: BEARS_WITH, max_incomplete: limits.bytes, max_fields: limits.lines };
        let mut conn = Connection::new(Role::Client, rules);
        let method = request.split(|byte| *byte == b' ').next().unwrap_or_default();
        // Whether a switch of protocol was asked for is checked elsewhere.
        let lines = [(&b"Host"[..], &b"a"[..]), (b"Connection", b"upgrade"), (b"Upgrade", b"any")];
        let asked = conn.send_request(method, b"/", lines.into_iter()).is_ok()
            && conn.send_end_of_message(std::iter::empty()).is_ok();
        Judge { conn, in_body: false, over: !asked }
    }

    /// Whether there is nothing more to judge.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Some more of the response, or what comes behind it.
    pub fn see(&mut self, mut came: &[u8]) -> Result<(), Fault> {
        while !self.over && !came.is_empty() {
            came = &came[self.conn.pass_over(came)..];
            let (piece, rest) = came.split_at(came.len().min(PIECE));
            came = rest;
            self.conn.receive(piece);
            self.read()?;
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), Fault> {
        loop {
            match self.conn.next_event().map(|event| event.kind) {
                Ok(EventKind::NeedData) => return Ok(()),
                Ok(EventKind::InformationalResponse | EventKind::Data) => {}
                Ok(EventKind::Response) => self.in_body = true,
                Ok(_) => {
                    self.over = true;
                    return Ok(());
                }
                Err(error) => {
                    self.over = true;
                    return Err(Fault { error, in_body: self.in_body });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_as_far_as_the_response_goes() {
        let judged = |request: &str, response: &str| {
            let mut verdicts = Vec::new();
            for piece in [1, 3, 5000] {
                let mut judge = Judge::new(request.as_bytes(), &HeadLimits::default());
                let fault = response.as_bytes().chunks(piece).find_map(|came| judge.see(came).err());
                verdicts.push((fault.map(|fault| (fault.in_body, fault.error.hint)), judge.over));
            }
            assert!(verdicts.iter().all(|verdict| *verdict == verdicts[0]), "{response}: {verdicts:?}");
            verdicts[0]
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
        assert_eq!(judged("GET ", &format!("{chunked}5\r\nhello\n")), (Some((true, 400)), true));
        assert_eq!(judged("GET ", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), (Some((false, 400)), true));
        assert_eq!(judged("GET ", "HTTP/1.1 101 Switching\r\n\r\n"), (None, true));
    }
}
