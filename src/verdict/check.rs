//! One line of a verdict, and which check it is of. Decisions go by [`CheckId`]; its text is for readers, and stable. Pure.

use std::fmt;

use crate::status::Status;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Pass,
    Fail,
    /// Not judged, because the policy does not ask for it or an earlier failure left nothing to judge.
    Skipped,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Fail => "fail",
            Outcome::Skipped => "skipped",
        }
    }
}

/// Which rule was applied. Each family of evidence has its own rules, as constants of this type beside the code that applies them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckId {
    rule: &'static str,
    /// What the rule is about, if there is one such rule for each of several things.
    subject: Option<String>,
}

impl CheckId {
    pub const fn new(rule: &'static str) -> CheckId {
        CheckId { rule, subject: None }
    }

    /// Without what it is about.
    pub fn rule(&self) -> &'static str {
        self.rule
    }

    /// `rule:subject`.
    pub fn about(rule: &'static str, subject: impl Into<String>) -> CheckId {
        CheckId { rule, subject: Some(subject.into()) }
    }
}

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule)?;
        self.subject.as_ref().map_or(Ok(()), |subject| write!(f, ":{subject}"))
    }
}

/// One line of a verdict.
#[derive(Clone, Debug)]
pub struct Check {
    pub id: CheckId,
    /// Index in the policy's `any_of`; `None` where there is one member, or where one has accepted.
    pub member: Option<usize>,
    /// Which part beside the main evidence it is about, by kind and number among those of its kind; `None` for the main evidence.
    pub part: Option<(&'static str, usize)>,
    pub outcome: Outcome,
    pub expected: String,
    pub actual: String,
    /// What a failure of this check is reported as.
    pub status: Status,
}

impl Check {
    /// As verdicts show it: `any_of[1].tcb_status`, `any_of[1].nvidia[0].chain`.
    pub fn name(&self) -> String {
        match self.member {
            Some(index) => format!("any_of[{index}].{}", self.rule()),
            None => self.rule(),
        }
    }

    /// The same, whatever the member: `nvidia[0].chain`.
    pub fn rule(&self) -> String {
        match self.part {
            Some((kind, number)) => format!("{kind}[{number}].{}", self.id),
            None => self.id.to_string(),
        }
    }
}
