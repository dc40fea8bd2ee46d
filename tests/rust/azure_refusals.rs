//! Policies about Azure's machines that pin too little, and objects that are no evidence of one.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use serde_json::{Value, json};
use support::azure::Question;
use support::azure_machine::{BOTH, Hardware, honest};
use support::offline::policy_refused;

#[test]
fn policies_that_pin_too_little() {
    let refusal = |hardware: Hardware, change: &dyn Fn(&mut Value)| {
        let mut policy = support::azure_machine::policy(hardware);
        change(&mut policy);
        policy_refused(&policy).unwrap_or_else(|| panic!("{policy}"))
    };
    let register = |value: &str| json!([value.repeat(32)]);
    type Change<'a> = &'a dyn Fn(&mut Value);
    let changes: [(Change<'_>, &str); 19] = [
        (&|policy| drop(policy.as_object_mut().unwrap().remove("pcrs")), "policy.pcrs: missing"),
        (&|policy| policy["pcr_sets"] = json!([policy["pcrs"]]), "policy.pcrs: there is"),
        (&|policy| policy["pcrs"] = json!({}), "policy.pcrs.4"),
        (&|policy| policy["pcrs"] = json!({"16": register("01"), "23": register("01")}), "policy.pcrs.4"),
        (&|policy| policy["pcrs"] = json!({"8": register("00"), "9": register("ff")}), "policy.pcrs.4"),
        (&|policy| policy["pcrs"] = json!({"8": ["00".repeat(32), "01".repeat(32)]}), "policy.pcrs.4"),
        // What any guest can extend a register to that its own boot left alone.
        (&|policy| policy["pcrs"] = json!({"7": register("01"), "11": register("02")}), "policy.pcrs.4"),
        (&|policy| policy["pcr_sets"] = json!([{"4": register("00")}]), "policy.pcrs: there is"),
        // What only the paravisor knows, of whichever paravisor.
        (&|policy| policy["fresh_report"] = true.into(), "policy.fresh_report: needs `paravisor`"),
        (&|policy| policy["secure_boot"] = true.into(), "policy.secure_boot: needs `paravisor`"),
        (&|policy| policy["allow_console"] = false.into(), "policy.allow_console: needs `paravisor`"),
        (&|policy| policy["pcrs"]["24"] = register("01"), "policy.pcrs.24: unknown"),
        (&|policy| policy["pcrs"]["4"] = json!(["01".repeat(48)]), "policy.pcrs.4[0]"),
        (&|policy| policy["pcrs"]["4"] = json!(vec!["01".repeat(32); 65]), "policy.pcrs.4: 65"),
        (&|policy| policy["ak_certificate"] = "off".into(), "policy.ak_certificate: \"off\""),
        (&|policy| policy["ak_certificate"] = "no".into(), "policy.ak_certificate: \"no\""),
        (&|policy| policy["paravisor"] = json!([]), "policy.paravisor"),
        (&|policy| policy["paravisor"] = json!(["01".repeat(32)]), "policy.paravisor[0]"),
        (&|policy| policy["binding"] = json!({"protocols": ["atlas-v1"]}), "policy.binding.protocols"),
    ];
    for hardware in BOTH {
        for (change, path) in changes {
            let (status, message) = refusal(hardware, change);
            assert!(status == "POLICY_INVALID" && message.starts_with(path), "{path}: {message}");
        }
    }
    for field in ["measurement", "vmpl", "host_data", "mr_config"] {
        let (_, message) = refusal(Hardware::Snp, &|policy| policy["snp"][field] = json!([0]));
        assert!(message.starts_with(&format!("policy.snp.{field}: unknown field")), "{message}");
    }
    let (_, message) = refusal(Hardware::Snp, &|policy| drop(policy.as_object_mut().unwrap().remove("snp")));
    assert!(message.starts_with("policy.snp: missing"), "{message}");
    let (_, message) = refusal(Hardware::Tdx, &|policy| policy["snp"] = json!({}));
    assert!(message.starts_with("policy.snp: unknown field"), "{message}");
}

#[test]
fn objects_that_are_not_evidence() {
    for hardware in BOTH {
        let honest: Question = honest(hardware);
        let bent = |change: &dyn Fn(&mut Value)| {
            let mut object = honest.object();
            change(&mut object);
            let found = honest.ask_with(&json!({"tee": hardware.name(), "evidence": object}));
            assert_eq!((found.status.as_str(), &found.verdict), ("EVIDENCE_INVALID", &Value::Null), "{object}");
        };
        for member in ["hcl_report", "tpm_quote"] {
            bent(&|object| drop(object.as_object_mut().unwrap().remove(member)));
        }
        for member in ["message", "signature", "pcrs"] {
            bent(&|object| drop(object["tpm_quote"].as_object_mut().unwrap().remove(member)));
        }
        bent(&|object| object["hcl_report"] = "AB=".into());
        bent(&|object| object["tpm_quote"] = json!([]));
        bent(&|object| object["tpm_quote"]["pcrs"] = json!([]));
        bent(&|object| object["tpm_quote"]["signature"] = "AAAA".into());
        bent(&|object| object["ak_certificates"] = "AAAA".into());
        bent(&|object| object["ak_certificates"] = json!([]));
        bent(&|object| object["ak_certificates"] = json!(["!"]));
        bent(&|object| object["ak_certificates"] = json!([7]));
    }
    honest(Hardware::Snp).bent("EVIDENCE_INVALID", "", |bent| bent.leaf = Some(vec![1, 2, 3]));
    // What is no quote of a trust domain.
    honest(Hardware::Tdx).bent("QUOTE_INVALID", "quote", |bent| bent.quote = Some(vec![4, 0, 2, 0, 0x81, 0, 0, 0]));
}
