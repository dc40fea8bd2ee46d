//! What earlier quotes have shown of a platform, by a fingerprint of every byte that it follows from, and within the dates of all that it follows from: the
//! same question outside them is asked anew. Only what was found good is remembered, never a verdict, and never that a quote is signed: each quote's
//! signature is checked by itself, before anything here counts. Pure, but for the memory.

use rustls_pki_types::CertificateDer;

use super::PlatformId;
use super::claims::PlatformClaims;
use super::documents::Chosen;
use super::layout::{QuoteKind, QuoteParts};
use crate::attest::chains::Dates;
use crate::attest::remembering::{Memory, fingerprint};

/// Most platforms, and most judgements of them, that are remembered.
const MOST: usize = 512;

static CERTIFIED: Memory<Certified, MOST> = Memory::new();
static JUDGED: Memory<PlatformClaims, MOST> = Memory::new();

/// An attestation key that a platform vouches for, whose chain leads to the root. That nothing of it was revoked is no part of this.
#[derive(Clone, Debug)]
struct Certified {
    platform: PlatformId,
    /// Of the chain.
    dates: Dates,
}

/// Of what vouches for an attestation key.
#[derive(Clone, Copy)]
pub struct CertifiedBy([u8; 32]);

impl CertifiedBy {
    pub fn of(kind: QuoteKind, parts: &QuoteParts<'_>, root: &[u8]) -> CertifiedBy {
        CertifiedBy(fingerprint(&[kind.tcb_info_id().as_bytes(), root, parts.header, parts.certification]))
    }

    /// The platform, if it is known that its chain leads to the root, at `now`, and that it vouches for the attestation key.
    pub fn platform(&self, now: u64) -> Option<PlatformId> {
        let known = CERTIFIED.get(&self.0)?;
        known.dates.include(now).then_some(known.platform)
    }

    /// To be called once that was found. A chain whose dates cannot be read is not remembered.
    pub fn remember(&self, platform: &PlatformId, chain: &[CertificateDer<'_>]) {
        let chain: Vec<_> = chain.iter().map(|der| &der[..]).collect();
        if let Some(dates) = Dates::of(&chain) {
            CERTIFIED.remember(self.0, Certified { platform: platform.clone(), dates });
        }
    }
}

/// Of everything that the vendor's documents are asked about: all bytes of a quote but those that its maker chose for whoever asked, and their signature;
/// and all bytes of the documents.
pub struct JudgedBy([u8; 32]);

impl JudgedBy {
    pub fn of(certified: CertifiedBy, parts: &QuoteParts<'_>, documents: &Chosen<'_>) -> JudgedBy {
        let [before, _, after] = parts.report;
        let [one, two, three, four] = documents.fingerprints();
        JudgedBy(fingerprint(&[&certified.0, before, after, one, two, three, four]))
    }

    /// What is known of the platform, if all documents and certificates hold at `now`.
    pub fn claims(&self, now: u64) -> Option<PlatformClaims> {
        JUDGED.get(&self.0).filter(|claims| (claims.issued..claims.expires).contains(&now))
    }

    pub fn remember(&self, claims: &PlatformClaims) {
        JUDGED.remember(self.0, claims.clone());
    }
}
