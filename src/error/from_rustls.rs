//! What the errors of rustls mean here. Pure.

use rustls::{AlertDescription, CertificateError, Error as Tls, PeerIncompatible};

use super::{Detail, Error, Phase, Status};

impl Error {
    /// Sorts a TLS failure into version, certificate or handshake, and keeps the alert.
    pub fn from_rustls(error: &rustls::Error, phase: Phase) -> Error {
        if matches!(error, Tls::FailedToGetCurrentTime) {
            return Error::of_clock().phase(phase);
        }
        let status = match error {
            Tls::InvalidCertificate(_) | Tls::NoCertificatesPresented | Tls::UnsupportedNameType => {
                Status::TlsCertificate
            }
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

    /// The clock of this machine is of no use (`io::clock`, which is the one that rustls asks as well).
    pub fn of_clock() -> Error {
        let message =
            "the clock of this machine is before 1970 or after 9999: certificates and evidence cannot be judged";
        Error::new(Status::InvalidState, message).detail(Detail::Clock)
    }
}

fn alert_for(problem: &CertificateError) -> AlertDescription {
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => AlertDescription::CertificateExpired,
        CertificateError::Revoked => AlertDescription::CertificateRevoked,
        CertificateError::UnknownIssuer => AlertDescription::UnknownCA,
        _ => AlertDescription::BadCertificate,
    }
}
