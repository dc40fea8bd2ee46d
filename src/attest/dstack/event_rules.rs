//! The policy's `events`: rules for what a guest's application records in its log. Pure.

use crate::attest::Result;
use crate::attest::policy::policy_fields::PolicyFields;

#[derive(Clone, Debug)]
pub struct EventRule {
    pub name: String,
    pub payload_sha256: Option<[u8; 32]>,
    /// How often it must be there; once where the policy does not say.
    pub count: Option<u64>,
    /// It must come before the first event of this name.
    pub before: Option<String>,
}

impl EventRule {
    pub(super) fn read(fields: &mut PolicyFields) -> Result<Vec<EventRule>> {
        fields.objects("events")?.unwrap_or_default().into_iter().map(EventRule::read_one).collect()
    }

    fn read_one(mut rule: PolicyFields) -> Result<EventRule> {
        let Some(name) = event_name(&mut rule, "name")? else {
            return Err(rule.invalid("name", "missing field `name`".into()));
        };
        let out = EventRule {
            payload_sha256: rule.hex("payload_sha256")?,
            count: rule.u64("count")?,
            before: event_name(&mut rule, "before")?,
            name,
        };
        if out.before.as_ref() == Some(&out.name) {
            return Err(rule.invalid("before", "is the event itself".into()));
        }
        if out.count == Some(0) && (out.payload_sha256.is_some() || out.before.is_some()) {
            return Err(rule.invalid("count", "is 0, and the rest is about an event that is there".into()));
        }
        rule.finish()?;
        Ok(out)
    }
}

/// A name that an event of a log can have.
fn event_name(rule: &mut PolicyFields, field: &str) -> Result<Option<String>> {
    let Some(name) = rule.string(field)? else { return Ok(None) };
    if name.is_empty() || name.contains(':') {
        return Err(
            rule.invalid(field, format!("{name:?} is no event's name: one has a character at least, and no colon"))
        );
    }
    Ok(Some(name))
}
