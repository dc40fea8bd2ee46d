//! Attestation results for others: a verdict as an EAT Attestation Result (draft-ietf-rats-ear-04), a claims set in JSON with a trustworthiness vector
//! (draft-ietf-rats-ar4si), and the same signed as a JSON Web Token. docs/verdict.md has the table by which checks become the vector. Pure.
//!
//! Fail closed: whatever the vector says, the status of a verdict that is not trusted is `contraindicated`, and evidence under a simulator's root is
//! never affirmed.

mod aspects;
mod token;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::verdict::Verdict;
pub use aspects::{Aspect, aspect};
use aspects::{Part, Tier, Vector};
pub use token::{Algorithm, SigningKey, join, signing_input};

/// `eat_profile` of the claims set.
pub const PROFILE: &str = "tag:ietf.org,2026:rats/ear#04";

/// What a result says besides the verdict: the host's to choose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Issue {
    /// Unix seconds.
    pub issued_at: u64,
    pub expires: Option<u64>,
    /// Of the party that asked for the result.
    pub nonce: Option<Vec<u8>>,
    /// Who answers for the verifier, and what it is.
    pub developer: String,
    pub build: String,
    /// Names of the policies that were applied.
    pub policies: Vec<String>,
}

/// The claims set.
pub fn claims(verdict: &Verdict, issue: &Issue) -> Value {
    let parts = Part::of(verdict);
    let judged: Vec<_> = parts.iter().map(|part| (part, Vector::of(part))).collect();
    let tiers = judged.iter().map(|(part, vector)| vector.tier(part));
    let worst = tiers.max().unwrap_or(Tier::Contraindicated);
    let mut claims = json!({
        "eat_profile": PROFILE,
        "iat": issue.issued_at,
        "ear_verifier_id": {"developer": issue.developer, "build": issue.build},
        "ear_status": worst.name(),
    });
    if let Some(expires) = issue.expires {
        claims["exp"] = expires.into();
    }
    if let Some(nonce) = &issue.nonce {
        claims["eat_nonce"] = URL_SAFE_NO_PAD.encode(nonce).into();
    }
    let submods = judged.iter().map(|(part, vector)| (part.name(), appraisal(part, issue, vector)));
    claims["submods"] = submods.collect::<Map<_, _>>().into();
    claims
}

fn appraisal(part: &Part<'_>, issue: &Issue, vector: &Vector) -> Value {
    let mut appraisal = json!({"ear_status": vector.tier(part).name()});
    let vector = vector.to_json();
    if vector.as_object().is_some_and(|claimed| !claimed.is_empty()) {
        appraisal["ear_trustworthiness_vector"] = vector;
    }
    if !issue.policies.is_empty() {
        appraisal["ear_appraisal_policy_ids"] = json!(issue.policies);
    }
    let (attester, verifier) = split(part);
    if !attester.is_empty() {
        appraisal["ear_attester_claims"] = attester.into();
    }
    appraisal["ear_verifier_claims"] = verifier.into();
    appraisal
}

/// The members of the verdict's JSON about a part: what the attester says of itself, and what the verifier found. Those of `attached` are in parts of their own.
fn split(part: &Part<'_>) -> (Map<String, Value>, Map<String, Value>) {
    const OF_ATTESTER: [&str; 3] = ["application", "measurements", "platform"];
    let all = match part.which {
        None => part.verdict.to_value(),
        Some((kind, _)) => json!({
            "tee_type": kind, "trust_anchor": part.trust_anchor,
            "measurements": part.claims.map(|claims| &claims.measurements),
            "platform": part.claims.map(|claims| &claims.platform),
        }),
    };
    let Value::Object(mut members) = all else { return Default::default() };
    members.shift_remove("attached");
    let mut attester = Map::new();
    for name in OF_ATTESTER {
        // What is empty or null says nothing.
        let said = members.shift_remove(name).filter(|value| value.as_object().is_some_and(|value| !value.is_empty()));
        attester.extend(said.map(|value| (name.to_owned(), value)));
    }
    (attester, members)
}

#[cfg(test)]
mod tests;
