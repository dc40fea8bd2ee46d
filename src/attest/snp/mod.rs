//! AMD SEV-SNP guests: the policy type `snp`. Who made a report, and whether the machine, its firmware and the guest are acceptable. Pure.

mod bits;
pub mod checks;
mod claims;
mod crl;
mod documents;
pub mod draft;
mod evidence;
mod genuine;
mod guest;
mod layout;
mod leaf;
mod policy;
mod product;
mod pss;
mod reference;
mod roots;
mod tcb;

use std::ops::ControlFlow;

use serde_json::{Map, Value};

use super::Result;
use super::anchors::{TrustAnchors, Vendor};
use super::family::{Family, Need, Question};
use super::lines::{Lines, REPORT_DATA};
use super::policy::policy_fields::PolicyFields;
use super::policy::{Policy, SourceRules};
use super::tee::Tee;
use crate::verdict::{CheckId, ClaimsReport, Verdict};
use checks::{
    CHAIN, GUEST_POLICY, LEAF, LEAF_TCB, PLATFORM_INFO, PRODUCTS, REPORT, SIGNATURE, SIGNING_KEY, TCB_MINIMUM,
    TCB_ORDER, VMPL,
};
use guest::{GuestChecks, MEASUREMENT};

pub use claims::SnpClaims;
pub use crl::{Crl, CrlDates};
pub use documents::AmdDocumentKind;
pub use evidence::SnpEvidence;
pub use genuine::{ReportQuestion, needs, verify};
pub use layout::{LENGTH, Report, SIGNED};
pub use leaf::Leaf;
pub use policy::SnpRules;
pub use product::{Product, SigningKey};
pub use reference::SnpReference;
pub use roots::{AMD_ROOTS_DER, Roots};
pub use tcb::Tcb;

/// A guest of SEV-SNP.
pub struct Snp;

fn question<'a>(of: &Question<'a, Snp>) -> ReportQuestion<'a> {
    ReportQuestion::of(of, (&of.evidence.report, of.evidence.leaf.as_ref()), &of.member.rules)
}

impl Family for Snp {
    const TEE: Tee = Tee::Snp;
    const TYPE: &'static str = "snp";
    const MANDATORY: &'static [CheckId] = &[
        REPORT,
        PRODUCTS,
        SIGNING_KEY,
        LEAF,
        CHAIN,
        SIGNATURE,
        LEAF_TCB,
        TCB_MINIMUM,
        TCB_ORDER,
        PLATFORM_INFO,
        GUEST_POLICY,
        VMPL,
        MEASUREMENT,
    ];
    const BOUND: &'static [CheckId] = &[REPORT_DATA];
    type Evidence = SnpEvidence;
    type Reference = SnpReference;
    type Claims = SnpClaims;

    fn read(object: &Value) -> std::result::Result<SnpEvidence, String> {
        SnpEvidence::from_json(object)
    }

    fn policy(fields: PolicyFields) -> Result<SnpReference> {
        SnpReference::read(fields)
    }

    fn sources(_: &SnpReference) -> Option<SourceRules> {
        None
    }

    fn anchor(_: &SnpEvidence, anchors: &TrustAnchors, policy: &Policy) -> Result<&'static str> {
        anchors.root(Vendor::Amd, policy).map(|(_, name)| name)
    }

    fn needs(of: &Question<'_, Snp>) -> Option<Vec<Need>> {
        needs(&question(of))
    }

    fn glance(lines: &mut Lines, of: &Question<'_, Snp>) {
        let report = Report::read(&of.evidence.report).ok();
        lines.report_data(of.binding, Tee::Snp, report.map(|report| report.report_data()));
    }

    fn verify(lines: &mut Lines, of: &Question<'_, Snp>) -> Option<SnpClaims> {
        verify(lines, &question(of))
    }

    fn bound(lines: &mut Lines, claims: &SnpClaims, of: &Question<'_, Snp>) -> ControlFlow<()> {
        lines.report_data(of.binding, Tee::Snp, Some(claims.report.report_data()));
        ControlFlow::Continue(())
    }

    fn appraise(lines: &mut Lines, claims: &SnpClaims, of: &Question<'_, Snp>) {
        GuestChecks::new(lines, of, claims).all();
    }

    fn further(of: &Question<'_, Snp>) -> Vec<CheckId> {
        guest::further(of)
    }

    fn is_exposed(claims: &SnpClaims) -> Option<bool> {
        Some(claims.is_exposed())
    }

    fn draft(verdict: &Verdict) -> Option<Map<String, Value>> {
        draft::draft(verdict)
    }

    fn report(claims: &SnpClaims) -> ClaimsReport {
        claims.to_report()
    }
}
