//! The certificate of a TPM's attestation key, up to one of Microsoft's roots. What it is for and whom it is about tells a confidential virtual machine from
//! one without encrypted memory, whose TPM has a certificate as well. Pure.

use std::sync::OnceLock;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_cert::Certificate;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode, Reader, SliceReader};
use x509_cert::ext::pkix::ExtendedKeyUsage;

use crate::attest::chains::{Chains, Dates};
use crate::attest::remembering::{self, Algorithm};
use crate::attest::tpm::{EXPONENT, RSA_BYTES};

/// Azure Virtual TPM Root Certificate Authority 2023, then Microsoft RSA Devices Root CA 2021: DER certificates one after another, as Microsoft publishes
/// them for the guests' attestation. A test holds the fingerprints.
pub const MICROSOFT_ROOTS_DER: &[u8] = include_bytes!("microsoft_roots.der");

/// With the certificate itself.
const MAX_CHAIN: usize = 4;
const MAX_BYTES: usize = 8 << 10;
/// tcg-kp-AIKCertificate: as an identifier, and as the chain's check takes it.
const ATTESTATION_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.8.3");
const ATTESTATION_KEY_BYTES: &[u8] = &[0x67, 0x81, 0x05, 0x08, 0x03];
/// What the common name ends in: not so for machines without encrypted memory.
const CONFIDENTIAL: &str = ".ConfidentialVM.Azure.windows.net";

/// The roots that are one after another in `all`; at least one.
pub fn read_roots(all: &[u8]) -> Result<Vec<CertificateDer<'_>>, String> {
    let broken = |error| format!("Microsoft's certificates: {error}");
    let mut reader = SliceReader::new(all).map_err(broken)?;
    let mut roots = Vec::new();
    while !reader.is_finished() {
        let root = CertificateDer::from(reader.tlv_bytes().map_err(broken)?);
        anchor_from_trusted_cert(&root).map_err(|error| format!("Microsoft's certificates: {error}"))?;
        roots.push(root);
    }
    if roots.is_empty() { Err("Microsoft's certificates: there is none".into()) } else { Ok(roots) }
}

/// Certificates of an attestation key, its own first, as they came along.
pub fn check_form(chain: &[Vec<u8>]) -> Result<(), String> {
    if chain.is_empty() || chain.len() > MAX_CHAIN {
        return Err(format!("ak_certificates has {} members, must have 1 to {MAX_CHAIN}", chain.len()));
    }
    match chain.iter().find(|der| der.len() > MAX_BYTES) {
        Some(long) => Err(format!("ak_certificates: a certificate of {} bytes, at most {MAX_BYTES}", long.len())),
        None => Ok(()),
    }
}

/// A certificate that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AkDates {
    /// Unix seconds: the first and the last that it holds at.
    pub not_before: u64,
    pub not_after: u64,
    /// The last that the chain holds at.
    pub chain_until: u64,
}

/// Whether the first of `chain` is of the key with that modulus, in a confidential virtual machine, and leads by all of the rest to one of `roots` at `now`.
pub fn check(chain: &[Vec<u8>], modulus: &[u8; RSA_BYTES], (roots, now): (&[u8], u64)) -> Result<AkDates, String> {
    static CHAINS: Chains<AkDates> = Chains::new();
    let certificates: Vec<_> = chain.iter().map(|der| &der[..]).collect();
    CHAINS.find(&certificates, [roots, modulus], now, || walk(chain, modulus, (roots, now)))
}

fn walk(chain: &[Vec<u8>], modulus: &[u8; RSA_BYTES], (roots, now): (&[u8], u64)) -> Result<AkDates, String> {
    let (own, issuers) = chain.split_first().ok_or("none came along")?;
    let certificate = Certificate::from_der(own).map_err(|error| error.to_string())?;
    leads_to(own, issuers, (roots, now))?;
    let about = certificate.tbs_certificate();
    let usage = about.get_extension::<ExtendedKeyUsage>().map_err(|error| error.to_string())?;
    if !usage.is_some_and(|(_, usage)| usage.0.contains(&ATTESTATION_KEY)) {
        return Err("not for a TPM's attestation key".into());
    }
    let name = about.subject().common_name().map_err(|error| format!("common name: {error}"))?;
    let name = name.map(|text| text.value().into_owned()).unwrap_or_default();
    if !name.ends_with(CONFIDENTIAL) {
        return Err(format!("of {name:?}, not of a confidential virtual machine"));
    }
    if about.subject_public_key_info().subject_public_key.raw_bytes() != public_key(modulus) {
        return Err("of another key than the TPM's".into());
    }
    let dates = |certificates: &[&[u8]]| Dates::of(certificates).ok_or("a certificate that cannot be read");
    let all = dates(&chain.iter().map(|der| &der[..]).collect::<Vec<_>>())?;
    let own = dates(&[own])?;
    Ok(AkDates { not_before: own.from, not_after: own.until, chain_until: all.until })
}

/// Whether `issuer` has issued the last of `chain`, whose others have each been issued by the next, at `now`. Whether anybody trusts it is another question.
pub fn has_issued(issuer: &[u8], chain: &[Vec<u8>], now: u64) -> Result<(), String> {
    let (own, others) = chain.split_first().ok_or("an empty chain")?;
    path(own, others, (&[CertificateDer::from(issuer)], now))
}

fn leads_to(own: &[u8], issuers: &[Vec<u8>], (roots, now): (&[u8], u64)) -> Result<(), String> {
    path(own, issuers, (&read_roots(roots)?, now))?;
    if issuers.is_empty() { Err("no certificates beside it".into()) } else { Ok(()) }
}

fn path(own: &[u8], issuers: &[Vec<u8>], (roots, now): (&[CertificateDer<'_>], u64)) -> Result<(), String> {
    let anchors: Result<Vec<_>, _> = roots.iter().map(anchor_from_trusted_cert).collect();
    let anchors = anchors.map_err(|error| format!("root: {error}"))?;
    let issuers: Vec<_> = issuers.iter().map(|der| CertificateDer::from(&der[..])).collect();
    let own = CertificateDer::from(own);
    let leaf = EndEntityCert::try_from(&own).map_err(|error| error.to_string())?;
    let time = UnixTime::since_unix_epoch(Duration::from_secs(now));
    // An authority may leave out what its certificates are for; the one of the key may not, see `check`.
    let usage = KeyUsage::required_if_present(ATTESTATION_KEY_BYTES);
    static REMEMBERING: OnceLock<Vec<Algorithm>> = OnceLock::new();
    let algorithms = remembering::all(&REMEMBERING, ALL_VERIFICATION_ALGS);
    let path = leaf.verify_for_usage(algorithms, &anchors, &issuers, time, usage, None, None);
    let path = path.map_err(|error| error.to_string())?;
    // What is not part of the chain would pass without being looked at.
    if path.intermediate_certificates().count() == issuers.len() {
        Ok(())
    } else {
        Err(format!("{} certificates beside it, not all and only those of the chain", issuers.len()))
    }
}

/// RSAPublicKey (RFC 8017, A.1.1), DER. Of 2048 bits, so the first of them is set.
fn public_key(modulus: &[u8; RSA_BYTES]) -> Vec<u8> {
    const SEQUENCE: [u8; 4] = [0x30, 0x82, 0x01, 0x0a];
    const INTEGER: [u8; 5] = [0x02, 0x82, 0x01, 0x01, 0x00];
    [&SEQUENCE[..], &INTEGER, modulus, &[0x02, 0x03], &EXPONENT].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attest::hash::{hex, sha256};

    #[test]
    fn the_built_in_roots_are_microsofts() {
        let fingerprints: Vec<_> =
            read_roots(MICROSOFT_ROOTS_DER).unwrap().iter().map(|root| hex(&sha256(root))).collect();
        let expected = [
            "e6c596b17f8ffefba5c300f714cfb1260c6028704ecf7becc4ab5018efb00e95",
            "8c2bb9144d4970c94fb8105cc5d860a58e2e675eb360fdd8c14b30833aaaec1d",
        ];
        assert_eq!(fingerprints, expected);
        assert!(read_roots(b"").is_err() && read_roots(&MICROSOFT_ROOTS_DER[1..]).is_err());
    }

    #[test]
    fn a_chain_has_a_form() {
        assert!(check_form(&[]).is_err() && check_form(&vec![vec![0]; 5]).is_err());
        assert!(check_form(&[vec![0; MAX_BYTES]]).is_ok() && check_form(&[vec![0; MAX_BYTES + 1]]).is_err());
    }
}
