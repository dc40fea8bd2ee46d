//! Azure's virtual machines as SEV-SNP guests: the policy type `azure_snp_vtpm`. Pure.

use std::ops::ControlFlow;

use serde_json::{Map, Value};

use super::checks::{Key, PCR_DIGEST, RUNTIME_DATA, TPM_NONCE, TPM_QUOTE, VtpmChecks, anchor, anchor_for, further};
use super::claims;
use super::draft;
use super::evidence::Vtpm;
use super::hcl::ReportType;
use super::policy::VtpmRules;
use crate::attest::anchors::{TrustAnchors, Vendor};
use crate::attest::family::{Family, Need, Question};
use crate::attest::lines::Lines;
use crate::attest::policy::policy_fields::PolicyFields;
use crate::attest::policy::{Policy, SourceRules};
use crate::attest::snp::checks::{
    CHAIN, GUEST_POLICY, LEAF, LEAF_TCB, PLATFORM_INFO, PRODUCTS, REPORT, ReportChecks, SIGNATURE, SIGNING_KEY,
    TCB_MINIMUM, TCB_ORDER, VMPL, further as further_of_report,
};
use crate::attest::snp::{self, Leaf, Report, ReportQuestion, SnpClaims, SnpRules};
use crate::attest::tee::Tee;
use crate::attest::{Result, json};
use crate::status::Status;
use crate::verdict::{CheckId, ClaimsReport, Verdict};

/// The level of the paravisor. What asks from another one is a guest's program that plays its part.
const PARAVISOR_LEVEL: u32 = 0;

/// A virtual machine whose memory SEV-SNP protects.
pub struct AzureSnp;

/// Decoded but not judged.
pub struct AzureSnpEvidence {
    pub vtpm: Vtpm,
    /// The certificate of the key that signed the hardware's report, if it came along.
    pub leaf: Option<Leaf>,
}

/// One member of a policy.
pub struct AzureSnpReference {
    pub vtpm: VtpmRules,
    pub snp: SnpRules,
}

/// Authentic.
pub struct AzureSnpClaims {
    vtpm: Vtpm,
    key: Key,
    guest: SnpClaims,
}

type Asked<'a> = Question<'a, AzureSnp>;

fn checks<'a>(lines: &'a mut Lines, of: &Asked<'a>) -> VtpmChecks<'a> {
    VtpmChecks { lines, vtpm: &of.evidence.vtpm, rules: &of.member.vtpm }
}

fn question<'a>(of: &Asked<'a>) -> ReportQuestion<'a> {
    let evidence = of.evidence;
    ReportQuestion::of(of, (&evidence.vtpm.report.hardware, evidence.leaf.as_ref()), &of.member.snp)
}

/// Whether everything beside the hardware's report belongs to it. That takes none of AMD's documents, so nothing is fetched for what does not.
fn belongs(lines: &mut Lines, of: &Asked<'_>) -> Option<Key> {
    let report = Report::read(&of.evidence.vtpm.report.hardware).ok()?;
    checks(lines, of).authentic(of, &[report.report_data()])
}

impl Family for AzureSnp {
    const TEE: Tee = Tee::AzureSnp;
    const TYPE: &'static str = "azure_snp_vtpm";
    const MANDATORY: &'static [CheckId] = &[
        REPORT,
        PRODUCTS,
        SIGNING_KEY,
        LEAF,
        CHAIN,
        SIGNATURE,
        LEAF_TCB,
        RUNTIME_DATA,
        TPM_QUOTE,
        PCR_DIGEST,
        TCB_MINIMUM,
        TCB_ORDER,
        PLATFORM_INFO,
        GUEST_POLICY,
        VMPL,
    ];
    const BOUND: &'static [CheckId] = &[TPM_NONCE];
    type Evidence = AzureSnpEvidence;
    type Reference = AzureSnpReference;
    type Claims = AzureSnpClaims;

    fn read(object: &Value) -> std::result::Result<AzureSnpEvidence, String> {
        let vtpm = Vtpm::from_json(object, ReportType::Snp)?;
        let leaf = json::base64(object, "leaf")?.map(|der| Leaf::read(&der)).transpose();
        Ok(AzureSnpEvidence { vtpm, leaf: leaf.map_err(|why| format!("leaf: {why}"))? })
    }

    fn policy(mut fields: PolicyFields) -> Result<AzureSnpReference> {
        let vtpm = VtpmRules::read(&mut fields)?;
        let Some(mut hardware) = fields.object("snp")? else {
            return Err(fields.invalid("snp", "missing field `snp`".into()));
        };
        let snp = SnpRules::read(&mut hardware)?;
        hardware.finish()?;
        fields.finish()?;
        Ok(AzureSnpReference { vtpm, snp })
    }

    fn sources(_: &AzureSnpReference) -> Option<SourceRules> {
        None
    }

    fn wants_fresh(reference: &AzureSnpReference) -> bool {
        reference.vtpm.fresh_report
    }

    fn anchor(_: &AzureSnpEvidence, anchors: &TrustAnchors, policy: &Policy) -> Result<&'static str> {
        anchor(anchors, policy, Vendor::Amd, "microsoft+amd")
    }

    fn anchor_for(reference: &AzureSnpReference, of: &'static str) -> &'static str {
        anchor_for(&reference.vtpm, of, Vendor::Amd)
    }

    fn needs(of: &Asked<'_>) -> Option<Vec<Need>> {
        let needs = snp::needs(&question(of))?;
        belongs(&mut Lines::default(), of).map(|_| needs)
    }

    fn glance(lines: &mut Lines, of: &Asked<'_>) {
        checks(lines, of).nonce(of);
    }

    fn verify(lines: &mut Lines, of: &Asked<'_>) -> Option<AzureSnpClaims> {
        let mut beside = Lines::default();
        let key = belongs(&mut beside, of);
        let asked = question(of);
        if key.is_none() && snp::needs(&asked).is_some() {
            lines.skip(REPORT, "no document is used for a report to which the rest does not belong");
            lines.append(beside);
            return None;
        }
        let guest = snp::verify(lines, &asked)?;
        lines.append(beside);
        Some(AzureSnpClaims { vtpm: of.evidence.vtpm.clone(), key: key?, guest })
    }

    fn bound(lines: &mut Lines, _: &AzureSnpClaims, of: &Asked<'_>) -> ControlFlow<()> {
        let mut checks = checks(lines, of);
        checks.nonce(of);
        checks.user_data(of);
        ControlFlow::Continue(())
    }

    fn appraise(lines: &mut Lines, claims: &AzureSnpClaims, of: &Asked<'_>) {
        let guest = &claims.guest;
        let mut report = ReportChecks { lines, rules: &of.member.snp, claims: guest };
        report.machine();
        report.identity();
        let level = guest.report.vmpl();
        let (ok, expected) = (level == PARAVISOR_LEVEL, PARAVISOR_LEVEL.to_string());
        lines.judge(VMPL, ok, Status::MeasurementMismatch, expected, level.to_string());
        checks(lines, of).appraise(guest.report.measurement());
    }

    fn further(of: &Asked<'_>) -> Vec<CheckId> {
        let (vtpm, binding) = (&of.evidence.vtpm, of.binding);
        let of_report = further_of_report(&of.member.snp, &vtpm.report.hardware);
        further(&of.member.vtpm, vtpm, binding).into_iter().chain(of_report).collect()
    }

    fn is_exposed(claims: &AzureSnpClaims) -> Option<bool> {
        Some(claims.guest.is_exposed())
    }

    fn draft(verdict: &Verdict) -> Option<Map<String, Value>> {
        let report = verdict.claims.as_ref()?;
        let rules = snp::draft::rules(&report.measurements["hardware"], report)?;
        let mut members = draft::common(verdict, report)?;
        members.insert("snp".into(), rules.into());
        Some(members)
    }

    fn objection(verdict: &Verdict) -> Option<(Status, String)> {
        draft::objection(verdict)
    }

    fn report(claims: &AzureSnpClaims) -> ClaimsReport {
        claims::report(&claims.vtpm, &claims.key, (claims.guest.to_report(), claims.guest.report.measurement()))
    }
}
