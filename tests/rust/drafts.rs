//! Drafts of policies: evidence satisfies the policy that is drafted from its own verdict, and other evidence does not.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use serde_json::{Value, json};
use simtee::azure::Vm;
use simtee::collateral::Issue;
use simtee::nitro::Document;
use simtee::nvidia::Nvidia;
use simtee::sgx::Enclave;
use simtee::snp::Product;
use simtee::{Guest, SimTee};
use support::azure_machine::{BOTH, Hardware, Parts};
use support::nvidia::{Composite, session_nonce};
use support::offline::{Question, honest, of_client};
use support::snp_guest::{Machine as Snp, with_vlek};
use support::{azure, azure_machine, enclave, nitro, snp};

/// A guest that is changed in one respect, and the check that must notice under the draft.
type Change<T> = (&'static str, &'static str, fn(&mut T));

#[test]
fn a_dstack_guest_is_pinned_by_boot_chain_and_application() {
    let (tee, guest) = (SimTee::new(), Guest::booted(2));
    let draft = honest(&tee, &guest).trusted().draft();
    assert_eq!(draft["type"], "dstack_tdx");
    let of = |guest: &Guest| Question { policy: draft.clone(), ..honest(&tee, guest) };
    of(&guest).trusted();
    let changes: [Change<Guest>; 9] = [
        ("mrtd", "bootchain", |guest| guest.mrtd[0] ^= 1),
        ("rtmr0", "bootchain", |guest| guest.events[0].digest = Some([9; 48])),
        ("rtmr1", "bootchain", |guest| guest.events[1].digest = Some([9; 48])),
        ("rtmr2", "bootchain", |guest| guest.events[2].digest = Some([9; 48])),
        ("attributes", "td_attributes", |guest| guest.td_attributes[3] ^= 0x40),
        ("compose-hash", "app_compose", |guest| guest.event_mut("compose-hash").payload[0] ^= 1),
        ("app-id", "app_id", |guest| guest.event_mut("app-id").payload[0] ^= 1),
        ("os-image-hash", "os_image_hash", |guest| guest.event_mut("os-image-hash").payload[0] ^= 1),
        ("key-provider", "key_provider", |guest| {
            guest.event_mut("key-provider").payload = b"{\"name\":\"x\"}".to_vec()
        }),
    ];
    for (what, check, change) in changes {
        let mut other = guest.clone();
        // Which says the same of application and keys, and is judged before them.
        other.mr_config_id = [0; 48];
        let draft = honest(&tee, &other).ask().draft();
        change(&mut other);
        let found = Question { policy: draft, ..honest(&tee, &other) }.ask();
        assert_eq!(found.check, check, "{what}: {found:?}");
    }
    let mut other = guest.clone();
    other.mr_config_id = [0; 48];
    of(&other).refused("MEASUREMENT_MISMATCH", "td_mr_config_id");
}

#[test]
fn a_log_that_is_not_the_quotes_gives_no_draft() {
    let (tee, guest) = (SimTee::new(), Guest::booted(1));
    let mut question = honest(&tee, &guest);
    let mut liar = guest.clone();
    liar.event_mut("compose-hash").payload[0] ^= 1;
    liar.emit_certificate(b"the server's certificate");
    question.log = Some(liar.log().to_string());
    let found = question.refused("EVENT_LOG_INVALID", "rtmr3");
    let refused = found.results.unwrap().draft.unwrap_err();
    assert!(refused.contains("not to be believed: rtmr3"), "{refused}");
}

#[test]
fn other_guests_in_trust_domains_are_pinned_by_all_registers() {
    let (tee, guest) = (SimTee::new(), Guest::booted(2));
    let bare = |guest: &Guest, policy: &Value| Question {
        log: None,
        policy: policy.clone(),
        ..of_client(&tee, guest, |_| ())
    };
    let nothing_fits = json!({"type": "tdx", "measurements": [{"mrtd": "11".repeat(48), "rtmr1": "22".repeat(48), "rtmr2": "22".repeat(48)}], "allow_simulated": true});
    let draft = bare(&guest, &nothing_fits).refused("MEASUREMENT_MISMATCH", "measurement").draft();
    let again = bare(&guest, &draft).trusted().draft();
    assert_eq!(again, draft, "a draft of the draft's verdict");
    let changes: [Change<Guest>; 7] = [
        ("mrtd", "measurement", |guest| guest.mrtd[0] ^= 1),
        ("rtmr0", "measurement", |guest| guest.events[0].digest = Some([9; 48])),
        ("rtmr1", "measurement", |guest| guest.events[1].digest = Some([9; 48])),
        ("rtmr2", "measurement", |guest| guest.events[2].digest = Some([9; 48])),
        ("rtmr3", "measurement", |guest| guest.event_mut("app-id").payload[0] ^= 1),
        ("attributes", "td_attributes", |guest| guest.td_attributes[3] ^= 0x40),
        ("mr_config_id", "td_mr_config_id", |guest| guest.mr_config_id[1] ^= 1),
    ];
    for (what, check, change) in changes {
        let mut other = guest.clone();
        change(&mut other);
        let found = bare(&other, &draft).ask();
        assert_eq!((found.status.as_str(), found.check.as_str()), ("MEASUREMENT_MISMATCH", check), "{what}: {found:?}");
    }
}

#[test]
fn what_its_host_can_look_into_gives_none() {
    let tee = SimTee::new();
    let mut guest = Guest::booted(2);
    guest.td_attributes[0] = 1;
    let mut question = honest(&tee, &guest);
    question.policy["td"] = json!({"allow_debug": true});
    let found = question.trusted();
    let refused = found.results.unwrap().draft.unwrap_err();
    assert!(refused.contains("look into"), "{refused}");
    let debug = Snp::new(Product::Genoa, 3).with(10, &[0x0b | 8]);
    let mut question = debug.honest();
    question.policy["guest_policy"] = json!({"allow_debug": true});
    let found = question.trusted();
    assert!(found.results.unwrap().draft.unwrap_err().contains("look into"));
    let machine = nitro::Machine::new();
    let mut question = machine.question(|document| document.pcrs[..3].iter_mut().for_each(|(_, value)| value.fill(0)));
    question.rest.policy["allow_debug"] = true.into();
    assert!(question.trusted().results.unwrap().draft.unwrap_err().contains("look into"));
}

#[test]
fn a_platform_that_is_revoked_gives_none() {
    let (tee, guest) = (SimTee::new(), Guest::booted(1));
    let issue = |status| Issue { status, ..Issue::default() };
    let collateral = tee.collateral_json(&issue("Revoked"));
    let dstack = || Question { collateral: collateral.clone(), ..honest(&tee, &guest) };
    let collateral_of_sgx = tee.sgx_collateral_json(&issue("Revoked"));
    let sgx = || Question { collateral: collateral_of_sgx.clone(), ..enclave::question(&tee, |_| ()) };
    for (question, accepted) in [(dstack(), "UpToDate"), (dstack(), "Revoked"), (sgx(), "UpToDate"), (sgx(), "Revoked")]
    {
        let refused = allowing(question, accepted).ask().results.unwrap().draft.unwrap_err();
        assert!(refused.contains("no policy can be drafted"), "{refused}");
    }
    // Any other status is in the draft by its name.
    let question = Question { collateral: tee.collateral_json(&issue("OutOfDate")), ..honest(&tee, &guest) };
    let draft = allowing(question, "OutOfDate").trusted().draft();
    assert_eq!(draft["allowed_tcb_status"], json!(["OutOfDate"]));
}

fn allowing(mut question: Question, status: &str) -> Question {
    question.policy["allowed_tcb_status"] = json!([status]);
    question
}

#[test]
fn a_guest_of_sev_snp_is_pinned_by_its_report() {
    for (product, version) in [(Product::Milan, 2), (Product::Milan, 3), (Product::Genoa, 5), (Product::Turin, 5)] {
        let machine = || Snp::new(product, version);
        let draft = machine().honest().trusted().draft();
        let under = |machine: Snp| snp::Question { policy: draft.clone(), ..machine.honest() };
        assert_eq!(under(machine()).trusted().draft(), draft, "a draft of the draft's verdict");
        for (at, check) in [
            (0x90, "measurement"),
            (0xc0, "host_data"),
            (0xe0, "id_key_digest"),
            (0x10, "family_id"),
            (0x20, "image_id"),
            (0x30, "vmpl"),
        ] {
            let value = machine().report[at] ^ 1;
            let found = under(machine().with(at, &[value])).ask();
            assert_eq!((found.status.as_str(), found.check.as_str()), ("MEASUREMENT_MISMATCH", check), "{found:?}");
        }
        // Migration, which no draft allows.
        let policy = machine().report[10] | 4;
        under(machine().with(10, &[policy])).refused("MEASUREMENT_MISMATCH", "guest_policy");
    }
    let vlek = || Snp::new(Product::Genoa, 3).with(0x48, &[1 << 2, 0, 0, 0]);
    let draft = with_vlek(vlek().honest()).trusted().draft();
    let policy = draft.clone();
    assert_eq!(snp::Question { policy, ..vlek().honest() }.trusted().draft(), draft);
    let other = snp::Question { policy: draft, ..Snp::new(Product::Genoa, 3).honest() };
    other.refused("TCB_REJECTED", "signing_key");
}

#[test]
fn documents_of_aws_are_pinned_by_all_registers() {
    let machine = nitro::Machine::new();
    type Make = fn(&nitro::Machine, &dyn Fn(&mut Document)) -> nitro::Question;
    let kinds: [(Make, u64); 2] =
        [(|machine, change| machine.question(change), 16), (|machine, change| machine.tpm_question(change), 24)];
    for (make, registers) in kinds {
        let draft = make(&machine, &|_| ()).trusted().draft();
        let under = |change: &dyn Fn(&mut Document)| {
            let mut question = make(&machine, change);
            question.rest.policy = draft.clone();
            question
        };
        assert_eq!(under(&|_| ()).trusted().draft(), draft, "a draft of the draft's verdict");
        for number in 0..registers {
            let found = under(&|document| document.pcrs[number as usize].1[0] ^= 0xa0).ask();
            assert_eq!(found.check, format!("pcr:{number}"), "{found:?}");
        }
    }
}

/// Another value in one register, and a quote of it.
fn set_register(parts: &mut Parts, number: usize) {
    let mut pcrs = parts.vm.pcrs;
    pcrs[number] = [0x77; 32];
    parts.pcrs[number.to_string()] = simtee::hex(&pcrs[number]).into();
    parts.attest.digest = simtee::azure::report_data(&pcrs.concat())[..32].to_vec();
}

#[test]
fn machines_of_azure_are_pinned_by_registers_paravisor_and_hardware() {
    for hardware in BOTH {
        let draft = azure_machine::honest(hardware).trusted().draft();
        let under = |change: &dyn Fn(&mut Parts)| azure::Question {
            policy: draft.clone(),
            ..azure_machine::question(hardware, change)
        };
        assert_eq!(under(&|_| ()).trusted().draft(), draft, "a draft of the draft's verdict");
        for number in 0..24 {
            let found = under(&|parts| set_register(parts, number)).ask();
            assert_eq!((found.status.as_str(), found.check), ("MEASUREMENT_MISMATCH", format!("pcr:{number}")));
        }
        let changed: [Change<Parts>; 3] = [
            ("secure boot", "vm_configuration", |parts| {
                parts.runtime["vm-configuration"]["secure-boot"] = false.into()
            }),
            ("a console", "vm_configuration", |parts| {
                parts.runtime["vm-configuration"]["console-enabled"] = true.into()
            }),
            ("no certificate", "ak_certificate", |parts| parts.certified = Vm::other()),
        ];
        for (what, check, change) in changed {
            assert_eq!(under(&change).ask().check, check, "{what}");
        }
    }
    let under = |hardware: Hardware, change: &dyn Fn(&mut Parts)| azure::Question {
        policy: azure_machine::honest(hardware).trusted().draft(),
        ..azure_machine::question(hardware, change)
    };
    let domains: [Change<Parts>; 3] = [
        ("mrtd", "paravisor", |parts| parts.td.mrtd[0] ^= 1),
        ("attributes", "td_attributes", |parts| parts.td.td_attributes[3] ^= 0x40),
        ("mr_config_id", "td_mr_config_id", |parts| parts.td.mr_config_id[1] ^= 1),
    ];
    let guests: [Change<Parts>; 5] = [
        ("measurement", "paravisor", |parts| parts.report[0x90] ^= 1),
        ("id_key_digest", "id_key_digest", |parts| parts.report[0xe0] ^= 1),
        ("family_id", "family_id", |parts| parts.report[0x10] ^= 1),
        ("image_id", "image_id", |parts| parts.report[0x20] ^= 1),
        ("migration", "guest_policy", |parts| parts.report[10] |= 4),
    ];
    let all = [(Hardware::Tdx, &domains[..]), (Hardware::Snp, &guests[..])];
    for (hardware, change) in all.into_iter().flat_map(|(hardware, list)| list.iter().map(move |one| (hardware, one))) {
        let (what, check, change) = change;
        let found = under(hardware, change).ask();
        assert_eq!(
            (found.status.as_str(), found.check.as_str()),
            ("MEASUREMENT_MISMATCH", *check),
            "{what}: {found:?}"
        );
    }
}

#[test]
fn a_tpms_certificate_that_was_not_looked_at_is_not_asked_for() {
    for hardware in BOTH {
        let mut question = azure_machine::honest(hardware);
        question.ak.clear();
        question.policy["ak_certificate"] = "off".into();
        question.policy["paravisor"] = json!([azure_machine::measurement(hardware)]);
        question.policy = question.trusted().draft();
        assert_eq!(question.policy["ak_certificate"], "off");
        question.trusted();
        // A report that was made for the session stays asked for.
        question.policy["fresh_report"] = true.into();
        assert_eq!(question.trusted().draft(), question.policy);
    }
}

#[test]
fn a_tpms_certificate_that_does_not_hold_is_not_given_up() {
    for hardware in BOTH {
        let mut question = azure_machine::question(hardware, |parts| parts.certified = Vm::other());
        let strict = question.policy.clone();
        let mut content = strict.clone();
        content["ak_certificate"] = "off".into();
        content["paravisor"] = json!(["77".repeat(48)]);
        // The second looks at no certificate, and knows the paravisor as another one.
        let member = |mut policy: Value| {
            policy.as_object_mut().unwrap().retain(|name, _| !["allow_simulated", "binding"].contains(&name.as_str()));
            policy
        };
        question.policy = json!({"any_of": [member(strict), member(content)], "allow_simulated": true});
        let found = question.ask();
        assert_ne!(found.verdict["measurements"], Value::Null, "{found:?}");
        let refused = found.results.unwrap().draft.unwrap_err();
        assert!(refused.contains("the certificate of the TPM's key does not hold"), "{refused}");
    }
}

#[test]
fn an_application_is_drafted_whichever_member_looked_for_it() {
    let (tee, guest) = (SimTee::new(), Guest::booted(2));
    let set = json!({"mrtd": "11".repeat(48), "rtmr1": "22".repeat(48), "rtmr2": "22".repeat(48)});
    let mut question = of_client(&tee, &guest, |_| ());
    question.policy = json!({"any_of": [
        {"type": "dstack_tdx", "disable_runtime_verification": true}, {"type": "tdx", "measurements": [set]},
    ], "allow_simulated": true});
    assert_eq!(question.ask().draft()["type"], "dstack_tdx");
}

#[test]
fn an_enclave_is_pinned_by_all_that_it_is() {
    let tee = SimTee::new();
    let draft = enclave::question(&tee, |_| ()).trusted().draft();
    let under = |change: fn(&mut Enclave)| Question { policy: draft.clone(), ..enclave::question(&tee, change) };
    assert_eq!(under(|_| ()).trusted().draft(), draft, "a draft of the draft's verdict");
    type Bend = fn(&mut Enclave);
    let changes: [(Bend, &str); 9] = [
        (|enclave| enclave.mr_enclave[0] ^= 1, "mr_enclave"),
        (|enclave| enclave.mr_signer[0] ^= 1, "mr_signer"),
        (|enclave| enclave.isv_prod_id ^= 1, "isv_prod_id"),
        (|enclave| enclave.isv_svn -= 1, "isv_svn"),
        (|enclave| enclave.config_id[0] ^= 1, "config_id"),
        (|enclave| enclave.isv_family_id[0] ^= 1, "isv_family_id"),
        (|enclave| enclave.isv_ext_prod_id[0] ^= 1, "isv_ext_prod_id"),
        (|enclave| enclave.attributes[8] ^= 4, "attributes"),
        (|enclave| enclave.attributes[0] |= 2, "debug"),
    ];
    for (change, check) in changes {
        let found = under(change).ask();
        assert_eq!((found.status.as_str(), found.check.as_str()), ("MEASUREMENT_MISMATCH", check), "{found:?}");
    }
    // The key by which platforms are told apart: a policy's owner may allow it, a draft does not.
    let mut question = enclave::question(&tee, |enclave| enclave.attributes[0] |= 0x10);
    question.policy["attributes"] =
        json!({"mask": format!("10{}", "00".repeat(15)), "value": format!("10{}", "00".repeat(15))});
    question.policy = question.trusted().draft();
    question.refused("MEASUREMENT_MISMATCH", "attributes");
}

#[test]
fn gpus_beside_a_machine_are_pinned_by_all_their_measurements() {
    let honest = Composite::honest();
    let draft = honest.trusted().draft();
    assert_eq!((&draft["type"], &draft["gpu"]["required"]), (&json!("nitro"), &json!(1)));
    let under = |mut question: Composite| {
        question.machine.rest.policy = draft.clone();
        question
    };
    let again = under(honest.clone()).trusted();
    assert_eq!(again.draft(), draft, "a draft of the draft's verdict");
    assert!(!again.verdict.to_string().contains("open_measurements"), "{again:?}");
    // 10 is zero in an honest report.
    for index in [1, 2, 10, 36, 64] {
        let found = under(Composite::bent(|report| {
            report.measurements[index - 1].1 = vec![0x77; 48];
            // The video decoder, whose measurement counts only then.
            *report.field(11) = vec![0xaa];
        }))
        .ask();
        assert_eq!((found.status.as_str(), found.check.as_str()), ("MEASUREMENT_MISMATCH", "nvidia[0].measurements"));
    }
    let mut alone = under(honest.clone());
    alone.attached = Value::Null;
    alone.refused("MEASUREMENT_MISMATCH", "gpu_count");
    // The way there, for one who knows nothing: the machine's own draft, and then GPUs as they are.
    let mut question = honest.clone();
    question.machine.rest.policy = draft.clone();
    question.machine.rest.policy["gpu"] = json!({"required": 1, "unmeasured": true});
    assert_eq!(question.trusted().draft(), draft);
    let two = ["1", "2"].map(|name| Nvidia::get().gpu(name).honest(&session_nonce()));
    let mut question = under(Composite::of(two.to_vec()));
    question.machine.rest.policy = question.trusted().draft();
    question.trusted();
    assert_eq!(question.gpu()["required"], 2);
    assert_eq!(question.gpu()["measurements"].as_array().unwrap().len(), 1, "one release on both");
}

#[test]
fn a_device_that_is_not_genuine_gives_no_draft() {
    let mut question = Composite::honest();
    *question.device(0) = Nvidia::weak().gpu("1").honest(&session_nonce());
    let found = question.refused("QUOTE_INVALID", "nvidia[0].chain");
    assert!(found.results.unwrap().draft.unwrap_err().contains("beside the machine's is not authentic"));
}

#[test]
fn an_age_that_was_accepted_stays_acceptable() {
    let machine = nitro::Machine::new();
    let mut question = machine.honest();
    question.rest.policy["max_age_s"] = 5000.into();
    question.rest.now += 4000;
    question.rest.policy = question.trusted().draft();
    question.trusted();
    question.rest.now += 10;
    question.refused("BINDING_MISMATCH", "timestamp");
}
