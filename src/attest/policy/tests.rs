use super::*;
use crate::attest::dstack::DstackTdx;
use crate::attest::tdx::policy::TdxRules;

fn refused(document: &str) -> Fault {
    Policy::from_json(document.as_bytes()).expect_err(document)
}

/// Of the first member.
fn rules(policy: &Policy) -> &TdxRules {
    &policy.any_of[0].get::<DstackTdx>().unwrap().tdx
}

const REGISTER: &str = "ab";

fn full(extra: &str) -> String {
    let register = REGISTER.repeat(48);
    format!(
        r#"{{"type":"dstack_tdx","expected_bootchain":{{"mrtd":"{register}","rtmr0":"{register}","rtmr1":"{register}","rtmr2":"{register}"}},
        "os_image_hash":"{}","app_compose":{{"runner":"docker-compose"}}{extra}}}"#,
        REGISTER.repeat(32)
    )
}

#[test]
fn the_references_own_document_loads_with_its_defaults() {
    let policy = Policy::from_json(full("").as_bytes()).unwrap();
    assert_eq!(policy.any_of.len(), 1);
    assert_eq!(rules(&policy).tcb.allowed, ["UpToDate"]);
    assert_eq!(policy.collateral_sources, [DEFAULT_PCCS]);
    assert!(!policy.cache_collateral && !policy.allow_simulated);
    let with = |extra: &str| Policy::from_json(full(extra).as_bytes()).unwrap();
    assert_eq!(with(r#","pccs_url":"""#).collateral_sources, [INTEL_PCS]);
    assert_eq!(with(r#","pccs_url":null"#).collateral_sources, [INTEL_PCS]);
    assert_eq!(
        with(r#","pccs_url":"https://p.example/tdx/certification/v4/""#).collateral_sources,
        ["https://p.example"]
    );
    assert!(with(r#","cache_collateral":true,"grace_period":null"#).cache_collateral);
    let dev = r#"{"type":"dstack_tdx","disable_runtime_verification":true,"allowed_tcb_status":["UpToDate","OutOfDate"],"grace_period":60}"#;
    assert_eq!(rules(&Policy::from_json(dev.as_bytes()).unwrap()).tcb.grace_period, Some(60));
}

#[test]
fn a_policy_with_nothing_in_it_is_refused() {
    for (document, field) in [
        ("", "policy"),
        ("{}", "policy.type"),
        ("[]", "policy"),
        (r#"{"any_of":[]}"#, "policy.any_of"),
        (r#"{"any_of":[{}]}"#, "policy.any_of[0].type"),
        (r#"{"type":"dstack_tdx"}"#, "policy.expected_bootchain"),
        (
            r#"{"type":"dstack_tdx","allowed_tcb_status":[],"disable_runtime_verification":true}"#,
            "policy.allowed_tcb_status",
        ),
    ] {
        let error = refused(document);
        assert_eq!(error.status, Status::PolicyInvalid, "{error}");
        assert!(error.message.starts_with(field), "{error}");
    }
}

#[test]
fn errors_name_the_field_and_the_value() {
    for (document, parts) in [
        (full(r#","typo":1"#), ["policy.typo", "unknown field"]),
        (full(r#","td":{"atributes":{}}"#), ["policy.td.atributes", "unknown field"]),
        (full(r#","tcb":{"x":1}"#), ["policy.tcb.x", "unknown field"]),
        (full(r#","grace_period":5"#), ["policy.grace_period", "OutOfDate"]),
        (full(r#","grace_period":-5"#), ["policy.grace_period", "-5"]),
        (full(r#","allowed_tcb_status":["Fine"]"#), ["policy.allowed_tcb_status", "'Fine'"]),
        (full(r#","app_id":["00"]"#), ["policy.app_id[0]", "\"00\""]),
        (full(r#","app_compose_hash":["sha256:zz"]"#), ["policy.app_compose_hash[0]", "zz"]),
        (full(r#","pccs_url":"ftp://x""#), ["policy.pccs_url", "ftp://x"]),
        (full(r#","td":{"attributes":{"mask":"00"}}"#), ["policy.td.attributes.mask", "16 digits"]),
        (full(r#","type":"dstack_tdx""#), ["\"type\" stands twice", "line"]),
        (full(r#","version":2"#), ["policy.version", "2"]),
        (full(r#","binding":{"timeout_ms":0}"#), ["policy.binding.timeout_ms", "0"]),
        (full(r#","binding":{"protocols":["atlas-v1","atlas-v1"]}"#), ["policy.binding.protocols", "twice"]),
        (full(r#","binding":{"protocols":["tls-v1"]}"#), ["policy.binding.protocols", "unknown"]),
        (full(r#","identity":{"require_key_event":false}"#), ["policy.identity.require_key_event", "atlas-v1"]),
    ] {
        let error = refused(&document);
        assert_eq!(error.status, Status::PolicyInvalid, "{error}");
        assert!(parts.iter().all(|part| error.message.contains(part)), "{error}");
    }
    let upper = full("").replacen("abab", "ABab", 1);
    assert!(refused(&upper).message.contains("policy.expected_bootchain.mrtd"));
}

#[test]
fn what_is_not_enforced_is_refused_as_unsupported() {
    for extra in [
        r#","gpu":{"required":1}"#,
        r#","reattest":{"interval_s":60}"#,
        r#","client_evidence":{}"#,
        r#","identity":{"webpki":false}"#,
        r#","collateral":{"disk_cache":"/x"}"#,
    ] {
        assert_eq!(refused(&full(extra)).status, Status::Unsupported, "{extra}");
    }
    assert_eq!(refused(r#"{"any_of":[{"type":"snp"}]}"#).status, Status::Unsupported);
}

#[test]
fn protocols_are_what_the_policy_names() {
    let read = |extra: &str| Policy::from_json(full(extra).as_bytes()).unwrap();
    assert_eq!(read("").protocols, [Protocol::AtlasV1]);
    let both = read(r#","binding":{"protocols":["exporter-v1","atlas-v1"]}"#);
    assert_eq!((both.protocols, both.require_key_event), (vec![Protocol::ExporterV1, Protocol::AtlasV1], true));
    let only = r#","binding":{"protocols":["exporter-v1"]},"identity":{"require_key_event":false}"#;
    assert!(!read(only).require_key_event);
}

#[test]
fn alternatives_share_the_top_level() {
    let member = r#"{"type":"dstack_tdx","disable_runtime_verification":true}"#;
    let policy = format!(
        r#"{{"version":1,"any_of":[{member},{member}],"allow_simulated":true,"collateral":{{"sources":["https://a.example/"]}}}}"#
    );
    let policy = Policy::from_json(policy.as_bytes()).unwrap();
    assert_eq!(policy.any_of.len(), 2);
    assert_eq!(policy.collateral_sources, ["https://a.example"]);
    assert!(policy.allow_simulated);
}
