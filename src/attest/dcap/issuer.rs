//! Whether one of the vendor's documents is authentic: about what was asked for, and signed by a key that the root vouches for. Each is checked by
//! itself, so that a bad one can be told from good ones and another source be asked. The caller checks its dates; appraisal checks the whole set
//! again. Pure.

use dcap_qvl::config::CryptoProvider;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use webpki::EndEntityCert;
use x509_cert::Certificate;
use x509_cert::crl::CertificateList;
use x509_cert::der::asn1::{BitString, ObjectIdentifier};
use x509_cert::der::{Decode, Reader, SliceReader};
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::crypto::AwsLc;
use super::genuine::{der, leads_to};
use super::layout::QuoteKind;

const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

/// Whom documents must come from.
#[derive(Clone, Copy)]
pub struct Issuer<'a> {
    /// DER.
    pub root: &'a [u8],
    /// The root's revocation list (DER), authentic itself; signers on it do not count. `None` where it is not at hand.
    pub root_crl: Option<&'a [u8]>,
}

impl Issuer<'_> {
    pub fn root_crl(&self, list: &[u8]) -> Result<(), String> {
        let root = certificate(self.root).map_err(|why| format!("root: {why}"))?;
        signed_list(list, &root)
    }

    /// `ca` is `platform` or `processor`. Whether the list's issuer was itself revoked is not checked here: that would be a fault of its platforms,
    /// not of the list.
    pub fn pck_crl(&self, list: &[u8], chain: &str, ca: &str, at: u64) -> Result<(), String> {
        let chain = pem(chain)?;
        let issuer = certificate(chain.first().ok_or("no issuer chain")?)?;
        let subject = issuer.tbs_certificate().subject().to_string().to_lowercase();
        if !subject.contains(&format!("pck {ca} ca")) {
            return Err(format!("issued by {subject:?}, which is not the PCK {ca} CA"));
        }
        let root = certificate(self.root).map_err(|why| format!("root: {why}"))?;
        let by_root = issuer.tbs_certificate().issuer() == root.tbs_certificate().subject();
        if !by_root || signed(&chain[0], &root).is_err() {
            return Err("the issuer's certificate is not signed by the vendor's root".into());
        }
        may_sign_lists(&issuer, at)?;
        signed_list(list, &issuer)
    }

    /// `chain` and the time at which its certificates must hold; `fmspc` in hexadecimal digits.
    pub fn tcb_info(
        &self,
        kind: QuoteKind,
        signed: (&str, &[u8]),
        chain: (&str, u64),
        fmspc: &str,
    ) -> Result<(), String> {
        #[derive(Deserialize)]
        struct Info {
            id: String,
            fmspc: String,
        }
        let info: Info = serde_json::from_str(signed.0).map_err(|error| error.to_string())?;
        let wanted = kind.tcb_info_id();
        if info.id != wanted || !info.fmspc.eq_ignore_ascii_case(fmspc) {
            return Err(format!("it is about {:?} {:?}, not {wanted} {fmspc}", info.id, info.fmspc));
        }
        self.signed_text(signed, chain)
    }

    pub fn qe_identity(&self, kind: QuoteKind, signed: (&str, &[u8]), chain: (&str, u64)) -> Result<(), String> {
        #[derive(Deserialize)]
        struct Identity {
            id: String,
        }
        let identity: Identity = serde_json::from_str(signed.0).map_err(|error| error.to_string())?;
        let wanted = kind.qe_identity_id();
        if identity.id != wanted {
            return Err(format!("it is about {:?}, not {wanted}", identity.id));
        }
        self.signed_text(signed, chain)
    }

    fn signed_text(&self, (text, signature): (&str, &[u8]), (chain, at): (&str, u64)) -> Result<(), String> {
        let chain = pem(chain)?;
        let (leaf, issuers) = chain.split_first().ok_or("no issuer chain")?;
        let signer = EndEntityCert::try_from(leaf).map_err(|error| format!("issuer chain: {error}"))?;
        let to_root = leads_to(self.root, &signer, issuers, at);
        to_root.map_err(|why| format!("the issuer chain does not lead to the vendor's root: {why}"))?;
        let parsed = certificate(leaf)?;
        let root = certificate(self.root).map_err(|why| format!("root: {why}"))?;
        if parsed.tbs_certificate().issuer() != root.tbs_certificate().subject() {
            return Err("the signer was not issued by the root itself".into());
        }
        if let Some(list) = self.root_crl {
            let list: CertificateList =
                CertificateList::from_der(list).map_err(|error| format!("root CRL: {error}"))?;
            let serial = parsed.tbs_certificate().serial_number();
            let mut revoked = list.tbs_cert_list.revoked_certificates.iter().flatten();
            if revoked.any(|revoked| revoked.serial_number == *serial) {
                return Err("the signer's certificate is on the vendor's revocation list".into());
            }
        }
        let by_signer = signer.verify_signature(AwsLc::sig_algo(), text.as_bytes(), &der(signature)?);
        by_signer.map_err(|_| "its signature is not the signer's".into())
    }
}

fn certificate(der: &[u8]) -> Result<Certificate, String> {
    Certificate::from_der(der).map_err(|error| format!("certificate: {error}"))
}

fn pem(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| format!("issuer chain: {error}"))
}

fn may_sign_lists(issuer: &Certificate, at: u64) -> Result<(), String> {
    let own = issuer.tbs_certificate();
    let (from, to) = (own.validity().not_before.to_unix_duration(), own.validity().not_after.to_unix_duration());
    if !(from.as_secs()..=to.as_secs()).contains(&at) {
        return Err("the issuer's certificate is outside its dates".into());
    }
    let broken = |error| format!("issuer's certificate: {error}");
    let is_ca = own.get_extension::<BasicConstraints>().map_err(broken)?.is_some_and(|(_, limits)| limits.ca);
    let signs = own.get_extension::<KeyUsage>().map_err(broken)?.is_none_or(|(_, usage)| usage.crl_sign());
    if is_ca && signs {
        Ok(())
    } else {
        Err("the issuer's certificate does not permit signing revocation lists".into())
    }
}

fn signed_list(list: &[u8], issuer: &Certificate) -> Result<(), String> {
    let parsed: CertificateList = CertificateList::from_der(list).map_err(|error| format!("CRL: {error}"))?;
    if parsed.tbs_cert_list.issuer != *issuer.tbs_certificate().subject() {
        return Err(format!("a revocation list of {}", parsed.tbs_cert_list.issuer));
    }
    signed(list, issuer).map_err(|why| format!("the revocation list is not signed by its issuer: {why}"))
}

/// Whether a certificate or revocation list carries a good signature by the key of `issuer`.
fn signed(whole: &[u8], issuer: &Certificate) -> Result<(), String> {
    let parts = |reader: &mut SliceReader<'_>| {
        reader.sequence(|inner| Ok((inner.tlv_bytes()?.to_vec(), inner.decode()?, inner.decode()?)))
    };
    let read: Result<(Vec<u8>, AlgorithmIdentifierOwned, BitString), x509_cert::der::Error> =
        SliceReader::new(whole).and_then(|mut reader| parts(&mut reader));
    let (content, algorithm, signature) = read.map_err(|error| error.to_string())?;
    if algorithm.oid != ECDSA_WITH_SHA256 || algorithm.parameters.is_some() {
        return Err(format!("signature algorithm {}", algorithm.oid));
    }
    let key = issuer.tbs_certificate().subject_public_key_info().subject_public_key.raw_bytes();
    let good = AwsLc::sig_algo().verify_signature(key, &content, signature.raw_bytes());
    good.map_err(|_| "bad signature".into())
}
