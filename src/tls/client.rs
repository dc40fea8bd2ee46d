//! A client's handshake that records whether it has sent a certificate: the server decides that, and the session does not tell. Touches the stream that it
//! is given.

use std::sync::{Arc, OnceLock};

use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{TlsStream, handshake};
use crate::error::Result;

/// A stream, and the DER of our own certificate if it was sent.
pub struct ClientHandshake<S> {
    pub stream: TlsStream<S>,
    pub own_leaf: Option<Vec<u8>>,
}

/// As `handshake`, and records our own certificate.
pub async fn client_handshake<S>(config: &Arc<ClientConfig>, server_name: &str, io: S) -> Result<ClientHandshake<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if !config.client_auth_cert_resolver.has_certs() {
        let stream = handshake(config.clone(), server_name, io).await?;
        return Ok(ClientHandshake { stream, own_leaf: None });
    }
    let shown = Arc::new(ShownCertificate { inner: config.client_auth_cert_resolver.clone(), shown: OnceLock::new() });
    let mut config = ClientConfig::clone(config);
    config.client_auth_cert_resolver = shown.clone();
    let stream = handshake(Arc::new(config), server_name, io).await?;
    Ok(ClientHandshake { stream, own_leaf: shown.shown.get().cloned() })
}

#[derive(Debug)]
struct ShownCertificate {
    inner: Arc<dyn ResolvesClientCert>,
    shown: OnceLock<Vec<u8>>,
}

impl ResolvesClientCert for ShownCertificate {
    fn resolve(&self, hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let found = self.inner.resolve(hints, schemes)?;
        // rustls sends none if no scheme of the server fits the key.
        if found.key.choose_scheme(schemes).is_some() {
            let _ = self.shown.set(found.cert.first()?.to_vec());
        }
        Some(found)
    }

    fn only_raw_public_keys(&self) -> bool {
        self.inner.only_raw_public_keys()
    }

    fn has_certs(&self) -> bool {
        true
    }
}
