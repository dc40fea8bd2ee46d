//! The appraisal itself: each member of the policy that is about the evidence's kind is asked, in order, until one trusts it. Pure.

use super::anchors::{SIMULATED, TrustAnchors};
use super::attached;
use super::binding::{Binding, Protocol};
use super::documents::Documents;
use super::evidence::Evidence;
use super::family::{AnyFamily, Judged, Member, Need, reader};
use super::findings::Findings;
use super::lines::{Lines, TEE};
use super::measure::measure;
use super::policy::Policy;
use super::{Fault, Result};
use crate::status::Status;
use crate::verdict::{Check, Verdict};

/// Everything that an appraisal depends on.
pub struct AppraisalRequest<'a> {
    pub evidence: &'a Evidence,
    pub documents: &'a Documents,
    pub policy: &'a Policy,
    pub anchors: &'a TrustAnchors,
    pub binding: &'a Binding,
    /// Unix seconds: when the evidence came. Before `now` if it is judged again; how old it was then does not change.
    pub received: u64,
    /// Unix seconds.
    pub now: u64,
}

/// Judges evidence. An error means that the question itself was wrong; a refusal is a verdict with `trusted == false`.
pub fn appraise(request: &AppraisalRequest<'_>) -> Result<Verdict> {
    match request.policy.only_measures {
        true => measure(request, by_rules),
        false => by_rules(request),
    }
}

fn by_rules(request: &AppraisalRequest<'_>) -> Result<Verdict> {
    let findings = Findings::default();
    judge(request, |family, member| family.judge(member, (request, &findings)))
}

/// The verdict on evidence that is genuine but belongs to something else (`is_bound`): no document is used.
pub fn refuse_unbound(request: &AppraisalRequest<'_>) -> Result<Verdict> {
    let findings = Findings::default();
    judge(request, |family, member| family.refuse_unbound(member, (request, &findings)))
}

/// The documents that judging this evidence takes: those of each member that may accept it. `None` if no member can, which `appraise` says without any.
/// `request.documents` is ignored. Errors: as of `appraise`.
pub fn needs(request: &AppraisalRequest<'_>) -> Result<Option<Vec<Need>>> {
    trust_anchor(request)?;
    let findings = Findings::default();
    let mut members = fitting(request).peekable();
    let mut all: Option<Vec<Need>> = members.peek().is_none().then(Vec::new);
    for needs in members.filter_map(|member| member.family.needs(member, (request, &findings))) {
        let all = all.get_or_insert_default();
        for need in needs {
            if !all.contains(&need) {
                all.push(need);
            }
        }
    }
    Ok(all)
}

/// Whether evidence that turns out to be genuine would belong to the session at hand.
pub fn is_bound(request: &AppraisalRequest<'_>) -> bool {
    let findings = Findings::default();
    fitting(request).all(|member| member.family.is_bound(member, (request, &findings)))
}

fn reading(request: &AppraisalRequest<'_>) -> Result<&'static dyn AnyFamily> {
    let tee = request.evidence.tee();
    reader(tee).ok_or_else(|| Fault::of_question(Status::Unsupported, format!("evidence of kind {}", tee.name())))
}

/// What verdicts call the root that the evidence must lead to: a simulator's, if any part of it must.
fn trust_anchor(request: &AppraisalRequest<'_>) -> Result<&'static str> {
    let main = reading(request)?.anchor(request)?;
    Ok(if attached::leads_to_simulated(request)? { SIMULATED } else { main })
}

/// The same, for a refusal: by the member that leaves the fewest out, so that it says too much rather than too little.
fn refusing_anchor(request: &AppraisalRequest<'_>, of: &'static str) -> &'static str {
    let narrower = |member: &Member| Some(member.family.anchor_for(member, of)).filter(|name| *name != of);
    let names: Option<Vec<_>> = fitting(request).map(narrower).collect();
    names.and_then(|names| names.first().copied()).unwrap_or(of)
}

/// The members that are about evidence of this kind.
fn fitting<'a>(request: &AppraisalRequest<'a>) -> impl Iterator<Item = &'a Member> {
    let tee = request.evidence.tee();
    request.policy.any_of.iter().filter(move |member| member.family.tee() == tee)
}

fn judge(request: &AppraisalRequest<'_>, ask: impl Fn(&'static dyn AnyFamily, &Member) -> Judged) -> Result<Verdict> {
    let trust_anchor = trust_anchor(request)?;
    let (members, kind) = (&request.policy.any_of, request.evidence.tee());
    let several = members.len() > 1;
    let (mut checks, mut claims_of_last) = (Vec::new(), None);
    let devices: Vec<_> = request.evidence.attached().iter().map(|_| Findings::default()).collect();
    let mut last = Verdict {
        trusted: false,
        tee: kind.name(),
        checks: Vec::new(),
        claims: None,
        is_exposed: None,
        trust_anchor: refusing_anchor(request, trust_anchor),
        accepted_member: None,
        protocol: request.binding.protocol().map(Protocol::name),
        bound_to_session: request.binding.protocol().is_some_and(Protocol::binds_session),
        application: Vec::new(),
        only_certificate_differs: false,
        attached: Vec::new(),
        time: request.now,
        holds_until: None,
    };
    for (index, member) in members.iter().enumerate() {
        let mut judged = match member.family.tee() == kind {
            true => ask(member.family, member),
            false => of_another_kind(member),
        };
        let attached =
            if member.family.tee() == kind { attached::judge(&mut judged, request, &devices)? } else { Vec::new() };
        let Judged { lines, claims, is_exposed, trusted } = judged;
        if trusted {
            let Lines { checks, application, hold_until: holds_until, .. } = lines;
            let accepted_member = Some(index);
            let only_certificate_differs = false;
            let trust_anchor = member.family.anchor_for(member, trust_anchor);
            return Ok(Verdict {
                trusted,
                checks,
                claims: claims.map(|report| report()),
                is_exposed,
                application,
                accepted_member,
                only_certificate_differs,
                attached,
                trust_anchor,
                holds_until,
                ..last
            });
        }
        last.only_certificate_differs |= lines.only_certificate_differs();
        if member.family.tee() == kind {
            (claims_of_last, last.is_exposed, last.attached) = (claims, is_exposed, attached);
            // A member that does not look for an application does not hide that another has found one.
            if !lines.application.is_empty() {
                last.application = lines.application;
            }
        }
        checks.extend(lines.checks.into_iter().map(|check| Check { member: several.then_some(index), ..check }));
    }
    if fitting(request).next().is_none() {
        let mut lines = Lines::default();
        let kinds: Vec<_> = request.policy.kinds().iter().map(|kind| kind.name()).collect();
        lines.judge(TEE, false, Status::EvidenceInvalid, kinds.join(" or "), kind.name());
        checks.extend(lines.checks);
    }
    Ok(Verdict { checks, claims: claims_of_last.map(|report| report()), ..last })
}

fn of_another_kind(member: &Member) -> Judged {
    let mut lines = Lines::default();
    lines.skip(TEE, &format!("this member is about evidence of kind {}", member.family.tee().name()));
    Judged { lines, claims: None, is_exposed: None, trusted: false }
}
