//! Evidence of devices that stand beside the machine's own: which kinds there are, and how they are judged once the main part is acceptable. A kind has a
//! block of its own at the top level of a policy; without it, such evidence is not asked for and refused. Pure.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::anchors::SIMULATED;
use super::appraise::AppraisalRequest;
use super::evidence::{MAX_DEVICES, Part};
use super::family::{Family, Judged, Question, settle};
use super::findings::Findings;
use super::lines::Lines;
use super::nvidia::Nvidia;
use super::policy::policy_fields::PolicyFields;
use super::tee::Tee;
use super::{Fault, Result};
use crate::status::Status;
use crate::verdict::{AttachedReport, Check, CheckId, ClaimsReport};

/// Whether all that is attached was asked for.
pub const ATTACHED: CheckId = CheckId::new("attached");

/// A family whose evidence stands beside a machine's. Its `TYPE` is the name of its block in a policy, its `Evidence` is of one device, and its documents,
/// sources and glance are never asked for.
pub trait AttachedFamily: Family {
    /// What the binder is hashed with for their nonce, so that it is of no other use.
    const PURPOSE: &'static str;
    /// Checks of all devices together, without which nothing is trusted.
    const TOGETHER: &'static [CheckId];

    /// The rules about all devices together: claims of each, `None` for one that is not genuine.
    fn together(lines: &mut Lines, devices: &[Option<Self::Claims>], rules: &Self::Reference);

    /// Members of a block that pin what authentic devices have shown, for `attest::draft`.
    fn draft_block(devices: &[&ClaimsReport]) -> Map<String, Value>;
}

/// What a policy says of one kind, and the family that it is of.
#[derive(Clone)]
pub struct Block {
    pub family: &'static dyn AnyAttached,
    reference: Arc<dyn Any + Send + Sync>,
}

impl Block {
    /// Errors: as `Family::policy`.
    pub fn read(family: &'static dyn AnyAttached, fields: PolicyFields) -> Result<Block> {
        Ok(Block { family, reference: family.policy(fields)? })
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({})", self.family.block())
    }
}

/// What a block made of the devices.
pub struct JudgedDevices {
    pub checks: Vec<Check>,
    pub reports: Vec<AttachedReport>,
    pub trusted: bool,
}

/// An [`AttachedFamily`] without its types. One adapter implements it, for all of them.
pub trait AnyAttached: Send + Sync {
    fn tee(&self) -> Tee;
    /// Its name in a policy.
    fn block(&self) -> &'static str;
    /// As `AttachedFamily::PURPOSE`.
    fn purpose(&self) -> &'static str;
    /// The devices of one entry.
    fn read(&self, list: &Value) -> std::result::Result<Vec<Part>, String>;
    /// What a block says. Errors: as `Family::policy`.
    fn policy(&self, fields: PolicyFields) -> Result<Arc<dyn Any + Send + Sync>>;
    /// As `Family::anchor`, of one device.
    fn anchor(&self, part: &Part, request: &AppraisalRequest<'_>) -> Result<&'static str>;
    /// `findings`: of each attached part alone, by members that were asked before.
    fn judge(&self, block: &Block, request: &AppraisalRequest<'_>, findings: &[Findings]) -> Result<JudgedDevices>;
    /// As `AttachedFamily::draft_block`.
    fn draft_block(&self, devices: &[&ClaimsReport]) -> Map<String, Value>;
}

/// All kinds that attach.
pub static ATTACHING: &[&dyn AnyAttached] = &[&Erased::<Nvidia>(PhantomData)];

/// The one that reads evidence of a kind.
pub fn reader(tee: Tee) -> Option<&'static dyn AnyAttached> {
    ATTACHING.iter().copied().find(|family| family.tee() == tee)
}

/// What verdicts call the roots that the devices must lead to: whether one is a simulator's. Errors: TrustAnchor.
pub fn leads_to_simulated(request: &AppraisalRequest<'_>) -> Result<bool> {
    let mut found = false;
    for part in request.evidence.attached() {
        if let Some(family) = reader(part.tee()) {
            found |= family.anchor(part, request)? == SIMULATED;
        }
    }
    Ok(found)
}

/// Judges what is attached, as a part of the judgement of the main evidence: without that, nothing beside it is worth a look.
/// `findings`: of each part, by members that were asked before.
pub fn judge(main: &mut Judged, request: &AppraisalRequest<'_>, findings: &[Findings]) -> Result<Vec<AttachedReport>> {
    let (parts, blocks) = (request.evidence.attached(), &request.policy.attached);
    if parts.is_empty() && blocks.is_empty() {
        return Ok(Vec::new());
    }
    if !main.trusted {
        main.lines.skip(ATTACHED, "the main evidence is refused");
        return Ok(Vec::new());
    }
    let asked = |tee: Tee| blocks.iter().any(|block| block.family.tee() == tee);
    let all_asked = parts.iter().all(|part| asked(part.tee()));
    let list = |kinds: Vec<&str>| if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") };
    let wanted = list(blocks.iter().map(|block| block.family.tee().name()).collect());
    let actual = list(parts.iter().map(|part| part.tee().name()).collect());
    main.lines.judge(ATTACHED, all_asked, Status::EvidenceInvalid, format!("kinds asked for: {wanted}"), actual);
    main.trusted &= all_asked;
    let mut reports = Vec::new();
    for block in blocks {
        let judged = block.family.judge(block, request, findings)?;
        main.trusted &= judged.trusted;
        main.lines.checks.extend(judged.checks);
        reports.extend(judged.reports);
    }
    Ok(reports)
}

/// Blocks that pin what the devices of a verdict have shown: none without devices. Errors: why there can be none.
pub fn draft(devices: &[AttachedReport]) -> std::result::Result<Map<String, Value>, String> {
    let mut blocks = Map::new();
    for family in ATTACHING {
        let kind = family.tee().name();
        let of_kind: Vec<_> = devices.iter().filter(|device| device.tee == kind).collect();
        let authentic: Vec<_> = of_kind.iter().filter_map(|device| device.claims.as_ref()).collect();
        if authentic.len() != of_kind.len() {
            return Err(format!("evidence of kind {kind} beside the machine's is not authentic"));
        }
        if !authentic.is_empty() {
            blocks.insert(family.block().to_owned(), family.draft_block(&authentic).into());
        }
    }
    Ok(blocks)
}

struct Erased<F>(PhantomData<fn() -> F>);

impl<F: AttachedFamily> Erased<F> {
    fn judge_one(question: &Question<'_, F>, number: usize) -> (Vec<Check>, Option<F::Claims>, bool) {
        let mut lines = Lines::default();
        let claims = F::verify(&mut lines, question);
        let trusted = claims.as_ref().is_some_and(|claims| settle(&mut lines, claims, question));
        let part = Some((F::TEE.name(), number));
        (lines.checks.into_iter().map(|check| Check { part, ..check }).collect(), claims, trusted)
    }
}

impl<F: AttachedFamily> AnyAttached for Erased<F> {
    fn tee(&self) -> Tee {
        F::TEE
    }

    fn block(&self) -> &'static str {
        F::TYPE
    }

    fn purpose(&self) -> &'static str {
        F::PURPOSE
    }

    fn read(&self, list: &Value) -> std::result::Result<Vec<Part>, String> {
        let devices = list.as_array().ok_or("evidence is not a list")?;
        if devices.is_empty() || devices.len() > MAX_DEVICES {
            return Err(format!("evidence is of {} devices, and must be of 1 to {MAX_DEVICES}", devices.len()));
        }
        let read =
            |(index, object)| F::read(object).map(Part::of::<F>).map_err(|why| format!("evidence[{index}]: {why}"));
        devices.iter().enumerate().map(read).collect()
    }

    fn policy(&self, fields: PolicyFields) -> Result<Arc<dyn Any + Send + Sync>> {
        F::policy(fields).map(|reference| Arc::new(reference) as Arc<dyn Any + Send + Sync>)
    }

    fn anchor(&self, part: &Part, request: &AppraisalRequest<'_>) -> Result<&'static str> {
        match part.get::<F>() {
            Some(evidence) => F::anchor(evidence, request.anchors, request.policy),
            None => Err(Fault::of_question(Status::Internal, "evidence of another family")),
        }
    }

    fn judge(&self, block: &Block, request: &AppraisalRequest<'_>, findings: &[Findings]) -> Result<JudgedDevices> {
        let member = block.reference.downcast_ref::<F::Reference>();
        let member = member.ok_or_else(|| Fault::of_question(Status::Internal, "a block of another family"))?;
        let (mut judged, mut all) =
            (JudgedDevices { checks: Vec::new(), reports: Vec::new(), trusted: true }, Vec::new());
        let parts = request.evidence.attached().iter().zip(findings);
        let devices = parts.filter_map(|(part, findings)| Some((part.get::<F>()?, findings)));
        for (number, (evidence, findings)) in devices.enumerate() {
            let AppraisalRequest { documents, anchors, binding, policy, received, now, .. } = *request;
            let main = request.evidence.tee();
            let question =
                Question { evidence, main, member, documents, anchors, binding, policy, findings, received, now };
            let (checks, claims, trusted) = Erased::<F>::judge_one(&question, number);
            judged.checks.extend(checks);
            judged.trusted &= trusted;
            let trust_anchor = F::anchor(evidence, anchors, policy)?;
            judged.reports.push(AttachedReport {
                tee: F::TEE.name(),
                trust_anchor,
                claims: claims.as_ref().map(F::report),
            });
            all.push(claims);
        }
        let mut lines = Lines::default();
        F::together(&mut lines, &all, member);
        judged.trusted &= F::TOGETHER.iter().all(|id| lines.passed(id)) && lines.failures().next().is_none();
        judged.checks.extend(lines.checks);
        Ok(judged)
    }

    fn draft_block(&self, devices: &[&ClaimsReport]) -> Map<String, Value> {
        F::draft_block(devices)
    }
}
