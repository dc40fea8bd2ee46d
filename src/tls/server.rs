//! TLS 1.3 for servers: one configuration for many connections.

use std::sync::Arc;

use rustls::ServerConfig;

use super::Identity;
use crate::error::{Error, Result, Status};

/// A configuration, and the certificate that it shows, DER.
#[derive(Clone)]
pub struct Shown {
    pub config: Arc<ServerConfig>,
    pub leaf: Arc<[u8]>,
}

/// TLS 1.3 only, no tickets or early data: every session is fresh. Errors: InvalidArgument.
pub fn server_config(identity: &Identity) -> Result<Shown> {
    let (chain, key) = identity.read()?;
    let leaf = chain[0].to_vec().into();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| Error::new(Status::Internal, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| Error::new(Status::InvalidArgument, format!("certificate: {error}")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.send_tls13_tickets = 0;
    Ok(Shown { config: Arc::new(config), leaf })
}
