//! A draft of a policy about what AWS signs documents of: its registers. Pure.

use serde_json::{Map, Value, json};

use super::policy::{DEFAULT_AGE, MAX_AGE};
use super::registers::Registers;
use crate::attest::draft::members;
use crate::verdict::Verdict;

/// All registers that a policy can pin. Some of them differ between machines: an enclave's fourth is the instance's own. A document that was older than the default
/// allows stays acceptable at that age.
pub fn draft<R: Registers>(verdict: &Verdict) -> Option<Map<String, Value>> {
    let report = verdict.claims.as_ref()?;
    let can_be_pinned = |(number, value): &(&String, &Value)| {
        let is_zero = value.as_str().is_some_and(|text| text.bytes().all(|digit| digit == b'0'));
        number.parse().is_ok_and(|number| number < R::COUNT && (!is_zero || R::may_be_zero(number)))
    };
    let pcrs = report.measurements["pcrs"].as_object()?.iter().filter(can_be_pinned);
    let pcrs: Map<_, _> = pcrs.map(|(number, value)| (number.clone(), json!([value]))).collect();
    let age = verdict.time.saturating_sub(report.platform["timestamp_ms"].as_u64()? / 1000);
    let age = if (DEFAULT_AGE..=MAX_AGE).contains(&age) { (age + 1).min(MAX_AGE).into() } else { Value::Null };
    Some(members([("pcrs", pcrs.into()), ("max_age_s", age)]))
}
