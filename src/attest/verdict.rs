//! The result of an appraisal: one line per check and the claims behind it. Plain data, exported as JSON.

use serde_json::{Value, json};

use super::binding::Protocol;
use super::check::{Check, Outcome};
use super::tdx::Claims;
use crate::error::{Error, Phase, Status};

/// What an appraisal found. `trusted` is true only if every check that ran passed and the mandatory ones ran.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub trusted: bool,
    pub checks: Vec<Check>,
    /// Claims of a quote whose signatures hold; `None` if they do not. Authentic, which is not the same as acceptable.
    pub claims: Option<Claims>,
    /// `"intel"` or `"simulated"`.
    pub trust_anchor: &'static str,
    /// Which member of the policy's `any_of` accepted, where there is one.
    pub accepted_member: Option<usize>,
    /// What binds the evidence to a session; `None` when the caller asked for an appraisal without session binding.
    pub protocol: Option<Protocol>,
    /// Identity that the event log shows, name and lower-case hex (key-provider: its text).
    pub application: Vec<(String, String)>,
    /// Whether some member of the policy would accept, but for a log that names another certificate than the session has shown. The
    /// certificate may have been renewed in between: a new session can tell.
    pub only_certificate_differs: bool,
    /// Unix time, in seconds, that the appraisal was made for.
    pub time: u64,
}

impl Verdict {
    pub fn first_failure(&self) -> Option<&Check> {
        self.checks.iter().find(|check| check.outcome == Outcome::Fail)
    }

    /// The error that a connection refused by this verdict ends with.
    pub fn error(&self) -> Option<Error> {
        if self.trusted {
            return None;
        }
        let (status, message) = match self.first_failure() {
            Some(check) => {
                (check.status, format!("{}: expected {}, got {}", check.name(), check.expected, check.actual))
            }
            None => (Status::Internal, "not trusted, though no check failed".into()),
        };
        let mut error = Error::new(status, format!("attestation refused: {message}")).phase(Phase::Verify);
        error.verdict = Some(std::sync::Arc::new(self.clone()));
        Some(error)
    }

    pub fn tcb_status(&self) -> &str {
        self.claims.as_ref().map_or("", |claims| &claims.tcb_status)
    }

    pub fn advisory_ids(&self) -> &[String] {
        self.claims.as_ref().map_or(&[], |claims| &claims.advisory_ids)
    }

    /// The whole verdict as one JSON object.
    pub fn to_json(&self) -> String {
        let checks: Vec<Value> = self
            .checks
            .iter()
            .map(|check| {
                json!({
                    "name": check.name(), "outcome": check.outcome.name(),
                    "expected": check.expected, "actual": check.actual,
                })
            })
            .collect();
        let application: serde_json::Map<String, Value> =
            self.application.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        let claims = self.claims.as_ref();
        json!({
            "trusted": self.trusted,
            "tee_type": "tdx",
            "tcb_status": self.tcb_status(),
            "advisory_ids": self.advisory_ids(),
            "trust_anchor": self.trust_anchor,
            "bound_to_session": self.protocol.is_some(),
            "protocol": self.protocol.map(Protocol::name),
            "accepted_member": self.accepted_member,
            "time": self.time,
            "checks": checks,
            "application": application,
            "measurements": claims.map(Claims::measurements_json),
            "platform": claims.map(Claims::platform_json),
            "collateral": claims.map(Claims::collateral_json),
        })
        .to_string()
    }
}
