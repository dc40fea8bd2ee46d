//! The settings of a server that depend on each other: certificates, what clients must prove, forwarding. Pure.

use std::sync::Arc;

use super::{ClientPolicy, ServerSettings};
use crate::attest::Policy;
use crate::error::{Error, Result, Status};
use crate::tls::{ClientCertificates, Identity, ServerTlsSettings, server_config};
use crate::tunnel::ForwarderRules;
use crate::verifier::Verifier;

impl ServerSettings {
    /// Serves in TLS with this certificate. Errors: InvalidArgument (no usable chain and key).
    pub fn set_identity(&mut self, identity: Identity) -> Result<()> {
        let tls = match &self.tls {
            Some(tls) => ServerTlsSettings { identity, ..tls.clone() },
            None => ServerTlsSettings { identity, named: Vec::new(), clients: None },
        };
        self.set_tls(tls)
    }

    /// Another certificate for this name, in place of one that the name had. Errors: InvalidState (no TLS), InvalidArgument.
    pub fn add_identity(&mut self, name: &str, identity: Identity) -> Result<()> {
        let mut tls = self.tls_now()?;
        tls.named.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        tls.named.push((name.to_owned(), identity));
        self.set_tls(tls)
    }

    /// Asks clients for certificates. Errors: as `add_identity`.
    pub fn ask_clients(&mut self, clients: ClientCertificates) -> Result<()> {
        let tls = self.tls_now()?;
        self.set_tls(ServerTlsSettings { clients: Some(clients), ..tls })
    }

    /// Serves only clients whose evidence satisfies this policy. Errors: TrustAnchor (a simulated root without the policy's consent).
    pub fn set_client_policy(&mut self, policy: Arc<Policy>, verifier: Arc<Verifier>) -> Result<()> {
        verifier.check_anchors(&policy)?;
        self.client_policy = Some(ClientPolicy { policy, verifier });
        Ok(())
    }

    /// A forwarder by these rules. Errors: InvalidArgument (nothing is allowed, or not the default target), Unsupported (evidence: none is exchanged before an
    /// upgrade, so a configuration that asks for it must not be accepted in silence).
    pub fn forwarding(self, rules: ForwarderRules) -> Result<ServerSettings> {
        if self.client_policy.is_some() || !self.sources.is_empty() || !self.devices.is_empty() {
            let why = "a tunnel server can neither provide evidence nor ask clients for it";
            return Err(Error::new(Status::Unsupported, why));
        }
        if self.http_versions.has_http2() {
            return Err(Error::new(Status::Unsupported, "a tunnel server speaks HTTP/1.1 only"));
        }
        rules.check_targets()?;
        Ok(ServerSettings { forward: Some(rules), ..self })
    }

    fn tls_now(&self) -> Result<ServerTlsSettings> {
        let missing =
            || Error::new(Status::InvalidState, "no certificate was set (atls_server_config_set_certificate)");
        self.tls.clone().ok_or_else(missing)
    }

    /// Changes nothing if the result cannot be used.
    fn set_tls(&mut self, tls: ServerTlsSettings) -> Result<()> {
        server_config(&tls, self.http_versions)?;
        self.tls = Some(tls);
        Ok(())
    }
}
