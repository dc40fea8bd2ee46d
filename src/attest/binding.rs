//! What ties evidence to one TLS session (docs/protocol.md, "The binder"): in protocol atlas-v1 nonce, exporter value and the certificate in use;
//! in exporter-v1 also who of the two proves itself, the keys of both, and the name that was asked for. Pure.

use rustls_pki_types::CertificateDer;

use super::hash::{hex, sha256, sha384, sha512};
use super::ra_tls::RaTlsCertificate;
use super::tee::Tee;

/// RFC 9266's label for channel bindings from the TLS 1.3 exporter; the context is absent.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";
/// The label of exporter-v1; the context is SHA-384 of the challenge.
pub const EXPORTER_V1_LABEL: &[u8] = b"EXPERIMENTAL-atls-exporter-v1";
pub const EXPORTER_LENGTH: usize = 32;

const TAG: &[u8] = b"atls-exporter-v1\0";

/// How evidence is asked for, and what it is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    AtlasV1,
    ExporterV1,
    /// Evidence inside the certificate: it names the key, and no session.
    RaTls,
}

impl Protocol {
    pub fn name(self) -> &'static str {
        match self {
            Protocol::AtlasV1 => "atlas-v1",
            Protocol::ExporterV1 => "exporter-v1",
            Protocol::RaTls => "ra-tls",
        }
    }

    /// Kinds of evidence that its messages have a place for.
    pub fn carries(self) -> &'static [Tee] {
        match self {
            Protocol::AtlasV1 => &[Tee::Tdx],
            Protocol::ExporterV1 => Tee::ALL,
            Protocol::RaTls => &[Tee::Tdx, Tee::Snp, Tee::Nitro, Tee::NitroTpm],
        }
    }

    /// Whether it carries evidence of devices beside the machine.
    pub fn carries_attached(self) -> bool {
        self == Protocol::ExporterV1
    }

    /// Whether what it carries belongs to one session, or only to a key.
    pub fn binds_session(self) -> bool {
        self != Protocol::RaTls
    }

    pub fn from_name(name: &str) -> Option<Protocol> {
        [Protocol::AtlasV1, Protocol::ExporterV1, Protocol::RaTls].into_iter().find(|protocol| protocol.name() == name)
    }
}

/// Which end of the connection proves itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProvingSide {
    Server,
    Client,
}

impl ProvingSide {
    /// As it stands in binder and challenge.
    pub fn letter(self) -> char {
        match self {
            ProvingSide::Server => 'S',
            ProvingSide::Client => 'C',
        }
    }
}

/// What this side knows about the session that the evidence must belong to.
#[derive(Clone, Debug)]
pub enum Binding {
    /// The session at hand, by atlas-v1.
    Session {
        nonce: [u8; 32],
        exporter: [u8; EXPORTER_LENGTH],
        /// DER of the certificate that the server presented in this session.
        leaf_certificate: Vec<u8>,
    },
    /// The session at hand, by exporter-v1.
    Exporter(Exporter),
    /// The key of the certificate that the evidence came in, whatever session it is shown in. The verdict says so.
    Certificate(RaTlsCertificate),
    /// The caller wishes to judge the evidence alone. The verdict says so.
    Skip,
}

impl Binding {
    /// What evidence of that kind must hold of the session; `None` for a binding that was skipped.
    pub fn report_data(&self, tee: Tee) -> Option<Result<[u8; 64], String>> {
        // What ties evidence to a certificate in atlas-v1 is nothing but the log of the kind that it carries; and of the others nobody has said what
        // they hold in a certificate.
        if let Some(protocol) = self.protocol()
            && !protocol.carries().contains(&tee)
        {
            return Some(Err(format!("{} does not carry evidence of kind {}", protocol.name(), tee.name())));
        }
        match self {
            Binding::Session { nonce, exporter, .. } => Some(Ok(report_data(nonce, exporter))),
            Binding::Exporter(session) => Some(session.report_data(tee)),
            Binding::Certificate(certificate) => Some(certificate.report_data()),
            Binding::Skip => None,
        }
    }

    /// The certificate of the side that proves itself, DER.
    pub(super) fn leaf(&self) -> Option<&[u8]> {
        match self {
            Binding::Session { leaf_certificate, .. } => Some(leaf_certificate),
            Binding::Exporter(session) => session.attester_leaf.as_deref(),
            Binding::Certificate(certificate) => Some(&certificate.der),
            Binding::Skip => None,
        }
    }

    pub fn protocol(&self) -> Option<Protocol> {
        match self {
            Binding::Session { .. } => Some(Protocol::AtlasV1),
            Binding::Exporter(_) => Some(Protocol::ExporterV1),
            Binding::Certificate(_) => Some(Protocol::RaTls),
            Binding::Skip => None,
        }
    }
}

/// A session as exporter-v1 binds evidence to it.
#[derive(Clone, Debug)]
pub struct Exporter {
    /// Who proves itself. Without it one side's evidence could be reflected to it as the other's.
    pub attester: ProvingSide,
    /// The verifier's.
    pub nonce: [u8; 32],
    /// Of this very session, for `EXPORTER_V1_LABEL` and the digest of the challenge.
    pub exporter: [u8; EXPORTER_LENGTH],
    /// DER of the certificates that the two have shown; none for a client that has shown none.
    pub attester_leaf: Option<Vec<u8>>,
    pub verifier_leaf: Option<Vec<u8>>,
    /// The name in the TLS handshake (SNI); empty where there was none.
    pub server_name: String,
}

impl Exporter {
    /// `server_leaf` and `client_leaf` are DER of the certificates that the two ends have shown in the session.
    pub fn new(
        attester: ProvingSide,
        (nonce, exporter): ([u8; 32], [u8; EXPORTER_LENGTH]),
        (server_leaf, client_leaf): (Vec<u8>, Option<Vec<u8>>),
        server_name: String,
    ) -> Exporter {
        let (attester_leaf, verifier_leaf) = match attester {
            ProvingSide::Server => (Some(server_leaf), client_leaf),
            ProvingSide::Client => (client_leaf, Some(server_leaf)),
        };
        Exporter { attester, nonce, exporter, attester_leaf, verifier_leaf, server_name }
    }

    /// `SHA-512(tag || role || TEE kind || nonce || exporter || SHA-384(SPKI) of attester and verifier, zero for none || SHA-384(name))`.
    /// Errors: a certificate that is none, and a kind that no binder is of.
    pub fn report_data(&self, tee: Tee) -> Result<[u8; 64], String> {
        if tee.attaches() {
            return Err(format!("no binder is of kind {}", tee.name()));
        }
        let role = [self.attester.letter() as u8];
        let (attester, verifier) = (key_digest(&self.attester_leaf)?, key_digest(&self.verifier_leaf)?);
        let name = sha384(normal_name(&self.server_name).as_bytes());
        Ok(sha512(&[TAG, &role, &tee.code(), &self.nonce, &self.exporter, &attester, &verifier, &name]))
    }
}

/// Names are the same in either case, and with or without the dot of the root.
fn normal_name(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn key_digest(leaf: &Option<Vec<u8>>) -> Result<[u8; 48], String> {
    leaf.as_deref().map_or(Ok([0; 48]), |leaf| public_key(leaf).map(|key| sha384(&key)))
}

/// SubjectPublicKeyInfo of a certificate, DER both.
pub fn public_key(leaf: &[u8]) -> Result<Vec<u8>, String> {
    let leaf = CertificateDer::from(leaf);
    let leaf = webpki::EndEntityCert::try_from(&leaf).map_err(|error| format!("certificate: {error:?}"))?;
    Ok(leaf.subject_public_key_info().to_vec())
}

/// `SHA-512(nonce || exporter)`: what the guest must have put into its report in atlas-v1.
pub fn report_data(nonce: &[u8; 32], exporter: &[u8; EXPORTER_LENGTH]) -> [u8; 64] {
    sha512(&[nonce, exporter])
}

/// What is derived from a binder for a nonce that has no room for it: `SHA-256(binder || purpose)`.
pub fn derived_nonce(binder: &[u8; 64], purpose: &str) -> [u8; 32] {
    sha256(&[binder, purpose.as_bytes()].concat())
}

/// Text that a certificate event carries: the lower-case hex SHA-256 of the whole certificate.
pub(super) fn certificate_digest(leaf: &[u8]) -> String {
    hex(&sha256(leaf))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Exporter {
        Exporter {
            attester: ProvingSide::Server,
            nonce: [1; 32],
            exporter: [2; 32],
            attester_leaf: Some(super::super::dcap::INTEL_ROOT_DER.to_vec()),
            verifier_leaf: None,
            server_name: "tee.example".into(),
        }
    }

    #[test]
    fn each_part_of_the_binder_counts() {
        let base = session();
        let of = |change: fn(&mut Exporter)| {
            let mut changed = session();
            change(&mut changed);
            changed.report_data(Tee::Tdx)
        };
        let changes: [fn(&mut Exporter); 6] = [
            |session| session.attester = ProvingSide::Client,
            |session| session.nonce[31] = 0,
            |session| session.exporter[0] = 0,
            |session| session.attester_leaf = None,
            |session| session.verifier_leaf = session.attester_leaf.take(),
            |session| session.server_name = "sibling.example".into(),
        ];
        let mut seen = vec![base.report_data(Tee::Tdx).unwrap()];
        for change in changes {
            let other = of(change).unwrap();
            assert!(!seen.contains(&other));
            seen.push(other);
        }
        assert_eq!(of(|session| session.server_name = "TEE.example.".into()), base.report_data(Tee::Tdx));
        assert!(of(|session| session.verifier_leaf = Some(vec![0x30])).is_err());
    }

    #[test]
    fn atlas_v1_binds_only_what_it_carries() {
        let session = Binding::Session { nonce: [1; 32], exporter: [2; 32], leaf_certificate: vec![3] };
        assert_eq!(session.report_data(Tee::Tdx), Some(Ok(report_data(&[1; 32], &[2; 32]))));
        let refused = session.report_data(Tee::Snp).unwrap().unwrap_err();
        assert_eq!(refused, "atlas-v1 does not carry evidence of kind snp");
    }

    #[test]
    fn a_certificate_holds_what_somebody_has_described() {
        let der = super::super::dcap::INTEL_ROOT_DER.to_vec();
        let format = super::super::ra_tls::RaTlsFormat::Dstack;
        let binding = Binding::Certificate(RaTlsCertificate { der, format, not_before: 0, not_after: 1 });
        for tee in Tee::ALL {
            let data = binding.report_data(*tee).unwrap();
            match Protocol::RaTls.carries().contains(tee) {
                true => assert!(data.is_ok(), "{tee:?}"),
                false => assert_eq!(data, Err(format!("ra-tls does not carry evidence of kind {}", tee.name()))),
            }
        }
        for refused in [Tee::Sgx, Tee::AzureTdx, Tee::AzureSnp] {
            assert!(binding.report_data(refused).unwrap().is_err());
        }
    }

    #[test]
    fn who_proves_itself_says_whose_certificate_is_which() {
        for (attester, of_attester, of_verifier) in
            [(ProvingSide::Server, Some(vec![3]), Some(vec![4])), (ProvingSide::Client, Some(vec![4]), Some(vec![3]))]
        {
            let made = Exporter::new(attester, ([1; 32], [2; 32]), (vec![3], Some(vec![4])), "name".into());
            assert_eq!((made.attester, made.attester_leaf, made.verifier_leaf), (attester, of_attester, of_verifier));
            assert_eq!((made.nonce, made.exporter, &*made.server_name), ([1; 32], [2; 32], "name"));
        }
        let bare = Exporter::new(ProvingSide::Client, ([1; 32], [2; 32]), (vec![3], None), String::new());
        assert_eq!((bare.attester_leaf, bare.verifier_leaf), (None, Some(vec![3])));
    }

    #[test]
    fn the_binder_is_what_the_protocol_says() {
        let base = session();
        let key = public_key(base.attester_leaf.as_deref().unwrap()).unwrap();
        // A whole SubjectPublicKeyInfo: a sequence, of an algorithm and a key.
        assert_eq!(key[0], 0x30);
        let mut text = b"atls-exporter-v1\0S\x00\x01".to_vec();
        text.extend_from_slice(&[1; 32]);
        text.extend_from_slice(&[2; 32]);
        text.extend_from_slice(&sha384(&key));
        text.extend_from_slice(&[0; 48]);
        text.extend_from_slice(&sha384(b"tee.example"));
        assert_eq!(base.report_data(Tee::Tdx).unwrap(), sha512(&[&text]));
    }
}
