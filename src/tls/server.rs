//! TLS 1.3 for servers: one configuration for many connections, with certificates by name and, if clients are to send one, whom to trust. No I/O.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};

use super::trust::add_pem;
use super::{HttpVersions, Identity, known_chains};
use crate::error::{Error, Result, Status};
use crate::io::clock::TlsClock;

/// Which certificates a server has, and whether it asks for one.
#[derive(Clone, Debug)]
pub struct ServerTlsSettings {
    /// For every name that has no certificate of its own.
    pub identity: Identity,
    /// By SNI, in lower case.
    pub named: Vec<(String, Identity)>,
    pub clients: Option<ClientCertificates>,
}

/// Clients may, or must, send a certificate.
#[derive(Clone, Debug)]
pub struct ClientCertificates {
    pub roots_pem: String,
    pub required: bool,
}

/// A configuration, and its certificates.
#[derive(Clone, Debug)]
pub struct ServerTls {
    pub config: Arc<ServerConfig>,
    store: Arc<CertStore>,
}

impl ServerTls {
    /// DER of the certificate that a session with this SNI got.
    pub fn leaf(&self, name: Option<&str>) -> Option<&[u8]> {
        self.store.find(name).cert.first().map(|leaf| &leaf[..])
    }
}

#[derive(Debug)]
struct CertStore {
    default: Arc<CertifiedKey>,
    named: HashMap<String, Arc<CertifiedKey>>,
}

impl CertStore {
    fn find(&self, name: Option<&str>) -> &Arc<CertifiedKey> {
        name.and_then(|name| self.named.get(&name.to_ascii_lowercase())).unwrap_or(&self.default)
    }
}

impl ResolvesServerCert for CertStore {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.find(hello.server_name()).clone())
    }
}

/// TLS 1.3 only, no tickets or early data: every session is fresh. Errors: InvalidArgument.
pub fn server_config(serves: &ServerTlsSettings, versions: HttpVersions) -> Result<ServerTls> {
    let provider = Arc::new(known_chains::provider());
    let made = |identity: &Identity| {
        let (chain, key) = identity.read()?;
        let made = CertifiedKey::from_der(chain, key, &provider);
        made.map(Arc::new).map_err(|error| Error::new(Status::InvalidArgument, format!("certificate: {error}")))
    };
    let named = serves.named.iter().map(|(name, identity)| Ok((name.to_ascii_lowercase(), made(identity)?)));
    let store = Arc::new(CertStore { default: made(&serves.identity)?, named: named.collect::<Result<_>>()? });
    let builder = ServerConfig::builder_with_details(provider.clone(), Arc::new(TlsClock))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| Error::new(Status::Internal, error.to_string()))?;
    let builder = match &serves.clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            add_pem(&mut roots, &clients.roots_pem)?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = if clients.required { verifier } else { verifier.allow_unauthenticated() };
            let refused = |error| Error::new(Status::InvalidArgument, format!("roots of clients: {error}"));
            builder.with_client_cert_verifier(verifier.build().map_err(refused)?)
        }
    };
    let mut config = builder.with_cert_resolver(store.clone());
    config.alpn_protocols = versions.protocols();
    config.send_tls13_tickets = 0;
    Ok(ServerTls { config: Arc::new(config), store })
}
