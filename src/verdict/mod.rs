//! The result of an appraisal: one line per check and the claims behind it. Plain data, which `attest` fills and errors carry; exported as JSON. Pure,
//! and knows only the numbers (`status`).

mod check;

pub use check::{Check, CheckId, Outcome};
use serde_json::{Map, Value, json};

/// Of the format that [`Verdict::to_json`] writes: docs/verdict.schema.json. Members may be added to a version; none is changed or taken out.
pub const VERSION: u32 = 1;

/// What an appraisal found. `trusted` is true only if every check that ran passed and the mandatory ones ran.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub trusted: bool,
    /// Kind of TEE that the evidence speaks of.
    pub tee: &'static str,
    pub checks: Vec<Check>,
    /// Of evidence whose signatures hold; `None` if they do not. Authentic, which is not the same as acceptable.
    pub claims: Option<ClaimsReport>,
    /// Name of the vendor whose root the evidence must lead to, or `"simulated"`.
    pub trust_anchor: &'static str,
    /// Which member of the policy's `any_of` accepted, if one did.
    pub accepted_member: Option<usize>,
    /// What binds the evidence; `None` when the caller asked for an appraisal without session binding.
    pub protocol: Option<&'static str>,
    /// Whether that is to one session. If not, evidence that is bound is bound to a key only.
    pub bound_to_session: bool,
    /// Whether the host of what runs can look into it, as authentic evidence says; `None` if nothing is known of that.
    pub is_exposed: Option<bool>,
    /// Identity that the evidence shows, name and text.
    pub application: Vec<(String, String)>,
    /// Whether some member of the policy would accept, but for a log that names another certificate than the session has shown. The
    /// certificate may have been renewed in between: a new session can tell.
    pub only_certificate_differs: bool,
    /// What stands beside the main evidence, part by part; empty if there is nothing, or if the main evidence is refused.
    pub attached: Vec<AttachedReport>,
    /// Unix time, in seconds, that the appraisal was made for.
    pub time: u64,
    /// Unix time after which it would be another one, as far as the policy and the evidence alone decide that.
    pub holds_until: Option<u64>,
}

/// One part beside the main evidence.
#[derive(Clone, Debug)]
pub struct AttachedReport {
    /// Its kind.
    pub tee: &'static str,
    /// As of the main evidence.
    pub trust_anchor: &'static str,
    /// Of a part whose signatures hold.
    pub claims: Option<ClaimsReport>,
}

/// What the evidence claims of the machine, as readers of a verdict see it. Nothing is decided by it.
#[derive(Clone, Debug)]
pub struct ClaimsReport {
    /// As the vendor publishes it.
    pub tcb_status: String,
    pub advisory_ids: Vec<String>,
    pub measurements: Value,
    pub platform: Value,
    pub collateral: Value,
}

impl Verdict {
    pub fn first_failure(&self) -> Option<&Check> {
        self.checks.iter().find(|check| check.outcome == Outcome::Fail)
    }

    /// `""` if there are no claims.
    pub fn tcb_status(&self) -> &str {
        self.claims.as_ref().map_or("", |claims| &claims.tcb_status)
    }

    /// Null for a vendor that publishes none.
    fn tcb_status_json(&self) -> Value {
        match &self.claims {
            Some(claims) if claims.tcb_status.is_empty() => Value::Null,
            _ => self.tcb_status().into(),
        }
    }

    pub fn advisory_ids(&self) -> &[String] {
        self.claims.as_ref().map_or(&[], |claims| &claims.advisory_ids)
    }

    /// The whole verdict as one JSON object (docs/verdict.md).
    pub fn to_json(&self) -> String {
        self.to_value().to_string()
    }

    pub fn to_value(&self) -> Value {
        let checks: Vec<Value> = self.checks.iter().map(line).collect();
        let application: Map<String, Value> =
            self.application.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        let claims = self.claims.as_ref();
        let mut verdict = json!({
            "version": VERSION,
            "trusted": self.trusted,
            "tee_type": self.tee,
            "tcb_status": self.tcb_status_json(),
            "advisory_ids": self.advisory_ids(),
            "trust_anchor": self.trust_anchor,
            "bound_to_session": self.bound_to_session,
            "protocol": self.protocol,
            "accepted_member": self.accepted_member,
            "time": self.time,
            "checks": checks,
            "application": application,
            "measurements": claims.map(|claims| &claims.measurements),
            "platform": claims.map(|claims| &claims.platform),
            "collateral": claims.map(|claims| &claims.collateral),
        });
        if !self.attached.is_empty() {
            verdict["attached"] = self.attached.iter().map(AttachedReport::to_json).collect();
        }
        verdict
    }
}

impl Verdict {
    /// What authentic evidence says, as a list of names and texts: the members `application`, `measurements`, `platform` and `attached` of the JSON, whose
    /// objects and lists are opened up. What is null is left out.
    pub fn claims_list(&self) -> Vec<(String, String)> {
        let whole = self.to_value();
        let mut list = Vec::new();
        for part in ["application", "measurements", "platform", "attached"] {
            open_up(part.to_owned(), &whole[part], &mut list);
        }
        list
    }
}

fn open_up(name: String, value: &Value, list: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Object(members) => {
            members.iter().for_each(|(member, value)| open_up(format!("{name}.{member}"), value, list))
        }
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(index, value)| open_up(format!("{name}[{index}]"), value, list))
        }
        Value::String(text) => list.push((name, text.clone())),
        other => list.push((name, other.to_string())),
    }
}

impl AttachedReport {
    fn to_json(&self) -> Value {
        let claims = self.claims.as_ref();
        json!({
            "tee_type": self.tee, "trust_anchor": self.trust_anchor,
            "measurements": claims.map(|claims| &claims.measurements), "platform": claims.map(|claims| &claims.platform),
        })
    }
}

fn line(check: &Check) -> Value {
    json!({
        "name": check.name(), "outcome": check.outcome.name(),
        "expected": check.expected, "actual": check.actual,
    })
}
