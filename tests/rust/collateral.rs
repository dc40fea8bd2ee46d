//! The collateral service through the C ABI: who may make it ask, whom it asks, what it takes for an answer, and what it keeps.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hostile::{Options, Reply};
use simtee::guest::{answer, report_data};
use simtee::{Guest, SimTee};
use support::World;

/// `count` different kinds of machine.
fn fmspcs(count: u16) -> impl Iterator<Item = [u8; 6]> {
    (0..count).map(|n| [0x10, 0, 0, 0, n.to_be_bytes()[0], n.to_be_bytes()[1]])
}

/// A world whose server shows one after the other what `quotes` make of a guest that names its certificate, and of report data that are right.
fn showing(quotes: Vec<impl Fn(&Guest, &[u8; 64]) -> Vec<u8> + Send + Sync + 'static>, tee: SimTee) -> World {
    let turn = AtomicUsize::new(0);
    let behaviour = move |session: &hostile::Session| {
        let mut guest = session.guest.clone();
        guest.emit_certificate(&session.leaf);
        let make = &quotes[turn.fetch_add(1, Ordering::SeqCst)];
        let quote = make(&guest, &report_data(&session.nonce, &session.exporter));
        Reply::json(answer(&quote, &guest.log()).to_string().as_bytes())
    };
    World::of(tee, Options { behaviour: Arc::new(behaviour), raw_echo: true, ..Options::default() })
}

#[test]
fn quotes_that_no_platform_signed_fetch_nothing() {
    let stranger = SimTee::new();
    let quotes = fmspcs(200).map(|fmspc| {
        let (pck, pck_key, attestation_key) = stranger.machine(fmspc);
        let chain = format!("{pck}{}{}", stranger.pck_ca_pem, stranger.root_pem);
        move |guest: &Guest, data: &[u8; 64]| guest.quote_by(&attestation_key, &pck_key, &chain, data)
    });
    let world = showing(quotes.collect(), SimTee::new());
    for _ in 0..200 {
        let refusal = world.refused("QUOTE_INVALID");
        assert!(refusal.check == "quote" && refusal.message.contains("PCK chain"), "{refusal:?}");
    }
    assert_eq!(world.pccs.hits(""), 0);
}

#[test]
fn a_true_chain_above_signatures_that_are_not_fetches_nothing() {
    type Bend = fn(&mut Vec<u8>);
    let tee = SimTee::new();
    // Of a version 4 quote: version, vendor of the quoting enclave, body, signature, attestation key, report of the quoting enclave, its signature.
    let bends: Vec<(Bend, &str)> = vec![
        (|quote| quote[0] = 6, "version"),
        (|quote| quote[13] ^= 1, "vendor"),
        (|quote| quote[200] ^= 1, "body"),
        (|quote| quote[640] ^= 1, "body"),
        (|quote| quote[710] ^= 1, "vouch"),
        (|quote| quote[780] ^= 1, "PCK certificate's key"),
        (|quote| quote[1160] ^= 1, "PCK certificate's key"),
        (|quote| quote.truncate(1000), "cut short"),
    ];
    let (pck, pck_key, attestation_key) = tee.machine([7; 6]);
    let chain = format!("{pck}{}{}", tee.pck_ca_pem, tee.root_pem);
    let made = Arc::new(move |guest: &Guest, data: &[u8; 64]| guest.quote_by(&attestation_key, &pck_key, &chain, data));
    let quotes = bends.iter().map(|(bend, _)| {
        let (bend, made) = (*bend, made.clone());
        move |guest: &Guest, data: &[u8; 64]| {
            let mut quote = made(guest, data);
            bend(&mut quote);
            quote
        }
    });
    let world = showing(quotes.collect(), tee);
    for (_, why) in &bends {
        let refusal = world.refused("QUOTE_INVALID");
        assert!(refusal.message.contains(why), "{why}: {refusal:?}");
    }
    assert_eq!(world.pccs.hits(""), 0);
}

#[test]
fn collateral_sources() {
    let world = World::honest();
    let with = |change: &dyn Fn(&mut simtee::pccs::Knobs)| {
        world.pccs.set(|knobs| {
            *knobs = Default::default();
            change(knobs);
        });
    };
    let mut policy = world.policy.clone();
    policy["cache_collateral"] = false.into();
    with(&|knobs| knobs.fail = Some(500));
    let refusal = world.refused_with(&policy, "COLLATERAL_UNAVAILABLE");
    assert_eq!((refusal.phase.as_str(), refusal.http_status), ("collateral", 500));
    with(&|knobs| knobs.oversize = Some((1 << 20) + 1));
    world.refused_with(&policy, "COLLATERAL_UNAVAILABLE");
    with(&|knobs| knobs.oversize = Some(10));
    world.refused_with(&policy, "COLLATERAL_INVALID");
    with(&|knobs| knobs.no_chain = true);
    world.refused_with(&policy, "COLLATERAL_INVALID");
    with(&|knobs| (knobs.issue.issued, knobs.issue.expires) = (-40, -10));
    assert!(world.refused_with(&policy, "COLLATERAL_INVALID").message.contains("expired"));
    with(&|knobs| knobs.issue.issued = 1);
    assert!(world.refused_with(&policy, "COLLATERAL_INVALID").message.contains("after now"));
    with(&|knobs| knobs.issue.fmspc = [1; 6]);
    world.refused_with(&policy, "COLLATERAL_INVALID");
    let mut gone = policy.clone();
    gone["pccs_url"] = "http://127.0.0.1:1".into();
    world.refused_with(&gone, "COLLATERAL_UNAVAILABLE");
    // Several sources: the first that answers counts.
    with(&|_| ());
    gone.as_object_mut().unwrap().remove("pccs_url");
    gone["collateral"] = serde_json::json!({"sources": ["http://127.0.0.1:1", world.pccs.url]});
    assert!(world.connect_with(&gone, |_| ()).is_ok());
}

#[test]
fn collateral_that_rolls_back_after_newer_was_seen() {
    let world = World::honest();
    assert!(world.connect().is_ok());
    world.pccs.set(|knobs| knobs.issue.evaluation_number = 18);
    let mut policy = world.policy.clone();
    policy["cache_collateral"] = false.into();
    let refusal = world.refused_after(&policy, "COLLATERAL_INVALID");
    assert!(refusal.message.contains("rolled back"), "{refusal:?}");
}

#[test]
fn cached_collateral_outlives_its_source_but_not_its_date() {
    let world = World::honest();
    assert!(world.connect().is_ok());
    let hits = world.pccs.hits("");
    assert_eq!(hits, 4, "one request for each of four documents");
    world.pccs.set(|knobs| knobs.fail = Some(503));
    assert!(world.connect().is_ok());
    assert_eq!(world.pccs.hits(""), hits);
}

#[test]
fn a_stampede_fetches_each_document_once() {
    let world = World::honest();
    world.pccs.set(|knobs| knobs.delay = Duration::from_millis(100));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            let shared = &world;
            scope.spawn(move || assert!(shared.connect().is_ok()));
        }
    });
    assert_eq!(world.pccs.hits(""), 4);
}

#[test]
fn the_disk_cache_serves_the_next_process_and_remembers_what_was_seen() {
    use atls::capi::verifier::*;
    let world = World::honest();
    let folder = std::env::temp_dir().join(format!("atls-cache-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let path = std::ffi::CString::new(folder.to_str().unwrap()).unwrap();
    // Each verifier stands for a process.
    let attempt = |policy: &serde_json::Value| unsafe {
        let config = atls_verifier_config_new();
        let root = &world.tee.root_der;
        assert_eq!(atls_verifier_config_set_simulated_root(config, root.as_ptr(), root.len(), std::ptr::null_mut()), 0);
        assert_eq!(atls_verifier_config_set_disk_cache(config, path.as_ptr(), std::ptr::null_mut()), 0);
        let mut verifier = std::ptr::null_mut();
        assert_eq!(atls_verifier_new(config, &mut verifier, std::ptr::null_mut()), 0);
        atls_verifier_config_free(config);
        let add_root = |config| support::add_root(config, &world.tee.web_ca_pem);
        let done = support::open(world.server.port(), policy, verifier, add_root);
        atls_verifier_free(verifier);
        done
    };
    assert!(attempt(&world.policy).is_ok());
    assert_eq!(world.pccs.hits(""), 4);
    assert!(attempt(&world.policy).is_ok());
    assert_eq!(world.pccs.hits(""), 4, "from disk");
    let mut uncached = world.policy.clone();
    uncached["cache_collateral"] = false.into();
    world.pccs.set(|knobs| knobs.issue.evaluation_number = 18);
    assert!(attempt(&uncached).err().unwrap().message.contains("rolled back"));
    // Damaged files are skipped, not trusted and not fatal.
    world.pccs.set(|knobs| knobs.issue.evaluation_number = 19);
    for entry in std::fs::read_dir(&folder).unwrap() {
        std::fs::write(entry.unwrap().path(), b"{").unwrap();
    }
    assert!(attempt(&world.policy).is_ok());
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn bundles_travel() {
    use atls::capi::{bytes::*, verifier::*};
    let world = World::honest();
    assert!(world.connect().is_ok());
    let mut policy = world.policy.clone();
    policy["collateral"] = serde_json::json!({"offline": true});
    unsafe {
        let mut bundle = std::ptr::null_mut();
        assert_eq!(atls_verifier_export(world.verifier, &mut bundle, std::ptr::null_mut()), 0);
        let fresh = support::simulated_verifier(&world.tee.root_der);
        let attempt = |verifier| {
            support::open(world.server.port(), &policy, verifier, |config| {
                support::add_root(config, &world.tee.web_ca_pem)
            })
        };
        assert_eq!(attempt(fresh).err().unwrap().name, "COLLATERAL_UNAVAILABLE");
        let mut taken = 0;
        let (data, len) = (atls_buf_data(bundle), atls_buf_len(bundle));
        assert_eq!(atls_verifier_import(fresh, data, len - 1, &mut taken, std::ptr::null_mut()), 409);
        assert_eq!(atls_verifier_import(fresh, data, len, &mut taken, std::ptr::null_mut()), 0);
        assert_eq!(taken, 4);
        assert!(attempt(fresh).is_ok());
        assert_eq!(atls_verifier_import(fresh, data, len, &mut taken, std::ptr::null_mut()), 0);
        assert_eq!(taken, 0, "nothing newer");
        atls_buf_free(bundle);
        atls_verifier_free(fresh);
    }
}
