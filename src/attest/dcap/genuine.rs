//! What can be checked of a quote before any of the vendor's documents is at hand: its form, its PCK chain up to the root, and the signatures under it.
//! Pure.
//!
//! Anyone can write a quote, and what it names makes us ask the vendor: so this comes first. Only the documents say whether a certificate of the chain
//! was revoked, and whether the platform's firmware is current.

use std::time::Duration;

use dcap_qvl::INTEL_QE_VENDOR_ID;
use dcap_qvl::config::{CryptoProvider, EcdsaSigEncoder};
use dcap_qvl::quote::{AuthDataV3, Quote};
use dcap_qvl::signature::DerSigEncoder;
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::crypto::AwsLc;
use super::known::CertifiedBy;
use super::layout::QuoteParts;
use super::unverified::Unverified;
use super::{PlatformId, QuoteKind};
use crate::attest::hash::{hex, sha256};

/// The vendor's chains have one; with more, a stranger would decide how much work path building is.
const MAX_INTERMEDIATES: usize = 4;
/// The offset of the report data in the report of the quoting enclave.
const QE_REPORT_DATA: usize = 320;

/// The platform that made a quote, if the chain in it leads to `root` at `now` and the quote is signed by it.
pub fn genuine(kind: QuoteKind, raw: &[u8], root: &[u8], now: u64) -> Result<PlatformId, Unverified> {
    Genuine::of(kind, raw, root, now).map(|found| found.platform)
}

/// A quote that a platform has made.
pub(super) struct Genuine<'a> {
    pub platform: PlatformId,
    pub parts: QuoteParts<'a>,
    pub certified: CertifiedBy,
}

impl<'a> Genuine<'a> {
    /// As `genuine`.
    pub fn of(kind: QuoteKind, raw: &'a [u8], root: &[u8], now: u64) -> Result<Genuine<'a>, Unverified> {
        let parts = QuoteParts::of(kind, raw).map_err(Unverified::quote)?;
        let certified = CertifiedBy::of(kind, &parts, root);
        let platform = match certified.platform(now) {
            // What vouches for the attestation key is known to the byte; that this key signed this quote is not.
            Some(platform) => is_signed(&parts).map(|()| platform),
            None => parts.check(kind).and_then(|()| signed_by_platform(raw, (&parts, certified), root, now)),
        };
        platform.map(|platform| Genuine { platform, parts, certified }).map_err(Unverified::quote)
    }
}

fn signed_by_platform(
    raw: &[u8],
    (parts, certified): (&QuoteParts<'_>, CertifiedBy),
    root: &[u8],
    now: u64,
) -> Result<PlatformId, String> {
    let quote = Quote::parse(raw).map_err(|error| format!("{error:#}"))?;
    if parts.vendor() != INTEL_QE_VENDOR_ID {
        return Err(format!("quoting enclave of vendor {}", hex(parts.vendor())));
    }
    let chain = chain_in(&quote)?;
    let (leaf, issuers) = chain.split_first().ok_or("the quote holds no PCK certificate")?;
    let pck = EndEntityCert::try_from(leaf).map_err(|error| format!("PCK certificate: {error}"))?;
    leads_to(root, &pck, issuers, now).map_err(|why| format!("PCK chain: {why}"))?;
    vouches(&quote, &pck)?;
    is_signed(parts)?;
    let extension = dcap_qvl::intel::parse_pck_extension_with::<AwsLc>(leaf).map_err(|error| format!("{error:#}"))?;
    let ca = dcap_qvl::intel::pck_ca_with::<AwsLc>(leaf).map_err(|error| format!("{error:#}"))?;
    let platform = PlatformId { fmspc: hex(&extension.fmspc).to_uppercase(), ca: ca.as_id_str() };
    certified.remember(&platform, &chain);
    Ok(platform)
}

/// The certificates in a quote, the platform's first.
pub(super) fn pck_chain(raw: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    chain_in(&Quote::parse(raw).map_err(|error| format!("{error:#}"))?)
}

fn chain_in(quote: &Quote) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain = dcap_qvl::intel::extract_cert_chain(quote).map_err(|error| format!("PCK chain: {error:#}"))?;
    Ok(chain.into_iter().map(CertificateDer::from).collect())
}

/// Whether `leaf` is vouched for by `root` at `now`, through at most [`MAX_INTERMEDIATES`]. Revocation is not checked.
pub(super) fn leads_to(
    root: &[u8],
    leaf: &EndEntityCert<'_>,
    issuers: &[CertificateDer<'_>],
    now: u64,
) -> Result<(), String> {
    if issuers.len() > MAX_INTERMEDIATES {
        return Err(format!("{} certificates above the first one", issuers.len()));
    }
    let root = CertificateDer::from(root);
    let anchors = [anchor_from_trusted_cert(&root).map_err(|error| format!("root: {error}"))?];
    let (time, usage) = (UnixTime::since_unix_epoch(Duration::from_secs(now)), KeyUsage::server_auth());
    let path = leaf.verify_for_usage(&[AwsLc::sig_algo()], &anchors, issuers, time, usage, None, None);
    path.map(|_| ()).map_err(|error| error.to_string())
}

/// PCK over the report of the quoting enclave, and that report over the attestation key.
fn vouches(quote: &Quote, pck: &EndEntityCert<'_>) -> Result<(), String> {
    let auth: AuthDataV3 = quote.auth_data.clone().into_v3();
    let qe = pck.verify_signature(AwsLc::sig_algo(), &auth.qe_report, &der(&auth.qe_report_signature)?);
    qe.map_err(|_| "the report of the quoting enclave is not signed by the PCK certificate's key")?;
    let vouched = sha256(&[&auth.ecdsa_attestation_key[..], &auth.qe_auth_data.data].concat());
    match auth.qe_report[QE_REPORT_DATA..QE_REPORT_DATA + 32] == vouched {
        true => Ok(()),
        false => Err("the quoting enclave does not vouch for the attestation key".into()),
    }
}

/// The attestation key over header and report.
fn is_signed(parts: &QuoteParts<'_>) -> Result<(), String> {
    let key = [&[4], parts.attestation_key()].concat();
    let body = AwsLc::sig_algo().verify_signature(&key, parts.signed, &der(parts.signature)?);
    body.map_err(|_| "the quote's body is not signed by the attestation key".into())
}

/// `r || s` as certificates have it.
pub(super) fn der(signature: &[u8]) -> Result<Vec<u8>, String> {
    let (r, s) = signature.split_at_checked(32).ok_or("a signature that is cut short")?;
    DerSigEncoder::encode_ecdsa_sig(r, s).map_err(|error| format!("{error:#}"))
}
