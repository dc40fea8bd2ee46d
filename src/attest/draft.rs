//! A draft of a policy from what evidence has shown: a start for whoever writes one. It pins what it saw, which is as good as the moment at which it was seen.
//! Pure.

use serde_json::{Map, Value, json};

use super::anchors::SIMULATED;
use super::attached;
use super::family::of_kind;
use super::policy::Policy;
use super::tee::Tee;
use super::{Fault, Result};
use crate::status::Status;
use crate::verdict::{Check, Outcome, Verdict};

/// A policy that the evidence behind `verdict` satisfies, unless that takes a consent which only its owner can give. Errors: InvalidState, for evidence that is not
/// authentic or that shows too little; Unsupported.
pub fn draft(verdict: &Verdict) -> Result<Value> {
    let refused = |why: &str| Fault::of_question(Status::InvalidState, format!("no policy can be drafted: {why}"));
    if verdict.claims.is_none() {
        return Err(refused("the evidence is not authentic"));
    }
    if verdict.is_exposed == Some(true) {
        return Err(refused("the host can look into what runs there, and a draft does not allow that"));
    }
    if verdict.tcb_status() == REVOKED {
        return Err(refused("the platform is Revoked, and a draft does not allow that"));
    }
    if let Some((_, why)) = objection(verdict) {
        return Err(refused(&why));
    }
    let kind = Tee::from_name(verdict.tee);
    let member = kind.into_iter().flat_map(of_kind).find_map(|family| {
        let mut members = Map::from_iter([("type".to_owned(), family.kind().into())]);
        members.extend(family.draft(verdict)?);
        Some(members)
    });
    let Some(mut members) = member else {
        return Err(Fault::of_question(
            Status::Unsupported,
            format!("drafts of policies for evidence of kind {}", verdict.tee),
        ));
    };
    members.extend(attached::draft(&verdict.attached).map_err(|why| refused(&why))?);
    if verdict.trust_anchor == SIMULATED {
        members.insert("allow_simulated".into(), true.into());
    }
    let draft = Value::Object(members);
    match Policy::from_json(draft.to_string().as_bytes()) {
        Ok(_) => Ok(draft),
        Err(fault) => Err(refused(&format!("it would not be valid: {}", fault.message))),
    }
}

/// The status of a platform whose vendor has withdrawn its trust.
const REVOKED: &str = "Revoked";

/// What is wrong with authentic evidence, or with what came beside it, whatever a policy pins: status and words.
pub fn objection(verdict: &Verdict) -> Option<(Status, String)> {
    let kind = Tee::from_name(verdict.tee);
    kind.into_iter().flat_map(of_kind).find_map(|family| family.objection(verdict))
}

/// Label of a set of measurements.
pub const AS_SEEN: &str = "as seen";

/// `allowed_tcb_status`, if only a policy that names it accepts the platform's.
pub fn tcb_status(verdict: &Verdict) -> Value {
    match verdict.tcb_status() {
        "UpToDate" => Value::Null,
        other => json!([other]),
    }
}

/// The members of an object that has these, in their order; what is null is left out.
pub fn members<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    let present = pairs.into_iter().filter(|(_, value)| !value.is_null());
    present.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A list with this one value; null for none.
pub fn only(value: &Value) -> Value {
    if value.is_null() { Value::Null } else { json!([value]) }
}

/// Whether some line of the verdict says that this check has passed: a fact of the evidence, whichever member of the policy asked.
pub fn has_passed(verdict: &Verdict, rule: &str) -> bool {
    verdict.checks.iter().any(|check| check.id.rule() == rule && check.outcome == Outcome::Pass)
}

/// The lines that failed of some of these checks, whichever member of the policy asked.
pub fn failed<'a>(verdict: &'a Verdict, rules: &'a [&'static str]) -> impl Iterator<Item = &'a Check> {
    let fails = |check: &&Check| check.outcome == Outcome::Fail && rules.contains(&check.id.rule());
    verdict.checks.iter().filter(fails)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::ClaimsReport;

    /// Quotes of such a platform are not authentic to begin with: this holds if that should ever change.
    #[test]
    fn a_platform_that_is_revoked_gives_none() {
        let claims = ClaimsReport {
            tcb_status: REVOKED.into(),
            advisory_ids: vec![],
            measurements: json!({}),
            platform: json!({}),
            collateral: Value::Null,
        };
        let verdict = Verdict {
            trusted: false,
            tee: "tdx",
            checks: vec![],
            claims: Some(claims),
            trust_anchor: "intel",
            accepted_member: None,
            protocol: None,
            bound_to_session: false,
            is_exposed: Some(false),
            application: vec![],
            only_certificate_differs: false,
            attached: vec![],
            time: 0,
            holds_until: None,
        };
        let fault = draft(&verdict).unwrap_err();
        assert_eq!(fault.status, Status::InvalidState);
        assert!(fault.message.contains("the platform is Revoked"), "{}", fault.message);
    }
}
