//! What a caller has set for its connections so far; checked and frozen when a connection is to be made. Touches nothing.

use std::sync::{Arc, Mutex};

use super::{ConnectSettings, ConnectTarget, Connector, Proxy};
use crate::attest::Policy;
use crate::attester::{Attester, Provider};
use crate::error::{Error, Result, Status};
use crate::io::dialling::LocalEnd;
use crate::io::sync::lock;
use crate::message::host::{check_host, normal_host, unusable_host};
use crate::tls::KeyLogSink;
use crate::tunnel::TunnelUrl;
use crate::verifier::Verifier;

/// Host, port and settings. What is costly to derive from them is made once, and again only after a change.
#[derive(Default)]
pub struct ConnectBuilder {
    host: String,
    port: u16,
    settings: ConnectSettings,
    verifier: Option<Arc<Verifier>>,
    frozen: Mutex<Option<Arc<Connector>>>,
}

/// The words by which a caller consents that secrets leave the process.
const CONSENT: &str = "secrets may leave";

impl ConnectBuilder {
    /// Errors: InvalidArgument.
    pub fn new(host: &str, port: u16) -> Result<ConnectBuilder> {
        check_host(host)?;
        if port == 0 {
            return Err(Error::new(Status::InvalidArgument, "port is 0"));
        }
        Ok(ConnectBuilder { host: host.to_owned(), port, ..ConnectBuilder::anywhere() })
    }

    /// Without a host, for uses that need none.
    pub fn anywhere() -> ConnectBuilder {
        ConnectBuilder::default()
    }

    /// Checks and freezes. No socket is opened before this has succeeded. Errors: InvalidState (neither a policy nor unattested; no host), and as `Connector::new`.
    pub fn target(&self) -> Result<ConnectTarget> {
        if self.settings.policy.is_none() && !self.settings.unattested {
            let message = "no policy was set (atls_config_set_unattested connects without attestation)";
            return Err(Error::new(Status::InvalidState, message));
        }
        if self.host.is_empty() {
            return Err(Error::new(Status::InvalidState, "the configuration has no host (atls_config_new)"));
        }
        self.connector()?.target((&self.host, self.port, false), self.settings.policy.clone(), None)
    }

    /// The settings as they are now, the same object until one changes: connections that share it are alike. Errors: as `Connector::new`.
    pub fn connector(&self) -> Result<Arc<Connector>> {
        let mut frozen = lock(&self.frozen);
        if let Some(connector) = &*frozen {
            return Ok(connector.clone());
        }
        let made = Arc::new(Connector::new(self.settings.clone(), self.verifier.clone())?);
        *frozen = Some(made.clone());
        Ok(made)
    }

    /// For changes that need no check.
    pub fn change(&mut self) -> &mut ConnectSettings {
        *lock(&self.frozen) = None;
        &mut self.settings
    }

    /// The policy that the server must satisfy.
    pub fn set_policy(&mut self, policy: Arc<Policy>) {
        let settings = self.change();
        (settings.policy, settings.unattested) = (Some(policy), false);
    }

    /// No policy, and no unattested connections: for a client whose policies are set host by host.
    pub fn clear_policy(&mut self) {
        let settings = self.change();
        (settings.policy, settings.unattested) = (None, false);
    }

    /// No policy: connections are not attested.
    pub fn set_unattested(&mut self) {
        let settings = self.change();
        (settings.policy, settings.unattested) = (None, true);
    }

    pub fn set_verifier(&mut self, verifier: Arc<Verifier>) {
        self.change();
        self.verifier = Some(verifier);
    }

    /// Adds a source of this side's evidence, in place of one of the same kind. Returns what was there before, which the caller must drop last: that may
    /// call the host.
    #[must_use]
    pub fn set_source(&mut self, source: Arc<dyn Provider>) -> Option<Arc<Attester>> {
        let known = &mut self.change().attester;
        let mut sources = known.as_ref().map(|attester| attester.providers()).unwrap_or_default();
        // Still in the attester that is returned.
        let _ = sources.set(source);
        known.replace(Arc::new(Attester::own(sources)))
    }

    /// Errors: InvalidArgument, Unsupported (beside a proxy).
    pub fn set_tunnel(&mut self, url: Option<&str>) -> Result<()> {
        if let Some(url) = url {
            TunnelUrl::parse(url, &self.host, self.port)?;
        }
        not_both(url.is_some() && self.settings.proxy.is_some())?;
        self.change().tunnel = url.map(str::to_owned);
        Ok(())
    }

    /// Errors: Unsupported (beside a tunnel).
    pub fn set_proxy(&mut self, proxy: Option<Proxy>) -> Result<()> {
        not_both(proxy.is_some() && self.settings.tunnel.is_some())?;
        self.change().proxy = proxy.map(Arc::new);
        Ok(())
    }

    /// Where connections leave from: an address of this machine, or the name of an interface. Errors: InvalidArgument (empty).
    pub fn set_bind(&mut self, from: Option<&str>) -> Result<()> {
        if from == Some("") {
            return Err(Error::new(Status::InvalidArgument, "address_or_interface is empty"));
        }
        let from =
            from.map(|text| text.parse().map_or_else(|_| LocalEnd::Interface(text.to_owned()), LocalEnd::Address));
        self.change().dial.from = from;
        Ok(())
    }

    /// Connections to the first host and port go to the second. Errors: InvalidArgument.
    pub fn map_host(&mut self, (host, port): (&str, u16), (other_host, other_port): (&str, u16)) -> Result<()> {
        if host.is_empty() || other_host.is_empty() || port == 0 || other_port == 0 {
            return Err(Error::new(Status::InvalidArgument, "an empty name, or a port of 0"));
        }
        let (host, _) = normal_host(host).ok_or_else(|| unusable_host(host))?;
        self.change().dial.instead.push(((host, port), (other_host.to_owned(), other_port)));
        Ok(())
    }

    /// Whether certificate and name are checked. Errors: InvalidState (a policy is set, which needs the check).
    pub fn set_certificate_check(&mut self, check: bool) -> Result<()> {
        if !check && self.settings.policy.is_some() {
            return Err(Error::new(Status::InvalidState, "a policy needs the certificate check"));
        }
        self.change().trust.unchecked = !check;
        Ok(())
    }

    /// Whether the caller consents to a key log beside a policy. Errors: InvalidArgument (other words).
    pub fn consent(words: Option<&str>) -> Result<bool> {
        match words {
            None => Ok(false),
            Some(words) if words == CONSENT => Ok(true),
            Some(_) => Err(Error::new(Status::InvalidArgument, format!("words must be \"{CONSENT}\" or NULL"))),
        }
    }

    /// Where the secrets of each session go; `consent` is what `ConnectBuilder::consent` returned. Returns the previous one, to be dropped as with `set_source`.
    #[must_use]
    pub fn set_key_log(&mut self, lines: Option<KeyLogSink>, consent: bool) -> Option<KeyLogSink> {
        let trust = &mut self.change().trust;
        trust.secrets_may_leave = consent;
        std::mem::replace(&mut trust.key_log, lines)
    }
}

fn not_both(both: bool) -> Result<()> {
    match both {
        true => Err(Error::new(Status::Unsupported, "a tunnel through a proxy")),
        false => Ok(()),
    }
}
