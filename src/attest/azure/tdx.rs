//! Azure's virtual machines in TDX trust domains: the policy type `azure_tdx_vtpm`. Pure.

use std::ops::ControlFlow;

use serde_json::{Map, Value};

use super::checks::{
    Key, PCR_DIGEST, RUNTIME_DATA, TD_REPORT, TPM_NONCE, TPM_QUOTE, VtpmChecks, anchor, anchor_for, further,
};
use super::claims;
use super::draft;
use super::evidence::Vtpm;
use super::hcl::ReportType;
use super::policy::VtpmRules;
use super::td_report;
use crate::attest::anchors::{TrustAnchors, Vendor};
use crate::attest::dcap::{QuoteKind, report};
use crate::attest::family::{Family, Need, Question};
use crate::attest::lines::Lines;
use crate::attest::policy::policy_fields::PolicyFields;
use crate::attest::policy::{Policy, SourceRules};
use crate::attest::tdx::checks::{DEBUG, QUOTE, SERVICE_TD, TCB_STATUS};
use crate::attest::tdx::draft::common;
use crate::attest::tdx::policy::TdxRules;
use crate::attest::tdx::{TdxClaims, genuine, report_data, steps};
use crate::attest::tee::Tee;
use crate::attest::{Result, json};
use crate::status::Status;
use crate::verdict::{CheckId, ClaimsReport, Verdict};

/// A virtual machine whose memory TDX protects.
pub struct AzureTdx;

/// Decoded but not judged.
pub struct AzureTdxEvidence {
    pub vtpm: Vtpm,
    /// Of the TDREPORT in the paravisor's report.
    pub quote: Vec<u8>,
}

/// One member of a policy.
pub struct AzureTdxReference {
    pub vtpm: VtpmRules,
    pub tdx: TdxRules,
}

/// Authentic.
pub struct AzureTdxClaims {
    vtpm: Vtpm,
    key: Key,
    td: TdxClaims,
}

type Asked<'a> = Question<'a, AzureTdx>;

fn checks<'a>(lines: &'a mut Lines, of: &Asked<'a>) -> VtpmChecks<'a> {
    VtpmChecks { lines, vtpm: &of.evidence.vtpm, rules: &of.member.vtpm }
}

/// Whether everything beside the quote belongs to it. That takes none of Intel's documents, so nothing is fetched for what does not.
fn belongs(lines: &mut Lines, of: &Asked<'_>) -> Option<Key> {
    let (quote, made_of) = (&of.evidence.quote, &of.evidence.vtpm.report.hardware);
    let compared = match report(QuoteKind::TrustDomain, quote) {
        Some(body) => td_report::check(made_of, body),
        None => Err("a quote that is cut short".into()),
    };
    let actual = compared.as_ref().err().map_or("it is", |why| why);
    lines.judge(TD_REPORT, compared.is_ok(), Status::QuoteInvalid, "what the quote was made of", actual);
    compared.ok()?;
    let data = [report_data(quote)?, td_report::report_data(made_of)?];
    checks(lines, of).authentic(of, &data)
}

fn is_genuine(of: &Asked<'_>) -> bool {
    let root = of.anchors.root(Vendor::Intel, of.policy);
    root.is_ok_and(|(root, _)| genuine(&of.evidence.quote, root, of.now).is_ok())
}

impl Family for AzureTdx {
    const TEE: Tee = Tee::AzureTdx;
    const TYPE: &'static str = "azure_tdx_vtpm";
    const MANDATORY: &'static [CheckId] =
        &[QUOTE, TD_REPORT, RUNTIME_DATA, TPM_QUOTE, PCR_DIGEST, DEBUG, SERVICE_TD, TCB_STATUS];
    const BOUND: &'static [CheckId] = &[TPM_NONCE];
    type Evidence = AzureTdxEvidence;
    type Reference = AzureTdxReference;
    type Claims = AzureTdxClaims;

    fn read(object: &Value) -> std::result::Result<AzureTdxEvidence, String> {
        let vtpm = Vtpm::from_json(object, ReportType::Tdx)?;
        let quote = json::base64(object, "td_quote")?.ok_or("td_quote is missing")?;
        Ok(AzureTdxEvidence { vtpm, quote })
    }

    fn policy(mut fields: PolicyFields) -> Result<AzureTdxReference> {
        let reference = AzureTdxReference { vtpm: VtpmRules::read(&mut fields)?, tdx: TdxRules::read(&mut fields)? };
        fields.finish()?;
        Ok(reference)
    }

    fn sources(reference: &AzureTdxReference) -> Option<SourceRules> {
        Some(reference.tdx.dcap.sources.clone())
    }

    fn wants_fresh(reference: &AzureTdxReference) -> bool {
        reference.vtpm.fresh_report
    }

    fn anchor(_: &AzureTdxEvidence, anchors: &TrustAnchors, policy: &Policy) -> Result<&'static str> {
        anchor(anchors, policy, Vendor::Intel, "microsoft+intel")
    }

    fn anchor_for(reference: &AzureTdxReference, of: &'static str) -> &'static str {
        anchor_for(&reference.vtpm, of, Vendor::Intel)
    }

    fn needs(of: &Asked<'_>) -> Option<Vec<Need>> {
        let needs = steps::needs(of, &of.evidence.quote, &of.member.tdx)?;
        belongs(&mut Lines::default(), of).map(|_| needs)
    }

    fn glance(lines: &mut Lines, of: &Asked<'_>) {
        checks(lines, of).nonce(of);
    }

    fn verify(lines: &mut Lines, of: &Asked<'_>) -> Option<AzureTdxClaims> {
        let mut beside = Lines::default();
        let key = belongs(&mut beside, of);
        if key.is_none() && is_genuine(of) {
            lines.skip(QUOTE, "no document is used for a quote to which the rest does not belong");
            lines.append(beside);
            return None;
        }
        let td = steps::authentic(lines, of, &of.evidence.quote, &of.member.tdx);
        // What belongs to a quote that the platform has signed is said, also if no document says how good the platform is.
        if td.is_some() || is_genuine(of) {
            lines.append(beside);
        }
        Some(AzureTdxClaims { vtpm: of.evidence.vtpm.clone(), key: key?, td: td? })
    }

    fn bound(lines: &mut Lines, _: &AzureTdxClaims, of: &Asked<'_>) -> ControlFlow<()> {
        let mut checks = checks(lines, of);
        checks.nonce(of);
        checks.user_data(of);
        ControlFlow::Continue(())
    }

    fn appraise(lines: &mut Lines, claims: &AzureTdxClaims, of: &Asked<'_>) {
        steps::appraise(lines, of, &claims.td, &of.member.tdx);
        checks(lines, of).appraise(claims.td.mr_td);
    }

    fn further(of: &Asked<'_>) -> Vec<CheckId> {
        further(&of.member.vtpm, &of.evidence.vtpm, of.binding)
    }

    fn is_exposed(claims: &AzureTdxClaims) -> Option<bool> {
        Some(claims.td.debug)
    }

    fn draft(verdict: &Verdict) -> Option<Map<String, Value>> {
        let report = verdict.claims.as_ref()?;
        let mut members = draft::common(verdict, report)?;
        members.extend(common(verdict, &report.measurements["hardware"]));
        Some(members)
    }

    fn objection(verdict: &Verdict) -> Option<(Status, String)> {
        draft::objection(verdict)
    }

    fn report(claims: &AzureTdxClaims) -> ClaimsReport {
        claims::report(&claims.vtpm, &claims.key, (claims.td.report(), claims.td.mr_td))
    }
}
