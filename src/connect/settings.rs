//! Everything about a connection except its destination: the route, what TLS trusts, the policy that the server must satisfy. No I/O, except that the
//! system's roots are read if they are wanted.

use std::sync::{Arc, Mutex};

use rustls::ClientConfig;

use super::{ConnectTarget, ConnectTimeouts, Proxy, Route};
use crate::attest::{Policy, Protocol, TrustAnchors};
use crate::attester::{Attester, Devices};
use crate::error::{Error, Result, Status};
use crate::io::dialling::Dial;
use crate::io::sync::lock;
use crate::tls::{HttpVersions, Trust, client_config};
use crate::tunnel::TunnelUrl;
use crate::verifier::Verifier;

/// What a caller sets.
#[derive(Clone, Debug, Default)]
pub struct ConnectSettings {
    /// Name to check the certificate against and to send as SNI, if it is not the host.
    pub server_name: Option<String>,
    /// `ws(s)://` URL of a forwarder. Not together with a proxy.
    pub tunnel: Option<String>,
    pub proxy: Option<Arc<Proxy>>,
    pub dial: Dial,
    pub trust: Trust,
    pub timeouts: ConnectTimeouts,
    /// For hosts that no pattern of a client covers.
    pub policy: Option<Arc<Policy>>,
    /// Hosts without a policy may be contacted, unattested.
    pub unattested: bool,
    /// Evidence of this side, for servers that ask for it by exporter-v1.
    pub attester: Option<Arc<Attester>>,
    /// Evidence of devices beside it.
    pub devices: Devices,
    /// What a client's connections offer; others speak HTTP/1.1.
    pub http_versions: HttpVersions,
}

/// Frozen settings, and what is costly to derive from them. Connections that share one are alike.
pub struct Connector {
    pub settings: ConnectSettings,
    verifier: Option<Arc<Verifier>>,
    /// TLS configurations made so far, by the policy whose roots they have.
    tls: Mutex<Vec<Made>>,
}

type Made = (Option<Arc<Policy>>, Arc<ClientConfig>);

impl Connector {
    /// Errors: InvalidArgument (roots, client certificate, tunnel URL), InvalidState (a policy without the certificate check, or with a key log), TrustAnchor.
    pub fn new(settings: ConnectSettings, verifier: Option<Arc<Verifier>>) -> Result<Connector> {
        let connector = Connector { settings, verifier, tls: Mutex::default() };
        if let Some(tunnel) = &connector.settings.tunnel {
            TunnelUrl::parse(tunnel, "host", 443)?;
        }
        let policy = connector.settings.policy.clone();
        connector.check(policy.as_ref())?;
        Ok(connector)
    }

    /// Checks that this policy is possible with these settings, and makes the TLS configuration for it.
    pub fn check(&self, policy: Option<&Arc<Policy>>) -> Result<Arc<ClientConfig>> {
        if let (Some(policy), Some(verifier)) = (policy, &self.verifier) {
            verifier.check_anchors(policy)?;
        }
        if policy.is_some() && self.settings.trust.unchecked {
            let message = "the certificate check is off, which no policy allows";
            return Err(Error::new(Status::InvalidState, message));
        }
        if policy.is_some() && self.settings.trust.key_log.is_some() && !self.settings.trust.secrets_may_leave {
            let message = "a key log together with a policy, and the configuration does not say that secrets may leave";
            return Err(Error::new(Status::InvalidState, message));
        }
        if self.settings.attester.is_none() && !self.settings.devices.is_empty() {
            let message = "a source of attached evidence, and none of the machine's own";
            return Err(Error::new(Status::InvalidState, message));
        }
        let names = |policy: &Arc<Policy>| policy.protocols.contains(&Protocol::ExporterV1);
        if self.settings.attester.is_some() && !policy.is_none_or(names) {
            let message = "evidence of this side needs exporter-v1, which the policy does not name";
            return Err(Error::new(Status::InvalidState, message));
        }
        self.tls(policy)
    }

    /// The verifier of these settings, or a new one.
    pub fn verifier(&self) -> Result<Arc<Verifier>> {
        match &self.verifier {
            Some(verifier) => Ok(verifier.clone()),
            None => Ok(Arc::new(Verifier::new(TrustAnchors::default(), self.tls(None)?))),
        }
    }

    /// The route of these settings.
    pub fn route(&self) -> Result<Route> {
        let settings = &self.settings;
        let tunnel = settings.tunnel.as_deref().map(|url| TunnelUrl::parse(url, "host", 443)).transpose()?;
        Ok(Route { tunnel, proxy: settings.proxy.clone(), dial: settings.dial.clone(), tls: self.tls(None)? })
    }

    /// A target; `plain` is without TLS. `verifier` is used if the settings have none. Errors: as `new`.
    pub fn target(
        &self,
        (host, port, plain): (&str, u16, bool),
        policy: Option<Arc<Policy>>,
        verifier: Option<&Arc<Verifier>>,
    ) -> Result<ConnectTarget> {
        let tls = self.check(policy.as_ref())?;
        let settings = &self.settings;
        let verifier = match self.verifier.as_ref().or(verifier) {
            Some(verifier) => verifier.clone(),
            None => self.verifier()?,
        };
        if let Some(policy) = &policy {
            verifier.check_anchors(policy)?;
        }
        Ok(ConnectTarget {
            host: host.to_owned(),
            port,
            server_name: settings.server_name.clone().unwrap_or_else(|| host.to_owned()),
            tunnel: settings.tunnel.as_deref().map(|url| TunnelUrl::parse(url, host, port)).transpose()?,
            proxy: settings.proxy.clone(),
            dial: settings.dial.clone(),
            plain,
            policy,
            verifier,
            attester: settings.attester.clone(),
            devices: settings.devices.clone(),
            tls,
            http_versions: HttpVersions::default(),
            timeouts: settings.timeouts,
        })
    }

    fn tls(&self, policy: Option<&Arc<Policy>>) -> Result<Arc<ClientConfig>> {
        let policy = policy.filter(|policy| !policy.extra_roots_pem.is_empty());
        let same = |(of, _): &&Made| match (of, policy) {
            (Some(of), Some(policy)) => Arc::ptr_eq(of, policy),
            (of, policy) => of.is_none() && policy.is_none(),
        };
        let mut made = lock(&self.tls);
        if let Some((_, config)) = made.iter().find(same) {
            return Ok(config.clone());
        }
        let mut trust = self.settings.trust.clone();
        trust.roots.extra_pem.extend(policy.iter().flat_map(|policy| policy.extra_roots_pem.iter().cloned()));
        let config = client_config(&trust)?;
        // A policy that only this list still holds has been replaced.
        made.retain(|(of, _)| of.as_ref().is_none_or(|of| Arc::strong_count(of) > 1));
        made.push((policy.cloned(), config.clone()));
        Ok(config)
    }
}
