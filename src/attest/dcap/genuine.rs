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
use super::unverified::Unverified;
use super::{PlatformId, QuoteKind, layout};
use crate::attest::hash::{hex, sha256};

/// The vendor's chains have one; with more, a stranger would decide how much work path building is.
const MAX_INTERMEDIATES: usize = 4;
/// The offset of the report data in the report of the quoting enclave.
const QE_REPORT_DATA: usize = 320;

/// The platform that made a quote, if the chain in it leads to `root` at `now` and the quote is signed by it.
pub fn genuine(kind: QuoteKind, raw: &[u8], root: &[u8], now: u64) -> Result<PlatformId, Unverified> {
    layout::check(kind, raw).map_err(Unverified::quote)?;
    signed_by_platform(raw, root, now).map_err(Unverified::quote)
}

fn signed_by_platform(raw: &[u8], root: &[u8], now: u64) -> Result<PlatformId, String> {
    let quote = Quote::parse(raw).map_err(|error| format!("{error:#}"))?;
    if quote.header.qe_vendor_id != INTEL_QE_VENDOR_ID {
        return Err(format!("quoting enclave of vendor {}", hex(&quote.header.qe_vendor_id)));
    }
    let chain = chain_in(&quote)?;
    let (leaf, issuers) = chain.split_first().ok_or("the quote holds no PCK certificate")?;
    let pck = EndEntityCert::try_from(leaf).map_err(|error| format!("PCK certificate: {error}"))?;
    leads_to(root, &pck, issuers, now).map_err(|why| format!("PCK chain: {why}"))?;
    signatures(raw, &quote, &pck)?;
    let extension = dcap_qvl::intel::parse_pck_extension_with::<AwsLc>(leaf).map_err(|error| format!("{error:#}"))?;
    let ca = dcap_qvl::intel::pck_ca_with::<AwsLc>(leaf).map_err(|error| format!("{error:#}"))?;
    Ok(PlatformId { fmspc: hex(&extension.fmspc).to_uppercase(), ca: ca.as_id_str() })
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

/// PCK over the report of the quoting enclave, that report over the attestation key, and this key over the quote's body.
fn signatures(raw: &[u8], quote: &Quote, pck: &EndEntityCert<'_>) -> Result<(), String> {
    let auth: AuthDataV3 = quote.auth_data.clone().into_v3();
    let qe = pck.verify_signature(AwsLc::sig_algo(), &auth.qe_report, &der(&auth.qe_report_signature)?);
    qe.map_err(|_| "the report of the quoting enclave is not signed by the PCK certificate's key")?;
    let vouched = sha256(&[&auth.ecdsa_attestation_key[..], &auth.qe_auth_data.data].concat());
    if auth.qe_report[QE_REPORT_DATA..QE_REPORT_DATA + 32] != vouched {
        return Err("the quoting enclave does not vouch for the attestation key".into());
    }
    let signed = raw.get(..quote.signed_length()).ok_or("quote is cut short")?;
    let key = [&[4], &auth.ecdsa_attestation_key[..]].concat();
    let body = AwsLc::sig_algo().verify_signature(&key, signed, &der(&auth.ecdsa_signature)?);
    body.map_err(|_| "the quote's body is not signed by the attestation key".into())
}

/// `r || s` as certificates have it.
pub(super) fn der(signature: &[u8]) -> Result<Vec<u8>, String> {
    let (r, s) = signature.split_at_checked(32).ok_or("a signature that is cut short")?;
    DerSigEncoder::encode_ecdsa_sig(r, s).map_err(|error| format!("{error:#}"))
}
