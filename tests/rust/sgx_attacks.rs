//! SGX enclaves, offline: each thing that one could lie about, and the check that must notice.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use serde_json::{Value, json};
use simtee::collateral::{Issue, bundle};
use simtee::exporter::Binder;
use simtee::sgx::Enclave;
use simtee::{Guest, SimTee, hex};
use support::enclave::{CODE, question};
use support::offline::{EXPORTER, NONCE, Question, policy_refused};
use support::snp_guest::{binder_of, server};

fn outcome<'a>(verdict: &'a Value, name: &str) -> &'a Value {
    let checks = verdict["checks"].as_array().expect("checks");
    &checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name}: {verdict}"))["outcome"]
}

/// As `question`, about the signer, a product of its and a version, in place of the code.
fn by_signer(tee: &SimTee, change: impl FnOnce(&mut Enclave)) -> Question {
    let mut question = question(tee, change);
    let honest = Enclave::new();
    question.policy.as_object_mut().unwrap().remove("mr_enclave");
    question.policy["mr_signer"] = json!([hex(&honest.mr_signer)]);
    question.policy["isv_prod_id"] = json!([honest.isv_prod_id]);
    question.policy["min_isv_svn"] = json!(honest.isv_svn);
    question
}

fn with(mut question: Question, members: Value) -> Question {
    question.policy.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    question
}

#[test]
fn an_enclave_is_trusted_by_its_code_or_by_its_signer() {
    let tee = SimTee::new();
    let found = question(&tee, |_| ()).trusted();
    let verdict = &found.verdict;
    assert_eq!((&verdict["tee_type"], &verdict["tcb_status"]), (&json!("sgx"), &json!("UpToDate")));
    assert_eq!((&verdict["bound_to_session"], &verdict["trust_anchor"]), (&json!(true), &json!("simulated")));
    for name in ["quote", "tcb_status", "report_data", "debug", "attributes", "mr_enclave"] {
        assert_eq!(outcome(verdict, name), "pass", "{name}");
    }
    for name in ["mr_signer", "isv_prod_id", "isv_svn", "config_id", "isv_family_id", "isv_ext_prod_id"] {
        assert_eq!(outcome(verdict, name), "skipped", "{name}");
    }
    let (measured, enclave) = (&verdict["measurements"], Enclave::new());
    assert_eq!(measured["mr_enclave"], hex(&enclave.mr_enclave));
    assert_eq!(measured["mr_signer"], hex(&enclave.mr_signer));
    assert_eq!((&measured["isv_prod_id"], &measured["isv_svn"]), (&json!(7), &json!(3)));
    assert_eq!(measured["config_id"], hex(&enclave.config_id));
    let verdict = by_signer(&tee, |_| ()).trusted().verdict;
    for name in ["mr_signer", "isv_prod_id", "isv_svn"] {
        assert_eq!(outcome(&verdict, name), "pass", "{name}");
    }
    assert_eq!(outcome(&verdict, "mr_enclave"), "skipped");
}

#[test]
fn each_pin_refuses_the_enclave_that_is_another() {
    let tee = SimTee::new();
    let refused = |question: Question, check: &str| drop(question.refused("MEASUREMENT_MISMATCH", check));
    refused(question(&tee, |enclave| enclave.mr_enclave[31] ^= 1), "mr_enclave");
    refused(by_signer(&tee, |enclave| enclave.mr_signer[31] ^= 1), "mr_signer");
    refused(by_signer(&tee, |enclave| enclave.isv_prod_id = 8), "isv_prod_id");
    refused(by_signer(&tee, |enclave| enclave.isv_prod_id = 0x0700), "isv_prod_id");
    refused(by_signer(&tee, |enclave| enclave.isv_svn = 2), "isv_svn");
    by_signer(&tee, |enclave| enclave.isv_svn = 0x0100).trusted();
    let honest = Enclave::new();
    let pins = json!({
        "config_id": ["00".repeat(64), hex(&honest.config_id)], "isv_family_id": [hex(&honest.isv_family_id)],
        "isv_ext_prod_id": [hex(&honest.isv_ext_prod_id)], "isv_prod_id": [6, 7], "min_isv_svn": 3,
        "mr_signer": [hex(&honest.mr_signer)],
    });
    with(question(&tee, |_| ()), pins.clone()).trusted();
    let bent = |change: fn(&mut Enclave)| with(question(&tee, change), pins.clone());
    refused(bent(|enclave| enclave.config_id[0] ^= 1), "config_id");
    refused(bent(|enclave| enclave.isv_family_id[0] ^= 1), "isv_family_id");
    refused(bent(|enclave| enclave.isv_ext_prod_id[0] ^= 1), "isv_ext_prod_id");
    // Beside the code too, the signer and its numbers count if they are named.
    refused(bent(|enclave| enclave.mr_signer[0] ^= 1), "mr_signer");
    refused(bent(|enclave| enclave.isv_prod_id = 5), "isv_prod_id");
    refused(bent(|enclave| enclave.isv_svn = 0), "isv_svn");
}

#[test]
fn an_enclave_under_debug() {
    let tee = SimTee::new();
    let debug = || question(&tee, |enclave| enclave.attributes[0] |= 2);
    debug().refused("MEASUREMENT_MISMATCH", "debug");
    // A mask that says nothing against it is no consent.
    let bits = json!({"mask": format!("02{}", "00".repeat(15)), "value": format!("02{}", "00".repeat(15))});
    with(debug(), json!({"attributes": bits})).refused("MEASUREMENT_MISMATCH", "debug");
    let consent = with(debug(), json!({"allow_debug": true}));
    let found = consent.trusted();
    let checks = found.verdict["checks"].as_array().unwrap();
    let line = checks.iter().find(|check| check["name"] == "debug").unwrap();
    assert!(line["expected"].as_str().unwrap().contains("allow_debug"), "{line}");
    // The consent is to nothing else.
    let other = question(&tee, |enclave| {
        enclave.attributes[0] |= 2;
        enclave.mr_enclave[0] ^= 1;
    });
    with(other, json!({"allow_debug": true})).refused("MEASUREMENT_MISMATCH", "mr_enclave");
}

#[test]
fn attributes_that_no_application_has() {
    let tee = SimTee::new();
    for bit in [0x10u8, 0x20] {
        let question = || question(&tee, |enclave| enclave.attributes[0] |= bit);
        question().refused("MEASUREMENT_MISMATCH", "attributes");
        // A policy may say so in bits.
        let set = format!("{bit:02x}{}", "00".repeat(15));
        with(question(), json!({"attributes": {"mask": set, "value": set}})).trusted();
        let clear = json!({"attributes": {"mask": set, "value": "00".repeat(16)}});
        with(question(), clear).refused("MEASUREMENT_MISMATCH", "attributes");
        // And other bits say nothing of this one.
        let other = json!({"attributes": {"mask": format!("04{}", "00".repeat(15)), "value": "00".repeat(16)}});
        with(question(), other).refused("MEASUREMENT_MISMATCH", "attributes");
    }
    question(&tee, |enclave| enclave.attributes[0] &= !1).refused("MEASUREMENT_MISMATCH", "attributes");
    let uninitialised = json!({"attributes": {"mask": format!("01{}", "00".repeat(15)), "value": "00".repeat(16)}});
    with(question(&tee, |enclave| enclave.attributes[0] &= !1), uninitialised)
        .refused("MEASUREMENT_MISMATCH", "attributes");
    // XFRM, in the second half.
    let xfrm = json!({"mask": format!("{}ff{}", "00".repeat(8), "00".repeat(7)), "value": format!("{}e7{}", "00".repeat(8), "00".repeat(7))});
    with(question(&tee, |_| ()), json!({"attributes": xfrm})).trusted();
    with(question(&tee, |enclave| enclave.attributes[8] = 3), json!({"attributes": xfrm}))
        .refused("MEASUREMENT_MISMATCH", "attributes");
}

#[test]
fn reports_and_quotes_of_another_form() {
    let tee = SimTee::new();
    for at in [20, 31, 96, 127, 160, 191, 262, 303] {
        let found = question(&tee, |enclave| enclave.raw.push((at, 1))).refused("QUOTE_INVALID", "quote");
        assert!(found.message.contains("are not zero"), "{at}: {found:?}");
    }
    for version in [0, 1, 2, 4, 5, 6, 0x0300] {
        question(&tee, |enclave| enclave.version = version).refused("QUOTE_INVALID", "quote");
    }
    let honest = question(&tee, |_| ());
    for behind in [0, 1] {
        let mut longer = Question { quote: honest.quote.clone(), ..question(&tee, |_| ()) };
        longer.quote.push(behind);
        let found = longer.refused("QUOTE_INVALID", "quote");
        assert!(found.message.contains("nothing may follow"), "{found:?}");
    }
    for length in [8, 47, 48, 431, 432, 435, 436, 600, honest.quote.len() - 1] {
        let quote = honest.quote[..length].to_vec();
        Question { quote, ..question(&tee, |_| ()) }.refused("QUOTE_INVALID", "quote");
    }
    let mut limited = question(&tee, |_| ());
    limited.policy["binding"] = json!({"max_evidence_bytes": 1024});
    limited.refused("QUOTE_INVALID", "quote");
}

#[test]
fn a_quote_of_a_trust_domain_is_none_of_an_enclave_nor_the_other_way() {
    let tee = SimTee::new();
    let stored = |kind: &str, quote: &[u8]| Some(json!({"tee": kind, "evidence": {"quote": hex(quote)}}));
    let domain = Guest::booted(2).quote(&tee, &binder_of(CODE));
    let as_enclave = Question { stored: stored("sgx", &domain), ..question(&tee, |_| ()) };
    let found = as_enclave.refused("QUOTE_INVALID", "quote");
    assert!(found.message.contains("TEE type 0x81"), "{found:?}");
    let enclave = question(&tee, |_| ()).quote;
    Question { stored: stored("sgx", &enclave), ..question(&tee, |_| ()) }.trusted();
    let tdx = json!({"type": "dstack_tdx", "disable_runtime_verification": true, "allow_simulated": true,
        "binding": {"protocols": ["exporter-v1"]}, "identity": {"require_key_event": false}});
    let as_domain = Question { stored: stored("tdx", &enclave), policy: tdx, ..question(&tee, |_| ()) };
    as_domain.refused("QUOTE_INVALID", "quote");
    // Header and body of different kinds, each signed.
    question(&tee, |enclave| enclave.tee_type = 0x81).refused("EVIDENCE_INVALID", "tee");
    let swapped = question(&tee, |enclave| enclave.tee_type = 0x81).quote;
    Question { stored: stored("sgx", &swapped), ..question(&tee, |_| ()) }.refused("QUOTE_INVALID", "quote");
}

#[test]
fn binder_of_another_kind_or_session() {
    let tee = SimTee::new();
    let bound_to = |report_data: [u8; 64]| {
        let quote = Enclave::new().quote(&tee, &report_data);
        Question { quote, ..question(&tee, |_| ()) }
    };
    bound_to(binder_of(CODE)).trusted();
    for code in [[0, 0], [0, 1], [0, 2], [0, 4], [0, 5], [0, 0x11], [0, 0x12], [0, 0x21], [3, 0], [0xff, 0xff]] {
        bound_to(binder_of(code)).refused("BINDING_MISMATCH", "report_data");
    }
    let binder = Binder {
        role: b'S',
        nonce: NONCE.to_vec(),
        exporter: EXPORTER,
        attester: None,
        verifier: Some(server().to_vec()),
        server_name: "localhost".into(),
    };
    for other in [
        binder.clone(),
        Binder { role: b'C', nonce: [9; 32].to_vec(), ..binder.clone() },
        Binder { role: b'C', exporter: [9; 32], ..binder.clone() },
        Binder { role: b'C', server_name: "other.example".into(), ..binder },
    ] {
        bound_to(other.report_data_of(CODE)).refused("BINDING_MISMATCH", "report_data");
    }
    bound_to([0; 64]).refused("BINDING_MISMATCH", "report_data");
}

#[test]
fn documents_of_another_kind_or_platform() {
    let tee = SimTee::new();
    let with_set = |collateral: String| Question { collateral, ..question(&tee, |_| ()) };
    let now = Issue::default();
    // Of trust domains, by their own names and by the names of enclaves'.
    with_set(tee.collateral_json(&now)).refused("COLLATERAL_UNAVAILABLE", "quote");
    let object = |name, body: String| (name, tee.tcb_chain(), body.into_bytes());
    let set = |tcb: String, qe: String| {
        let objects = [
            object("sgx_tcb_info/514D54454500/standard", tcb),
            object("sgx_qe_identity/standard", qe),
            ("root_crl", String::new(), tee.root_crl(&now)),
            ("pck_crl/platform", tee.pck_crl_chain(), tee.pck_crl(&now)),
        ];
        with_set(bundle(&objects).to_string())
    };
    set(tee.sgx_tcb_info(&now), tee.sgx_qe_identity(&now)).trusted();
    let found = set(tee.tcb_info(&now), tee.sgx_qe_identity(&now)).refused("COLLATERAL_INVALID", "quote");
    assert!(found.message.contains("TCB info: it is about \"TDX\""), "{found:?}");
    let found = set(tee.sgx_tcb_info(&now), tee.qe_identity(&now)).refused("COLLATERAL_INVALID", "quote");
    assert!(found.message.contains("QE identity: it is about \"TD_QE\""), "{found:?}");
    for issue in [
        Issue { issued: -3, expires: -1, ..Issue::default() },
        Issue { issued: 1, ..Issue::default() },
        Issue { fmspc: [7; 6], ..Issue::default() },
        Issue { pce_id: [1, 0], ..Issue::default() },
        Issue { tamper: true, ..Issue::default() },
        Issue { crl_issued: -3, crl_expires: -1, ..Issue::default() },
        Issue { revoke_tcb_signer: true, ..Issue::default() },
    ] {
        with_set(tee.sgx_collateral_json(&issue)).refused("COLLATERAL_INVALID", "quote");
    }
    for issue in [
        Issue { revoke_platform: true, ..Issue::default() },
        Issue { revoke_pck_ca: true, ..Issue::default() },
        Issue { status: "Revoked", ..Issue::default() },
        Issue { qe_status: "Revoked", ..Issue::default() },
        Issue { qe_isvsvn: 9, ..Issue::default() },
    ] {
        with_set(tee.sgx_collateral_json(&issue)).refused("TCB_REJECTED", "quote");
    }
    let strange = Question { quote: Enclave::new().quote(&SimTee::new(), &binder_of(CODE)), ..question(&tee, |_| ()) };
    strange.refused("QUOTE_INVALID", "quote");
    Question { root: None, ..question(&tee, |_| ()) }.refused("QUOTE_INVALID", "quote");
}

#[test]
fn rules_about_the_platform_are_those_of_trust_domains() {
    let tee = SimTee::new();
    let under = |issue: Issue, members: Value| {
        let collateral = tee.sgx_collateral_json(&issue);
        with(Question { collateral, ..question(&tee, |_| ()) }, members)
    };
    for status in ["SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded", "OutOfDate"] {
        let issue = || Issue { status, advisories: vec!["INTEL-SA-00615"], ..Issue::default() };
        let found = under(issue(), json!({})).refused("TCB_REJECTED", "tcb_status");
        assert_eq!(found.message, status);
        let allowed = json!({"allowed_tcb_status": [status]});
        assert_eq!(under(issue(), allowed.clone()).trusted().verdict["advisory_ids"], json!(["INTEL-SA-00615"]));
        let mut rejected = allowed;
        rejected["tcb"] = json!({"rejected_advisories": ["INTEL-SA-00615"]});
        under(issue(), rejected).refused("TCB_REJECTED", "tcb_advisories");
    }
    let late = json!({"allowed_tcb_status": ["OutOfDate"], "grace_period": 86_400});
    under(Issue { status: "OutOfDate", ..Issue::default() }, late).refused("TCB_REJECTED", "tcb_grace_period");
    let number = json!({"tcb": {"min_evaluation_number": 20}});
    under(Issue::default(), number).refused("TCB_REJECTED", "tcb_evaluation");
    let ppid = json!({"hardware": {"allowed_ppid": ["0f".repeat(16)]}});
    under(Issue::default(), ppid).refused("MEASUREMENT_MISMATCH", "hardware_ppid");
}

#[test]
fn policies_that_pin_too_little_or_nonsense() {
    let (enclave, signer) = (json!(["e1".repeat(32)]), json!(["51".repeat(32)]));
    let full = json!({"type": "sgx", "mr_signer": signer, "isv_prod_id": [7], "min_isv_svn": 3});
    let without = |name: &str| {
        let mut document = full.clone();
        document.as_object_mut().unwrap().remove(name);
        document
    };
    let and = |name: &str, value: Value| {
        let mut document = json!({"type": "sgx", "mr_enclave": enclave});
        document[name] = value;
        document
    };
    for (document, path) in [
        (json!({"type": "sgx"}), "mr_enclave"),
        (json!({"type": "sgx", "isv_prod_id": [7], "min_isv_svn": 3}), "mr_enclave"),
        (json!({"type": "sgx", "mr_signer": signer}), "isv_prod_id"),
        (without("mr_signer"), "mr_enclave"),
        (without("isv_prod_id"), "isv_prod_id"),
        (without("min_isv_svn"), "min_isv_svn"),
        (and("mr_enclave", json!([])), "mr_enclave"),
        (and("mr_enclave", json!("e1".repeat(32))), "mr_enclave"),
        (and("mr_enclave", json!(["e1".repeat(48)])), "mr_enclave[0]"),
        (and("mr_enclave", json!(["E1".repeat(32)])), "mr_enclave[0]"),
        (and("isv_prod_id", json!(7)), "isv_prod_id"),
        (and("isv_prod_id", json!([])), "isv_prod_id"),
        (and("isv_prod_id", json!([7, 65536])), "isv_prod_id[1]"),
        (and("isv_prod_id", json!([-1])), "isv_prod_id[0]"),
        (and("min_isv_svn", json!(65536)), "min_isv_svn"),
        (and("min_isv_svn", json!("3")), "min_isv_svn"),
        (and("config_id", json!(["00".repeat(32)])), "config_id[0]"),
        (and("attributes", json!({"mask": "00".repeat(16), "value": "00".repeat(16)})), "attributes.mask"),
        (and("attributes", json!({"mask": "ff".repeat(8), "value": "00".repeat(8)})), "attributes.mask"),
        (and("td", json!({"allow_debug": true})), "td"),
        (and("measurements", json!([])), "measurements"),
        (and("identity", json!({"require_key_event": true})), "identity.require_key_event"),
        (and("binding", json!({"protocols": ["atlas-v1"]})), "binding.protocols"),
    ] {
        let (status, message) = policy_refused(&document).unwrap_or_else(|| panic!("{document} was accepted"));
        let told = message.starts_with(&format!("policy.{path}:"));
        assert!(status == "POLICY_INVALID" && told, "{document}: {status} {message}");
    }
    // Products are a signer's own: a list of both would let the product of one pass as another's.
    let mut mixed = full.clone();
    (mixed["mr_signer"], mixed["isv_prod_id"]) = (json!(["51".repeat(32), "52".repeat(32)]), json!([7, 8]));
    assert!(policy_refused(&mixed).unwrap().1.starts_with("policy.isv_prod_id:"));
    assert_eq!(policy_refused(&full), None);
    assert_eq!(policy_refused(&json!({"type": "sgx", "mr_enclave": enclave})), None);
}

#[test]
fn members_of_a_policy_do_not_lend_each_other_what_they_lack() {
    let tee = SimTee::new();
    let honest = Enclave::new();
    let members = |enclave: &[u8], signer: &[u8]| {
        json!({"any_of": [
            {"type": "sgx", "mr_enclave": [hex(enclave)], "mr_signer": [hex(&honest.mr_signer)]},
            {"type": "sgx", "mr_enclave": [hex(&honest.mr_enclave)], "mr_signer": [hex(signer)]},
            {"type": "tdx", "measurements": [{"mrtd": "11".repeat(48)}], "firmware_only": true},
        ], "allow_simulated": true})
    };
    let ask = |policy: Value| Question { policy, ..question(&tee, |_| ()) };
    let found = ask(members(&[1; 32], &[2; 32])).refused("MEASUREMENT_MISMATCH", "any_of[0].mr_enclave");
    assert_eq!(outcome(&found.verdict, "any_of[1].mr_signer"), "fail");
    assert_eq!(outcome(&found.verdict, "any_of[2].tee"), "skipped");
    assert_eq!(ask(members(&[1; 32], &honest.mr_signer)).trusted().verdict["accepted_member"], 1);
    // A policy that is about other kinds alone.
    for policy in [
        json!({"type": "tdx", "measurements": [{"mrtd": "11".repeat(48)}], "firmware_only": true, "allow_simulated": true}),
        json!({"type": "nitro", "pcrs": {"0": ["01".repeat(48)]}, "allow_simulated": true}),
    ] {
        ask(policy).refused("EVIDENCE_INVALID", "tee");
    }
    // And evidence of other kinds under a policy about enclaves.
    let quote = Guest::booted(2).quote(&tee, &binder_of([0, 1]));
    Question { quote, ..question(&tee, |_| ()) }.refused("EVIDENCE_INVALID", "tee");
}

#[test]
fn one_bit_of_any_signed_byte() {
    let tee = SimTee::new();
    let honest = question(&tee, |_| ());
    for at in 0..436 + 128 + 384 + 64 + 34 {
        let mut quote = honest.quote.clone();
        quote[at] ^= 1 << (at % 8);
        let stored = Some(json!({"tee": "sgx", "evidence": {"quote": hex(&quote)}}));
        Question { stored, ..question(&tee, |_| ()) }.refused("QUOTE_INVALID", "quote");
    }
}
