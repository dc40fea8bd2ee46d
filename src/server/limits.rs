//! Limits and deadlines of a server, and which values a host may choose for them. Pure.

use std::time::Duration;

use super::ServerSettings;
use crate::error::{Error, Result, Status};
use crate::io::deadline::ChosenDuration;

/// Limits and deadlines of a server; `None` for a deadline is none.
#[derive(Clone, Debug)]
pub struct ServerLimits {
    pub connections: usize,
    pub connections_per_address: usize,
    /// Bytes of a request head, and its header fields.
    pub head: usize,
    pub fields: usize,
    /// Bytes of a request body.
    pub body: u64,
    /// Most bytes of a body in one event.
    pub piece: usize,
    /// Deadline for the TLS handshake.
    pub handshake: Option<Duration>,
    /// Deadline for a request head, from its first byte.
    pub receive_head: Option<Duration>,
    /// How long a connection may wait for its next request.
    pub idle: Option<Duration>,
    /// Deadline for a whole request body.
    pub receive_body: Option<Duration>,
    /// How long the peer may take nothing of a response.
    pub send: Option<Duration>,
    /// After this long without traffic TCP probes whether the peer is there.
    pub probe: Option<Duration>,
    pub keep_alive: bool,
    /// Connections that the system queues until they are accepted.
    pub backlog: i32,
}

impl Default for ServerLimits {
    fn default() -> Self {
        ServerLimits {
            connections: 10_000,
            connections_per_address: usize::MAX,
            head: 64 << 10,
            fields: 256,
            body: 100 << 20,
            piece: 64 << 10,
            handshake: Some(Duration::from_secs(10)),
            receive_head: Some(Duration::from_secs(30)),
            idle: Some(Duration::from_secs(60)),
            receive_body: None,
            send: Some(Duration::from_secs(60)),
            probe: Some(Duration::from_secs(15)),
            backlog: 1024,
            keep_alive: true,
        }
    }
}

/// A limit that a host may choose.
#[derive(Clone, Copy, Debug)]
pub enum ServerLimit {
    Connections,
    ConnectionsPerAddress,
    HeadBytes,
    HeaderFields,
    BodyBytes,
    DataBytes,
    Backlog,
    EvidencePerSecond,
}

/// A deadline that a host may choose.
#[derive(Clone, Copy, Debug)]
pub enum ServerDeadline {
    Handshake,
    Head,
    Idle,
    Body,
    Send,
    TcpKeepalive,
}

impl ServerSettings {
    /// Errors: InvalidArgument (0, which only a body may have; more than 2^30 bytes of a head, or more than an integer holds).
    pub fn set_limit(&mut self, which: ServerLimit, value: u64) -> Result<()> {
        let wrong = || Error::new(Status::InvalidArgument, format!("{value} is out of range"));
        let count = usize::try_from(value).unwrap_or(usize::MAX);
        let limits = &mut self.limits;
        match which {
            ServerLimit::BodyBytes => limits.body = value,
            _ if value == 0 => return Err(wrong()),
            ServerLimit::HeadBytes if value > 1 << 30 => return Err(wrong()),
            ServerLimit::Connections => limits.connections = count,
            ServerLimit::ConnectionsPerAddress => limits.connections_per_address = count,
            ServerLimit::HeadBytes => limits.head = count,
            ServerLimit::HeaderFields => limits.fields = count,
            ServerLimit::DataBytes => limits.piece = count,
            ServerLimit::Backlog => limits.backlog = i32::try_from(value).map_err(|_| wrong())?,
            ServerLimit::EvidencePerSecond => self.quotes_per_second = u32::try_from(value).map_err(|_| wrong())?,
        }
        Ok(())
    }
}

impl ServerLimits {
    pub fn set_deadline(&mut self, which: ServerDeadline, chosen: ChosenDuration) {
        let default = ServerLimits::default();
        match which {
            ServerDeadline::Handshake => self.handshake = chosen.or(default.handshake),
            ServerDeadline::Head => self.receive_head = chosen.or(default.receive_head),
            ServerDeadline::Idle => self.idle = chosen.or(default.idle),
            ServerDeadline::Body => self.receive_body = chosen.or(default.receive_body),
            ServerDeadline::Send => self.send = chosen.or(default.send),
            ServerDeadline::TcpKeepalive => self.probe = chosen.in_seconds().or(default.probe),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_zero_is_for_bodies_only() {
        let mut settings = ServerSettings::default();
        settings.set_limit(ServerLimit::BodyBytes, 0).unwrap();
        assert_eq!(settings.limits.body, 0);
        let error = settings.set_limit(ServerLimit::Connections, 0).unwrap_err();
        assert_eq!((error.status, &*error.message), (Status::InvalidArgument, "0 is out of range"));
    }

    #[test]
    fn a_limit_is_refused_if_it_does_not_fit() {
        let mut settings = ServerSettings::default();
        for (which, most) in [
            (ServerLimit::HeadBytes, 1 << 30),
            (ServerLimit::Backlog, i32::MAX as u64),
            (ServerLimit::EvidencePerSecond, u32::MAX.into()),
        ] {
            settings.set_limit(which, most).unwrap();
            assert!(settings.set_limit(which, most + 1).is_err(), "{which:?}");
        }
    }

    #[test]
    fn a_deadline_goes_back_to_its_default() {
        let mut limits = ServerLimits::default();
        limits.set_deadline(ServerDeadline::Idle, ChosenDuration::Unlimited);
        assert_eq!(limits.idle, None);
        limits.set_deadline(ServerDeadline::Idle, ChosenDuration::Default);
        assert_eq!(limits.idle, ServerLimits::default().idle);
        limits.set_deadline(ServerDeadline::TcpKeepalive, ChosenDuration::from_millis(1500));
        assert_eq!(limits.probe, Some(Duration::from_secs(2)));
    }
}
