//! Guests in TDX trust domains without dstack: the policy type `tdx`. What they are is in the registers of the quote, which are compared as they are; or, if
//! the policy says so, in the firmware's boot log that leads to them. Pure.

mod boot_log;
mod policy;

use std::ops::ControlFlow;

use serde_json::{Map, Value, json};

use super::Result;
use super::anchors::TrustAnchors;
use super::binding::{Binding, Protocol};
use super::family::{Family, Need, Question};
use super::hash::hex;
use super::lines::{Lines, REPORT_DATA};
use super::policy::policy_fields::PolicyFields;
use super::policy::{Policy, SourceRules};
use super::tdx::checks::{DEBUG, QUOTE, SERVICE_TD, TCB_STATUS};
use super::tdx::{TdxClaims, TdxEvidence, draft, report_data, steps};
use super::tee::Tee;
use crate::status::Status;
use crate::verdict::{CheckId, ClaimsReport, Verdict};
use policy::{BareReference, Measurements};

const MEASUREMENT: CheckId = CheckId::new("measurement");
/// Registers of the quote that the set which fits says nothing about.
const RTMR: [CheckId; 4] = [CheckId::new("rtmr0"), CheckId::new("rtmr1"), CheckId::new("rtmr2"), CheckId::new("rtmr3")];

/// A guest in a TDX trust domain, whatever its system is.
pub struct BareTdx;

impl Family for BareTdx {
    const TEE: Tee = Tee::Tdx;
    const TYPE: &'static str = "tdx";
    const MANDATORY: &'static [CheckId] = &[QUOTE, DEBUG, SERVICE_TD, TCB_STATUS, MEASUREMENT];
    const BOUND: &'static [CheckId] = &[REPORT_DATA];
    type Evidence = TdxEvidence;
    type Reference = BareReference;
    type Claims = TdxClaims;

    /// atlas-v1 ties evidence to the key of the other side by an event in dstack's log alone, and there is no log here.
    fn is_carried_by(protocol: Protocol) -> bool {
        protocol != Protocol::AtlasV1
    }

    fn read(object: &Value) -> std::result::Result<TdxEvidence, String> {
        TdxEvidence::from_agent(object)
    }

    fn policy(fields: PolicyFields) -> Result<BareReference> {
        BareReference::read(fields)
    }

    fn sources(reference: &BareReference) -> Option<SourceRules> {
        Some(reference.tdx.dcap.sources.clone())
    }

    fn anchor(_: &TdxEvidence, anchors: &TrustAnchors, policy: &Policy) -> Result<&'static str> {
        steps::anchor(anchors, policy)
    }

    fn needs(of: &Question<'_, BareTdx>) -> Option<Vec<Need>> {
        steps::needs(of, &of.evidence.quote, &of.member.tdx)
    }

    fn glance(lines: &mut Lines, of: &Question<'_, BareTdx>) {
        lines.report_data(of.binding, Tee::Tdx, report_data(&of.evidence.quote));
    }

    fn verify(lines: &mut Lines, of: &Question<'_, BareTdx>) -> Option<TdxClaims> {
        steps::verify(lines, of, &of.evidence.quote, &of.member.tdx)
    }

    fn bound(lines: &mut Lines, claims: &TdxClaims, of: &Question<'_, BareTdx>) -> ControlFlow<()> {
        match of.binding {
            Binding::Session { .. } => {
                let why = "atlas-v1, which ties a key to evidence by dstack's event log alone";
                lines.judge(REPORT_DATA, false, Status::BindingMismatch, Protocol::ExporterV1.name(), why);
            }
            _ => lines.report_data(of.binding, Tee::Tdx, Some(claims.report_data)),
        }
        ControlFlow::Continue(())
    }

    fn appraise(lines: &mut Lines, claims: &TdxClaims, of: &Question<'_, BareTdx>) {
        measured(lines, claims, of.member);
        boot_log::judge(lines, claims, of.evidence.ccel.as_deref(), of.member.ccel.as_ref());
    }

    fn further(of: &Question<'_, BareTdx>) -> Vec<CheckId> {
        boot_log::mandatory(of.evidence.ccel.as_deref(), of.member.ccel.as_ref())
    }

    fn is_exposed(claims: &TdxClaims) -> Option<bool> {
        Some(claims.debug)
    }

    fn draft(verdict: &Verdict) -> Option<Map<String, Value>> {
        let measured = &verdict.claims.as_ref()?.measurements;
        let set = draft::registers(measured, ["mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"]);
        let mut members = Map::from_iter([("measurements".to_owned(), json!([set]))]);
        members.extend(draft::common(verdict, measured));
        Some(members)
    }

    fn report(claims: &TdxClaims) -> ClaimsReport {
        claims.report()
    }
}

/// Whether one of the policy's sets of registers is the quote's.
fn measured(lines: &mut Lines, claims: &TdxClaims, member: &BareReference) {
    let sets = &member.measurements;
    match sets.iter().find(|set| set.difference(claims).is_none()) {
        Some(set) => {
            lines.judge(MEASUREMENT, true, Status::Ok, "a listed set of measurements", &set.label);
            unpinned(lines, set);
        }
        None => {
            // With several sets the first one's difference is shown: the usual case is one.
            let (wanted, actual) = sets.first().and_then(|set| set.difference(claims)).unwrap_or_default();
            lines.judge(MEASUREMENT, false, Status::MeasurementMismatch, wanted, actual);
        }
    }
}

/// What nobody looked at, for readers of the verdict.
fn unpinned(lines: &mut Lines, set: &Measurements) {
    for (id, _) in RTMR.iter().zip(&set.rtmr).filter(|(_, pinned)| pinned.is_none()) {
        lines.skip(id.clone(), "the policy's measurements do not name it");
    }
}

impl Measurements {
    /// The first register that is not as the set has it: what was wanted, and what there is.
    fn difference(&self, claims: &TdxClaims) -> Option<(String, String)> {
        let registers = self.rtmr.iter().zip(&claims.rtmr).zip(["rtmr0", "rtmr1", "rtmr2", "rtmr3"]);
        let pinned =
            registers.filter_map(|((wanted, actual), name)| wanted.as_ref().map(|wanted| (name, wanted, actual)));
        let mut all = std::iter::once(("mrtd", &self.mrtd, &claims.mr_td)).chain(pinned);
        let (name, wanted, actual) = all.find(|(_, wanted, actual)| wanted != actual)?;
        Some((format!("{name} {} ({})", hex(wanted), self.label), format!("{name} {}", hex(actual))))
    }
}
