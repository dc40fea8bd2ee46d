//! dstack guests in TDX trust domains: the policy type `dstack_tdx`. What they measure: the runtime event log, the app-compose manifest and MRCONFIGID.
//! Pure.

pub mod app_compose;
pub mod checks;
pub mod config_document;
mod draft;
pub mod event_log;
pub mod event_rules;
pub mod key_provider;
mod log_entry;
pub mod mr_config;
pub mod policy;

use std::ops::ControlFlow;
use std::rc::Rc;

use serde_json::{Map, Value};

use super::Result;
use super::anchors::TrustAnchors;
use super::binding::Binding;
use super::family::{Family, Need, Question};
use super::lines::{Lines, REPORT_DATA};
use super::policy::policy_fields::PolicyFields;
use super::policy::{Policy, SourceRules};
use super::tdx::checks::{DEBUG, QUOTE, SERVICE_TD, TCB_STATUS};
use super::tdx::{TdxClaims, TdxEvidence, report_data, steps};
use super::tee::Tee;
use crate::status::Status;
use crate::verdict::{CheckId, ClaimsReport, Verdict};
use checks::{CERTIFICATE_EVENT, EVENT_LOG, EVENT_ORDER, GuestChecks, NO_LOG, RTMR};
use event_log::EventLog;
use policy::GuestReference;

/// A guest of dstack, in a TDX trust domain.
pub struct DstackTdx;

/// What the quote claims, and the log that it explains, or why there is none.
pub struct GuestClaims {
    pub td: TdxClaims,
    log: Rc<ReadLog>,
}

struct ReadLog(std::result::Result<EventLog, String>);

impl Family for DstackTdx {
    const TEE: Tee = Tee::Tdx;
    const TYPE: &'static str = "dstack_tdx";
    const MANDATORY: &'static [CheckId] = &[QUOTE, DEBUG, SERVICE_TD, TCB_STATUS];
    const BOUND: &'static [CheckId] = &[REPORT_DATA];
    type Evidence = TdxEvidence;
    type Reference = GuestReference;
    type Claims = GuestClaims;

    fn read(object: &Value) -> std::result::Result<TdxEvidence, String> {
        TdxEvidence::from_agent(object)
    }

    fn policy(fields: PolicyFields) -> Result<GuestReference> {
        GuestReference::read(fields)
    }

    fn sources(reference: &GuestReference) -> Option<SourceRules> {
        Some(reference.tdx.dcap.sources.clone())
    }

    fn anchor(_: &TdxEvidence, anchors: &TrustAnchors, policy: &Policy) -> Result<&'static str> {
        steps::anchor(anchors, policy)
    }

    fn needs(of: &Question<'_, DstackTdx>) -> Option<Vec<Need>> {
        steps::needs(of, &of.evidence.quote, &of.member.tdx)
    }

    fn glance(lines: &mut Lines, of: &Question<'_, DstackTdx>) {
        lines.report_data(of.binding, Tee::Tdx, report_data(&of.evidence.quote));
    }

    fn verify(lines: &mut Lines, of: &Question<'_, DstackTdx>) -> Option<GuestClaims> {
        let Some(td) = steps::verify(lines, of, &of.evidence.quote, &of.member.tdx) else {
            lines.skip(EVENT_LOG, "the quote does not hold");
            return None;
        };
        let text = of.evidence.event_log.as_deref();
        // It reads the same for all members.
        let log = of.findings.once("", || ReadLog(text.ok_or_else(|| NO_LOG.to_owned()).and_then(EventLog::parse)));
        Some(GuestClaims { td, log })
    }

    fn bound(lines: &mut Lines, claims: &GuestClaims, of: &Question<'_, DstackTdx>) -> ControlFlow<()> {
        lines.report_data(of.binding, Tee::Tdx, Some(claims.td.report_data));
        if is_quote_alone(of) {
            lines.skip(EVENT_LOG, "a quote on its own, without its log");
            return ControlFlow::Continue(());
        }
        let mut checks = GuestChecks { lines, of };
        let Some(log) = checks.event_log(&claims.log.0) else { return ControlFlow::Break(()) };
        checks.registers(&claims.td, log);
        checks.event_order(log);
        checks.certificate(log);
        ControlFlow::Continue(())
    }

    fn appraise(lines: &mut Lines, claims: &GuestClaims, of: &Question<'_, DstackTdx>) {
        let mut checks = GuestChecks { lines, of };
        checks.bootchain(&claims.td);
        if let (Ok(log), false) = (&claims.log.0, is_quote_alone(of)) {
            checks.application(&claims.td, log);
            checks.event_rules(log);
        }
    }

    fn further(of: &Question<'_, DstackTdx>) -> Vec<CheckId> {
        let [.., rtmr3] = RTMR;
        let logged = if is_quote_alone(of) { vec![] } else { vec![EVENT_LOG, rtmr3, EVENT_ORDER] };
        let certified = needs_key_event(of).then_some(CERTIFICATE_EVENT);
        logged.into_iter().chain(certified).collect()
    }

    fn is_exposed(claims: &GuestClaims) -> Option<bool> {
        Some(claims.td.debug)
    }

    fn draft(verdict: &Verdict) -> Option<Map<String, Value>> {
        draft::draft(verdict)
    }

    fn objection(verdict: &Verdict) -> Option<(Status, String)> {
        draft::objection(verdict)
    }

    fn report(claims: &GuestClaims) -> ClaimsReport {
        claims.td.report()
    }
}

/// Whether the log must name the certificate of the side that proves itself. atlas-v1 binds evidence to a key in no other way.
fn needs_key_event(of: &Question<'_, DstackTdx>) -> bool {
    match of.binding {
        // What holds the key is the report data.
        Binding::Skip | Binding::Certificate(_) => false,
        Binding::Session { .. } => true,
        Binding::Exporter(_) => of.policy.require_key_event,
    }
}

/// Whether there is a quote and no log, and nothing that was asked for depends on one.
fn is_quote_alone(of: &Question<'_, DstackTdx>) -> bool {
    let member = of.member;
    of.evidence.event_log.is_none()
        && !needs_key_event(of)
        && member.applications.is_empty()
        && member.os_image_hash.is_none()
        && member.app_id.is_none()
        && member.key_provider.is_none()
        && member.events.is_empty()
        && !member.require_mr_config_id
}
