//! The settings of a driver, and which values a host may choose for them. Pure.

use std::time::Duration;

use crate::error::{Error, Result, Status};
use crate::h1::{Role, Rules};
use crate::io::deadline::ChosenDuration;

#[derive(Clone, Debug)]
pub struct DriverSettings {
    pub role: Role,
    /// Leniency, as bits of `h1::flags`.
    pub flags: u32,
    /// Bytes of a head, and its header fields.
    pub head: usize,
    pub fields: usize,
    /// Most bytes of a body in one event.
    pub piece: usize,
    /// Most bytes of a received body.
    pub body: u64,
    /// Deadline for a whole head, from when it is due.
    pub head_within: Option<Duration>,
    /// Deadline for a whole body, from its head.
    pub body_within: Option<Duration>,
    /// After this long without traffic TCP probes whether the peer is there.
    pub probe: Option<Duration>,
    pub keep_alive: bool,
    /// Bodies are decoded as their Content-Encoding says.
    pub decode: bool,
    pub credit: u64,
    pub automatic_credit: bool,
}

impl DriverSettings {
    /// The defaults.
    pub fn new(role: Role) -> DriverSettings {
        DriverSettings {
            role,
            flags: 0,
            head: 64 << 10,
            fields: Rules::MAX_FIELDS,
            piece: 64 << 10,
            body: 100 << 20,
            head_within: None,
            body_within: None,
            probe: Some(Duration::from_secs(15)),
            keep_alive: true,
            decode: false,
            credit: 256 << 10,
            automatic_credit: true,
        }
    }

    /// Errors: InvalidArgument (0, which only a body may have, or, except for a body, more than 2^30).
    pub fn set_limit(&mut self, which: DriverLimit, value: u64) -> Result<()> {
        let size = usize::try_from(value).ok().filter(|size| (1..=1 << 30).contains(size));
        let size = size.ok_or_else(|| Error::new(Status::InvalidArgument, format!("{value} is out of range")));
        match which {
            DriverLimit::HeadBytes => self.head = size?,
            DriverLimit::DataBytes => self.piece = size?,
            DriverLimit::BodyBytes => self.body = value,
            DriverLimit::HeaderFields => self.fields = size?,
        }
        Ok(())
    }

    pub fn set_deadline(&mut self, which: DriverDeadline, chosen: ChosenDuration) {
        let default = DriverSettings::new(self.role);
        match which {
            DriverDeadline::Head => self.head_within = chosen.or(default.head_within),
            DriverDeadline::Body => self.body_within = chosen.or(default.body_within),
            DriverDeadline::TcpKeepalive => self.probe = chosen.in_seconds().or(default.probe),
        }
    }

    /// Whether this connection may be opened from here. Errors: InvalidState (a server's).
    pub fn check_connects(&self) -> Result<()> {
        match self.role {
            Role::Client => Ok(()),
            Role::Server => Err(Error::new(Status::InvalidState, "a server does not connect")),
        }
    }
}

/// A limit that a host may choose.
#[derive(Clone, Copy, Debug)]
pub enum DriverLimit {
    HeadBytes,
    DataBytes,
    BodyBytes,
    HeaderFields,
}

/// A deadline that a host may choose.
#[derive(Clone, Copy, Debug)]
pub enum DriverDeadline {
    Head,
    Body,
    TcpKeepalive,
}
