//! Evidence that has been accepted, kept as it came and in little memory, so that it can be judged again. No I/O.

use super::kept_bytes::{KeptBytes, SharedPieces};
use crate::attest::challenge::{Challenge, read_answer};
use crate::attest::tdx::TdxEvidence;
use crate::attest::{Binding, Evidence, Exporter, Protocol, ProvingSide, RaTlsCertificate, RaTlsFormat, Tee};
use crate::error::{Error, Phase, Result, Status};

/// An answer with evidence, as it came.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    pub protocol: Protocol,
    /// Who proves itself.
    pub side: ProvingSide,
    /// Nothing, if the evidence is in the certificate.
    pub text: &'a [u8],
}

impl Answer<'_> {
    /// The evidence, if there is any, and a challenge to the other side, if there is one. `asked`: kinds that it may be of.
    pub fn read(&self, asked: &[Tee]) -> std::result::Result<(Option<Evidence>, Option<Challenge>), String> {
        match self.protocol {
            Protocol::AtlasV1 => Ok((Some(Evidence::from(TdxEvidence::from_json(self.text)?)), None)),
            Protocol::ExporterV1 => read_answer(self.text, self.side, asked),
            Protocol::RaTls => Err("a certificate answers nothing".into()),
        }
    }
}

/// The error for an answer from `whom` that cannot be read.
pub fn unreadable(whom: &str, why: &str) -> Error {
    Error::new(Status::EvidenceInvalid, format!("answer of {whom}: {why}")).phase(Phase::Evidence)
}

/// As `unreadable`, for evidence that the certificate itself should carry.
pub fn unreadable_certificate(why: &str) -> Error {
    Error::new(Status::EvidenceInvalid, format!("evidence in the server's certificate: {why}")).phase(Phase::Evidence)
}

/// Evidence, and what it is bound to.
#[derive(Clone, Debug)]
pub enum KeptEvidence {
    OfSession(KeptAnswer),
    /// A certificate, in which the evidence is.
    OfCertificate(KeptBytes, RaTlsFormat),
}

/// An answer, and the session that it belongs to.
#[derive(Clone, Debug)]
pub struct KeptAnswer {
    protocol: Protocol,
    side: ProvingSide,
    text: KeptBytes,
    nonce: [u8; 32],
    exporter: [u8; 32],
    attester_leaf: Option<KeptBytes>,
    verifier_leaf: Option<KeptBytes>,
    server_name: Box<str>,
}

impl KeptEvidence {
    /// `None` without a session, to which nothing could be bound.
    pub fn new(pieces: &SharedPieces, answer: Answer<'_>, binding: &Binding) -> Option<KeptEvidence> {
        let keep = |leaf: &Option<Vec<u8>>| leaf.as_ref().map(|leaf| pieces.keep(leaf));
        let (nonce, exporter, attester_leaf, verifier_leaf, server_name) = match binding {
            Binding::Session { nonce, exporter, leaf_certificate } => {
                (nonce, exporter, Some(pieces.keep(leaf_certificate)), None, "")
            }
            Binding::Exporter(session) => {
                let (attester, verifier) = (keep(&session.attester_leaf), keep(&session.verifier_leaf));
                (&session.nonce, &session.exporter, attester, verifier, &*session.server_name)
            }
            Binding::Certificate(RaTlsCertificate { der, format, .. }) => {
                return Some(KeptEvidence::OfCertificate(pieces.keep(der), *format));
            }
            Binding::Skip => return None,
        };
        let Answer { protocol, side, text } = answer;
        let (text, server_name) = (pieces.keep(text), server_name.into());
        let (nonce, exporter) = (*nonce, *exporter);
        let kept = KeptAnswer { protocol, side, text, nonce, exporter, attester_leaf, verifier_leaf, server_name };
        Some(KeptEvidence::OfSession(kept))
    }

    /// The evidence and its binding, as they were. Errors: none that `new` did not have.
    pub fn read(&self, asked: &[Tee]) -> Result<(Evidence, Binding)> {
        match self {
            KeptEvidence::OfSession(kept) => kept.read(asked),
            KeptEvidence::OfCertificate(der, format) => {
                let read = RaTlsCertificate::read(&der.get(), &[*format]);
                let read = read.and_then(|found| found.ok_or_else(|| "no evidence".into()));
                let (certificate, evidence) = read.map_err(|why| unreadable_certificate(&why))?;
                Ok((evidence, Binding::Certificate(certificate)))
            }
        }
    }
}

impl KeptAnswer {
    fn read(&self, asked: &[Tee]) -> Result<(Evidence, Binding)> {
        let text = self.text.get();
        let answer = Answer { protocol: self.protocol, side: self.side, text: &text };
        let read = answer.read(asked).and_then(|(evidence, _)| evidence.ok_or_else(|| "no evidence".into()));
        let evidence = read.map_err(|why| unreadable("the server", &why))?;
        let (nonce, exporter) = (self.nonce, self.exporter);
        let leaf = |kept: &Option<KeptBytes>| kept.as_ref().map(KeptBytes::get);
        let binding = match self.protocol {
            Protocol::AtlasV1 => {
                let leaf_certificate = leaf(&self.attester_leaf).unwrap_or_default();
                Binding::Session { nonce, exporter, leaf_certificate }
            }
            Protocol::ExporterV1 | Protocol::RaTls => Binding::Exporter(Exporter {
                attester: self.side,
                nonce,
                exporter,
                attester_leaf: leaf(&self.attester_leaf),
                verifier_leaf: leaf(&self.verifier_leaf),
                server_name: self.server_name.to_string(),
            }),
        };
        Ok((evidence, binding))
    }
}
