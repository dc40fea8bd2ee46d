//! Drafts of policies about trust domains: what those of dstack guests and of others have in common. Pure.

use serde_json::{Map, Value, json};

use crate::attest::draft::{members, only};
use crate::verdict::{ClaimsReport, Verdict};

/// Of the registers, by name.
pub fn registers<const N: usize>(report: &ClaimsReport, names: [&str; N]) -> Value {
    let mut set = Map::from_iter([("label".to_owned(), Value::from("as seen"))]);
    set.extend(names.map(|name| (name.to_owned(), report.measurements[name].clone())));
    set.into()
}

/// What the launch of the TD has fixed, and the platform's status if only a policy that names it accepts it. The TDX module is left to Intel's documents.
pub fn common(verdict: &Verdict, report: &ClaimsReport) -> Map<String, Value> {
    let measured = |name: &str| &report.measurements[name];
    let whole = |name: &str| json!({"mask": "ff".repeat(8), "value": measured(name)});
    let td = json!({
        "attributes": whole("td_attributes"), "xfam": whole("xfam"),
        "mr_config_id": only(measured("mr_config_id")), "mr_owner": only(measured("mr_owner")),
    });
    let status = match verdict.tcb_status() {
        "UpToDate" => Value::Null,
        other => json!([other]),
    };
    members([("td", td), ("allowed_tcb_status", status)])
}
