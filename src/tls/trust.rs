//! What a client trusts and its own certificate, and the configuration for many connections that is made of them. Reads the system's roots if they are
//! wanted.

use std::fmt;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, DigitallySignedStruct, PeerIncompatible, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::{HttpVersions, KeyLogSink, known_chains};
use crate::error::{Error, Result, Status};
use crate::io::clock::TlsClock;

/// Which roots a server's chain may end in; by default the built-in Mozilla set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedRoots {
    /// The built-in Mozilla set; on unless set otherwise.
    pub webpki: Option<bool>,
    /// The operating system's store.
    pub platform: bool,
    /// PEM texts, each with one certificate or more.
    pub extra_pem: Vec<String>,
}

/// What is trusted, and our own certificate.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    pub roots: TrustedRoots,
    pub identity: Option<Identity>,
    /// Accept any certificate. Never together with a policy.
    pub unchecked: bool,
    /// Where the secrets of each session go. Together with a policy only if `secrets_may_leave`.
    pub key_log: Option<KeyLogSink>,
    pub secrets_may_leave: bool,
}

/// A client certificate: chain and key as PEM.
#[derive(Clone)]
pub struct Identity {
    pub chain_pem: String,
    pub key_pem: String,
}

/// Keys do not go into logs.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

/// TLS 1.3 only, no resumption, tickets or early data: every session is fresh, so that evidence is bound to exactly one.
pub fn client_config(trust: &Trust) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(known_chains::provider());
    let builder = ClientConfig::builder_with_details(provider.clone(), Arc::new(TlsClock))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| Error::new(Status::Internal, error.to_string()))?;
    let builder = match trust.unchecked {
        true => builder.dangerous().with_custom_certificate_verifier(Arc::new(Unchecked(provider))),
        false => builder.with_root_certificates(store(&trust.roots)?),
    };
    let mut config = match &trust.identity {
        Some(identity) => {
            let (chain, key) = identity.read()?;
            let refuse = |error| Error::new(Status::InvalidArgument, format!("client certificate: {error}"));
            builder.with_client_auth_cert(chain, key).map_err(refuse)?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = HttpVersions::default().protocols();
    config.resumption = Resumption::disabled();
    if let Some(lines) = &trust.key_log {
        config.key_log = Arc::new(lines.clone());
    }
    Ok(Arc::new(config))
}

/// The same for a connection that offers these versions of HTTP.
pub fn offering(config: &Arc<ClientConfig>, versions: HttpVersions) -> Arc<ClientConfig> {
    if versions == HttpVersions::default() {
        return config.clone();
    }
    let mut config = ClientConfig::clone(config);
    config.alpn_protocols = versions.protocols();
    Arc::new(config)
}

impl Identity {
    pub(super) fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let invalid = |why: String| Error::new(Status::InvalidArgument, why);
        let chain: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(self.chain_pem.as_bytes()).collect();
        let chain = chain.map_err(|error| invalid(format!("client certificate: {error}")))?;
        if chain.is_empty() {
            return Err(invalid("client certificate: the PEM text holds none".into()));
        }
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes())
            .map_err(|error| invalid(format!("client key: {error}")))?;
        Ok((chain, key))
    }
}

/// Accepts every chain and name; the signatures of the handshake are still checked.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn store(roots: &TrustedRoots) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    if roots.webpki.unwrap_or(true) {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if roots.platform {
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    for pem in &roots.extra_pem {
        add_pem(&mut store, pem)?;
    }
    if store.is_empty() {
        return Err(Error::new(Status::InvalidArgument, "no root certificates are left to trust"));
    }
    Ok(store)
}

pub(super) fn add_pem(store: &mut RootCertStore, pem: &str) -> Result<()> {
    let invalid = |why: String| Error::new(Status::InvalidArgument, format!("root certificate: {why}"));
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| invalid(error.to_string()))?;
        store.add(certificate).map_err(|error| invalid(error.to_string()))?;
        count += 1;
    }
    if count == 0 { Err(invalid("the PEM text holds none".into())) } else { Ok(()) }
}
