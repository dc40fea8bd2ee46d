//! Who is to blame for a quote that is genuine and was not verified: the steps are taken one by one, each of which speaks against one party. First each
//! document by itself, then what they say of the platform. Nothing here makes a quote acceptable. Pure.

use std::time::Duration;

use dcap_qvl::config::CryptoProvider;
use dcap_qvl::quote::TDAttributes;
use dcap_qvl::{QeIdentity, QuoteCollateralV3, TcbInfo};
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, OwnedCertRevocationList, RevocationOptionsBuilder, anchor_from_trusted_cert};

use super::crypto::AwsLc;
use super::documents::DocumentKind;
use super::genuine::pck_chain;
use super::unverified::{Culprit, Unverified};
use super::{Issuer, PlatformId, QuoteKind, dates, layout};
use crate::attest::hash::hex;

/// `said` is the verifying crate's message; it is used if every step holds, since then the fault is the platform's firmware.
pub fn find(
    kind: QuoteKind,
    quote: &[u8],
    (set, platform): (&QuoteCollateralV3, &PlatformId),
    (root, now): (&[u8], u64),
    said: String,
) -> Unverified {
    let steps = || {
        documents(kind, set, platform, (root, now))?;
        revocation(quote, set, root, now)?;
        match kind {
            QuoteKind::TrustDomain => trust_domain(quote),
            QuoteKind::Enclave => Ok(()),
        }
    };
    steps().err().unwrap_or_else(|| Unverified::new(Culprit::Platform, said))
}

fn documents(
    kind: QuoteKind,
    set: &QuoteCollateralV3,
    platform: &PlatformId,
    (root, now): (&[u8], u64),
) -> Result<(), Unverified> {
    let of = |document| move |why: String| Unverified::new(Culprit::Document(document), why);
    let issuer = Issuer { root, root_crl: None };
    let step = issuer.root_crl(&set.root_ca_crl).and_then(|()| dates::of_crl(&set.root_ca_crl, now));
    step.map_err(of(DocumentKind::RootCrl))?;
    let issuer = Issuer { root, root_crl: Some(&set.root_ca_crl) };
    let step = issuer.pck_crl(&set.pck_crl, &set.pck_crl_issuer_chain, platform.ca, now);
    step.and_then(|()| dates::of_crl(&set.pck_crl, now)).map_err(of(DocumentKind::PckCrl))?;
    let signed = (&*set.tcb_info, &*set.tcb_info_signature);
    let step = issuer.tcb_info(kind, signed, (&set.tcb_info_issuer_chain, now), &platform.fmspc);
    step.and_then(|()| tcb_info(kind, &set.tcb_info, now)).map_err(of(DocumentKind::TcbInfo(kind)))?;
    let signed = (&*set.qe_identity, &*set.qe_identity_signature);
    let step = issuer.qe_identity(kind, signed, (&set.qe_identity_issuer_chain, now));
    step.and_then(|()| qe_identity(kind, &set.qe_identity, now)).map_err(of(DocumentKind::QeIdentity(kind)))
}

fn tcb_info(kind: QuoteKind, text: &str, now: u64) -> Result<(), String> {
    let info: TcbInfo = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if info.version < 3 {
        return Err(format!("version {}, expected 3 or later", info.version));
    }
    if kind == QuoteKind::TrustDomain && info.tdx_module.is_none() {
        return Err("names no TDX module".into());
    }
    dates::check((&info.issue_date, &info.next_update), now)
}

fn qe_identity(kind: QuoteKind, text: &str, now: u64) -> Result<(), String> {
    let identity: QeIdentity = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let latest = if kind == QuoteKind::TrustDomain { 3 } else { 2 };
    if !(2..=latest).contains(&identity.version) {
        return Err(format!("version {}, expected 2 to {latest}", identity.version));
    }
    dates::check((&identity.issue_date, &identity.next_update), now)
}

/// Whether the lists, each valid by itself, cover the platform's chain and contain none of its certificates.
fn revocation(quote: &[u8], set: &QuoteCollateralV3, root: &[u8], now: u64) -> Result<(), Unverified> {
    let list = |der: &[u8], document| {
        let parsed = OwnedCertRevocationList::from_der(der);
        parsed.map_err(|error| Unverified::new(Culprit::Document(document), error.to_string()))
    };
    let lists =
        [list(&set.root_ca_crl, DocumentKind::RootCrl)?.into(), list(&set.pck_crl, DocumentKind::PckCrl)?.into()];
    let lists: Vec<_> = lists.iter().collect();
    let uncovered = |why: String| Unverified::new(Culprit::Document(DocumentKind::PckCrl), why);
    let options = RevocationOptionsBuilder::new(&lists).map_err(|_| uncovered("there is no list".into()))?.build();
    let chain = pck_chain(quote).map_err(Unverified::quote)?;
    let (leaf, issuers) = chain.split_first().ok_or_else(|| Unverified::quote("the quote holds no PCK certificate"))?;
    let leaf = EndEntityCert::try_from(leaf).map_err(|error| Unverified::quote(error.to_string()))?;
    let root = CertificateDer::from(root);
    let anchors = [anchor_from_trusted_cert(&root).map_err(|error| Unverified::quote(error.to_string()))?];
    let (time, usage) = (UnixTime::since_unix_epoch(Duration::from_secs(now)), KeyUsage::server_auth());
    match leaf.verify_for_usage(&[AwsLc::sig_algo()], &anchors, issuers, time, usage, Some(options), None) {
        Ok(_) => Ok(()),
        Err(error @ webpki::Error::CertRevoked) => Err(Unverified::new(
            Culprit::Platform,
            format!("the vendor has revoked a certificate of the PCK chain ({error})"),
        )),
        Err(error) => Err(uncovered(format!("does not settle whether the PCK chain is revoked: {error}"))),
    }
}

/// What no policy can allow: a host that may zap pages, or move the domain elsewhere.
fn trust_domain(quote: &[u8]) -> Result<(), Unverified> {
    let (raw, is_td10) =
        layout::td_attributes(quote).ok_or_else(|| Unverified::quote("the quote has no TD attributes"))?;
    let attributes = TDAttributes::parse(raw).map_err(|error| Unverified::quote(error.to_string()))?;
    let problem = if attributes.sec.migratable {
        "the TD can be migrated to another machine"
    } else if !attributes.sec.sept_ve_disable {
        "the TD's host can bring exceptions about in it (SEPT_VE_DISABLE is clear)"
    } else if is_td10 && attributes.sec.servtd_ext {
        "the TD is bound to a service TD that its report does not name"
    } else if attributes.reserved != 0 {
        "the TD has attributes that are reserved"
    } else {
        return Ok(());
    };
    Err(Unverified::new(Culprit::TrustDomain, format!("{problem}: attributes {}", hex(&raw))))
}
