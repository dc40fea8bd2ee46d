//! How a request is carried out: deadlines, limits, redirects, login, decoding. No I/O.

use std::sync::Arc;
use std::time::Duration;

use crate::connect::Connector;
use crate::error::{Error, Result, Status};
use crate::io::deadline::ChosenDuration;
use crate::message::RequestHead;
use crate::message::credentials::Login;
use crate::message::decode::ACCEPTED;

/// A timer takes no longer duration.
const FOR_EVER: Duration = Duration::from_secs(1 << 32);

#[derive(Clone)]
pub struct RequestOptions {
    pub deadlines: Deadlines,
    /// Accept content codings, and decode them.
    pub decode: bool,
    /// Most bytes of a response body, decoded; beyond that the exchange fails.
    pub max_body: u64,
    pub head: HeadLimits,
    /// The body is delivered in one piece.
    pub buffered: bool,
    /// Ask with `Expect: 100-continue`, and send the body after this time if there is no answer.
    pub expect: Option<Duration>,
    /// How many redirects may be followed.
    pub redirects: u32,
    /// A redirect may lead away from an origin that was attested.
    pub may_leave: bool,
    /// A redirect may lead from https: to http:.
    pub may_downgrade: bool,
    pub login: Option<Login>,
    /// Replaces the client's own.
    pub connector: Option<Arc<Connector>>,
}

impl RequestOptions {
    /// How long a body waits for the answer to `Expect: 100-continue`.
    pub const EXPECT: Duration = Duration::from_secs(1);

    /// Asks with `Expect: 100-continue`; `None` waits for the answer however long it takes.
    pub fn expect_continue(&mut self, wait: Option<Duration>) {
        self.expect = Some(wait.unwrap_or(FOR_EVER));
    }

    /// Adds the header fields that these options need.
    pub fn complete(&self, request: &mut Arc<RequestHead>, length: Option<u64>) {
        if self.decode {
            let request = Arc::make_mut(request);
            request.remove(&["accept-encoding"]);
            request.add("Accept-Encoding", ACCEPTED);
        }
        if self.expect.is_some() && length != Some(0) {
            let request = Arc::make_mut(request);
            request.remove(&["expect"]);
            request.add("Expect", "100-continue");
        }
    }
}

impl Default for RequestOptions {
    fn default() -> Self {
        RequestOptions {
            deadlines: Deadlines::default(),
            decode: false,
            max_body: u64::MAX,
            head: HeadLimits::default(),
            buffered: false,
            expect: None,
            redirects: 5,
            may_leave: false,
            may_downgrade: false,
            login: None,
            connector: None,
        }
    }
}

/// What a response may have before its body.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes of each head, and of all informational heads of an exchange.
    pub bytes: usize,
    pub lines: usize,
    /// Informational heads.
    pub informational: u32,
}

impl HeadLimits {
    /// What a connection can take.
    pub const MOST: HeadLimits = HeadLimits { bytes: 256 << 10, lines: 256, informational: u32::MAX };

    /// As a caller chooses them; 0 is the default of each. Errors: InvalidArgument (more than a connection can take).
    pub fn chosen(bytes: u32, lines: u32, informational: u32) -> Result<HeadLimits> {
        let (default, most) = (HeadLimits::default(), HeadLimits::MOST);
        let chosen = |what, given: u32, default: usize, most: usize| match given as usize {
            0 => Ok(default),
            some if some <= most => Ok(some),
            more => Err(Error::new(Status::InvalidArgument, format!("{what} is {more}, above its maximum of {most}"))),
        };
        Ok(HeadLimits {
            bytes: chosen("bytes", bytes, default.bytes, most.bytes)?,
            lines: chosen("fields", lines, default.lines, most.lines)?,
            informational: if informational == 0 { default.informational } else { informational },
        })
    }
}

impl Default for HeadLimits {
    fn default() -> Self {
        HeadLimits { informational: 64, ..HeadLimits::MOST }
    }
}

/// `None` is no deadline.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// From the call to the response head, redirects and all.
    pub head: Option<Duration>,
    /// Waiting for a turn.
    pub queue: Option<Duration>,
    /// From dialling to the end of TLS and the evidence exchange.
    pub connect: Option<Duration>,
    /// From sending the request to its response head, each time.
    pub first_byte: Option<Duration>,
    /// Between pieces of the body.
    pub idle: Option<Duration>,
    /// From the call to the end of the body.
    pub total: Option<Duration>,
}

/// A deadline of a request that a host may choose.
#[derive(Clone, Copy, Debug)]
pub enum RequestDeadline {
    Head,
    Queue,
    Connect,
    FirstByte,
    Idle,
    Total,
}

impl Deadlines {
    /// Default of `head`.
    pub const HEAD: Duration = Duration::from_secs(60);

    pub fn set(&mut self, which: RequestDeadline, chosen: ChosenDuration) {
        let default = Deadlines::default();
        match which {
            RequestDeadline::Head => self.head = chosen.or(default.head),
            RequestDeadline::Queue => self.queue = chosen.or(default.queue),
            RequestDeadline::Connect => self.connect = chosen.or(default.connect),
            RequestDeadline::FirstByte => self.first_byte = chosen.or(default.first_byte),
            RequestDeadline::Idle => self.idle = chosen.or(default.idle),
            RequestDeadline::Total => self.total = chosen.or(default.total),
        }
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        Deadlines { head: Some(Deadlines::HEAD), queue: None, connect: None, first_byte: None, idle: None, total: None }
    }
}
