//! Who made a report: the checks whose success makes what it says authentic, in the order in which they are made, each as one line of the verdict.
//! Pure.

use std::rc::Rc;

use super::checks::{CHAIN, CHIP_ID, CRL, LEAF, LEAF_TCB, PRODUCTS, REPORT, SIGNATURE, SIGNING_KEY};
use super::claims::SnpClaims;
use super::crl::{Crl, CrlDates};
use super::documents::AmdDocumentKind;
use super::layout::{LENGTH, Report, TcbOf};
use super::leaf::{Holder, Leaf, LeafFacts};
use super::policy::{CrlRule, SnpRules};
use super::product::{Product, SigningKey};
use super::roots::Roots;
use crate::attest::anchors::{TrustAnchors, Vendor};
use crate::attest::documents::{Document, Documents};
use crate::attest::family::{Family, Need, Question};
use crate::attest::findings::Findings;
use crate::attest::hash::hex;
use crate::attest::lines::Lines;
use crate::attest::policy::Policy;
use crate::status::Status;

/// A report, whatever evidence it was found in, and everything that its judgement depends on.
pub struct ReportQuestion<'a> {
    pub report: &'a [u8; LENGTH],
    /// The certificate of the key that signed it, if it came along.
    pub leaf: Option<&'a Leaf>,
    pub rules: &'a SnpRules,
    documents: &'a Documents,
    anchors: &'a TrustAnchors,
    policy: &'a Policy,
    findings: &'a Findings,
    now: u64,
}

impl<'a> ReportQuestion<'a> {
    pub fn of<F: Family>(
        of: &Question<'a, F>,
        (report, leaf): (&'a [u8; LENGTH], Option<&'a Leaf>),
        rules: &'a SnpRules,
    ) -> ReportQuestion<'a> {
        let Question { documents, anchors, policy, findings, now, .. } = *of;
        ReportQuestion { report, leaf, rules, documents, anchors, policy, findings, now }
    }

    fn roots(&self, product: Product) -> Result<Roots<'a>, String> {
        let (all, _) = self.anchors.root(Vendor::Amd, self.policy).map_err(|fault| fault.message)?;
        Roots::of(all, product)
    }

    /// Whether AMD vouches for the certificate. No member has a say in what this and the next two find.
    fn chain(&self, leaf: &Leaf, product: Product, key: SigningKey) -> Rc<Chain> {
        let find = || Chain(self.roots(product).and_then(|roots| leaf.leads_to(&roots, key, self.now)));
        self.findings.once("", find)
    }

    fn is_signed(&self, report: &Report, leaf: &Leaf) -> bool {
        self.findings.once("", || Signed(leaf.has_signed(report))).0
    }

    /// What the list says, and whether it holds.
    fn list(&self, document: &Document, product: Product, key: SigningKey) -> Rc<Listed> {
        let judge = || {
            let roots = self.roots(product)?;
            Crl::judge(document, roots.ark, roots.issuer_of(key), self.now)
        };
        self.findings.once("", || Listed(judge()))
    }
}

/// Whether the certificate leads to the root.
struct Chain(Result<(), String>);
/// Whether its key signed the report.
struct Signed(bool);
/// Whether the intermediate is on the list, and the list's dates.
struct Listed(Result<(bool, CrlDates), String>);
/// The certificate, with the evidence or from the vendor's service.
struct Shown(Option<Result<Leaf, String>>);

/// The claims, if all of them hold; else the line of the first that does not says why.
pub fn verify(lines: &mut Lines, of: &ReportQuestion<'_>) -> Option<SnpClaims> {
    let mut checks = Genuine { lines, of };
    let report = checks.report()?;
    checks.product(report.product)?;
    checks.signing_key(&report)?;
    let shown = checks.leaf(&report)?;
    let leaf = shown.0.as_ref()?.as_ref().ok()?;
    let product = match report.product {
        Some(product) => product,
        // Version 2 does not say what the processor is; its key's issuer does.
        None => checks.product_of(leaf)?,
    };
    checks.chain(&report, leaf, product)?;
    // First, since for a report that is not genuine nobody is asked for a list.
    checks.signature(&report, leaf)?;
    let crl = checks.crl(product, report.signing_key)?;
    let facts = checks.leaf_tcb(&report, leaf, product)?;
    checks.chip_id(&report, &facts, product)?;
    let Leaf { not_before, not_after, .. } = *leaf;
    Some(SnpClaims { report, product, leaf: facts, not_before, not_after, crl })
}

/// The documents that the verdict takes. `None` if the evidence is not genuine, which can be told without any.
pub fn needs(of: &ReportQuestion<'_>) -> Option<Vec<Need>> {
    let report = Report::read(of.report).ok()?;
    let issuer = of.leaf.and_then(|leaf| leaf.issuer);
    let product = report.product.or(issuer.map(|(product, _)| product))?;
    let key = report.signing_key;
    let is_made_by = |leaf| of.chain(leaf, product, key).0.is_ok() && of.is_signed(&report, leaf);
    if !of.leaf.is_none_or(is_made_by) {
        return None;
    }
    let rules = of.rules;
    let is_wanted = rules.products.contains(&product)
        && rules.signing_key.contains(&key)
        && report.version >= rules.min_report_version;
    let mut needs = Vec::new();
    if !is_wanted {
        return Some(needs);
    }
    if rules.crl != CrlRule::Off {
        needs.push(Need { document: AmdDocumentKind::crl(product, key), required: rules.crl == CrlRule::Require });
    }
    if of.leaf.is_none() && can_be_asked_for(&report) {
        needs.push(Need { document: AmdDocumentKind::leaf(product, &report), required: true });
    }
    Some(needs)
}

/// Whether AMD's service has the certificate of the key that signed: by the chip's identity, which must be there.
fn can_be_asked_for(report: &Report) -> bool {
    report.product.is_some() && report.signing_key == SigningKey::Vcek && report.chip_id() != [0; 64]
}

struct Genuine<'a, 'q> {
    lines: &'a mut Lines,
    of: &'a ReportQuestion<'q>,
}

impl Genuine<'_, '_> {
    fn report(&mut self) -> Option<Report> {
        let least = self.of.rules.min_report_version;
        let expected = format!("a guest's report of version {least} or later, of a known processor");
        let read = Report::read(self.of.report);
        match read {
            Ok(report) => {
                let (ok, actual) = (report.version >= least, format!("version {}", report.version));
                self.lines.judge(REPORT, ok, Status::QuoteInvalid, expected, actual);
                ok.then_some(report)
            }
            Err(why) => {
                self.lines.judge(REPORT, false, Status::QuoteInvalid, expected, why);
                None
            }
        }
    }

    /// Nothing is judged of a product that is not known yet.
    fn product(&mut self, product: Option<Product>) -> Option<()> {
        let Some(product) = product else { return Some(()) };
        let allowed = &self.of.rules.products;
        let expected = allowed.iter().map(|product| product.name()).collect::<Vec<_>>().join(" or ");
        let ok = allowed.contains(&product);
        self.lines.judge(PRODUCTS, ok, Status::TcbRejected, expected, product.name());
        ok.then_some(())
    }

    fn product_of(&mut self, leaf: &Leaf) -> Option<Product> {
        match leaf.issuer {
            Some((product, _)) => self.product(Some(product)).map(|()| product),
            None => {
                self.lines.judge(CHAIN, false, Status::QuoteInvalid, "issued by AMD", "by another, or for no product");
                None
            }
        }
    }

    fn signing_key(&mut self, report: &Report) -> Option<()> {
        let allowed = &self.of.rules.signing_key;
        let expected = allowed.iter().map(|key| key.name()).collect::<Vec<_>>().join(" or ");
        let ok = allowed.contains(&report.signing_key);
        self.lines.judge(SIGNING_KEY, ok, Status::TcbRejected, expected, report.signing_key.name());
        ok.then_some(())
    }

    fn leaf(&mut self, report: &Report) -> Option<Rc<Shown>> {
        const EXPECTED: &str = "the certificate of the key that signed";
        let refused = |lines: &mut Lines, status: Status, why: String| {
            lines.judge(LEAF, false, status, EXPECTED, why);
            None
        };
        let known = || self.known_leaf(report).map(|document| Leaf::read(document.body()));
        let find = || Shown(self.of.leaf.cloned().map(Ok).or_else(known));
        let shown = self.of.findings.once("", find);
        if self.of.leaf.is_some() {
            self.lines.judge(LEAF, true, Status::Ok, EXPECTED, "came with the evidence");
            return Some(shown);
        }
        if !can_be_asked_for(report) {
            let why = "none came with the evidence, and nobody can be asked for this one";
            return refused(self.lines, Status::EvidenceInvalid, why.into());
        }
        match &shown.0 {
            None => {
                let why = "none came with the evidence, and none is at hand";
                refused(self.lines, Status::CollateralUnavailable, why.into())
            }
            Some(Ok(_)) => {
                self.lines.judge(LEAF, true, Status::Ok, EXPECTED, "from the vendor's service");
                Some(shown)
            }
            Some(Err(why)) => refused(self.lines, Status::CollateralInvalid, why.clone()),
        }
    }

    fn known_leaf(&self, report: &Report) -> Option<&Document> {
        self.of.documents.find(&AmdDocumentKind::leaf(report.product?, report))
    }

    fn chain(&mut self, report: &Report, leaf: &Leaf, product: Product) -> Option<()> {
        let key = report.signing_key;
        let held = &self.of.chain(leaf, product, key).0;
        let expected = format!("a {} that leads to AMD's root of its product now", key.name());
        let (ok, actual) = (held.is_ok(), held.as_ref().err().map_or("it does", |why| why));
        self.lines.judge(CHAIN, ok, Status::QuoteInvalid, expected, actual);
        self.lines.passes_until(leaf.not_after);
        held.is_ok().then_some(())
    }

    /// `Some(None)` if none is used.
    fn crl(&mut self, product: Product, key: SigningKey) -> Option<Option<CrlDates>> {
        const EXPECTED: &str = "the root's list holds now, and the intermediate is not on it";
        let document = self.of.documents.find(&AmdDocumentKind::crl(product, key));
        let document = match (self.of.rules.crl, document) {
            (CrlRule::Off, _) => {
                self.lines.skip(CRL, "the policy says \"crl\": \"off\"");
                return Some(None);
            }
            (CrlRule::IfAvailable, None) => {
                self.lines.skip(CRL, "none is at hand, and the policy says \"crl\": \"if_available\"");
                return Some(None);
            }
            (CrlRule::Require, None) => {
                self.lines.judge(CRL, false, Status::CollateralUnavailable, EXPECTED, "none is at hand");
                return None;
            }
            (_, Some(document)) => document,
        };
        let judged = &self.of.list(document, product, key).0;
        let (status, actual) = match judged {
            Ok((false, dates)) => (Status::Ok, format!("number {}, holds until {}", dates.number, dates.expires)),
            Ok((true, _)) => (Status::QuoteInvalid, "the intermediate is revoked".into()),
            Err(why) => (Status::CollateralInvalid, why.clone()),
        };
        self.lines.judge(CRL, status == Status::Ok, status, EXPECTED, actual);
        judged.as_ref().ok().filter(|(revoked, _)| !revoked).map(|(_, dates)| Some(*dates))
    }

    fn signature(&mut self, report: &Report, leaf: &Leaf) -> Option<()> {
        let ok = self.of.is_signed(report, leaf);
        let actual = if ok { "it is" } else { "it is not" };
        self.lines.judge(SIGNATURE, ok, Status::QuoteInvalid, "signed by the certificate's key", actual);
        ok.then_some(())
    }

    fn leaf_tcb(&mut self, report: &Report, leaf: &Leaf, product: Product) -> Option<LeafFacts> {
        let reported = report.tcb(TcbOf::Reported, product);
        let expected = format!("a certificate for {}, {reported}", product.name());
        let (ok, actual) = match &leaf.facts {
            Ok(facts) => (facts.tcb == reported && facts.is_of(product), format!("{}, {}", facts.product, facts.tcb)),
            Err(why) => (false, why.clone()),
        };
        self.lines.judge(LEAF_TCB, ok, Status::QuoteInvalid, expected, actual);
        leaf.facts.clone().ok().filter(|_| ok)
    }

    fn chip_id(&mut self, report: &Report, facts: &LeafFacts, product: Product) -> Option<()> {
        let chip_id = report.chip_id();
        match (report.signing_key, &facts.holder) {
            (SigningKey::Vlek, Holder::Provider(_)) => {
                self.lines.skip(CHIP_ID, "a provider's key is of no chip");
                Some(())
            }
            (SigningKey::Vcek, Holder::Chip(id)) => {
                let masked = chip_id == [0; 64];
                let (ok, expected) = match self.of.rules.allow_masked_chip_id && masked {
                    true => (true, format!("{}, or masked by allow_masked_chip_id", hex(id))),
                    false => (!masked && facts.is_of_chip(&chip_id, product), hex(id)),
                };
                self.lines.judge(CHIP_ID, ok, Status::QuoteInvalid, expected, hex(&chip_id));
                ok.then_some(())
            }
            (key, _) => {
                let expected = format!("the holder of a {}", key.name());
                self.lines.judge(CHIP_ID, false, Status::QuoteInvalid, expected, "the other kind of holder");
                None
            }
        }
    }
}
