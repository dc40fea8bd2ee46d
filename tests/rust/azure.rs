//! Real evidence of Azure's virtual machines: each with a policy that pins what it has, with each pin changed, and with each byte changed.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use atls::attest::hash::{hex, sha256};
use serde_json::{Value, json};
use support::azure::Question;
use support::azure_real::{CERTIFIED, CHAIN, DATA, HARDWARE, SNP, TDX, case, certified, snp, stored};

fn outcome(verdict: &Value, name: &str) -> Value {
    let checks = verdict["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name}: {verdict}"))["outcome"].clone()
}

/// Whose certificates are looked at, a verdict says, and of nobody else.
#[test]
fn microsofts_root_is_named_if_a_certificate_must_lead_to_it() {
    let Some(certified) = certified() else { return };
    let anchor = |policy: Value| {
        let found = certified.clone().bend(|bent| bent.policy = policy);
        (found.verdict["accepted_member"].clone(), found.verdict["trust_anchor"].clone())
    };
    let strict = certified.policy.clone();
    let with = |member: &str, value: Value| {
        let mut changed = strict.clone();
        changed[member] = value;
        changed
    };
    let off = with("ak_certificate", "off".into());
    let wrong = |of: &Value| {
        let mut changed = of.clone();
        changed["paravisor"] = json!(["77".repeat(48)]);
        changed
    };
    let any_of = |members: [&Value; 2]| json!({"any_of": members});
    assert_eq!(anchor(off.clone()), (json!(0), json!("intel")));
    assert_eq!(anchor(any_of([&off, &strict])), (json!(0), json!("intel")));
    assert_eq!(anchor(any_of([&strict, &off])), (json!(0), json!("microsoft+intel")));
    assert_eq!(anchor(any_of([&wrong(&strict), &off])), (json!(1), json!("intel")));
    // Refusals.
    assert_eq!(anchor(wrong(&off)), (Value::Null, json!("intel")));
    assert_eq!(anchor(any_of([&wrong(&off), &wrong(&strict)])), (Value::Null, json!("microsoft+intel")));
}

#[test]
fn outcomes_that_are_recorded() {
    let (Some(snp), Some(certified)) = (snp(), certified()) else { return };
    for (question, case, anchor) in [(&snp, case(SNP), "amd"), (&certified, case(CERTIFIED), "microsoft+intel")] {
        let found = question.trusted();
        Question { policy: found.draft(), ..question.clone() }.trusted();
        let verdict = found.verdict;
        assert_eq!((&verdict["tee_type"], &verdict["trust_anchor"]), (&case["family"], &json!(anchor)));
        let tcb_status = &case["expect"]["tcb_status"];
        assert_eq!((&verdict["tcb_status"], &verdict["bound_to_session"]), (tcb_status, &json!(false)));
        assert_eq!(verdict["measurements"]["pcrs"], question.pcrs);
        for name in ["runtime_data", "tpm_quote", "pcr_digest", "paravisor", "pcr:0", "pcr:14"] {
            assert_eq!(outcome(&verdict, name), "pass", "{name}");
        }
        assert_eq!(outcome(&verdict, "tpm_nonce"), "skipped");
        assert_eq!(outcome(&verdict, "user_data"), "skipped");
    }
    let (verdict, claims) = (snp.trusted().verdict, &case(SNP)["claims"]);
    assert_eq!(outcome(&verdict, "ak_certificate"), "skipped");
    let [size, version] = [1232, 4].map(|at| u32::from_le_bytes(snp.hcl[at..at + 4].try_into().unwrap()));
    assert_eq!(hex(&sha256(&snp.hcl[DATA..DATA + size as usize])), claims["var_data_sha256"].as_str().unwrap());
    assert_eq!((u64::from(version), &claims["report_type"]), (claims["hcl_version"].as_u64().unwrap(), &json!(2)));
    let found = [&verdict["measurements"]["tpm_nonce"], &verdict["measurements"]["user_data"]];
    assert_eq!(found, [&claims["extra_data"], &claims["hcl_user_data"]]);
    assert_eq!((&verdict["platform"]["product"], &verdict["platform"]["tpm"]["safe"]), (&json!("Milan"), &json!(true)));
    let verdict = certified.trusted().verdict;
    assert_eq!(outcome(&verdict, "ak_certificate"), "pass");
    assert_eq!(verdict["platform"]["vm_configuration"]["secure-boot"], true);
    assert_eq!(verdict["collateral"]["ak_not_before"], 1_780_876_800);
}

fn nothing() -> Option<String> {
    Some(json!({"atls_collateral_bundle": 1, "objects": []}).to_string())
}

#[test]
fn documents_that_are_not_there() {
    let (Some(snp), Some(certified)) = (snp(), certified()) else { return };
    let mut bare = stored(TDX, 1_780_000_000);
    let mrtd = hex(&bare.hcl[HARDWARE + 528..HARDWARE + 576]);
    bare.policy["type"] = "azure_tdx_vtpm".into();
    bare.policy["paravisor"] = json!([mrtd]);
    bare.collateral = nothing();
    let verdict = bare.refused("COLLATERAL_UNAVAILABLE", "quote").verdict;
    // What is recorded of it was found without any document: the case has none, and says that its chain wants some. All of that is in the verdict.
    let claims = &case(TDX)["claims"];
    assert_eq!((&case(TDX)["expect"], &case(TDX)["collateral"]), (&json!({"ok": true}), &Value::Null));
    for name in ["td_report", "runtime_data", "tpm_quote", "pcr_digest"] {
        assert_eq!(outcome(&verdict, name), "pass", "{name}");
    }
    let checks = verdict["checks"].as_array().unwrap();
    let line = |name: &str| checks.iter().find(|check| check["name"] == name).unwrap();
    let expected = format!("{}{}", claims["var_data_sha256"].as_str().unwrap(), "00".repeat(32));
    assert_eq!(line("runtime_data")["actual"], expected);
    assert!(line("quote")["actual"].as_str().unwrap().contains("is not at hand"), "{verdict}");
    // The only documents of that time are about another platform.
    let mut other = bare.clone();
    (other.collateral, other.now) = (certified.collateral.clone(), certified.now);
    let verdict = other.refused("COLLATERAL_INVALID", "quote").verdict;
    assert!(verdict["checks"][0]["actual"].as_str().unwrap().contains("00806F050000"), "{verdict}");
    certified.bent("COLLATERAL_UNAVAILABLE", "quote", |bent| bent.collateral = nothing());
    snp.bent("COLLATERAL_UNAVAILABLE", "crl", |bent| bent.policy["snp"]["crl"] = "require".into());
    snp.bent("COLLATERAL_UNAVAILABLE", "leaf", |bent| bent.leaf = None);
    // What no document could mend is told without any.
    bare.bent("QUOTE_INVALID", "tpm_quote", |bent| bent.signature[9] ^= 1);
}

#[test]
fn a_key_without_a_certificate_needs_a_known_paravisor() {
    let (Some(snp), Some(certified)) = (snp(), certified()) else { return };
    snp.bent("EVIDENCE_INVALID", "ak_certificate", |bent| bent.policy["ak_certificate"] = "require".into());
    certified.bent("EVIDENCE_INVALID", "ak_certificate", |bent| bent.ak.clear());
    for question in [&snp, &certified] {
        let found = question.bent("POLICY_INVALID", "", |bent| {
            bent.policy["ak_certificate"] = "off".into();
            bent.policy.as_object_mut().unwrap().remove("paravisor");
        });
        assert!(found.message.contains("policy.ak_certificate"), "{found:?}");
    }
    // With one, the paravisor need not be known.
    let mut question = certified.clone();
    question.policy.as_object_mut().unwrap().remove("paravisor");
    question.trusted();
}

#[test]
fn the_certificate_of_the_key_leads_to_microsoft() {
    let Some(certified) = certified() else { return };
    for change in [
        |bent: &mut Question| bent.ak.truncate(1),
        |bent: &mut Question| bent.ak.truncate(2),
        |bent: &mut Question| bent.ak.swap(0, 1),
        |bent: &mut Question| bent.ak.push(bent.ak[1].clone()),
        |bent: &mut Question| drop(bent.ak.remove(0)),
    ] {
        certified.bent("QUOTE_INVALID", "ak_certificate", change);
    }
    let mut other_way_round = certified.clone();
    other_way_round.ak.swap(1, 2);
    other_way_round.trusted();
    certified.bent("EVIDENCE_INVALID", "", |bent| bent.ak = vec![bent.ak[0].clone(); 5]);
    for certificate in 0..certified.ak.len() {
        for at in (0..certified.ak[certificate].len()).step_by(11) {
            let found = certified.clone().bend(|bent| bent.ak[certificate][at] ^= 1);
            assert_eq!(found.status, "QUOTE_INVALID", "{certificate}: {at}: {found:?}");
            assert_eq!(found.check, "ak_certificate", "{certificate}: {at}");
        }
    }
}

trait Bend {
    fn bend(self, change: impl FnOnce(&mut Question)) -> support::snp::Found;
}

impl Bend for Question {
    fn bend(mut self, change: impl FnOnce(&mut Question)) -> support::snp::Found {
        change(&mut self);
        self.ask()
    }
}

#[test]
fn one_bit_of_any_byte_of_the_paravisors_report() {
    for question in [snp(), certified()].into_iter().flatten() {
        let size = DATA + u32::from_le_bytes(question.hcl[1232..DATA].try_into().unwrap()) as usize;
        let is_compared = |at: usize| COMPARED.iter().any(|(from, to)| (HARDWARE + from..HARDWARE + to).contains(&at));
        let all = 0..question.hcl.len();
        // Of a TDREPORT, only what the quote has too says anything.
        let is_said = |at: &usize| question.leaf.is_some() || !(HARDWARE..DATA - 180).contains(at) || is_compared(*at);
        for at in all.filter(is_said) {
            let found = question.clone().bend(|bent| bent.hcl[at] ^= 1 << (at % 8));
            let expected: &[&str] = match at {
                HARDWARE..1216 => &["td_report", "runtime_data", "report", "signature", ""],
                DATA.. if at < size => &["runtime_data", ""],
                _ => &[""],
            };
            assert!(matches!(found.status.as_str(), "QUOTE_INVALID" | "EVIDENCE_INVALID"), "{at}: {found:?}");
            assert!(expected.contains(&found.check.as_str()), "{at}: {found:?}");
            assert_eq!(found.verdict["measurements"], Value::Null, "{at}");
        }
    }
}

/// Of a TDREPORT: its kind, what the guest put into it, TEE_TCB_INFO as far as a quote has it, and TDINFO.
const COMPARED: [(usize, usize); 4] = [(0, 2), (128, 192), (264, 384), (512, 912)];

#[test]
fn one_bit_of_any_byte_of_the_quote_of_the_tpm() {
    for question in [snp(), certified()].into_iter().flatten() {
        for at in 0..question.message.len() {
            let found = question.clone().bend(|bent| bent.message[at] ^= 1 << (at % 8));
            let is_read = matches!((found.status.as_str(), found.check.as_str()), ("QUOTE_INVALID", "tpm_quote"));
            assert!(is_read || (found.status == "EVIDENCE_INVALID" && found.check.is_empty()), "{at}: {found:?}");
        }
        for at in 0..question.signature.len() {
            question.bent("QUOTE_INVALID", "tpm_quote", |bent| bent.signature[at] ^= 1 << (at % 8));
        }
        question.bent("EVIDENCE_INVALID", "", |bent| bent.signature.push(0));
        question.bent("EVIDENCE_INVALID", "", |bent| bent.message.push(0));
        for number in 0..24 {
            question.bent("QUOTE_INVALID", "pcr_digest", |bent| {
                let value = bent.pcrs[number.to_string()].as_str().unwrap();
                let digit = if value.starts_with('0') { "1" } else { "0" };
                bent.pcrs[number.to_string()] = format!("{digit}{}", &value[1..]).into();
            });
            question.bent("QUOTE_INVALID", "pcr_digest", |bent| {
                bent.pcrs.as_object_mut().unwrap().remove(&number.to_string());
            });
        }
        question.bent("EVIDENCE_INVALID", "", |bent| bent.pcrs["24"] = "00".repeat(32).into());
        question.bent("QUOTE_INVALID", "pcr_digest", |bent| bent.pcrs = json!({}));
    }
}

#[test]
fn one_bit_of_any_byte_of_the_hardwares_quote() {
    let Some(certified) = certified() else { return };
    // Its certificates are a matter of all quotes (tests/rust/fixtures.rs).
    for at in (0..CHAIN).step_by(3) {
        let found = certified.clone().bend(|bent| bent.quote.as_mut().unwrap()[at] ^= 1 << (at % 8));
        let is_refused = matches!(found.status.as_str(), "QUOTE_INVALID" | "UNSUPPORTED");
        assert!(is_refused && matches!(found.check.as_str(), "quote" | "td_report"), "{at}: {found:?}");
        assert_eq!(found.verdict["measurements"], Value::Null, "{at}");
    }
}

#[test]
fn each_pin_of_the_policy_refuses() {
    let (Some(snp), Some(certified)) = (snp(), certified()) else { return };
    for question in [&snp, &certified] {
        question.bent("MEASUREMENT_MISMATCH", "paravisor", |bent| bent.policy["paravisor"] = json!(["1".repeat(96)]));
        for number in ["0", "7", "8", "14", "16", "23"] {
            let check = format!("pcr:{number}");
            question.bent("MEASUREMENT_MISMATCH", &check, |bent| {
                bent.policy["pcrs"][number] = json!(["1".repeat(64), "2".repeat(64)]);
            });
        }
        let mut either = question.clone();
        either.policy["pcrs"]["0"] = json!(["1".repeat(64), question.pcrs["0"]]);
        either.policy["secure_boot"] = true.into();
        either.trusted();
        question.bent("MEASUREMENT_MISMATCH", "vm_configuration", |bent| bent.policy["allow_console"] = false.into());
    }
    for part in ["bootloader", "tee", "snp", "microcode"] {
        snp.bent("TCB_REJECTED", "tcb_minimum", |bent| {
            let floor = &mut bent.policy["snp"]["min_tcb"]["Milan"][part];
            *floor = (floor.as_u64().unwrap() + 1).into();
        });
    }
    snp.bent("QUOTE_INVALID", "report", |bent| bent.policy["snp"]["min_report_version"] = 4.into());
    snp.bent("TCB_REJECTED", "platform_info", |bent| {
        bent.policy["snp"]["platform"] = json!({"require_ciphertext_hiding": true});
    });
    snp.bent("MEASUREMENT_MISMATCH", "hardware_instance", |bent| {
        bent.policy["snp"]["allowed_chip_id"] = json!(["1".repeat(128)]);
    });
    certified.bent("TCB_REJECTED", "tcb_status", |bent| bent.policy["allowed_tcb_status"] = json!(["OutOfDate"]));
    certified.bent("MEASUREMENT_MISMATCH", "mr_seam", |bent| {
        bent.policy["td"] = json!({"mr_seam": ["1".repeat(96)]});
    });
}

#[test]
fn documents_and_certificates_hold_in_their_time() {
    let Some(certified) = certified() else { return };
    let collateral = certified.trusted().verdict["collateral"].clone();
    let [ak, leaf] = ["ak_not_before", "issued"].map(|member| collateral[member].as_u64().unwrap());
    // The vendor's documents were issued after the certificate, and end before it.
    assert!(ak < leaf);
    let expires = collateral["expires"].as_u64().unwrap();
    for (now, refused) in [(leaf - 1, true), (leaf, false), (expires, false), (expires + 1, true)] {
        let mut at = certified.clone();
        at.now = now;
        assert_eq!(at.ask().status, if refused { "COLLATERAL_INVALID" } else { "OK" }, "{now}");
    }
    let [from, to] = ["ak_not_before", "ak_not_after"].map(|member| collateral[member].as_u64().unwrap());
    for (now, check) in [(from - 1, "ak_certificate"), (from, "quote"), (to, "quote"), (to + 1, "ak_certificate")] {
        assert_eq!(certified.clone().bend(|bent| bent.now = now).check, check, "{now}");
    }
    assert_eq!(certified.clone().bend(|bent| bent.now = 1_812_500_000).check, "ak_certificate");
}

#[test]
fn evidence_of_one_kind_under_the_name_or_the_policy_of_another() {
    for question in [snp(), certified()].into_iter().flatten() {
        for kind in ["tdx", "snp", "nitro", "azure_tdx_vtpm", "azure_snp_vtpm"] {
            if kind != question.tee {
                let found = question.ask_with(&json!({"tee": kind, "evidence": question.object()}));
                assert_eq!(found.status, "EVIDENCE_INVALID", "{kind}");
            }
        }
        question.bent("EVIDENCE_INVALID", "tee", |bent| {
            bent.policy = json!({"type": "dstack_tdx", "disable_runtime_verification": true});
        });
        question.bent("EVIDENCE_INVALID", "", |bent| bent.hcl[1224] ^= 6);
    }
}
