//! docs/verdict.schema.json: every verdict that a test sees is held against it.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use serde_json::Value;

const TEXT: &str = include_str!("../../../docs/verdict.schema.json");

pub fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| serde_json::from_str(TEXT).expect("docs/verdict.schema.json"))
}

/// What is wrong with a verdict, if anything is.
pub fn faults(verdict: &Value) -> Vec<String> {
    static VALIDATOR: OnceLock<jsonschema::Validator> = OnceLock::new();
    let validator = VALIDATOR.get_or_init(|| jsonschema::draft202012::new(schema()).expect("a schema"));
    validator.iter_errors(verdict).map(|fault| format!("{}: {fault}", fault.instance_path())).collect()
}

#[track_caller]
pub fn hold(verdict: &Value) {
    let faults = faults(verdict);
    assert!(faults.is_empty(), "not by docs/verdict.schema.json:\n{}\n{verdict}", faults.join("\n"));
}

/// Every property that the schema names, as a JSON pointer into it.
pub fn properties() -> BTreeSet<String> {
    fn walk(node: &Value, at: &str, found: &mut BTreeSet<String>) {
        match node {
            Value::Object(members) => {
                for (name, member) in members.iter().filter(|(name, _)| *name != "allOf") {
                    if let ("properties", Some(properties)) = (name.as_str(), member.as_object()) {
                        found.extend(properties.keys().map(|property| format!("{at}/properties/{property}")));
                    }
                    walk(member, &format!("{at}/{name}"), found);
                }
            }
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(i, item)| walk(item, &format!("{at}/{i}"), found))
            }
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    walk(schema(), "", &mut found);
    found
}

/// The properties of the schema that a valid verdict has.
pub fn seen_in(verdict: &Value) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    see("", verdict, &mut seen);
    let kind = |rule: &&Value| rule["if"]["properties"]["tee_type"]["const"] == verdict["tee_type"];
    let rules = schema()["allOf"].as_array().expect("allOf");
    for (name, node) in rules.iter().filter(kind).flat_map(|rule| rule["then"]["properties"].as_object().unwrap()) {
        let target = node["oneOf"][1]["$ref"].as_str().expect("one of null and a definition");
        see(&target[1..], &verdict[name], &mut seen);
    }
    seen
}

fn see(at: &str, value: &Value, seen: &mut BTreeSet<String>) {
    let node = schema().pointer(at).unwrap_or_else(|| panic!("{at}"));
    if let Some(target) = node["$ref"].as_str() {
        return see(&target[1..], value, seen);
    }
    if let (Some(target), false) = (node["oneOf"][1]["$ref"].as_str(), value.is_null()) {
        return see(&target[1..], value, seen);
    }
    match value {
        Value::Object(members) if node["properties"].is_object() => {
            for (name, member) in members {
                let below = format!("{at}/properties/{name}");
                seen.insert(below.clone());
                see(&below, member, seen);
            }
        }
        Value::Array(items) if node["items"].is_object() => {
            items.iter().for_each(|item| see(&format!("{at}/items"), item, seen));
        }
        _ => {}
    }
}
