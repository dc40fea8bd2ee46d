//! Policies that check less than they say are refused, with the path of the field.

mod support;

use serde_json::{Value, json};
use simtee::{Guest, SimTee};
use support::offline::policy_refused;

fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut policy = Guest::booted(1).policy("");
    change(&mut policy);
    policy
}

/// A policy with these members besides those of a whole one.
fn plus(extra: Value) -> Value {
    with(|policy| policy.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone()))
}

#[track_caller]
fn refused(policy: &Value, path: &str) {
    let (status, message) = policy_refused(policy).unwrap_or_else(|| panic!("{path}: accepted {policy}"));
    assert_eq!(status, "POLICY_INVALID", "{message}");
    assert!(message.starts_with(&format!("{path}: ")), "wanted {path}: {message}");
}

#[test]
fn masks_that_compare_nothing() {
    let (zeros, ones) = ("00".repeat(8), "ff".repeat(8));
    for field in ["attributes", "xfam"] {
        let of = |mask: &str, value: &str| plus(json!({"td": {field: {"mask": mask, "value": value}}}));
        assert_eq!(policy_refused(&of(&ones, &zeros)), None);
        refused(&of(&zeros, &zeros), &format!("policy.td.{field}.mask"));
        refused(&of("00000000000000f0", "0000000000000011"), &format!("policy.td.{field}.value"));
        refused(&of(&format!("0{}", &ones[1..]), &ones), &format!("policy.td.{field}.value"));
    }
}

#[test]
fn grace_where_nothing_can_be_out_of_date() {
    let statuses = |allowed: Value| plus(json!({"allowed_tcb_status": allowed, "tcb": {"qe_grace_period": 60}}));
    refused(&plus(json!({"tcb": {"qe_grace_period": 0}})), "policy.tcb.qe_grace_period");
    refused(&statuses(json!(["UpToDate", "SWHardeningNeeded"])), "policy.tcb.qe_grace_period");
    assert_eq!(policy_refused(&statuses(json!(["UpToDate", "OutOfDate"]))), None);
    refused(&plus(json!({"grace_period": 60})), "policy.grace_period");
}

#[test]
fn an_application_of_no_text() {
    for nothing in [json!(""), json!(" \n"), json!({})] {
        refused(&with(|policy| policy["app_compose"] = nothing), "policy.app_compose");
    }
    refused(&plus(json!({"key_provider": {"name": ""}})), "policy.key_provider.name");
}

#[test]
fn event_rules_that_no_log_can_break() {
    let rule = |rule: Value| plus(json!({"events": [{"name": "fine"}, rule]}));
    let upper = "AB".repeat(32);
    for (bad, field) in [
        (json!({"name": ""}), "name"),
        (json!({"name": "a:b"}), "name"),
        (json!({"name": "a", "before": ""}), "before"),
        (json!({"name": "a", "before": "b:c"}), "before"),
        (json!({"name": "a", "before": "a"}), "before"),
        (json!({"name": "a", "payload_sha256": upper}), "payload_sha256"),
        (json!({"name": "a", "payload_sha256": "ab"}), "payload_sha256"),
        (json!({"name": "a", "count": 0, "payload_sha256": "ab".repeat(32)}), "count"),
        (json!({"name": "a", "count": 0, "before": "b"}), "count"),
        (json!({"name": "a", "often": 1}), "often"),
    ] {
        refused(&rule(bad), &format!("policy.events[1].{field}"));
    }
    let whole = json!({"name": "a", "count": 2, "before": "b", "payload_sha256": "ab".repeat(32)});
    assert_eq!(policy_refused(&rule(whole)), None);
    assert_eq!(policy_refused(&rule(json!({"name": "a", "count": 0}))), None);
}

#[test]
fn advisories_that_no_document_spells_so() {
    for bad in ["", "intel-sa-00960", "INTEL-SA-960", "INTEL-SA-00960 ", "INTEL-SA-0096x"] {
        let policy = plus(json!({"tcb": {"rejected_advisories": ["INTEL-SA-00960", bad]}}));
        refused(&policy, "policy.tcb.rejected_advisories[1]");
    }
}

#[test]
fn services_that_cannot_be_asked() {
    for bad in [
        "https://p.example/?key=1",
        "https://p.example?",
        "https://p.example/#v4",
        "https://p.example:99999",
        "https://p.example:port/",
        "https://user:word@p.example",
        "https:///path",
        "ftp://p.example",
    ] {
        refused(&plus(json!({"pccs_url": bad})), "policy.pccs_url");
        let sources = json!({"collateral": {"sources": ["https://p.example", bad]}});
        refused(&plus(sources), "policy.collateral.sources[1]");
    }
    assert_eq!(policy_refused(&plus(json!({"pccs_url": "https://p.example:8081/tdx/certification/v4/"}))), None);
}

#[test]
fn roots_that_are_none() {
    let pem = SimTee::new().web_ca_pem;
    let of = |bad: &str| plus(json!({"identity": {"extra_roots_pem": [pem, bad]}}));
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cut = &pem[..pem.len() / 2];
    for bad in ["", "no PEM", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", no_certificate, cut] {
        refused(&of(bad), "policy.identity.extra_roots_pem[1]");
    }
    assert_eq!(policy_refused(&of(&pem)), None);
}

#[test]
fn unknown_fields_beside_any_of() {
    let member = |policy: &Value| {
        let mut member = policy.as_object().unwrap().clone();
        member.remove("allow_simulated");
        Value::Object(member)
    };
    let whole = with(|_| ());
    let of = |extra: Value| {
        let mut policy = json!({"any_of": [member(&whole)], "allow_simulated": true});
        policy.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        policy
    };
    assert_eq!(policy_refused(&of(json!({}))), None);
    for (field, value) in [
        ("os_image_hash", json!("00".repeat(32))),
        ("app_id", json!(["00".repeat(20)])),
        ("td", json!({})),
        ("tpyo", json!(1)),
    ] {
        refused(&of(json!({field: value})), &format!("policy.{field}"));
    }
}

#[test]
fn a_boot_chain_without_its_image() {
    refused(&with(|policy| drop(policy.as_object_mut().unwrap().remove("os_image_hash"))), "policy.expected_bootchain");
    // Where the registers of the image are pinned by label there need be none.
    let labelled = with(|policy| {
        let members = policy.as_object_mut().unwrap();
        members.remove("os_image_hash");
        let chain = members.remove("expected_bootchain").unwrap();
        members.insert("bootchains".into(), json!([chain]));
    });
    assert_eq!(policy_refused(&labelled), None);
}
