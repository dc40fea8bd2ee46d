//! AMD's documents: where they are fetched, how they look, how long they hold (AMD, "Versioned Chip Endorsement Key certificate and KDS interface
//! specification"). No I/O.

use super::kept_document::{KeptDocument, Window};
use super::vendor::{Authority, VendorModule};
use crate::attest::hash::{hex, unhex_array};
use crate::attest::snp::{AmdDocumentKind, Crl, CrlDates, Leaf, Product, Roots, SigningKey, Tcb};
use crate::attest::{Document, DocumentId, Vendor};

pub struct Amd;

/// What a document is about.
enum Subject {
    /// Of which product, about the issuer of which keys.
    Crl(Product, SigningKey),
    Leaf(Product, [u8; 64], [u8; 8]),
}

impl Subject {
    fn of(id: &DocumentId) -> Result<Subject, String> {
        Subject::read(id.kind, &id.subject).ok_or_else(|| format!("{id} is not one of AMD's documents"))
    }

    fn read(kind: &str, subject: &str) -> Option<Subject> {
        let (product, rest) = subject.split_once('/')?;
        let product = Product::from_name(product)?;
        match AmdDocumentKind::from_name(kind)? {
            AmdDocumentKind::Crl => Some(Subject::Crl(product, SigningKey::from_name(rest)?)),
            AmdDocumentKind::Leaf => {
                let (chip, tcb) = rest.split_once('/')?;
                let is_lower = |text: &str| !text.bytes().any(|byte| byte.is_ascii_uppercase());
                let (id, version) = (unhex_array(chip)?, unhex_array(tcb)?);
                (is_lower(chip) && is_lower(tcb)).then_some(Subject::Leaf(product, id, version))
            }
        }
    }
}

impl VendorModule for Amd {
    fn id(&self, name: &str) -> Option<DocumentId> {
        AmdDocumentKind::ALL.into_iter().find_map(|kind| {
            let subject = name.strip_prefix(kind.name())?.strip_prefix('/')?;
            Subject::read(kind.name(), subject)?;
            Some(DocumentId { vendor: Vendor::Amd, kind: kind.name(), subject: subject.to_owned() })
        })
    }

    fn url(&self, id: &DocumentId, base: &str) -> Result<String, String> {
        Ok(match Subject::of(id)? {
            Subject::Crl(product, key) => format!("{base}/{}/v1/{}/crl", key.name(), product.name()),
            Subject::Leaf(product, chip, tcb) => {
                let Tcb { bootloader, tee, snp, microcode, fmc } = Tcb::read(tcb, product);
                // Turin's chips are known by the first bytes of their identity.
                let chip = if product == Product::Turin { hex(&chip[..8]) } else { hex(&chip) };
                let fmc = fmc.map_or_else(String::new, |fmc| format!("fmcSPL={fmc}&"));
                let versions = format!("{fmc}blSPL={bootloader}&teeSPL={tee}&snpSPL={snp}&ucodeSPL={microcode}");
                format!("{base}/vcek/v1/{}/{chip}?{versions}", product.name())
            }
        })
    }

    fn chain_headers(&self, _: &DocumentId) -> &'static [&'static str] {
        &[]
    }

    fn read(&self, id: &DocumentId, body: Vec<u8>, _: &str) -> Result<(Vec<u8>, Window), String> {
        let window = match Subject::of(id)? {
            Subject::Crl(..) => {
                let CrlDates { issued, expires, number } =
                    CrlDates::read(&body).map_err(|why| format!("CRL: {why}"))?;
                Window { issued, expires, number }
            }
            Subject::Leaf(..) => {
                let leaf = Leaf::read(&body).map_err(|why| format!("certificate: {why}"))?;
                // It holds at its last second too.
                Window { issued: leaf.not_before, expires: leaf.not_after.saturating_add(1), number: 0 }
            }
        };
        Ok((body, window))
    }

    fn revoked_by(&self, _: &DocumentId) -> Option<DocumentId> {
        None
    }

    fn authenticate(&self, id: &DocumentId, object: &KeptDocument, by: Authority<'_>, at: u64) -> Result<(), String> {
        match Subject::of(id)? {
            Subject::Crl(product, _) => Crl::read(&object.body, Roots::of(by.root, product)?.ark).map(|_| ()),
            Subject::Leaf(product, chip, tcb) => {
                let (leaf, roots) = (Leaf::read(&object.body)?, Roots::of(by.root, product)?);
                leaf.leads_to(&roots, SigningKey::Vcek, at)?;
                let facts = leaf.facts?;
                let is_it = facts.is_of(product) && facts.is_of_chip(&chip, product);
                match is_it && facts.tcb == Tcb::read(tcb, product) {
                    true => Ok(()),
                    false => Err(format!("a certificate of another chip, or for another version: {}", facts.tcb)),
                }
            }
        }
    }

    /// The service allows few requests, and a chip's certificate never changes.
    fn is_cached(&self) -> bool {
        true
    }

    /// The certificate for a version of a chip's firmware.
    fn is_immutable(&self, id: &DocumentId) -> bool {
        id.kind == AmdDocumentKind::Leaf.name()
    }

    fn is_chosen_by_evidence(&self, id: &DocumentId) -> bool {
        id.kind == AmdDocumentKind::Leaf.name()
    }

    fn document(&self, _: &DocumentId, object: &KeptDocument) -> Result<Document, String> {
        let document = Document::new(object.body.clone(), Vec::new(), String::new());
        Ok(document.from_source(object.source.shown()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_where_a_service_has_them() {
        let (chip, tcb) = ("0102030405060708".to_owned() + &"00".repeat(56), "0102030400000009");
        let url = |name: &str| Amd.url(&Amd.id(name).expect(name), "https://kds.example").unwrap();
        assert_eq!(url("amd/crl/Milan/vcek"), "https://kds.example/vcek/v1/Milan/crl");
        assert_eq!(url("amd/crl/Turin/vlek"), "https://kds.example/vlek/v1/Turin/crl");
        assert_eq!(
            url(&format!("amd/leaf/Genoa/{chip}/{tcb}")),
            format!("https://kds.example/vcek/v1/Genoa/{chip}?blSPL=1&teeSPL=2&snpSPL=0&ucodeSPL=9")
        );
        assert_eq!(
            url(&format!("amd/leaf/Turin/{chip}/{tcb}")),
            "https://kds.example/vcek/v1/Turin/0102030405060708?fmcSPL=1&blSPL=2&teeSPL=3&snpSPL=4&ucodeSPL=9"
        );
        for bad in [
            "amd/crl/Milan",
            "amd/crl/Milan/ask",
            "amd/crl/Rome/vcek",
            "amd/crl/Milan/vcek/x",
            "amd/leaf/Milan/00/00",
            "amd/leaf/Milan",
            "crl/Milan/vcek",
            &format!("amd/leaf/Milan/{}/{tcb}", "AB".repeat(64)),
        ] {
            assert!(Amd.id(bad).is_none(), "{bad}");
        }
    }
}
