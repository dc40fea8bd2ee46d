//! The wire of one connection and the machine of `h1` that speaks on it: what is to be sent, and what has been read. Whoever polls it drives it; every write that
//! precedes a wait is flushed. Touches the connection that it is given.

mod driver;

use std::collections::VecDeque;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncReadExt, AsyncWrite};

use super::faults::{cut, io_error};
use super::head_judge::{HeadJudge, checked};
use super::request_writer::RequestWriter;
use super::{Came, Outgoing, Piece};
use crate::connect::ConnectedStream;
use crate::error::{Detail, Error, Phase, Result, Status};
use crate::h1::{Connection, EventKind, Role, Rules, State};
use crate::io::SocketWatch;
use crate::message::ReceivedHead;

/// Bytes that each of the machine's buffers keeps between exchanges.
const IDLE: usize = 1 << 10;
/// Bytes that are read at a time: first, and then while a body fills them.
const FIRST: usize = 2 << 10;
const READ: usize = 16 << 10;
const MOST: usize = 256 << 10;
/// Pieces of a body that are shorter are joined, up to this many bytes.
const JOINED: usize = 16 << 10;
/// Most bytes of a request that are written before the next check for an answer, so that a fast writer does not miss one.
const BURST: usize = 64 << 10;
/// Most bytes that are offered to the socket at once: it might take megabytes.
const OFFER: usize = 256 << 10;

const UNANSWERED: &str = "the connection was closed before the response was complete";

pub struct H1Wire {
    /// Until the connection ends.
    stream: Option<ConnectedStream>,
    conn: Connection,
    watch: Arc<SocketWatch>,
    /// The end of the stream is authenticated: the other side has sent close_notify.
    true_end: bool,
    /// No exchange is under way.
    pub resting: bool,
    judge: HeadJudge,
    writer: RequestWriter,
    /// TLS may still hold some of what was written.
    unflushed: bool,
    /// Bytes written since the last that were read; and sending waits for the exchange to read.
    burst: usize,
    must_read: bool,
    /// Whether the final head arrived before all of the request was sent; `None` until it arrives.
    early: Option<bool>,
    /// Sending failed. Nothing more is sent, and what the server sent before it closed is read.
    broken: Option<Error>,
    /// The exchange cannot go on.
    fault: Option<Error>,
    /// The end of the response, which came with the bytes that were handed on last.
    end: Option<Piece>,
    read_size: usize,
    /// Something has come since the request began.
    pub heard: bool,
    /// Bytes that came after the last response.
    pub unasked: usize,
    /// The driver sends the rest of the request, since it may have to wait for more of it while nobody waits for the response.
    driven: bool,
    /// The exchange waits to read, and for nothing else; the driver and `close` wake it too.
    reader: Option<Waker>,
    /// Heads that the driver has read while the exchange was busy with others: as many as the limits of heads allow.
    ahead: VecDeque<Came>,
    driver: Option<Waker>,
}

impl H1Wire {
    pub fn new(stream: ConnectedStream, watch: Arc<SocketWatch>) -> H1Wire {
        H1Wire {
            true_end: !matches!(stream, ConnectedStream::Plain(_)),
            stream: Some(stream),
            conn: Connection::new(Role::Client, Rules::default()),
            watch,
            resting: true,
            judge: HeadJudge::default(),
            writer: RequestWriter::default(),
            unflushed: false,
            burst: 0,
            must_read: false,
            early: None,
            broken: None,
            fault: None,
            end: None,
            read_size: FIRST,
            heard: false,
            unasked: 0,
            driven: false,
            reader: None,
            ahead: VecDeque::new(),
            driver: None,
        }
    }

    pub fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// Nothing is sent before the first poll. Errors: Closed, with NotProcessed if the connection has ended; and those of a request that cannot be sent.
    pub fn begin(&mut self, outgoing: Outgoing<'_>) -> Result<()> {
        let Outgoing { request, head, body, limits } = outgoing;
        if self.resting {
            // What has come meanwhile is no answer to this request. The exchange waits to read next, in place of the driver.
            self.poll_rest(&mut Context::from_waker(Waker::noop()));
        }
        match self.resting {
            true => {}
            false if self.is_open() => return Err(closed()),
            false => return Err(closed().detail(Detail::NotProcessed)),
        }
        *self.conn.rules_mut() = HeadJudge::rules(&limits);
        self.writer = match RequestWriter::begin(&mut self.conn, request, head, body) {
            Ok(writer) => writer,
            Err(error) => {
                self.close();
                return Err(error);
            }
        };
        (self.judge, self.early) = (HeadJudge::new(limits), None);
        self.ahead.clear();
        (self.read_size, self.burst, self.unasked) = (FIRST, 0, 0);
        (self.resting, self.heard) = (false, false);
        Ok(())
    }

    /// Whether some of the request is still here, or in TLS.
    fn is_unsent(&self) -> bool {
        self.writer.has_more() || self.unflushed
    }

    /// Sends what can be sent now, and flushes. Errors: the body's, those of the connection. A server that has closed may have answered before: so that is none
    /// until everything has been read.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<()> {
        // What the socket did not take has waited: the trust in the server may have ended meanwhile.
        if self.unflushed && self.writer.poll_trust(cx)?.is_pending() {
            self.must_read = false;
            return Ok(());
        }
        loop {
            self.writer.fill(&mut self.conn, cx)?;
            self.must_read = !self.writer.next().is_empty() && self.something_came();
            let next = self.writer.next();
            if next.is_empty() || self.must_read {
                break;
            }
            let Some(stream) = &mut self.stream else { return Err(closed()) };
            match Pin::new(stream).poll_write(cx, &next[..next.len().min(OFFER)]) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return self.sending_failed(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    self.unflushed = true;
                    self.burst += count;
                    self.writer.wrote(count);
                }
                Poll::Ready(Err(error)) => return self.sending_failed(error),
            }
        }
        let Some(stream) = self.stream.as_mut().filter(|_| self.unflushed) else { return Ok(()) };
        match Pin::new(stream).poll_flush(cx) {
            Poll::Ready(Err(error)) => return self.sending_failed(error),
            done => self.unflushed = done.is_pending(),
        }
        Ok(())
    }

    /// Whether something has arrived that must be read before more is sent. It will: until the final head is there, the exchange reads whatever arrives.
    fn something_came(&mut self) -> bool {
        let due = self.burst >= BURST && self.early.is_none();
        if due && self.watch.is_quiet() {
            self.burst = 0;
        }
        due && self.burst > 0
    }

    fn sending_failed(&mut self, error: io::Error) -> Result<()> {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
        if !matches!(error.kind(), BrokenPipe | ConnectionReset | ConnectionAborted) {
            return Err(io_error(&error));
        }
        self.broken = Some(Error::from_io(error, Phase::Transfer));
        self.send_no_more();
        Ok(())
    }

    fn send_no_more(&mut self) {
        // A body tells its writer when it is dropped.
        (self.writer, self.unflushed) = (RequestWriter::default(), false);
    }

    /// The next head of the response. An error ends the connection, as one of the body does.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Came>> {
        if let Some(came) = self.ahead.pop_front() {
            return Poll::Ready(Ok(came));
        }
        let came = ready!(self.poll_next_head(cx));
        Poll::Ready(came.inspect_err(|error| self.fail(error)))
    }

    fn poll_next_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Came>> {
        loop {
            ready!(self.poll_turn(cx))?;
            match self.next_came()? {
                Some(came) => return Poll::Ready(Ok(came)),
                None => ready!(self.poll_fill(cx))?,
            }
        }
    }

    /// The next of the heads that have been read; `None` if more must be read.
    fn next_came(&mut self) -> Result<Option<Came>> {
        let before = self.conn.trailing_data().0.len();
        let event = self.conn.next_event().map_err(|error| self.judge.refusal_or_cut(&error))?;
        let kind = event.kind;
        let head = match kind {
            EventKind::InformationalResponse | EventKind::Response => checked(&event)?,
            EventKind::NeedData => {
                self.note_early();
                HeadJudge::may_become_a_head(self.conn.trailing_data().0)?;
                return Ok(None);
            }
            _ => return Err(cut(UNANSWERED)),
        };
        let bytes = before - self.conn.trailing_data().0.len();
        self.judge.count(kind, &head, bytes)?;
        self.note_early();
        if self.judge.final_head_is_seen() {
            return Ok(Some(Came::Final(head)));
        }
        if head.status == 100 {
            self.writer.let_go();
        }
        Ok(Some(Came::Informational(head)))
    }

    /// Judged before anything more is sent: a moment later the rest of the request may have gone.
    fn note_early(&mut self) {
        if self.early.is_none() && self.judge.final_head_has_begun(self.conn.trailing_data().0) {
            self.early = Some(self.is_unsent());
            self.go_on_sending();
        }
    }

    /// The length that the final head announces for a body that is still to come.
    pub fn announced(&self) -> Option<u64> {
        match self.conn.their_state() {
            State::SendBody => self.conn.their_body_length(),
            _ => self.judge.final_head_is_seen().then_some(0),
        }
    }

    /// The next piece of the response's body. After its end the wire rests, or is closed.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece>> {
        let piece = ready!(self.poll_next_piece(cx));
        Poll::Ready(piece.inspect_err(|error| self.fail(error)))
    }

    fn poll_next_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece>> {
        loop {
            ready!(self.poll_turn(cx))?;
            if let Some(end) = self.end.take() {
                self.finish();
                return Poll::Ready(Ok(end));
            }
            let (data, event) = self.conn.take_body(JOINED).map_err(|error| self.judge.refusal_or_cut(&error))?;
            match event.kind {
                EventKind::Data => {}
                EventKind::EndOfMessage => {
                    let trailers = ReceivedHead::trailers(event.fields.as_spelled());
                    self.end = Some(trailers.map_or(Piece::End, Piece::Trailers));
                }
                EventKind::NeedData => ready!(self.poll_fill(cx))?,
                _ => return Poll::Ready(Err(cut(UNANSWERED))),
            }
            if !data.is_empty() {
                return Poll::Ready(Ok(Piece::Data(data)));
            }
        }
    }

    /// Whether there is a reason not to read on; otherwise sends first, or lets the driver do that.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.fault.is_none() && !self.driven && self.is_unsent() {
            self.fault = self.poll_send(cx).err();
            self.driven = self.is_unsent();
            if self.driven {
                self.wake_driver();
            }
        }
        Poll::Ready(match (&self.fault, &self.stream) {
            (Some(fault), _) => Err(fault.clone()),
            (None, None) => Err(closed()),
            (None, Some(_)) => Ok(()),
        })
    }

    /// Reads what has arrived, or waits for it.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let read = self.poll_more(cx);
        self.reader = read.is_pending().then(|| cx.waker().clone());
        read
    }

    /// Reads what has arrived, for whoever is to be woken.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Err(closed())) };
        let Poll::Ready(read) = pin!(stream.read_buf(self.conn.room(self.read_size))).poll(cx) else {
            self.go_on_sending();
            return Poll::Pending;
        };
        self.burst = 0;
        self.go_on_sending();
        let count = read.map_err(|error| io_error(&error))?;
        if count > 0 {
            self.heard = true;
            self.read_size = if count >= self.read_size { (self.read_size * 2).clamp(READ, MOST) } else { READ };
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = &self.broken
            && (!self.judge.final_head_is_seen() || !self.true_end)
        {
            // The error was seen when writing; what follows looks like a regular end.
            return Poll::Ready(Err(error.clone()));
        }
        self.conn.receive_eof();
        match self.conn.their_state() {
            State::SendResponse if self.conn.trailing_data().0.is_empty() => Poll::Ready(Err(cut(UNANSWERED))),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn go_on_sending(&mut self) {
        if std::mem::take(&mut self.must_read) {
            self.wake_driver();
        }
    }

    /// The response has been read to its end: the wire rests if another request can follow, and is closed if not. It cannot if the response came before all of
    /// the request had been sent: a server that answers early may never read the rest of it, nor what follows.
    fn finish(&mut self) {
        self.unasked = self.conn.trailing_data().0.len();
        let sent = self.early == Some(false) && self.broken.is_none() && self.fault.is_none() && !self.is_unsent();
        if !sent || self.conn.eof_received() || self.conn.start_next_cycle().is_err() {
            return self.close();
        }
        self.send_no_more();
        self.conn.rest(IDLE);
        (self.resting, self.driven, self.reader) = (true, false, None);
        // From now on it is the driver who is woken. What TLS holds already must be seen now, even if the driver has not run yet.
        let driver = self.driver.take();
        self.poll_rest(&mut Context::from_waker(driver.as_ref().unwrap_or(Waker::noop())));
        match self.is_open() {
            true => self.driver = driver,
            false => driver.into_iter().for_each(Waker::wake),
        }
    }

    /// Ends the connection, in order if nothing is under way. Whoever waits is woken.
    pub fn close(&mut self) {
        let orderly = self.fault.is_none() && !self.is_unsent() && self.conn.their_state() != State::SendBody;
        if let Some(mut stream) = self.stream.take()
            && orderly
        {
            // What the socket does not take at once is not waited for.
            let _ = Pin::new(&mut stream).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
        self.send_no_more();
        self.resting = false;
        self.reader.take().into_iter().chain(self.driver.take()).for_each(Waker::wake);
    }

    /// The exchange cannot go on, and no other can follow on a connection whose bytes are in doubt.
    fn fail(&mut self, error: &Error) {
        self.fault.get_or_insert_with(|| error.clone());
        self.close();
    }

    /// As `close`, and what was under way ends too.
    pub fn abandon(&mut self) {
        if !self.resting {
            self.fault.get_or_insert_with(closed);
        }
        self.ahead.clear();
        self.close();
    }
}

fn closed() -> Error {
    Error::new(Status::Closed, "the connection is closed")
}
