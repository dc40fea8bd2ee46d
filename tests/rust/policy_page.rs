//! docs/policy.md and the parser know the same fields, and every example on the page does what the page says of it.

use std::collections::BTreeSet;

use atls::attest::Policy;
use serde_json::{Map, Value};

const PAGE: &str = include_str!("../../docs/policy.md");

/// A fenced block of JSON: what follows the word `json` on its fence, and its text.
struct Example {
    line: usize,
    mark: String,
    text: String,
}

fn examples() -> Vec<Example> {
    let mut found: Vec<Example> = Vec::new();
    let mut open = false;
    for (index, line) in PAGE.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(_) if open => open = false,
            Some(info) => {
                open = info.starts_with("json");
                let mark = info.trim_start_matches("json").trim().to_owned();
                found.extend(open.then(|| Example { line: index + 1, mark, text: String::new() }));
            }
            None if open => found.last_mut().unwrap().text.push_str(&format!("{line}\n")),
            None => {}
        }
    }
    assert!(found.len() > 20, "the page's examples were not found");
    found
}

/// The examples that are to be accepted. Where one shows only some members, they are put into the page's first document.
fn accepted() -> Vec<(usize, Value)> {
    let examples = examples();
    let first: Map<String, Value> = serde_json::from_str(&examples[0].text).unwrap();
    let read = |example: &Example| -> Option<Value> {
        let parse = |text: &str| -> Map<String, Value> {
            serde_json::from_str(text).unwrap_or_else(|error| panic!("policy.md:{}: {error}", example.line))
        };
        match example.mark.as_str() {
            "" => Some(parse(&example.text).into()),
            "member" => {
                let mut whole = first.clone();
                whole.extend(parse(&format!("{{{}}}", example.text)));
                Some(whole.into())
            }
            _ => None,
        }
    };
    examples.iter().filter_map(|example| Some((example.line, read(example)?))).collect()
}

/// The first column of the page's tables, without what the headings say already.
fn documented() -> BTreeSet<String> {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let mut fields = BTreeSet::new();
    for (field, _) in rows {
        assert!(fields.insert(field.to_owned()), "{field} is documented twice");
    }
    fields
}

/// Calls `visit` with every object in which the format names the fields, and its path as the tables write it.
fn objects(value: &Value, path: &str, visit: &mut impl FnMut(&str, &Map<String, Value>)) {
    match value {
        Value::Object(members) => {
            visit(path, members);
            // A manifest is the application's own.
            for (name, member) in members.iter().filter(|(name, _)| *name != "app_compose") {
                objects(member, &below(path, name), visit);
            }
        }
        Value::Array(items) => {
            // The page writes the fields of a member in the same way wherever it is.
            let path = if path == "any_of" { String::new() } else { format!("{path}[]") };
            items.iter().for_each(|item| objects(item, &path, visit));
        }
        _ => {}
    }
}

fn below(path: &str, name: &str) -> String {
    // The page writes the fields of each product in the same way.
    let name = if ["Milan", "Genoa", "Turin"].contains(&name) { "PRODUCT" } else { name };
    // And of each register.
    let name = if name.bytes().all(|byte| byte.is_ascii_digit()) { "N" } else { name };
    // The rules about a report are the same inside other evidence.
    let path = path.strip_prefix("snp.").unwrap_or(path);
    if path.is_empty() || path == "snp" { name.to_owned() } else { format!("{path}.{name}") }
}

#[test]
fn examples_are_accepted_or_refused_as_the_page_says() {
    for (line, document) in accepted() {
        Policy::from_json(document.to_string().as_bytes()).unwrap_or_else(|error| panic!("policy.md:{line}: {error}"));
    }
    for Example { line, mark, text } in examples() {
        let Some(told) = mark.strip_prefix("refused ") else {
            assert!(matches!(mark.as_str(), "" | "member"), "policy.md:{line}: unknown mark {mark:?}");
            continue;
        };
        let (status, path) = told.split_once(' ').unwrap();
        let error = Policy::from_json(text.as_bytes()).expect_err(&text);
        assert_eq!(error.status.name(), status, "policy.md:{line}: {error}");
        // After the path there is a colon, or what about it is not supported.
        let rest = error.message.strip_prefix(path).unwrap_or_else(|| panic!("policy.md:{line}: {error}"));
        assert!(rest.starts_with([':', ' ']), "policy.md:{line}: {error}");
    }
}

#[test]
fn every_field_has_an_example_and_no_example_has_another() {
    let mut shown = BTreeSet::new();
    let mut add = |path: &str, members: &Map<String, Value>| {
        shown.extend(members.keys().map(|name| below(path, name)));
    };
    for (_, document) in accepted() {
        objects(&document, "", &mut add);
    }
    let documented: BTreeSet<String> = documented().into_iter().filter(|field| !is_unsupported(field)).collect();
    assert_eq!(shown, documented);
}

/// What the parser says it would have taken instead of a field that there is none of, in every object of `document`.
fn known(document: &Value) -> BTreeSet<String> {
    let mut paths = Vec::new();
    pointers(document, String::new(), &mut paths);
    let mut known = BTreeSet::new();
    for pointer in paths {
        let mut asked = document.clone();
        asked.pointer_mut(&pointer).unwrap()["no such field"] = true.into();
        let error = Policy::from_json(asked.to_string().as_bytes()).expect_err(&pointer);
        let (path, list) = error.message.split_once(".no such field: unknown field, known are ").expect(&error.message);
        let path: String = path.split_inclusive(['[', ']']).filter(|part| !part.ends_with(']')).collect();
        let path = path.replace('[', "[]").replace("policy.any_of[]", "policy").replacen("policy", "", 1);
        let path = ["Milan", "Genoa", "Turin"].iter().fold(path, |path, product| path.replace(product, "PRODUCT"));
        known.extend(list.split(", ").map(|field| below(path.trim_start_matches('.'), field)));
    }
    known
}

/// JSON pointers (RFC 6901) to every object in which the format names the fields.
fn pointers(value: &Value, here: String, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            let inner = members.iter().filter(|(name, _)| *name != "app_compose");
            inner.for_each(|(name, member)| pointers(member, format!("{here}/{name}"), found));
            found.push(here);
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| pointers(item, format!("{here}/{index}"), found));
        }
        _ => {}
    }
}

#[test]
fn the_page_and_the_parser_know_the_same_fields() {
    let mut parsers = BTreeSet::new();
    for (_, document) in accepted() {
        parsers.append(&mut known(&document));
    }
    assert_eq!(parsers, documented());
}

/// Whether the page says so.
fn is_unsupported(field: &str) -> bool {
    let row = PAGE.lines().find(|line| line.starts_with(&format!("| `{field}`"))).unwrap();
    row.contains("| Refused as UNSUPPORTED")
}

#[test]
fn fields_that_are_not_enforced_are_unsupported() {
    let fields: Vec<String> = documented().into_iter().filter(|field| is_unsupported(field)).collect();
    assert!(fields.contains(&"client_evidence".to_owned()));
    // A field of one type is unknown to members of the others.
    let examples = accepted();
    for field in fields {
        let refused = |document: &Value| {
            let mut document = document.clone();
            match field.split_once('.') {
                None => document[&field] = true.into(),
                Some((outer, inner)) => document[outer] = serde_json::json!({inner: true}),
            }
            let error = Policy::from_json(document.to_string().as_bytes()).expect_err(&field);
            error.status.name() == "UNSUPPORTED" && error.message.starts_with(&format!("policy.{field} "))
        };
        assert!(examples.iter().any(|(_, document)| refused(document)), "{field}");
    }
}

#[test]
fn the_message_on_the_page_is_the_parsers() {
    let mut document = accepted()[0].1.clone();
    document["td"] = serde_json::json!({"mr_seam": ["00"]});
    let error = Policy::from_json(document.to_string().as_bytes()).unwrap_err();
    assert!(PAGE.contains(&format!("```text\n{}\n```", error.message)), "{error}");
}

#[test]
fn the_default_collateral_service_is_named_where_it_is_met() {
    let service = atls::attest::policy::DEFAULT_PCCS;
    let start = PAGE.split("## Rules of the format").next().unwrap();
    assert!(start.contains(&format!("`{service}`")));
    let row = PAGE.lines().find(|line| line.starts_with("| `pccs_url`")).unwrap();
    assert!(row.contains(service) && row.contains(atls::attest::policy::INTEL_PCS));
}
