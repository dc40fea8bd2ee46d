//! The mapping of verdicts that no test machine can make: a simulator's are never affirmed. Pure.

use serde_json::{Value, json};

use super::*;
use crate::status::Status;
use crate::verdict::{AttachedReport, Check, CheckId, ClaimsReport, Outcome};

fn check(id: CheckId, outcome: Outcome, status: Status) -> Check {
    Check { id, member: None, part: None, outcome, expected: String::new(), actual: String::new(), status }
}

fn passed(rule: &'static str) -> Check {
    check(CheckId::new(rule), Outcome::Pass, Status::Ok)
}

fn skipped(rule: &'static str) -> Check {
    check(CheckId::new(rule), Outcome::Skipped, Status::Ok)
}

fn failed(rule: &'static str, status: Status) -> Check {
    check(CheckId::new(rule), Outcome::Fail, status)
}

/// Of a genuine machine, bound to a session, whose image the policy pins.
fn good() -> Verdict {
    Verdict {
        trusted: true,
        tee: "tdx",
        checks: ["quote", "debug", "service_td", "tcb_status", "report_data", "measurement"].map(passed).into(),
        claims: Some(ClaimsReport {
            tcb_status: "UpToDate".into(),
            advisory_ids: Vec::new(),
            measurements: json!({"mrtd": "00"}),
            platform: json!({"fmspc": "00"}),
            collateral: json!({"issued": 1}),
        }),
        is_exposed: Some(false),
        trust_anchor: "intel",
        accepted_member: Some(0),
        protocol: Some("exporter-v1"),
        bound_to_session: true,
        application: Vec::new(),
        only_certificate_differs: false,
        attached: Vec::new(),
        time: 1,
        holds_until: None,
    }
}

/// Status and vector of the only part.
fn result(verdict: &Verdict) -> (Value, Value) {
    let claims = claims(verdict, &Issue { issued_at: 7, ..Issue::default() });
    let part = claims["submods"][verdict.tee].clone();
    assert_eq!(claims["ear_status"], part["ear_status"]);
    (part["ear_status"].clone(), part["ear_trustworthiness_vector"].clone())
}

fn status(change: impl FnOnce(&mut Verdict)) -> String {
    let mut verdict = good();
    change(&mut verdict);
    result(&verdict).0.as_str().unwrap().to_owned()
}

#[test]
fn a_verdict_without_any_doubt_is_affirmed() {
    let (status, vector) = result(&good());
    assert_eq!(status, "affirming");
    let expected =
        json!({"instance-identity": 2, "configuration": 2, "executables": 3, "hardware": 2, "runtime-opaque": 2});
    assert_eq!(vector, expected);
}

#[test]
fn each_doubt_is_a_warning() {
    assert_eq!(status(|verdict| verdict.claims.as_mut().unwrap().tcb_status = "OutOfDate".into()), "warning");
    assert_eq!(
        status(|verdict| verdict.claims.as_mut().unwrap().advisory_ids.push("INTEL-SA-00001".into())),
        "warning"
    );
    let of_none = |verdict: &mut Verdict| (verdict.protocol, verdict.bound_to_session) = (None, false);
    assert_eq!(status(of_none), "warning");
    // Bound to a key, which may be anywhere.
    let of_key = |verdict: &mut Verdict| (verdict.protocol, verdict.bound_to_session) = (Some("ra-tls"), false);
    assert_eq!(status(of_key), "warning");
    let mut verdict = good();
    of_key(&mut verdict);
    assert_eq!(result(&verdict).1.get("instance-identity"), None);
    assert_eq!(status(|verdict| verdict.checks.retain(|check| check.id.rule() != "measurement")), "warning");
    // What a system says of itself, without the system.
    let claimed = |verdict: &mut Verdict| {
        verdict.checks.retain(|check| check.id.rule() != "measurement");
        verdict.checks.push(passed("app_compose"));
    };
    assert_eq!(status(claimed), "warning");
    // Firmware without the kernel.
    assert_eq!(status(|verdict| verdict.checks.push(skipped("rtmr1"))), "warning");
    // A vendor without statuses.
    assert_eq!(status(|verdict| verdict.claims.as_mut().unwrap().tcb_status = String::new()), "affirming");
}

#[test]
fn what_is_refused_or_simulated_or_open_to_its_host_is_contraindicated() {
    assert_eq!(status(|verdict| verdict.trusted = false), "contraindicated");
    assert_eq!(status(|verdict| verdict.trust_anchor = "simulated"), "contraindicated");
    assert_eq!(status(|verdict| verdict.is_exposed = Some(true)), "contraindicated");
    assert_eq!(status(|verdict| verdict.claims = None), "contraindicated");
}

#[test]
fn each_failure_is_of_its_aspect() {
    for (rule, status, aspect, value) in [
        ("report_data", Status::BindingMismatch, "instance-identity", 97),
        ("ra_tls", Status::BindingMismatch, "instance-identity", 97),
        ("certificate_age", Status::BindingMismatch, "instance-identity", 97),
        ("hardware_denied", Status::MeasurementMismatch, "instance-identity", 96),
        ("guest_policy", Status::MeasurementMismatch, "configuration", 96),
        ("measurement", Status::MeasurementMismatch, "executables", 96),
        ("rtmr3", Status::EventLogInvalid, "executables", 96),
        ("tcb_status", Status::TcbRejected, "hardware", 96),
        ("debug", Status::MeasurementMismatch, "runtime-opaque", 96),
    ] {
        let mut verdict = good();
        verdict.trusted = false;
        verdict.checks.retain(|check| check.id.rule() != rule);
        verdict.checks.push(failed(rule, status));
        let (tier, vector) = result(&verdict);
        assert_eq!((tier, &vector[aspect]), (json!("contraindicated"), &json!(value)), "{rule}");
    }
    let mut verdict = Verdict { trusted: false, claims: None, is_exposed: None, ..good() };
    verdict.checks = vec![failed("signature", Status::QuoteInvalid)];
    assert_eq!(result(&verdict), (json!("contraindicated"), json!({"hardware": 99})));
    verdict.checks = vec![failed("crl", Status::CollateralUnavailable)];
    assert_eq!(result(&verdict), (json!("contraindicated"), json!({"hardware": 97})));
    // A check that the table does not know.
    verdict = Verdict { trusted: false, ..good() };
    verdict.checks.push(failed("unheard_of", Status::Internal));
    assert_eq!(result(&verdict).0, "contraindicated");
}

#[test]
fn the_verdict_is_whole_in_the_claims() {
    let issue = Issue {
        issued_at: 7,
        expires: Some(9),
        nonce: Some(vec![0xff; 8]),
        developer: "https://v.example".into(),
        build: "v 1".into(),
        policies: vec!["urn:p".into()],
    };
    let claims = claims(&good(), &issue);
    assert_eq!((&claims["iat"], &claims["exp"], &claims["eat_nonce"]), (&json!(7), &json!(9), &json!("__________8")));
    assert_eq!(claims["ear_verifier_id"], json!({"developer": "https://v.example", "build": "v 1"}));
    let part = &claims["submods"]["tdx"];
    assert_eq!(part["ear_appraisal_policy_ids"], json!(["urn:p"]));
    let mut verdict = good().to_value();
    for (name, value) in part["ear_attester_claims"].as_object().unwrap() {
        assert_eq!(verdict.as_object_mut().unwrap().shift_remove(name).as_ref(), Some(value));
    }
    verdict.as_object_mut().unwrap().shift_remove("application");
    assert_eq!(part["ear_verifier_claims"], verdict);
}

#[test]
fn a_device_has_a_part_of_its_own() {
    let device = || AttachedReport {
        tee: "nvidia",
        trust_anchor: "nvidia",
        claims: Some(ClaimsReport {
            tcb_status: String::new(),
            advisory_ids: Vec::new(),
            measurements: json!({"1": "00"}),
            platform: json!({"arch": "HOPPER"}),
            collateral: Value::Null,
        }),
    };
    let of = |number: usize, check: Check| Check { part: Some(("nvidia", number)), ..check };
    let checks = ["chain", "signature", "nonce", "measurements"];
    let mut verdict = Verdict { attached: vec![device(), device()], ..good() };
    verdict.checks.extend((0..2).flat_map(|number| checks.map(|rule| of(number, passed(rule)))));
    let issue = Issue { issued_at: 7, ..Issue::default() };
    let all = claims(&verdict, &issue);
    assert_eq!(all["ear_status"], "affirming");
    let names: Vec<_> = all["submods"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["tdx", "nvidia[0]", "nvidia[1]"]);
    let expected = json!({"instance-identity": 2, "executables": 3, "hardware": 2});
    assert_eq!(all["submods"]["nvidia[1]"]["ear_trustworthiness_vector"], expected);
    assert_eq!(all["submods"]["nvidia[1]"]["ear_attester_claims"]["platform"], json!({"arch": "HOPPER"}));
    // Of the first one some measurements are left open: nothing is said of its firmware, and the whole is as good as its worst part.
    verdict.checks.push(of(0, skipped("open_measurements")));
    let half = claims(&verdict, &issue);
    let status = |name: &str| half["submods"][name]["ear_status"].clone();
    assert_eq!([status("tdx"), status("nvidia[0]"), status("nvidia[1]")], ["affirming", "warning", "affirming"]);
    assert_eq!(half["submods"]["nvidia[0]"]["ear_trustworthiness_vector"].get("executables"), None);
    assert_eq!(half["ear_status"], "warning");
    verdict.checks.pop();
    // The second one is refused, and with it all of the evidence.
    verdict.trusted = false;
    verdict.checks.retain(|check| check.part != Some(("nvidia", 1)) || check.id.rule() != "measurements");
    verdict.checks.push(of(1, failed("measurements", Status::MeasurementMismatch)));
    let all = claims(&verdict, &issue);
    for name in ["tdx", "nvidia[0]", "nvidia[1]"] {
        assert_eq!(all["submods"][name]["ear_status"], "contraindicated", "{name}");
    }
    let value = |name: &str| all["submods"][name]["ear_trustworthiness_vector"]["executables"].clone();
    assert_eq!([value("tdx"), value("nvidia[0]"), value("nvidia[1]")], [Value::Null, Value::Null, json!(96)]);
}
