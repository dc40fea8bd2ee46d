//! TLS 1.3 over any transport: one client configuration for many connections, exporter and peer certificate. No attestation here.

mod server;
mod trust;

use std::sync::Arc;

use rustls::{AlertDescription, CertificateError, ClientConfig, PeerIncompatible};
use rustls_pki_types::ServerName;
pub use server::{Shown, server_config};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
pub use tokio_rustls::client::TlsStream;
pub use tokio_rustls::server::TlsStream as ServerStream;
pub use trust::{Identity, Roots, Trust, client_config};

use crate::error::{Error, Phase, Result, Status};

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

/// What a server's evidence is bound to in a session: its exporter value.
pub fn exporter<S>(stream: &ServerStream<S>) -> Result<[u8; crate::attest::EXPORTER_LENGTH]> {
    let (_, session) = stream.get_ref();
    let label = crate::attest::EXPORTER_LABEL;
    let value = session.export_keying_material([0; crate::attest::EXPORTER_LENGTH], label, None);
    value.map_err(|error| error_from_rustls(&error, Phase::Tls))
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
