//! What the parser of policies takes and refuses. Pure.

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
    assert_eq!(rules(&policy).dcap.tcb.allowed, ["UpToDate"]);
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
    assert_eq!(rules(&Policy::from_json(dev.as_bytes()).unwrap()).dcap.tcb.grace_period, Some(60));
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
        (full(r#","type":"dstack_tdx""#), ["\"type\" is duplicated", "line"]),
        (full(r#","version":2"#), ["policy.version", "2"]),
        (full(r#","binding":{"timeout_ms":0}"#), ["policy.binding.timeout_ms", "0"]),
        (full(r#","binding":{"protocols":["atlas-v1","atlas-v1"]}"#), ["policy.binding.protocols", "is duplicated"]),
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
    for extra in [r#","client_evidence":{}"#, r#","identity":{"webpki":false}"#, r#","collateral":{"disk_cache":"/x"}"#]
    {
        assert_eq!(refused(&full(extra)).status, Status::Unsupported, "{extra}");
    }
    assert_eq!(refused(r#"{"any_of":[{"type":"gcp_tdx"}]}"#).status, Status::Unsupported);
}

#[test]
fn trust_in_an_open_connection_lasts_as_long_as_the_policy_says() {
    let read = |extra: &str| Policy::from_json(full(extra).as_bytes()).unwrap().reattest;
    let usual = Reattest { interval: None, on_collateral_change: true };
    for same in ["", r#","reattest":null"#, r#","reattest":{}"#, r#","reattest":{"on_failure":"close"}"#] {
        assert_eq!(read(same), usual, "{same}");
    }
    assert!(!read(r#","reattest":{"on_collateral_change":false}"#).on_collateral_change);
    let exporter = r#","binding":{"protocols":["exporter-v1","atlas-v1"]},"reattest":{"interval_s":3600}"#;
    assert_eq!(read(exporter), Reattest { interval: Some(std::time::Duration::from_secs(3600)), ..usual });
    for (extra, path) in [
        (r#","reattest":{"interval_s":60}"#, "policy.reattest.interval_s: new evidence comes by exporter-v1"),
        (r#","reattest":{"interval_s":0}"#, "policy.reattest.interval_s: 0"),
        (r#","reattest":{"interval_s":"1"}"#, "policy.reattest.interval_s: \"1\""),
        (r#","reattest":{"interval":1}"#, "policy.reattest.interval: unknown field"),
        (r#","reattest":{"on_failure":"warn"}"#, "policy.reattest.on_failure: \"warn\""),
        (r#","reattest":true"#, "policy.reattest: true"),
    ] {
        let error = refused(&full(extra));
        assert_eq!(error.status, Status::PolicyInvalid, "{error}");
        assert!(error.message.starts_with(path), "{extra}: {error}");
    }
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

/// A policy about SEV-SNP with these members more, or others.
fn snp(extra: &str) -> String {
    let measurement = "ab".repeat(48);
    format!(
        r#"{{"type":"snp","measurement":["{measurement}"],"products":["Genoa"],
            "min_tcb":{{"Genoa":{{"bootloader":1,"tee":2,"snp":3,"microcode":255}}}}{extra}}}"#
    )
}

#[test]
fn evidence_that_atlas_cannot_carry() {
    let read = |text: &str| Policy::from_json(text.as_bytes()).unwrap();
    assert_eq!(read(&snp("")).protocols, [Protocol::ExporterV1]);
    let both =
        format!(r#"{{"any_of":[{},{}]}}"#, r#"{"type":"dstack_tdx","disable_runtime_verification":true}"#, snp(""));
    assert_eq!((read(&both).protocols, read(&both).require_key_event), (vec![Protocol::ExporterV1], true));
    read(&snp(r#","binding":{"protocols":["atlas-v1","exporter-v1"]}"#));
    // A guest without a log is beyond it too, although its kind of evidence is not.
    let bare = format!(r#"{{"type":"tdx","firmware_only":true,"measurements":[{{"mrtd":"{}"}}]}}"#, "ab".repeat(48));
    assert_eq!(read(&bare).protocols, [Protocol::ExporterV1]);
    let dstack = r#"{"type":"dstack_tdx","disable_runtime_verification":true}"#;
    let named = r#""binding":{"protocols":["atlas-v1","exporter-v1"]}"#;
    assert_eq!(read(&format!(r#"{{"any_of":[{bare}],{named}}}"#)).protocols, [Protocol::ExporterV1]);
    let fleet = read(&format!(r#"{{"any_of":[{bare},{dstack}],{named}}}"#));
    assert_eq!(fleet.protocols, [Protocol::AtlasV1, Protocol::ExporterV1]);
    for (text, path) in [
        (snp(r#","binding":{"protocols":["atlas-v1"]}"#), "policy.binding.protocols: atlas-v1"),
        (snp(r#","identity":{"require_key_event":true}"#), "policy.identity.require_key_event: true"),
        (both.replace("]}", r#"],"identity":{"require_key_event":true}}"#), "policy.identity.require_key_event: true"),
    ] {
        assert!(refused(&text).message.starts_with(path), "{text}: {}", refused(&text));
    }
}

#[test]
fn rules_about_snp_that_check_less_than_they_say() {
    for (from, to, path) in [
        ("\"measurement\"", "\"measurements\"", "policy.measurement: missing"),
        (r#""products":["Genoa"],"#, "", "policy.products: missing"),
        (r#"["Genoa"]"#, r#"["Genoa","Rome"]"#, "policy.products[1]"),
        (r#"["Genoa"]"#, r#"["Genoa","Genoa"]"#, "policy.products[1]"),
        (r#"["Genoa"]"#, r#"["Genoa","Milan"]"#, "policy.min_tcb.Milan: missing"),
        (r#"["Genoa"]"#, r#"["Milan"]"#, "policy.min_tcb.Milan: missing"),
        ("\"tee\":2,", "", "policy.min_tcb.Genoa.tee: missing"),
        ("\"tee\":2", "\"tee\":128", "policy.min_tcb.Genoa.tee: 128"),
        ("\"microcode\":255", "\"microcode\":256", "policy.min_tcb.Genoa.microcode: 256"),
        ("\"tee\":2", "\"fmc\":1,\"tee\":2", "policy.min_tcb.Genoa.fmc: unknown field"),
        ("}}", r#"},"Milan":{}}"#, "policy.min_tcb.Milan: unknown field"),
    ] {
        let text = snp("").replacen(from, to, 1);
        assert!(refused(&text).message.starts_with(path), "{text}: {}", refused(&text));
    }
    let many = vec!["\"".to_owned() + &"ab".repeat(48) + "\""; 65].join(",");
    for (extra, path) in [
        (r#","signing_key":["vlek"]"#, "policy.csp_id: missing"),
        (r#","csp_id":["CN=x"]"#, "policy.csp_id: is about"),
        (r#","signing_key":["ask"]"#, "policy.signing_key[0]"),
        (r#","vmpl":[4]"#, "policy.vmpl[0]"),
        (r#","vmpl":[]"#, "policy.vmpl"),
        (r#","vmpl":0"#, "policy.vmpl"),
        (r#","min_abi":"1""#, "policy.min_abi"),
        (r#","min_abi":"1.+5""#, "policy.min_abi"),
        (r#","min_abi":"1.256""#, "policy.min_abi"),
        (r#","min_abi":"1.2.3.4""#, "policy.min_abi"),
        (r#","required_mitigations":"0000000000000000""#, "policy.required_mitigations"),
        (r#","required_mitigations":"01""#, "policy.required_mitigations"),
        (r#","crl":"no""#, "policy.crl"),
        (r#","min_report_version":1"#, "policy.min_report_version"),
        (r#","min_report_version":6"#, "policy.min_report_version"),
        (r#","mr_config":{}"#, "policy.mr_config: is empty"),
        (r#","mr_config":{"compose":1}"#, "policy.mr_config"),
        (r#","mr_config":{"init_script_hashes":[["AB"]]}"#, "policy.mr_config.init_script_hashes[0]"),
        (r#","guest_policy":{"allow_all":true}"#, "policy.guest_policy.allow_all"),
        (r#","platform":{"require_all":true}"#, "policy.platform.require_all"),
        (r#","min_launch_tcb":{}"#, "policy.min_launch_tcb.Genoa: missing"),
        (r#","cache_collateral":true"#, "policy.cache_collateral: unknown field"),
        (r#","collateral":{"amd_sources":[]}"#, "policy.collateral.amd_sources"),
        (r#","collateral":{"amd_sources":["ftp://x"]}"#, "policy.collateral.amd_sources[0]"),
    ] {
        assert!(refused(&snp(extra)).message.starts_with(path), "{extra}: {}", refused(&snp(extra)));
    }
    let text = snp("").replacen(&format!("\"{}\"", "ab".repeat(48)), &many, 1);
    assert!(refused(&text).message.starts_with("policy.measurement: 65"), "{}", refused(&text));
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
