//! TLS 1.3 over any transport: one client configuration for many connections, exporter and peer certificate. No attestation here.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::{AlertDescription, CertificateError, ClientConfig, PeerIncompatible, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
pub use tokio_rustls::client::TlsStream;

use crate::error::{Error, Phase, Result, Status};

/// Which roots a server's chain may end in. With nothing chosen: the Mozilla set that is built in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roots {
    /// The built-in Mozilla set. On unless another choice was made.
    pub webpki: Option<bool>,
    /// The operating system's store.
    pub platform: bool,
    /// PEM text with one certificate or more each.
    pub extra_pem: Vec<String>,
}

/// TLS 1.3 only, no resumption, tickets or early data: every session is fresh, so that evidence is bound to exactly one.
pub fn client_config(roots: &Roots) -> Result<Arc<ClientConfig>> {
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
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| Error::new(Status::Internal, error.to_string()))?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn add_pem(store: &mut RootCertStore, pem: &str) -> Result<()> {
    let invalid = |why: String| Error::new(Status::InvalidArgument, format!("root certificate: {why}"));
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| invalid(error.to_string()))?;
        store.add(certificate).map_err(|error| invalid(error.to_string()))?;
        count += 1;
    }
    if count == 0 { Err(invalid("the PEM text holds none".into())) } else { Ok(()) }
}

/// The handshake. The server's name is checked against its certificate, always.
pub async fn handshake<S>(config: Arc<ClientConfig>, server_name: &str, io: S) -> Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let bare = server_name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(server_name);
    let name = ServerName::try_from(bare.to_owned())
        .map_err(|_| Error::new(Status::InvalidArgument, format!("server name {server_name:?} is not a host name")))?;
    TlsConnector::from(config).connect(name, io).await.map_err(|error| Error::from_io(error, Phase::Tls))
}

/// What evidence is bound to: the exporter value of this session and the certificate that the server presented in it.
pub fn session_identity<S>(stream: &TlsStream<S>) -> Result<([u8; 32], Vec<u8>)> {
    let (_, session) = stream.get_ref();
    let exporter = session
        .export_keying_material([0; crate::attest::EXPORTER_LENGTH], crate::attest::EXPORTER_LABEL, None)
        .map_err(|error| error_from_rustls(&error, Phase::Tls))?;
    let leaf = session.peer_certificates().and_then(|chain| chain.first());
    let leaf = leaf.ok_or_else(|| Error::new(Status::TlsCertificate, "no server certificate").phase(Phase::Tls))?;
    Ok((exporter, leaf.to_vec()))
}

/// Sorts a TLS failure into version, certificate or handshake, and keeps the alert.
pub fn error_from_rustls(error: &rustls::Error, phase: Phase) -> Error {
    use rustls::Error as Tls;
    let status = match error {
        Tls::InvalidCertificate(_) | Tls::NoCertificatesPresented | Tls::UnsupportedNameType => Status::TlsCertificate,
        Tls::PeerIncompatible(
            PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::SupportedVersionsExtensionRequired,
        )
        | Tls::AlertReceived(AlertDescription::ProtocolVersion) => Status::TlsVersion,
        _ => Status::TlsHandshake,
    };
    let mut out = Error::new(status, format!("TLS: {error}")).phase(phase);
    out.tls_alert = match error {
        Tls::AlertReceived(alert) => u8::from(*alert).into(),
        Tls::InvalidCertificate(problem) => u8::from(alert_for(problem)).into(),
        _ => -1,
    };
    out
}

fn alert_for(problem: &CertificateError) -> AlertDescription {
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => AlertDescription::CertificateExpired,
        CertificateError::Revoked => AlertDescription::CertificateRevoked,
        CertificateError::UnknownIssuer => AlertDescription::UnknownCA,
        _ => AlertDescription::BadCertificate,
    }
}
