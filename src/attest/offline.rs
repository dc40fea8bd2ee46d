//! An appraisal whose parts are given one by one, in any order: for evidence that was stored. Pure.

use super::appraise::{AppraisalRequest, appraise};
use super::{Binding, Documents, Evidence, Fault, Policy, Result, TrustAnchors};
use crate::status::{Phase, Status};
use crate::verdict::Verdict;

/// What `AppraisalRequest` needs, as far as it is known.
#[derive(Default)]
pub struct OfflineRequest {
    pub evidence: Option<Evidence>,
    pub documents: Option<Documents>,
    pub policy: Option<Policy>,
    pub anchors: TrustAnchors,
    pub binding: Option<Binding>,
    /// Unix seconds.
    pub time: Option<u64>,
}

impl OfflineRequest {
    /// Errors: InvalidState (a part is missing), and as `appraise`. Documents may be missing if no part of the policy takes any for this evidence.
    pub fn judge(&self) -> Result<Verdict> {
        let (evidence, policy) = (part(&self.evidence, "evidence")?, part(&self.policy, "policy")?);
        let none = Documents::none();
        let documents = match &self.documents {
            None if !policy.takes_collateral(evidence.tee()) => &none,
            given => part(given, "collateral")?,
        };
        let now = *part(&self.time, "time")?;
        appraise(&AppraisalRequest {
            evidence,
            documents,
            policy,
            anchors: &self.anchors,
            binding: part(&self.binding, "session (or the request to skip the binding)")?,
            received: now,
            now,
        })
    }
}

fn part<'a, T>(given: &'a Option<T>, what: &str) -> Result<&'a T> {
    let missing = || Fault { status: Status::InvalidState, phase: Phase::Call, message: format!("no {what} was set") };
    given.as_ref().ok_or_else(missing)
}
