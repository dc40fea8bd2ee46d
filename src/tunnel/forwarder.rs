//! The server's end: a forwarder from WebSockets to TCP, for clients that can open nothing else. What it lets through is decided before anything is
//! upgraded (docs/protocol.md, "The tunnel"). It sees ciphertext only. May resolve names and connect.

use std::time::Duration;

use super::handshake;
use super::tunnel_target::{AllowedTarget, TunnelTarget};

use crate::error::{Error, Status};
use crate::io::deadline::ChosenDuration;
use crate::io::dialling::Dial;
use crate::io::{Socket, dialling, is_private};
use crate::message::ReceivedHead;

/// What is let through, and for how long.
#[derive(Clone, Debug)]
pub struct ForwarderRules {
    /// For clients that name no target.
    pub default_target: Option<TunnelTarget>,
    pub allowed: Vec<AllowedTarget>,
    /// Names may lead to addresses that are not public.
    pub private: bool,
    /// Allowed values of `Origin`, if a client sends one; `*` for any.
    pub origins: Vec<String>,
    /// What a client must present, as bearer token or in the query.
    pub token: Option<String>,
    pub connect: Option<Duration>,
    /// How long a tunnel may be without a byte in either direction.
    pub idle: Option<Duration>,
    /// Deadline for a whole tunnel, from the upgrade.
    pub total: Option<Duration>,
}

impl Default for ForwarderRules {
    fn default() -> Self {
        ForwarderRules {
            default_target: None,
            allowed: Vec::new(),
            private: false,
            origins: Vec::new(),
            token: None,
            connect: Some(Duration::from_secs(10)),
            idle: Some(Duration::from_secs(300)),
            total: None,
        }
    }
}

/// A deadline of the forwarder that a host may choose.
#[derive(Clone, Copy, Debug)]
pub enum ForwarderDeadline {
    Connect,
    Idle,
    Total,
}

impl ForwarderRules {
    pub fn set_deadline(&mut self, which: ForwarderDeadline, chosen: ChosenDuration) {
        let default = ForwarderRules::default();
        match which {
            ForwarderDeadline::Connect => self.connect = chosen.or(default.connect),
            ForwarderDeadline::Idle => self.idle = chosen.or(default.idle),
            ForwarderDeadline::Total => self.total = chosen.or(default.total),
        }
    }
}

/// Why a client is not let through: an HTTP status, and a reason that the client may know.
#[derive(Debug, PartialEq, Eq)]
pub struct TunnelRefusal {
    pub status: u16,
    pub reason: String,
}

impl TunnelRefusal {
    pub(super) fn new(status: u16, reason: impl Into<String>) -> TunnelRefusal {
        TunnelRefusal { status, reason: reason.into() }
    }
}

impl ForwarderRules {
    /// Where a request for an upgrade leads, if it may. `query` is that of its target.
    pub fn check(&self, head: &ReceivedHead, query: &str) -> Result<TunnelTarget, TunnelRefusal> {
        self.check_origin(head)?;
        self.check_token(head, query)?;
        let target = match handshake::target_of(query) {
            Some(text) => TunnelTarget::parse(&text).map_err(|why| TunnelRefusal::new(400, why))?,
            None => self.default_target.clone().ok_or_else(|| TunnelRefusal::new(400, "no target was named"))?,
        };
        match self.allows(&target) {
            true => Ok(target),
            false => Err(TunnelRefusal::new(403, format!("target {target} is not allowed"))),
        }
    }

    /// What a client must send. Errors: InvalidArgument (an empty token).
    pub fn set_token(&mut self, token: Option<&str>) -> Result<(), Error> {
        if token == Some("") {
            return Err(Error::new(Status::InvalidArgument, "the token is empty"));
        }
        self.token = token.map(str::to_owned);
        Ok(())
    }

    /// Errors: InvalidArgument (nothing is allowed, or not the default target).
    pub fn check_targets(&self) -> Result<(), Error> {
        let invalid = |why: String| Err(Error::new(Status::InvalidArgument, why));
        if self.allowed.is_empty() {
            return invalid("no target is allowed (atls_tunnel_config_add_target)".into());
        }
        match self.default_target.as_ref().filter(|target| !self.allows(target)) {
            Some(target) => {
                invalid(format!("the default target {target} is not allowed (atls_tunnel_config_add_target)"))
            }
            None => Ok(()),
        }
    }

    pub fn allows(&self, target: &TunnelTarget) -> bool {
        self.allowed.iter().any(|entry| entry.covers(target))
    }

    /// A browser names the page on whose behalf it connects, without its user's knowledge.
    fn check_origin(&self, head: &ReceivedHead) -> Result<(), TunnelRefusal> {
        let mut origins = head.all("origin");
        let Some(origin) = origins.next() else { return Ok(()) };
        let known = |origin: &[u8]| {
            self.origins.iter().any(|known| known == "*" || known.as_bytes().eq_ignore_ascii_case(origin))
        };
        match origins.next() {
            None if known(origin) => Ok(()),
            _ => Err(TunnelRefusal::new(403, "origin is not allowed")),
        }
    }

    fn check_token(&self, head: &ReceivedHead, query: &str) -> Result<(), TunnelRefusal> {
        let Some(token) = &self.token else { return Ok(()) };
        let same = |shown: &[u8]| aws_lc_rs::constant_time::verify_slices_are_equal(shown, token.as_bytes()).is_ok();
        let bearer = head.find("authorization").and_then(|value| {
            let (scheme, shown) = value.split_at_checked(7)?;
            scheme.eq_ignore_ascii_case(b"bearer ").then_some(shown)
        });
        let in_query = handshake::parameter(query, "token");
        match bearer.is_some_and(same) || in_query.is_some_and(|shown| same(shown.as_bytes())) {
            true => Ok(()),
            false => Err(TunnelRefusal::new(401, "a token is wanted")),
        }
    }

    /// Connects. A name that leads into the operator's own network is refused even if it is allowed (unless `private`): whoever controls the name chose the
    /// address. An address that is allowed by itself is what the operator wants.
    pub async fn reach(&self, target: &TunnelTarget) -> Result<Socket, TunnelRefusal> {
        let how = Dial::default();
        let connecting = async {
            let mut addresses = dialling::resolve(&target.host, target.port, &how).await?;
            if !self.private && !target.is_literal() {
                addresses.retain(|address| !is_private(address.ip()));
                if addresses.is_empty() {
                    return Err(Error::new(Status::InvalidArgument, "target leads to a private address"));
                }
            }
            dialling::reach(addresses, &how).await
        };
        let connected = match self.connect {
            Some(limit) => tokio::time::timeout(limit, connecting).await,
            None => Ok(connecting.await),
        };
        match connected {
            Ok(Ok(socket)) => Ok(socket),
            Ok(Err(error)) if error.status == Status::InvalidArgument => Err(TunnelRefusal::new(403, error.message)),
            Ok(Err(error)) if error.status == Status::Dns => Err(TunnelRefusal::new(502, "target cannot be resolved")),
            Ok(Err(_)) => Err(TunnelRefusal::new(502, "target cannot be reached")),
            Err(_) => Err(TunnelRefusal::new(504, "target does not answer")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &[(&str, &str)]) -> ReceivedHead {
        let mut head = ReceivedHead::new(0, 1, b"");
        lines.iter().for_each(|(name, value)| head.add(name.as_bytes(), value.as_bytes()));
        head
    }

    fn rules() -> ForwarderRules {
        let allowed =
            ["tee.example:443", "*.fleet.example:8443", "[::1]:1"].map(|text| AllowedTarget::parse(text).unwrap());
        ForwarderRules { allowed: allowed.to_vec(), ..ForwarderRules::default() }
    }

    #[test]
    fn targets_that_are_not_allowed_are_refused() {
        let to = |query: &str| rules().check(&head(&[]), query).map(|target| target.to_string());
        assert_eq!(to("target=tee.example%3A443").unwrap(), "tee.example:443");
        assert_eq!(to("a=b&target=TEE.example:443&target=evil:1").unwrap(), "tee.example:443");
        assert_eq!(to("target=a.b.fleet.example:8443").unwrap(), "a.b.fleet.example:8443");
        assert_eq!(to("target=[::1]:1").unwrap(), "[::1]:1");
        for bad in
            ["tee.example:444", "fleet.example:8443", "xfleet.example:8443", "tee.example.evil:443", "127.0.0.1:443"]
        {
            assert_eq!(to(&format!("target={bad}")).unwrap_err().status, 403, "{bad}");
        }
        for bad in
            ["", "target=", "target=tee.example", "target=tee.example:0", "target=a%00b:1", "target=u@tee.example:443"]
        {
            assert_eq!(to(bad).unwrap_err().status, 400, "{bad}");
        }
    }

    #[test]
    fn an_origin_and_a_token_must_be_the_ones_that_are_allowed() {
        let mut rules = rules();
        let mut status = |lines: &[(&str, &str)], query: &str, change: fn(&mut ForwarderRules)| {
            change(&mut rules);
            let query = format!("target=tee.example:443{query}");
            rules.check(&head(lines), &query).map_or_else(|refusal| refusal.status, |_| 101)
        };
        assert_eq!(status(&[("Origin", "https://evil.example")], "", |_| ()), 403);
        let own = |rules: &mut ForwarderRules| rules.origins = vec!["https://app.example".into()];
        assert_eq!(status(&[("Origin", "https://app.example")], "", own), 101);
        assert_eq!(status(&[("Origin", "https://evil.example")], "", |_| ()), 403);
        assert_eq!(status(&[("Origin", "https://app.example"), ("Origin", "https://evil.example")], "", |_| ()), 403);
        assert_eq!(status(&[("Origin", "null")], "", |rules| rules.origins = vec!["*".into()]), 101);
        let with_token = |rules: &mut ForwarderRules| rules.token = Some("s3cret".into());
        assert_eq!(status(&[], "", with_token), 401);
        assert_eq!(status(&[("Authorization", "bearer s3cret")], "", |_| ()), 101);
        assert_eq!(status(&[("Authorization", "Bearer s3cre")], "", |_| ()), 401);
        assert_eq!(status(&[], "&token=s3cret", |_| ()), 101);
        assert_eq!(status(&[], "&token=s3cret2", |_| ()), 401);
    }
}
