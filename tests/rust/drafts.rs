//! Drafts of policies: evidence satisfies the policy that is drafted from its own verdict, and other evidence does not.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use serde_json::{Value, json};
use simtee::nitro::Document;
use simtee::snp::Product;
use simtee::{Guest, SimTee};
use support::offline::{Question, honest, of_client};
use support::snp_guest::{Machine as Snp, with_vlek};
use support::{nitro, snp};

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
fn a_log_that_is_not_the_quotes_gives_no_application() {
    let (tee, guest) = (SimTee::new(), Guest::booted(1));
    let mut question = honest(&tee, &guest);
    let mut liar = guest.clone();
    liar.event_mut("compose-hash").payload[0] ^= 1;
    liar.emit_certificate(b"the server's certificate");
    question.log = Some(liar.log().to_string());
    let draft = question.refused("EVENT_LOG_INVALID", "rtmr3").draft();
    assert_eq!(draft["type"], "tdx");
    assert_eq!(draft["app_compose_hash"], Value::Null);
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
