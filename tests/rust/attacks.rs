//! Attacks that must fail, each by name: servers and intermediaries that lie about what they are. Every test also holds that no byte
//! of the application's data was sent, and names the check that noticed.

mod support;

use std::sync::{Arc, Mutex};

use hostile::{Options, Reply, Server};
use simtee::SimTee;
use simtee::guest::{Guest, answer, report_data};
use support::{World, echo};

#[test]
fn the_truth_is_accepted_in_both_versions() {
    for version in [1, 2] {
        let options = Options { guest: Guest::booted(version), raw_echo: true, ..Options::default() };
        let world = World::new(options);
        let stream = world.connect().unwrap_or_else(|refusal| panic!("version {version}: {refusal:?}"));
        echo(&stream, b"to the enclave");
    }
}

#[test]
fn evidence_relayed_from_another_session() {
    // A man in the middle terminates TLS with a certificate that the client accepts, and fetches evidence from the real server with
    // the client's nonce over a session of its own.
    let world = World::lying(|session| {
        let mut guest = session.guest.clone();
        guest.emit_certificate(&session.leaf);
        let other_session = [0x77; 32];
        answer(&guest.quote(&session.tee, &report_data(&session.nonce, &other_session)), &guest.log())
            .to_string()
            .into()
    });
    assert_eq!(world.refused("BINDING_MISMATCH").check, "report_data");
}

#[test]
fn replayed_nonce() {
    let first: Arc<Mutex<Option<Vec<u8>>>> = Arc::default();
    let world = World::lying(move |session| first.lock().unwrap().get_or_insert_with(|| session.honest()).clone());
    assert!(world.connect().is_ok());
    assert_eq!(world.refused("BINDING_MISMATCH").check, "report_data");
}

#[test]
fn another_servers_evidence() {
    // Bound to this session, but by a TEE whose log is about another certificate.
    let world = World::lying(|session| {
        let mut guest = session.guest.clone();
        guest.emit_certificate(b"the certificate of another server");
        session.answer_for(&guest)
    });
    assert_eq!(world.refused("BINDING_MISMATCH").check, "certificate_event");
}

#[test]
fn no_certificate_event_at_all() {
    let world = World::lying(|session| session.answer_for(&session.guest));
    assert_eq!(world.refused("BINDING_MISMATCH").check, "certificate_event");
}

#[test]
fn an_older_certificate_event_does_not_count() {
    let world = World::lying(|session| {
        let mut guest = session.guest.clone();
        guest.emit_certificate(&session.leaf);
        guest.emit_certificate(b"a newer one");
        session.answer_for(&guest)
    });
    assert_eq!(world.refused("BINDING_MISMATCH").check, "certificate_event");
}

#[test]
fn wrong_compose() {
    let world = World::with_guest(|guest| {
        guest.event_mut("compose-hash").payload = vec![0xee; 32];
        guest.mr_config_id = [0; 48];
    });
    assert_eq!(world.refused("MEASUREMENT_MISMATCH").check, "app_compose");
}

#[test]
fn a_compose_hash_that_the_signed_configuration_denies() {
    let world = World::with_guest(|guest| guest.mr_config_id[1] ^= 1);
    assert_eq!(world.refused("MEASUREMENT_MISMATCH").check, "mr_config_id");
}

#[test]
fn wrong_bootchain() {
    let world = World::with_guest(|guest| guest.mrtd = [0xee; 48]);
    let refusal = world.refused("MEASUREMENT_MISMATCH");
    assert_eq!(refusal.check, "bootchain");
    assert!(refusal.message.contains("mrtd"), "{refusal:?}");
    let world = World::with_guest(|guest| guest.events[1].digest = Some([0xee; 48]));
    assert!(world.refused("MEASUREMENT_MISMATCH").message.contains("rtmr1"));
}

#[test]
fn wrong_os_image() {
    let world = World::with_guest(|guest| guest.event_mut("os-image-hash").payload = vec![0xee; 32]);
    assert_eq!(world.refused("MEASUREMENT_MISMATCH").check, "os_image_hash");
}

#[test]
fn debug_td() {
    // Debug, and each of the bits that let its host profile it.
    for bits in [0x01, 0x10, 0x20, 0x40] {
        let world = World::with_guest(|guest| guest.td_attributes[0] = bits);
        let refusal = world.refused("MEASUREMENT_MISMATCH");
        assert_eq!(refusal.check, "debug", "{refusal:?}");
        let mut policy = world.policy.clone();
        policy["td"] = serde_json::json!({"allow_debug": true});
        assert!(world.connect_with(&policy, |_| ()).is_ok());
    }
}

#[test]
fn revoked_platform() {
    let world = World::honest();
    world.pccs.set(|knobs| knobs.issue.revoke_platform = true);
    assert!(world.refused("TCB_REJECTED").message.contains("CertRevoked"));
    let world = World::honest();
    world.pccs.set(|knobs| knobs.issue.status = "Revoked");
    world.refused("TCB_REJECTED");
}

#[test]
fn tcb_status_that_the_policy_does_not_allow() {
    for status in ["OutOfDate", "SWHardeningNeeded", "ConfigurationNeeded"] {
        let world = World::honest();
        world.pccs.set(|knobs| {
            knobs.issue.status = status;
            knobs.issue.advisories = vec!["INTEL-SA-00001"];
        });
        assert_eq!(world.refused("TCB_REJECTED").check, "tcb_status");
        let mut policy = world.policy.clone();
        policy["allowed_tcb_status"] = serde_json::json!(["UpToDate", status]);
        assert!(world.connect_with(&policy, |_| ()).is_ok(), "{status}");
        policy["tcb"] = serde_json::json!({"rejected_advisories": ["INTEL-SA-00001"]});
        assert_eq!(world.refused_after(&policy, "TCB_REJECTED").check, "tcb_advisories");
    }
}

#[test]
fn grace_period_that_is_over() {
    let world = World::honest();
    world.pccs.set(|knobs| knobs.issue.status = "OutOfDate");
    let mut policy = world.policy.clone();
    policy["allowed_tcb_status"] = serde_json::json!(["UpToDate", "OutOfDate"]);
    policy["grace_period"] = (99 * 86_400).into();
    assert_eq!(world.refused_with(&policy, "TCB_REJECTED").check, "tcb_grace_period");
    policy["grace_period"] = (101 * 86_400).into();
    assert!(world.connect_with(&policy, |_| ()).is_ok());
}

#[test]
fn simulated_root_without_both_opt_ins() {
    let world = World::honest();
    let mut policy = world.policy.clone();
    policy["allow_simulated"] = false.into();
    world.refused_with(&policy, "TRUST_ANCHOR");
    // The policy alone does not help either: without the caller's root the quote must lead to the vendor's.
    let vendor = support::open(world.server.port(), &world.policy, std::ptr::null_mut(), |config| {
        support::add_root(config, &world.tee.web_ca_pem);
    });
    let refusal = vendor.err().expect("the simulator is not the vendor");
    assert!(["QUOTE_INVALID", "COLLATERAL_INVALID"].contains(&refusal.name.as_str()), "{refusal:?}");
}

#[test]
fn a_simulator_of_somebody_else() {
    let stranger = Arc::new(SimTee::new());
    let world = World::lying(move |session| {
        let mut guest = session.guest.clone();
        guest.emit_certificate(&session.leaf);
        let quote = guest.quote(&stranger, &report_data(&session.nonce, &session.exporter));
        answer(&quote, &guest.log()).to_string().into()
    });
    world.refused("QUOTE_INVALID");
}

#[test]
fn second_machine_of_one_fmspc_under_a_cache() {
    // Both are genuine: the second must be accepted, from the same collateral, by its own PCK chain.
    let tee = SimTee::new();
    let (pck, pck_key, attestation_key) = tee.sibling();
    let world = World::of(tee, Options { raw_echo: true, ..Options::default() });
    assert!(world.connect().is_ok());
    let hits = world.pccs.hits("");
    let behaviour = move |session: &hostile::Session| {
        let mut guest = session.guest.clone();
        guest.emit_certificate(&session.leaf);
        let chain = guest.chain(&session.tee, &pck);
        let quote = guest.quote_by(&attestation_key, &pck_key, &chain, &report_data(&session.nonce, &session.exporter));
        Reply::json(answer(&quote, &guest.log()).to_string().as_bytes())
    };
    let options = Options { behaviour: Arc::new(behaviour), raw_echo: true, ..Options::default() };
    let second = world.runtime.block_on(Server::start(world.tee.clone(), options));
    let stream = world.connect_to(second.port(), &world.policy, |_| ());
    echo(&stream.unwrap_or_else(|refusal| panic!("{refusal:?}")), b"second machine");
    assert_eq!(world.pccs.hits(""), hits, "the cache was used");
}

#[test]
fn a_quote_signed_by_another_machines_attestation_key() {
    let tee = SimTee::new();
    let (_, _, stolen) = tee.sibling();
    let options = Options {
        behaviour: Arc::new(move |session| {
            let mut guest = session.guest.clone();
            guest.emit_certificate(&session.leaf);
            let report = report_data(&session.nonce, &session.exporter);
            let mut quote = guest.quote(&session.tee, &report);
            // The signature is right, but the key is not the one that the quoting enclave vouched for.
            let other = guest.quote_by(&stolen, &session.tee.pck_key, "", &report);
            quote[636..764].copy_from_slice(&other[636..764]);
            Reply::json(answer(&quote, &guest.log()).to_string().as_bytes())
        }),
        ..Options::default()
    };
    World::of(tee, options).refused("QUOTE_INVALID");
}

#[test]
fn trailing_bytes_after_the_quote() {
    let world = World::lying(|session| {
        let mut guest = session.guest.clone();
        guest.emit_certificate(&session.leaf);
        let mut quote = guest.quote(&session.tee, &report_data(&session.nonce, &session.exporter));
        quote.extend_from_slice(b"rider");
        answer(&quote, &guest.log()).to_string().into()
    });
    assert!(world.refused("QUOTE_INVALID").message.contains("only zeros may follow"));
}

#[test]
fn empty_short_or_omitted_report_data() {
    for report in [[0u8; 64], report_data(&[], &[]), report_data(&[0; 32], &[])] {
        let world = World::lying(move |session| {
            let mut guest = session.guest.clone();
            guest.emit_certificate(&session.leaf);
            answer(&guest.quote(&session.tee, &report), &guest.log()).to_string().into()
        });
        assert_eq!(world.refused("BINDING_MISMATCH").check, "report_data");
    }
    // Half of it right is not right.
    let world = World::lying(|session| {
        let mut guest = session.guest.clone();
        guest.emit_certificate(&session.leaf);
        let mut report = report_data(&session.nonce, &session.exporter);
        report[32..].fill(0);
        answer(&guest.quote(&session.tee, &report), &guest.log()).to_string().into()
    });
    assert_eq!(world.refused("BINDING_MISMATCH").check, "report_data");
}

#[test]
fn a_policy_with_nothing_in_it() {
    let world = World::honest();
    for policy in ["{}", "{\"type\":\"dstack_tdx\"}", "{\"any_of\":[]}", "null"] {
        let policy: serde_json::Value = serde_json::from_str(policy).unwrap();
        world.refused_with(&policy, "POLICY_INVALID");
    }
    assert_eq!(world.server.connections.load(std::sync::atomic::Ordering::SeqCst), 0, "no socket is opened for it");
}

#[test]
fn tcb_info_of_another_pceid() {
    let world = World::honest();
    world.pccs.set(|knobs| knobs.issue.pce_id = [1, 0]);
    let message = world.refused("COLLATERAL_INVALID").message;
    assert!(message.contains("TCB info: for PCEID \"0100\""), "{message}");
    // And where it came from.
    assert!(message.contains(&format!("(from {})", world.pccs.url)), "{message}");
}

#[test]
fn a_bad_quote_does_not_flush_good_collateral() {
    let world = World::lying(|session| {
        let mut document: serde_json::Value = serde_json::from_slice(&session.honest()).unwrap();
        if session.count == 1 {
            let quote = document["quote"]["quote"].as_str().unwrap().replacen(&"11".repeat(48), &"12".repeat(48), 1);
            document["quote"]["quote"] = quote.into();
        }
        document.to_string().into()
    });
    assert!(world.connect().is_ok());
    let hits = world.pccs.hits("");
    world.refused("QUOTE_INVALID");
    assert!(world.connect().is_ok());
    assert_eq!(world.pccs.hits(""), hits);
}

/// Every rule of a policy beyond the basic ones: a value that this guest satisfies, one that it does not, and the check that says so.
#[test]
fn each_further_rule_is_enforced() {
    let world = World::honest();
    let compose = simtee::hex(
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, simtee::guest::APP_COMPOSE.as_bytes()).as_ref(),
    );
    let app_id = compose[..40].to_owned();
    let (ff, aa, bb) = ("ff".repeat(8), "aa".repeat(16), "bb".repeat(16));
    let masked = |value: &str| serde_json::json!({"mask": ff, "value": value});
    for (path, good, bad, check) in [
        ("td/attributes", masked("0000001000000000"), masked("0100001000000000"), "td_attributes"),
        ("td/xfam", masked("e702060000000000"), masked("e702060000000001"), "xfam"),
        ("td/mr_seam", serde_json::json!(["22".repeat(48)]), serde_json::json!(["00".repeat(48)]), "mr_seam"),
        ("td/mr_owner", serde_json::json!(["00".repeat(48)]), serde_json::json!(["22".repeat(48)]), "mr_owner"),
        ("tcb/min_evaluation_number", 19.into(), 20.into(), "tcb_evaluation"),
        ("tcb/allow_smt", true.into(), false.into(), "smt"),
        ("tcb/allow_cached_keys", true.into(), false.into(), "cached_keys"),
        ("tcb/allow_dynamic_platform", true.into(), false.into(), "dynamic_platform"),
        ("hardware/allowed_ppid", serde_json::json!([aa]), serde_json::json!([bb]), "hardware_ppid"),
        ("hardware/denied_ppid", serde_json::json!([bb]), serde_json::json!([aa]), "hardware_denied"),
        ("hardware/allowed_platform_instance", serde_json::json!([bb]), serde_json::json!([aa]), "hardware_instance"),
        ("app_id", serde_json::json!([app_id]), serde_json::json!(["00".repeat(20)]), "app_id"),
        ("key_provider/name", "kms".into(), "local".into(), "key_provider"),
        (
            "events",
            serde_json::json!([{"name": "storage-fs"}]),
            serde_json::json!([{"name": "storage-fs", "count": 2}]),
            "event:storage-fs",
        ),
    ] {
        let with = |value: &serde_json::Value| {
            let mut policy = world.policy.clone();
            match path.split_once('/') {
                Some((group, field)) => policy[group] = serde_json::json!({field: value}),
                None => policy[path] = value.clone(),
            }
            policy
        };
        assert!(world.connect_with(&with(&good), |_| ()).is_ok(), "{path}");
        assert_eq!(world.refused_after(&with(&bad), "MEASUREMENT_MISMATCH|TCB_REJECTED").check, check);
    }
    let mut pinned = world.policy.clone();
    pinned["identity"] = serde_json::json!({"spki_sha256": ["00".repeat(32)]});
    assert_eq!(world.refused_after(&pinned, "BINDING_MISMATCH").check, "spki");
    let mut required = World::with_guest(|guest| guest.mr_config_id = [0; 48]);
    required.policy["require_mr_config_id"] = true.into();
    assert_eq!(required.refused("MEASUREMENT_MISMATCH").check, "mr_config_id");
}
