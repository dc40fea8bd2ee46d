//! The lines of a verdict, as the families write them. Pure.

use std::borrow::Cow;

use super::binding::{Binding, public_key};
use super::hash::{hex, sha256};
use super::policy::Policy;
use super::tee::Tee;
use crate::status::Status;
use crate::verdict::{Check, CheckId, Outcome};

/// Whether the evidence is of a kind that the policy is about.
pub const TEE: CheckId = CheckId::new("tee");
/// Whether the evidence belongs to the session.
pub const REPORT_DATA: CheckId = CheckId::new("report_data");
/// Whether the key of the other side is one that the policy names.
pub const SPKI: CheckId = CheckId::new("spki");

/// Whether the policy accepts evidence that is bound to a key only.
pub const RA_TLS: CheckId = CheckId::new("ra_tls");
/// Whether the certificate that the evidence came in holds, and is young enough.
pub const CERTIFICATE_AGE: CheckId = CheckId::new("certificate_age");

pub const UNBOUND: &str = "the caller asked for no session binding";

/// What one member of a policy makes of evidence, line by line.
#[derive(Debug, Default)]
pub struct Lines {
    pub checks: Vec<Check>,
    /// Identity that the evidence shows, for readers: name and text.
    pub application: Vec<(String, String)>,
    /// The check that failed because the evidence names another certificate than the session has shown.
    pub other_certificate: Option<CheckId>,
    /// Unix seconds: the last one at which all checks pass that a date of the policy or of a certificate in the evidence ends, if one does.
    pub hold_until: Option<u64>,
}

impl Lines {
    pub fn judge<'t>(
        &mut self,
        id: CheckId,
        ok: bool,
        status: Status,
        expected: impl Into<Cow<'t, str>>,
        actual: impl Into<Cow<'t, str>>,
    ) {
        self.push(id, if ok { Outcome::Pass } else { Outcome::Fail }, status, (expected.into(), actual.into()));
    }

    pub fn skip(&mut self, id: CheckId, why: &str) {
        self.push(id, Outcome::Skipped, Status::Ok, ("".into(), why.into()));
    }

    /// Not inlined: hundreds of places write a line.
    #[inline(never)]
    fn push(
        &mut self,
        id: CheckId,
        outcome: Outcome,
        status: Status,
        (expected, actual): (Cow<'_, str>, Cow<'_, str>),
    ) {
        let (expected, actual) = (expected.into_owned(), actual.into_owned());
        self.checks.push(Check { id, member: None, part: None, outcome, expected, actual, status });
    }

    /// A check that has passed fails after this moment, in Unix seconds.
    pub fn passes_until(&mut self, end: u64) {
        self.hold_until = Some(self.hold_until.map_or(end, |known| known.min(end)));
    }

    /// Checks that were made apart, and when they end.
    pub fn append(&mut self, apart: Lines) {
        self.checks.extend(apart.checks);
        apart.hold_until.into_iter().for_each(|end| self.passes_until(end));
    }

    #[inline(never)]
    pub fn passed(&self, id: &CheckId) -> bool {
        self.checks.iter().any(|check| check.id == *id && check.outcome == Outcome::Pass)
    }

    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.outcome == Outcome::Fail)
    }

    /// Whether nothing else is wrong than that the evidence names another certificate.
    pub fn only_certificate_differs(&self) -> bool {
        let mut failures = self.failures();
        self.other_certificate.is_some()
            && failures.next().is_some_and(|check| Some(&check.id) == self.other_certificate.as_ref())
            && failures.next().is_none()
    }

    /// Whether what the evidence holds of the session is what `binding` asks for; `None` if it holds nothing.
    #[inline(never)]
    pub fn report_data(&mut self, binding: &Binding, tee: Tee, actual: Option<[u8; 64]>) {
        match binding.report_data(tee) {
            None => self.skip(REPORT_DATA, UNBOUND),
            Some(Ok(expected)) => {
                let (ok, actual) = (actual == Some(expected), actual.map_or_else(|| "none".into(), |data| hex(&data)));
                self.judge(REPORT_DATA, ok, Status::BindingMismatch, hex(&expected), actual);
            }
            Some(Err(why)) => self.judge(REPORT_DATA, false, Status::BindingMismatch, "a binding", why),
        }
    }

    /// What the policy says of certificates that carry evidence, if this came in one.
    #[inline(never)]
    pub fn certificate(&mut self, policy: &Policy, binding: &Binding, now: u64) {
        let Binding::Certificate(certificate) = binding else { return };
        let rules = policy.ra_tls.as_ref().filter(|rules| rules.formats.contains(&certificate.format));
        let expected = "a policy that names ra-tls, and this format";
        self.judge(RA_TLS, rules.is_some(), Status::BindingMismatch, expected, certificate.format.name());
        let Some(rules) = rules else { return };
        let (from, to) = (certificate.not_before, certificate.not_after);
        let ok = (from..=to).contains(&now) && now - from <= rules.max_age_s;
        let expected = format!("holds at {now}, since at most {} s", rules.max_age_s);
        self.judge(CERTIFICATE_AGE, ok, Status::BindingMismatch, expected, format!("holds from {from} to {to}"));
    }

    /// The policy's pins of the other side's key, which are the same for all families.
    #[inline(never)]
    pub fn spki(&mut self, policy: &Policy, binding: &Binding) {
        let pins = &policy.spki_sha256;
        if pins.is_empty() {
            return;
        }
        if matches!(binding, Binding::Skip) {
            return self.skip(SPKI, UNBOUND);
        }
        let (ok, actual) = match binding.leaf().map(public_key) {
            Some(Ok(key)) => (pins.contains(&sha256(&key)), hex(&sha256(&key))),
            Some(Err(why)) => (false, why),
            None => (false, "no certificate was shown".into()),
        };
        self.judge(SPKI, ok, Status::BindingMismatch, one_of(pins), actual);
    }
}

pub fn one_of<const N: usize>(values: &[[u8; N]]) -> String {
    values.iter().map(|value| hex(value)).collect::<Vec<_>>().join(" or ")
}
