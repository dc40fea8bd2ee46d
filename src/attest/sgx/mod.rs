//! Enclaves of Intel SGX: the policy type `sgx`. Their quotes are made and judged as those of trust domains are (`dcap`); what an enclave is, its report says.
//! Pure.

pub mod checks;
mod claims;
mod draft;
mod evidence;
mod policy;
mod report;

use std::ops::ControlFlow;

use serde_json::{Map, Value};

use super::Result;
use super::anchors::TrustAnchors;
use super::binding::Protocol;
use super::dcap::checks::{PlatformChecks, QUOTE, TCB_STATUS, quote};
use super::dcap::steps::{self, root_and_limit};
use super::dcap::{QuoteKind, Unverified, report_data, verify_quote};
use super::family::{Family, Need, Question};
use super::lines::{Lines, REPORT_DATA};
use super::policy::policy_fields::PolicyFields;
use super::policy::{Policy, SourceRules};
use super::tee::Tee;
use crate::verdict::{CheckId, ClaimsReport, Verdict};
use checks::{ATTRIBUTES, DEBUG, EnclaveChecks, ISV_PROD_ID, ISV_SVN, MR_ENCLAVE, MR_SIGNER};

pub use claims::SgxClaims;
pub use evidence::SgxEvidence;
pub use policy::SgxReference;
pub use report::EnclaveReport;

/// An enclave of SGX.
pub struct Sgx;

/// What a quote of an enclave claims, or why it does not hold.
struct Verified(std::result::Result<SgxClaims, Unverified>);

impl Family for Sgx {
    const TEE: Tee = Tee::Sgx;
    const TYPE: &'static str = "sgx";
    const MANDATORY: &'static [CheckId] = &[QUOTE, TCB_STATUS, DEBUG, ATTRIBUTES];
    const BOUND: &'static [CheckId] = &[REPORT_DATA];
    type Evidence = SgxEvidence;
    type Reference = SgxReference;
    type Claims = SgxClaims;

    fn is_carried_by(protocol: Protocol) -> bool {
        protocol == Protocol::ExporterV1
    }

    fn read(object: &Value) -> std::result::Result<SgxEvidence, String> {
        SgxEvidence::from_json(object)
    }

    fn policy(fields: PolicyFields) -> Result<SgxReference> {
        SgxReference::read(fields)
    }

    fn sources(reference: &SgxReference) -> Option<SourceRules> {
        Some(reference.dcap.sources.clone())
    }

    fn anchor(_: &SgxEvidence, anchors: &TrustAnchors, policy: &Policy) -> Result<&'static str> {
        steps::anchor(anchors, policy)
    }

    fn needs(of: &Question<'_, Sgx>) -> Option<Vec<Need>> {
        steps::needs(QuoteKind::Enclave, of, &of.evidence.quote, &of.member.dcap.sources)
    }

    fn glance(lines: &mut Lines, of: &Question<'_, Sgx>) {
        lines.report_data(of.binding, Tee::Sgx, report_data(QuoteKind::Enclave, &of.evidence.quote));
    }

    fn verify(lines: &mut Lines, of: &Question<'_, Sgx>) -> Option<SgxClaims> {
        let (raw, rules) = (&of.evidence.quote, &of.member.dcap);
        let (root, limit) = root_and_limit(of);
        let set = &*rules.sources.evaluation_set;
        let verify = || {
            let verified = verify_quote(QuoteKind::Enclave, raw, (of.documents, set), root, of.now);
            Verified(verified.and_then(|(platform, _)| SgxClaims::of_verified(platform, raw)))
        };
        // Members differ in the evaluation set.
        let claims = quote(lines, (raw.len(), limit), || of.findings.once(set, verify).0.clone())?;
        PlatformChecks { lines, rules, now: of.now }.all(&claims.platform);
        Some(claims)
    }

    fn bound(lines: &mut Lines, claims: &SgxClaims, of: &Question<'_, Sgx>) -> ControlFlow<()> {
        lines.report_data(of.binding, Tee::Sgx, Some(claims.enclave.report_data));
        ControlFlow::Continue(())
    }

    fn appraise(lines: &mut Lines, claims: &SgxClaims, of: &Question<'_, Sgx>) {
        EnclaveChecks { lines, member: of.member }.all(&claims.enclave);
    }

    /// What the member says that the enclave is: its code; or its signer, product and version.
    fn further(of: &Question<'_, Sgx>) -> Vec<CheckId> {
        match of.member.mr_enclave {
            Some(_) => vec![MR_ENCLAVE],
            None => vec![MR_SIGNER, ISV_PROD_ID, ISV_SVN],
        }
    }

    fn is_exposed(claims: &SgxClaims) -> Option<bool> {
        Some(claims.enclave.is_debug())
    }

    fn draft(verdict: &Verdict) -> Option<Map<String, Value>> {
        draft::draft(verdict)
    }

    fn report(claims: &SgxClaims) -> ClaimsReport {
        claims.to_report()
    }
}
