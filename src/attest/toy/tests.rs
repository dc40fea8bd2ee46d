//! The toy through every door that evidence comes by: policy, wire, binder, appraisal, verdict; alone and beside another kind. Pure.

use serde_json::{Value, json};

use super::super::challenge::{Challenge, Shown, answer_json, read_answer};
use super::super::{
    AppraisalRequest, Binding, Documents, Evidence, Exporter, Policy, Protocol, ProvingSide, Tee, TrustAnchors,
    appraise, is_bound, needs, refuse_unbound,
};
use super::{HIDDEN, SHY, Toy, ToyEvidence};
use crate::status::Status;
use crate::verdict::Verdict;

const TOY: &str = r#"{"type":"toy","colours":["red","blue"]}"#;
const BOTH: &str = r#"{"any_of":[{"type":"dstack_tdx","disable_runtime_verification":true},{"type":"toy","colours":["green"]},
    {"type":"toy","colours":["red","blue"]}]}"#;
const OTHER: &str = r#"{"type":"dstack_tdx","disable_runtime_verification":true}"#;

fn session() -> Exporter {
    let leaf = crate::attest::dcap::INTEL_ROOT_DER.to_vec();
    Exporter::new(ProvingSide::Server, ([1; 32], [2; 32]), (leaf, None), "toy.example".into())
}

fn bound(colour: &str) -> ToyEvidence {
    ToyEvidence::sealed(colour, session().report_data(Tee::Toy).unwrap())
}

/// Asks with evidence and policy.
fn with<T>(evidence: ToyEvidence, policy: &str, ask: impl FnOnce(&AppraisalRequest<'_>) -> T) -> T {
    ask(&AppraisalRequest {
        evidence: &Evidence::of::<Toy>(evidence),
        documents: &Documents::none(),
        policy: &Policy::from_json(policy.as_bytes()).unwrap(),
        anchors: &TrustAnchors::default(),
        binding: &Binding::Exporter(session()),
        received: 7,
        now: 7,
    })
}

fn verdict(evidence: ToyEvidence, policy: &str) -> Verdict {
    with(evidence, policy, |request| appraise(request).unwrap())
}

fn first_failure(verdict: &Verdict) -> (String, Status) {
    let check = verdict.first_failure().expect("a failure");
    (check.name(), check.status)
}

#[test]
fn a_verdict_says_what_its_own_family_found() {
    let verdict = verdict(bound("red"), TOY);
    assert_eq!((verdict.trusted, verdict.accepted_member), (true, Some(0)));
    let json: Value = serde_json::from_str(&verdict.to_json()).unwrap();
    assert_eq!((&json["tee_type"], &json["trust_anchor"]), (&json!("toy"), &json!("toymaker")));
    assert_eq!((&json["application"], &json["protocol"]), (&json!({"colour": "red"}), &json!("exporter-v1")));
    assert_eq!(json["measurements"]["colour"], "red");
    let names: Vec<_> = verdict.checks.iter().map(|check| check.name()).collect();
    assert_eq!(names, ["toy_seal", "report_data", "toy_colour"]);
}

#[test]
fn each_of_its_checks_refuses() {
    let mut forged = bound("red");
    forged.colour = "blue".into();
    let other_kind = ToyEvidence::sealed("red", session().report_data(Tee::Tdx).unwrap());
    for (evidence, check, status) in [
        (forged, "toy_seal", Status::QuoteInvalid),
        (ToyEvidence::sealed("red", [0; 64]), "report_data", Status::BindingMismatch),
        (other_kind, "report_data", Status::BindingMismatch),
        (bound("green"), "toy_colour", Status::MeasurementMismatch),
    ] {
        let verdict = verdict(evidence, TOY);
        assert!(!verdict.trusted && verdict.accepted_member.is_none());
        assert_eq!(first_failure(&verdict), (check.into(), status));
    }
    let unsupported = with(bound("invisible"), TOY, |request| appraise(request).unwrap_err());
    assert_eq!(unsupported.status, Status::Unsupported);
}

#[test]
fn a_check_that_is_left_out_is_no_pass() {
    let policy = TOY.replace("blue", HIDDEN);
    for colour in [SHY, HIDDEN] {
        let verdict = verdict(bound(colour), &policy);
        assert!(!verdict.trusted && verdict.first_failure().is_none(), "{colour}");
        assert_eq!(verdict.error().unwrap().status, Status::Internal);
    }
    // Without a session to be bound to, only the mandatory one is missed.
    let alone = |colour| {
        with(ToyEvidence::sealed(colour, [0; 64]), &policy, |request| {
            appraise(&AppraisalRequest { binding: &Binding::Skip, ..*request }).unwrap().trusted
        })
    };
    assert_eq!((alone(SHY), alone(HIDDEN)), (false, true));
}

#[test]
fn the_pins_of_the_policy_hold_for_every_family() {
    let policy =
        r#"{"type":"toy","colours":["red"],"identity":{"spki_sha256":["XX"]}}"#.replace("XX", &"00".repeat(32));
    assert_eq!(first_failure(&verdict(bound("red"), &policy)), ("spki".into(), Status::BindingMismatch));
}

#[test]
fn a_member_of_another_kind_is_passed_over() {
    let trusted = verdict(bound("blue"), BOTH);
    assert_eq!((trusted.trusted, trusted.accepted_member), (true, Some(2)));
    // What is reported is the failure of the members that fit.
    let refused = verdict(bound("black"), BOTH);
    assert_eq!(first_failure(&refused), ("any_of[1].toy_colour".into(), Status::MeasurementMismatch));
    assert_eq!(refused.checks[0].name(), "any_of[0].tee");
    assert_eq!(refused.claims.unwrap().measurements["colour"], "black");
}

#[test]
fn evidence_of_a_kind_that_no_member_is_about_is_refused() {
    let verdict = verdict(bound("red"), OTHER);
    assert!(!verdict.trusted && verdict.claims.is_none());
    assert_eq!(first_failure(&verdict), ("tee".into(), Status::EvidenceInvalid));
    let check = verdict.first_failure().unwrap();
    assert_eq!((check.expected.as_str(), check.actual.as_str()), ("tdx", "toy"));
}

#[test]
fn nothing_is_needed_for_evidence_that_is_forged_or_of_another_session() {
    let mut forged = bound("red");
    forged.seal[0] ^= 1;
    assert_eq!(with(forged, BOTH, |request| needs(request).unwrap()), None);
    assert_eq!(with(bound("red"), BOTH, |request| needs(request).unwrap()), Some(vec![]));
    assert!(with(bound("red"), BOTH, is_bound));
    let strange = ToyEvidence::sealed("red", [9; 64]);
    assert!(!with(strange.clone(), BOTH, is_bound));
    let refused = with(strange, TOY, |request| refuse_unbound(request).unwrap());
    assert_eq!((refused.trusted, refused.claims.is_none()), (false, true));
    assert_eq!(first_failure(&refused), ("report_data".into(), Status::BindingMismatch));
}

#[test]
fn the_wire_carries_it_by_its_name() {
    let kinds = Policy::from_json(BOTH.as_bytes()).unwrap().kinds();
    let challenge = Challenge::new(ProvingSide::Server, [7; 32], &kinds, false);
    assert!(challenge.text().ends_with(r#""tee":["tdx","toy"]}"#), "{}", challenge.text());
    let parsed = Challenge::parse(challenge.text().as_bytes(), ProvingSide::Server).unwrap();
    assert_eq!(parsed.kinds, [Tee::Tdx, Tee::Toy]);
    assert_eq!((parsed.choose(&[Tee::Toy]), parsed.choose(&[Tee::Tdx])), (Ok(Tee::Toy), Ok(Tee::Tdx)));
    let shown = Shown { tee: Tee::Toy, evidence: Some(bound("red").to_json()), attached: Vec::new() };
    let answer = answer_json(ProvingSide::Server, shown, None);
    let (evidence, _) = read_answer(answer.as_bytes(), ProvingSide::Server, &kinds).unwrap();
    let evidence = evidence.unwrap();
    assert_eq!((evidence.tee(), evidence.get::<Toy>().unwrap().colour.as_str()), (Tee::Toy, "red"));
    // Only what was asked for is an answer.
    let error = read_answer(answer.as_bytes(), ProvingSide::Server, &[Tee::Tdx]).unwrap_err();
    assert_eq!(error, r#"tee must be "tdx", and is "toy""#);
    let only = Challenge::new(ProvingSide::Server, [7; 32], &[Tee::Tdx], false);
    assert_eq!(only.choose(&[Tee::Toy]), Err(r#"tee must list "toy""#.into()));
    let unknown = challenge.text().replace("tdx", "abacus").replace("toy", "dice");
    assert!(Challenge::parse(unknown.as_bytes(), ProvingSide::Server).unwrap().choose(Tee::ALL).is_err());
}

#[test]
fn atlas_v1_is_only_for_the_kind_that_it_carries() {
    let read = |members: &str, binding: &str| {
        Policy::from_json(format!(r#"{{"any_of":[{members}]{binding}}}"#).as_bytes()).map(|policy| policy.protocols)
    };
    let (exporter, atlas) = (Protocol::ExporterV1, Protocol::AtlasV1);
    let both = format!("{OTHER},{TOY}");
    assert_eq!(read(OTHER, "").unwrap(), [atlas]);
    for members in [TOY, &both] {
        assert_eq!(read(members, "").unwrap(), [exporter]);
        let error = read(members, r#","binding":{"protocols":["atlas-v1"]}"#).unwrap_err();
        assert!(error.status == Status::PolicyInvalid && error.message.starts_with("policy.binding.protocols"));
    }
    let named = r#","binding":{"protocols":["atlas-v1","exporter-v1"]}"#;
    assert_eq!((read(TOY, named).unwrap(), read(&both, named).unwrap()), (vec![exporter], vec![atlas, exporter]));
}

#[test]
fn a_policy_names_its_field() {
    let refused = |text: &str| Policy::from_json(text.as_bytes()).unwrap_err();
    assert!(refused(r#"{"type":"toy"}"#).message.starts_with("policy.colours"));
    assert!(refused(r#"{"type":"toy","colours":["red"],"size":1}"#).message.starts_with("policy.size: unknown field"));
}
