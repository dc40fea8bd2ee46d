//! The seam between the judgement and the kinds of TEE: what each kind brings, and the one list of those that there are. Pure.
//!
//! A family is a `type` in a policy. To add one: its folder here, a line in [`FAMILIES`], an arm in [`Tee`]; and, if its evidence needs documents of a
//! vendor that is new, the vendor's root in `anchors` and its module in `collateral`; a provider in `attester` if this side is to make such evidence.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::anchors::TrustAnchors;
use super::appraise::AppraisalRequest;
use super::azure::{AzureSnp, AzureTdx};
use super::bare_tdx::BareTdx;
use super::binding::{Binding, Protocol};
use super::documents::{DocumentId, Documents};
use super::dstack::DstackTdx;
use super::evidence::Evidence;
use super::findings::Findings;
use super::lines::{Lines, TEE};
use super::nitro::{Nitro, NitroTpm};
use super::policy::policy_fields::PolicyFields;
use super::policy::{Policy, SourceRules};
use super::sgx::Sgx;
use super::snp::Snp;
use super::tee::Tee;
use super::{Fault, Result};
use crate::status::Status;
use crate::verdict::{CheckId, ClaimsReport, Verdict};

/// What a kind of evidence brings. All of it is pure: no clock, no I/O, and no globals but the memories of `remembering`, which change no answer: they hold what was
/// found good, by every byte that it follows from.
pub trait Family: Sized + Send + Sync + 'static {
    /// The kind of evidence that it judges.
    const TEE: Tee;
    /// `type` in a policy.
    const TYPE: &'static str;
    /// Checks without which nothing may be trusted, whatever else passed; the first one is of the evidence as a whole.
    const MANDATORY: &'static [CheckId];
    /// The same, unless the caller asked for no session binding.
    const BOUND: &'static [CheckId];
    /// Decoded, not judged.
    type Evidence: Send + Sync + 'static;
    /// One member of a policy's `any_of`.
    type Reference: Send + Sync + 'static;
    /// Authentic; not yet acceptable.
    type Claims: 'static;

    /// Whether its evidence belongs to a session if it came by this protocol.
    fn is_carried_by(protocol: Protocol) -> bool {
        protocol.carries().contains(&Self::TEE)
    }

    /// The object that protocol exporter-v1 carries.
    fn read(object: &Value) -> std::result::Result<Self::Evidence, String>;

    /// Errors: PolicyInvalid, Unsupported.
    fn policy(fields: PolicyFields) -> Result<Self::Reference>;

    /// What a member says of the vendor's documents, if there are any.
    fn sources(reference: &Self::Reference) -> Option<SourceRules>;

    /// Whether the member wants evidence that is made for the challenge throughout, even if that is slow.
    fn wants_fresh(_reference: &Self::Reference) -> bool {
        false
    }

    /// What verdicts call the root that the evidence must lead to. Errors: TrustAnchor; Unsupported, for evidence that no member can be about.
    fn anchor(evidence: &Self::Evidence, anchors: &TrustAnchors, policy: &Policy) -> Result<&'static str>;

    /// The same, `of` all that the evidence may have to lead to, for a member that leaves one out.
    fn anchor_for(_reference: &Self::Reference, of: &'static str) -> &'static str {
        of
    }

    /// The documents that it takes to judge the evidence. `None` if it is not genuine, or the member cannot accept it, which can be told without any: whoever
    /// shows evidence chooses what is looked up for it, and a stranger is to choose nothing.
    fn needs(of: &Question<'_, Self>) -> Option<Vec<Need>>;

    /// Whether the evidence, if it is genuine, belongs to the session: one line, written before anything is fetched for it.
    fn glance(lines: &mut Lines, of: &Question<'_, Self>);

    /// Signatures, chains, and what the vendor says of the platform, with the rules about that.
    fn verify(lines: &mut Lines, of: &Question<'_, Self>) -> Option<Self::Claims>;

    /// What ties the evidence to the session. Break: what failed leaves nothing to judge.
    fn bound(lines: &mut Lines, claims: &Self::Claims, of: &Question<'_, Self>) -> ControlFlow<()>;

    /// What runs inside, against the reference values.
    fn appraise(lines: &mut Lines, claims: &Self::Claims, of: &Question<'_, Self>);

    /// Checks that are mandatory for this question, besides the constant ones.
    fn further(_of: &Question<'_, Self>) -> Vec<CheckId> {
        Vec::new()
    }

    /// Whether the host can look into what runs, if the evidence says; results for others (`ear`) say it too.
    fn is_exposed(claims: &Self::Claims) -> Option<bool>;

    /// Members of a policy of this type that pin what authentic evidence has shown, for `attest::draft`. `None` if there is no such policy, or if another family of
    /// the kind knows more of this evidence.
    fn draft(_verdict: &Verdict) -> Option<Map<String, Value>> {
        None
    }

    /// What it has found wrong with evidence or with what came beside it, if a draft of any type would pass over that: status and words, for `attest::draft`.
    fn objection(_verdict: &Verdict) -> Option<(Status, String)> {
        None
    }

    /// For readers of the verdict.
    fn report(claims: &Self::Claims) -> ClaimsReport;
}

/// Evidence, one member of the policy, and everything else that the judgement depends on.
pub struct Question<'a, F: Family> {
    pub evidence: &'a F::Evidence,
    pub member: &'a F::Reference,
    /// The kind of the main evidence, which decides what a device beside it must be bound to.
    pub main: Tee,
    pub documents: &'a Documents,
    pub anchors: &'a TrustAnchors,
    pub binding: &'a Binding,
    pub policy: &'a Policy,
    /// Of this evidence, by members that were asked before.
    pub findings: &'a Findings,
    /// As in `AppraisalRequest`.
    pub received: u64,
    /// Unix seconds.
    pub now: u64,
}

/// A document that a judgement takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    pub document: DocumentId,
    /// Without it evidence cannot be judged, so services are asked for it. If not, it is used if it is kept.
    pub required: bool,
}

/// A member of a policy's `any_of`, and the family that it is of.
#[derive(Clone)]
pub struct Member {
    pub family: &'static dyn AnyFamily,
    reference: Arc<dyn Any + Send + Sync>,
}

impl Member {
    /// As one family has it; `None` if it is another's.
    pub fn get<F: Family>(&self) -> Option<&F::Reference> {
        self.reference.downcast_ref()
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Member({})", self.family.kind())
    }
}

/// A report of claims, which is written for the member alone that a verdict shows.
pub type LateReport = Box<dyn FnOnce() -> ClaimsReport>;

/// What one member made of the evidence.
pub struct Judged {
    pub lines: Lines,
    pub claims: Option<LateReport>,
    pub is_exposed: Option<bool>,
    pub trusted: bool,
}

/// An appraisal, and what was found in it so far.
pub type Asked<'a> = (&'a AppraisalRequest<'a>, &'a Findings);

/// A [`Family`] without its types. One adapter implements it, for all of them.
pub trait AnyFamily: Send + Sync {
    fn tee(&self) -> Tee;
    /// `type` in a policy.
    fn kind(&self) -> &'static str;
    fn is_carried_by(&self, protocol: Protocol) -> bool;
    fn read(&self, object: &Value) -> std::result::Result<Evidence, String>;
    fn policy(&self, fields: PolicyFields) -> Result<Member>;
    fn sources(&self, member: &Member) -> Option<SourceRules>;
    fn wants_fresh(&self, member: &Member) -> bool;
    fn anchor(&self, request: &AppraisalRequest<'_>) -> Result<&'static str>;
    fn anchor_for(&self, member: &Member, of: &'static str) -> &'static str;
    fn needs(&self, member: &Member, asked: Asked<'_>) -> Option<Vec<Need>>;
    fn is_bound(&self, member: &Member, asked: Asked<'_>) -> bool;
    fn judge(&self, member: &Member, asked: Asked<'_>) -> Judged;
    fn draft(&self, verdict: &Verdict) -> Option<Map<String, Value>>;
    fn objection(&self, verdict: &Verdict) -> Option<(Status, String)>;
    /// The refusal of evidence that is genuine and belongs to something else, without any document.
    fn refuse_unbound(&self, member: &Member, asked: Asked<'_>) -> Judged;
}

/// All families, the first of a kind being the one that reads its evidence.
static FAMILIES: &[&dyn AnyFamily] = &[
    &Erased::<DstackTdx>(PhantomData),
    &Erased::<BareTdx>(PhantomData),
    &Erased::<Snp>(PhantomData),
    &Erased::<Nitro>(PhantomData),
    &Erased::<NitroTpm>(PhantomData),
    &Erased::<Sgx>(PhantomData),
    &Erased::<AzureTdx>(PhantomData),
    &Erased::<AzureSnp>(PhantomData),
    #[cfg(test)]
    &Erased::<super::toy::Toy>(PhantomData),
];

/// By `type` in a policy.
pub fn family(kind: &str) -> Option<&'static dyn AnyFamily> {
    FAMILIES.iter().copied().find(|family| family.kind() == kind)
}

/// The one that reads evidence of a kind.
pub fn reader(tee: Tee) -> Option<&'static dyn AnyFamily> {
    FAMILIES.iter().copied().find(|family| family.tee() == tee)
}

/// Those that judge evidence of a kind.
pub fn of_kind(tee: Tee) -> impl Iterator<Item = &'static dyn AnyFamily> {
    FAMILIES.iter().copied().filter(move |family| family.tee() == tee)
}

/// `type` of all families, for messages.
pub fn known_types() -> String {
    FAMILIES.iter().map(|family| format!("`{}`", family.kind())).collect::<Vec<_>>().join(" or ")
}

struct Erased<F>(PhantomData<fn() -> F>);

impl<F: Family> Erased<F> {
    fn question<'a>(member: &'a Member, (request, findings): Asked<'a>) -> Option<Question<'a, F>> {
        Some(Question {
            evidence: request.evidence.get::<F>()?,
            member: member.get::<F>()?,
            main: request.evidence.tee(),
            documents: request.documents,
            anchors: request.anchors,
            binding: request.binding,
            policy: request.policy,
            findings,
            received: request.received,
            now: request.now,
        })
    }
}

/// The lines about evidence that has claims; whether nothing is missing among them.
pub(super) fn settle<F: Family>(lines: &mut Lines, claims: &F::Claims, of: &Question<'_, F>) -> bool {
    // Once for the machine, not again for what is attached to it.
    let is_machine = !F::TEE.attaches();
    if is_machine {
        lines.certificate(of.policy, of.binding, of.now);
    }
    if F::bound(lines, claims, of).is_continue() {
        if is_machine {
            lines.spki(of.policy, of.binding);
        }
        F::appraise(lines, claims, of);
    }
    let bound = matches!(of.binding, Binding::Skip) || F::BOUND.iter().all(|id| lines.passed(id));
    bound
        && F::MANDATORY.iter().all(|id| lines.passed(id))
        && F::further(of).iter().all(|id| lines.passed(id))
        && lines.failures().next().is_none()
}

impl<F: Family> AnyFamily for Erased<F> {
    fn tee(&self) -> Tee {
        F::TEE
    }

    fn kind(&self) -> &'static str {
        F::TYPE
    }

    fn is_carried_by(&self, protocol: Protocol) -> bool {
        F::is_carried_by(protocol)
    }

    fn read(&self, object: &Value) -> std::result::Result<Evidence, String> {
        F::read(object).map(Evidence::of::<F>)
    }

    fn policy(&self, fields: PolicyFields) -> Result<Member> {
        let family =
            family(F::TYPE).ok_or_else(|| Fault::of_policy(Status::Internal, "a family that is not listed"))?;
        F::policy(fields).map(|reference| Member { family, reference: Arc::new(reference) })
    }

    fn sources(&self, member: &Member) -> Option<SourceRules> {
        F::sources(member.get::<F>()?)
    }

    fn wants_fresh(&self, member: &Member) -> bool {
        member.get::<F>().is_some_and(F::wants_fresh)
    }

    fn anchor(&self, request: &AppraisalRequest<'_>) -> Result<&'static str> {
        match request.evidence.get::<F>() {
            Some(evidence) => F::anchor(evidence, request.anchors, request.policy),
            None => Err(Fault::of_question(Status::Internal, "evidence of another family")),
        }
    }

    fn anchor_for(&self, member: &Member, of: &'static str) -> &'static str {
        member.get::<F>().map_or(of, |reference| F::anchor_for(reference, of))
    }

    fn needs(&self, member: &Member, asked: Asked<'_>) -> Option<Vec<Need>> {
        F::needs(&Erased::<F>::question(member, asked)?)
    }

    fn is_bound(&self, member: &Member, asked: Asked<'_>) -> bool {
        let mut lines = Lines::default();
        let Some(of) = Erased::<F>::question(member, asked) else { return false };
        F::glance(&mut lines, &of);
        lines.failures().next().is_none()
    }

    fn judge(&self, member: &Member, asked: Asked<'_>) -> Judged {
        let mut lines = Lines::default();
        let Some(of) = Erased::<F>::question(member, asked) else { return another_family() };
        let claims = F::verify(&mut lines, &of);
        let trusted = claims.as_ref().is_some_and(|claims| settle(&mut lines, claims, &of));
        let is_exposed = claims.as_ref().and_then(F::is_exposed);
        let report = |claims: F::Claims| Box::new(move || F::report(&claims)) as LateReport;
        Judged { lines, claims: claims.map(report), is_exposed, trusted }
    }

    fn draft(&self, verdict: &Verdict) -> Option<Map<String, Value>> {
        F::draft(verdict)
    }

    fn objection(&self, verdict: &Verdict) -> Option<(Status, String)> {
        F::objection(verdict)
    }

    fn refuse_unbound(&self, member: &Member, asked: Asked<'_>) -> Judged {
        let mut lines = Lines::default();
        let Some(of) = Erased::<F>::question(member, asked) else { return another_family() };
        for whole in F::MANDATORY.iter().take(1) {
            lines.skip(whole.clone(), "no collateral is fetched for evidence of another session");
        }
        F::glance(&mut lines, &of);
        Judged { lines, claims: None, is_exposed: None, trusted: false }
    }
}

/// Two families of one kind must have the same type of evidence; this says so if they do not, and trusts nothing.
fn another_family() -> Judged {
    let mut lines = Lines::default();
    lines.judge(TEE, false, Status::Internal, "evidence of the member's family", "of another family of its kind");
    Judged { lines, claims: None, is_exposed: None, trusted: false }
}
