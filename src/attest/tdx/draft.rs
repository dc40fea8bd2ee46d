//! Drafts of policies about trust domains: what those of dstack guests and of others have in common. Pure.

use serde_json::{Map, Value, json};

use crate::attest::draft::{AS_SEEN, members, only, tcb_status};
use crate::verdict::Verdict;

/// Of the registers, by name.
pub fn registers<const N: usize>(measured: &Value, names: [&str; N]) -> Value {
    let mut set = Map::from_iter([("label".to_owned(), Value::from(AS_SEEN))]);
    set.extend(names.map(|name| (name.to_owned(), measured[name].clone())));
    set.into()
}

/// What the launch of the TD has fixed, and the platform's status if only a policy that names it accepts it. The TDX module is left to Intel's documents.
pub fn common(verdict: &Verdict, measured: &Value) -> Map<String, Value> {
    let whole = |name: &str| json!({"mask": "ff".repeat(8), "value": measured[name]});
    let td = json!({
        "attributes": whole("td_attributes"), "xfam": whole("xfam"),
        "mr_config_id": only(&measured["mr_config_id"]), "mr_owner": only(&measured["mr_owner"]),
    });
    members([("td", td), ("allowed_tcb_status", tcb_status(verdict))])
}
