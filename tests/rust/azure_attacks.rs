//! Lies about a virtual machine of Azure, each told with everything else true, and the check that must notice.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use serde_json::{Value, json};
use simtee::azure::{Microsoft, Vm, nonce, td_report};
use support::azure_machine::{BOTH, Hardware, Parts, honest, measurement, question, tee};
use support::offline::now;
use support::snp_guest::binder_of;

/// The lie is refused whatever the hardware is.
#[track_caller]
fn refused(status: &str, check: &str, lie: impl Fn(&mut Parts)) {
    for hardware in BOTH {
        question(hardware, &lie).refused(status, check);
    }
}

fn outcome(verdict: &Value, name: &str) -> Value {
    let checks = verdict["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name}: {verdict}"))["outcome"].clone()
}

#[test]
fn a_machine_is_trusted() {
    for hardware in BOTH {
        let verdict = honest(hardware).trusted().verdict;
        assert_eq!((&verdict["tee_type"], &verdict["trust_anchor"]), (&json!(hardware.name()), &json!("simulated")));
        assert_eq!(verdict["bound_to_session"], true);
        for name in ["runtime_data", "ak_certificate", "tpm_quote", "pcr_digest", "tpm_nonce", "pcr:4", "pcr:7"] {
            assert_eq!(outcome(&verdict, name), "pass", "{name}");
        }
        assert_eq!(outcome(&verdict, "user_data"), "skipped");
        let mut fresh = honest(hardware);
        fresh.policy["fresh_report"] = true.into();
        fresh.policy["secure_boot"] = true.into();
        fresh.policy["allow_console"] = false.into();
        fresh.policy["paravisor"] = json!([measurement(hardware)]);
        let verdict = fresh.trusted().verdict;
        for name in ["user_data", "vm_configuration", "paravisor"] {
            assert_eq!(outcome(&verdict, name), "pass", "{name}");
        }
        let mut alone = honest(hardware);
        alone.session = None;
        assert_eq!(outcome(&alone.trusted().verdict, "tpm_nonce"), "skipped");
    }
}

/// As programs in other languages get it of the simulator.
#[test]
fn the_machine_behind_a_socket_is_the_same() {
    let object = simtee::machines::evidence("azure_snp_vtpm", &binder_of([0, 0x12])).unwrap();
    let found = honest(Hardware::Snp).ask_with(&json!({"tee": "azure_snp_vtpm", "evidence": object}));
    assert_eq!((found.status.as_str(), &found.verdict["trusted"]), ("OK", &json!(true)), "{found:?}");
}

#[test]
fn runtime_data_that_the_hardware_has_not_signed() {
    refused("QUOTE_INVALID", "runtime_data", |parts| parts.report_data = Some([7; 64]));
    // Its digest, and something behind it.
    refused("QUOTE_INVALID", "runtime_data", |parts| {
        let mut data = simtee::azure::report_data(parts.runtime.to_string().as_bytes());
        data[63] = 1;
        parts.report_data = Some(data);
    });
    // What a guest has got by asking for the digest of its own words is not where the paravisor's is.
    refused("QUOTE_INVALID", "runtime_data", |parts| {
        let mut data = simtee::azure::report_data(parts.runtime.to_string().as_bytes());
        data.rotate_left(32);
        parts.report_data = Some(data);
    });
}

/// On hardware of his own, anybody can play the paravisor.
#[test]
fn a_paravisor_of_ones_own() {
    let own = |parts: &mut Parts| {
        let vm = Vm::other();
        (parts.vm, parts.certified, parts.microsoft) = (vm, vm, Microsoft::impostor());
        (parts.runtime, parts.attest) = (vm.runtime(&[0; 64]), vm.attest(&parts.attest.extra_data));
        parts.td.mrtd = [0xee; 48];
        parts.report[0x90..0xc0].fill(0xee);
    };
    refused("QUOTE_INVALID", "ak_certificate", own);
    for hardware in BOTH {
        let mut pinned = question(hardware, own);
        pinned.policy["paravisor"] = json!([measurement(hardware)]);
        pinned.policy["ak_certificate"] = "off".into();
        let found = pinned.refused("MEASUREMENT_MISMATCH", "paravisor");
        assert_eq!(outcome(&found.verdict, "ak_certificate"), "skipped");
        // With a genuine certificate, of another machine, it is still not the paravisor.
        let mut borrowed = question(hardware, |parts| {
            parts.td.mrtd = [0xee; 48];
            parts.report[0x90..0xc0].fill(0xee);
        });
        borrowed.trusted();
        borrowed.policy["paravisor"] = json!([measurement(hardware)]);
        borrowed.refused("MEASUREMENT_MISMATCH", "paravisor");
    }
}

#[test]
fn the_key_of_another_machine() {
    refused("QUOTE_INVALID", "ak_certificate", |parts| parts.certified = Vm::other());
    refused("QUOTE_INVALID", "tpm_quote", |parts| parts.vm = Vm::other());
    // Its quote and its certificate, with the runtime data of this one.
    refused("QUOTE_INVALID", "ak_certificate", |parts| (parts.vm, parts.certified) = (Vm::other(), Vm::other()));
}

#[test]
fn a_certificate_that_is_not_for_this() {
    refused("QUOTE_INVALID", "ak_certificate", |parts| parts.certificate.usage.clear());
    refused("QUOTE_INVALID", "ak_certificate", |parts| parts.certificate.usage = vec![1, 3, 6, 1, 5, 5, 7, 3, 2]);
    refused("QUOTE_INVALID", "ak_certificate", |parts| parts.certificate.by_root = true);
    // A machine without encrypted memory has a certificate too.
    for name in [
        "0123456789ab.TrustedVM.Azure.windows.net",
        "0123456789ab.ConfidentialVM.Azure.windows.net.example",
        "ConfidentialVM.Azure.windows.net",
        "",
    ] {
        refused("QUOTE_INVALID", "ak_certificate", |parts| parts.certificate.common_name = name.into());
    }
    let now = now();
    for (from, to, holds) in
        [(now, now, true), (now + 1, now + 9, false), (now - 9, now - 1, false), (now - 9, now + 9, true)]
    {
        let mut at = question(Hardware::Tdx, |parts| parts.certificate.dates = (from, to));
        at.now = now;
        if holds {
            at.trusted()
        } else {
            at.refused("QUOTE_INVALID", "ak_certificate")
        };
    }
}

#[test]
fn registers_that_are_not_those_of_the_quote() {
    refused("QUOTE_INVALID", "pcr_digest", |parts| parts.pcrs["4"] = "06".repeat(32).into());
    refused("QUOTE_INVALID", "pcr_digest", |parts| {
        parts.pcrs.as_object_mut().unwrap().remove("23");
    });
    // Fewer were quoted than came along.
    refused("QUOTE_INVALID", "pcr_digest", |parts| parts.attest.banks[0].1 = [0xff, 0xff, 0x7f]);
    refused("QUOTE_INVALID", "pcr_digest", |parts| parts.attest.banks[0].1 = [0, 0, 0]);
    // A digest of the right ones, with a register of another name.
    refused("QUOTE_INVALID", "pcr_digest", |parts| {
        let value = parts.pcrs.as_object_mut().unwrap().remove("22").unwrap();
        parts.attest.banks[0].1 = [0xff, 0xff, 0xbf];
        parts.pcrs["22"] = value;
    });
    refused("QUOTE_INVALID", "pcr_digest", |parts| parts.attest.digest[31] ^= 1);
    refused("EVIDENCE_INVALID", "", |parts| parts.attest.digest.truncate(31));
    refused("EVIDENCE_INVALID", "", |parts| parts.attest.banks.push((0x000c, [0xff; 3])));
    refused("EVIDENCE_INVALID", "", |parts| parts.attest.banks.clear());
    refused("EVIDENCE_INVALID", "", |parts| parts.attest.banks[0].0 = 0x0004);
    // Registers that the policy wants, and nobody quoted.
    refused("MEASUREMENT_MISMATCH", "pcr:7", |parts| {
        parts.attest.banks[0].1 = [0x7f, 0, 0];
        parts.pcrs =
            json!((0..7).map(|n| (n.to_string(), hex(&[n + 1; 32]))).collect::<std::collections::BTreeMap<_, _>>());
        parts.attest.digest =
            simtee::azure::report_data(&(0..7).flat_map(|n| [n + 1; 32]).collect::<Vec<u8>>())[..32].to_vec();
    });
}

fn hex(bytes: &[u8]) -> String {
    simtee::hex(bytes)
}

#[test]
fn what_the_tpm_did_not_make_as_a_quote() {
    refused("EVIDENCE_INVALID", "", |parts| parts.attest.magic = 0x1234_5678);
    refused("EVIDENCE_INVALID", "", |parts| parts.attest.kind = 0x8017);
}

#[test]
fn a_session_of_another() {
    refused("BINDING_MISMATCH", "tpm_nonce", |parts| parts.attest.extra_data = nonce(&[1; 64]));
    refused("BINDING_MISMATCH", "tpm_nonce", |parts| parts.attest.extra_data.clear());
    // As the binder itself would be, or part of it.
    refused("BINDING_MISMATCH", "tpm_nonce", |parts| parts.attest.extra_data = binder_of([0, 0x11])[..32].to_vec());
    // Bound as evidence of each other kind.
    for code in [[0, 1], [0, 2], [0, 3], [0, 4], [0, 5], [0, 0x11], [0, 0x12], [0, 0x21]] {
        for hardware in BOTH {
            let bound = question(hardware, |parts| parts.attest.extra_data = nonce(&binder_of(code)));
            if code == hardware.code() {
                bound.trusted()
            } else {
                bound.refused("BINDING_MISMATCH", "tpm_nonce")
            };
        }
    }
}

#[test]
fn a_report_of_yesterday_where_a_fresh_one_is_wanted() {
    for hardware in BOTH {
        let stale = |change: fn(&mut Parts)| {
            let mut stale = question(hardware, change);
            stale.trusted();
            stale.policy["paravisor"] = json!([measurement(hardware)]);
            stale.policy["fresh_report"] = true.into();
            stale.refused("BINDING_MISMATCH", "user_data");
        };
        stale(|parts| parts.runtime["user-data"] = "00".repeat(64).into());
        stale(|parts| {
            parts.runtime.as_object_mut().unwrap().remove("user-data");
        });
        stale(|parts| parts.runtime["user-data"] = hex(&binder_of([0, 1])).into());
    }
}

#[test]
fn runtime_data_that_says_two_things() {
    let twice = |parts: &mut Parts| {
        let key = parts.runtime["keys"][0].clone();
        parts.runtime["keys"].as_array_mut().unwrap().push(key);
    };
    refused("EVIDENCE_INVALID", "", twice);
    refused("EVIDENCE_INVALID", "", |parts| parts.runtime["keys"][0]["kid"] = "HCLOther".into());
    refused("EVIDENCE_INVALID", "", |parts| parts.runtime["more"] = "x".repeat(1364).into());
}

#[test]
fn a_report_that_is_none_of_the_paravisors() {
    for hardware in BOTH {
        let honest = honest(hardware);
        honest.bent("EVIDENCE_INVALID", "", |bent| bent.hcl[4] = 3);
        honest.bent("EVIDENCE_INVALID", "", |bent| bent.hcl[4] = 0);
        honest.bent("EVIDENCE_INVALID", "", |bent| bent.hcl[1233] = 0xff);
        honest.bent("EVIDENCE_INVALID", "", |bent| bent.hcl.truncate(1300));
        honest.bent("EVIDENCE_INVALID", "", |bent| bent.hcl.resize(4097, 0));
        honest.bent("EVIDENCE_INVALID", "", |bent| *bent.hcl.last_mut().unwrap() = 1);
        let mut shorter = honest.clone();
        let end = shorter.hcl.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        shorter.hcl.truncate(end);
        shorter.trusted();
    }
}

#[test]
fn a_quote_of_another_trust_domain() {
    // The paravisor's report is of one domain, the quote of another with the same runtime data.
    type Change = fn(&mut Parts);
    let changes: [Change; 4] = [
        |parts| parts.td.mrtd = [0x12; 48],
        |parts| parts.td.mr_config_id = [9; 48],
        |parts| parts.td.td_attributes = [0, 0, 0, 0x10, 1, 0, 0, 0],
        |parts| parts.td.emit(1, "something", b"measured"),
    ];
    for change in changes {
        let found = question(Hardware::Tdx, |parts| {
            let data = simtee::azure::report_data(parts.runtime.to_string().as_bytes());
            parts.td_report = Some(td_report(&parts.td.quote(tee(), &data)));
            change(parts);
        });
        found.refused("QUOTE_INVALID", "td_report");
    }
    let honest = honest(Hardware::Tdx);
    for (from, to) in [(0, 2), (264, 384), (512, 912)] {
        for at in (from..to).step_by(8) {
            honest.bent("QUOTE_INVALID", "td_report", |bent| bent.hcl[32 + at] ^= 1);
        }
    }
    honest.bent("QUOTE_INVALID", "runtime_data", |bent| bent.hcl[32 + 128] ^= 1);
    honest.bent("EVIDENCE_INVALID", "", |bent| bent.quote = None);
}

#[test]
fn trust_domains_and_guests_that_their_host_can_enter() {
    question(Hardware::Tdx, |parts| parts.td.td_attributes[0] = 1).refused("MEASUREMENT_MISMATCH", "debug");
    question(Hardware::Snp, |parts| parts.report[0x0a] |= 8).refused("MEASUREMENT_MISMATCH", "guest_policy");
    question(Hardware::Snp, |parts| parts.report[0x30] = 1).refused("MEASUREMENT_MISMATCH", "vmpl");
    question(Hardware::Snp, |parts| parts.report[0x30..0x34].fill(0xff)).refused("QUOTE_INVALID", "report");
    question(Hardware::Snp, |parts| parts.report[0x1e0] = 0).refused("TCB_REJECTED", "tcb_minimum");
    honest(Hardware::Snp).bent("MEASUREMENT_MISMATCH", "id_key_digest", |bent| {
        bent.policy["snp"]["id_key_digest"] = json!(["ee".repeat(48)]);
    });
    honest(Hardware::Snp).bent("COLLATERAL_UNAVAILABLE", "crl", |bent| {
        bent.collateral = Some(json!({"atls_collateral_bundle": 1, "objects": []}).to_string());
    });
    honest(Hardware::Tdx).bent("TCB_REJECTED", "tcb_status", |bent| {
        bent.policy["allowed_tcb_status"] = json!(["SWHardeningNeeded"]);
    });
}

#[test]
fn how_the_machine_was_set_up() {
    let wrong = |member: &'static str, value: Value, rule: (&str, bool)| {
        for hardware in BOTH {
            let mut question = question(hardware, |parts| parts.runtime["vm-configuration"][member] = value.clone());
            question.trusted();
            question.policy["paravisor"] = json!([measurement(hardware)]);
            question.policy[rule.0] = rule.1.into();
            question.refused("MEASUREMENT_MISMATCH", "vm_configuration");
        }
    };
    wrong("secure-boot", false.into(), ("secure_boot", true));
    wrong("secure-boot", "true".into(), ("secure_boot", true));
    wrong("secure-boot", Value::Null, ("secure_boot", true));
    wrong("console-enabled", true.into(), ("allow_console", false));
    wrong("interactive-console-enabled", true.into(), ("allow_console", false));
    wrong("interactive-console-enabled", "false".into(), ("allow_console", false));
    let mut silent = question(Hardware::Tdx, |parts| {
        parts.runtime.as_object_mut().unwrap().remove("vm-configuration");
    });
    silent.policy["paravisor"] = json!([measurement(Hardware::Tdx)]);
    silent.policy["allow_console"] = false.into();
    silent.trusted();
    silent.policy["secure_boot"] = true.into();
    silent.refused("MEASUREMENT_MISMATCH", "vm_configuration");
}

#[test]
fn registers_of_two_sets_do_not_make_one() {
    for hardware in BOTH {
        let mut question = honest(hardware);
        let pcrs = question.policy.as_object_mut().unwrap().remove("pcrs").unwrap();
        let (mut first, mut second) = (pcrs.clone(), pcrs.clone());
        first["4"] = json!(["ee".repeat(32)]);
        second["7"] = json!(["ee".repeat(32)]);
        question.policy["pcr_sets"] = json!([first, second]);
        question.refused("MEASUREMENT_MISMATCH", "pcr:4");
        question.policy["pcr_sets"] = json!([first, second, pcrs]);
        question.trusted();
    }
}

/// Two members of the policy that each fit by half do not make one that fits.
#[test]
fn members_are_not_mixed() {
    let mut question = honest(Hardware::Tdx);
    let (mut strong, mut weak) = (question.policy.clone(), question.policy.clone());
    for member in [&mut strong, &mut weak] {
        member.as_object_mut().unwrap().remove("allow_simulated");
    }
    strong["paravisor"] = json!(["ee".repeat(48)]);
    weak["pcrs"]["4"] = json!(["ee".repeat(32)]);
    question.policy = json!({"any_of": [strong, weak], "allow_simulated": true});
    question.refused("MEASUREMENT_MISMATCH", "any_of[0].paravisor");
}

#[test]
fn a_simulators_root_needs_the_consent_of_the_policy() {
    for hardware in BOTH {
        honest(hardware).bent("TRUST_ANCHOR", "", |bent| bent.policy["allow_simulated"] = false.into());
        // Of one vendor alone it makes nobody trusted.
        honest(hardware)
            .bent("QUOTE_INVALID", "ak_certificate", |bent| bent.roots.retain(|(name, _)| *name != "microsoft"));
        let check = if hardware == Hardware::Tdx { "quote" } else { "chain" };
        honest(hardware).bent("QUOTE_INVALID", check, |bent| bent.roots.retain(|(name, _)| *name == "microsoft"));
    }
}
