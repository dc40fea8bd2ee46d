//! The collateral service through the C ABI: who may make it ask, whom it asks, how often, and what it takes for an answer.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::abi::*;

use hostile::{Options, Reply};
use simtee::guest::{answer, report_data};
use simtee::pccs::{Knobs, Pccs};
use simtee::{Guest, SimTee};
use support::{Refusal, Stream, World};

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
fn a_genuine_quote_that_belongs_to_another_session_fetches_nothing() {
    let tee = SimTee::new();
    let quotes = fmspcs(50).map(|fmspc| {
        let (pck, pck_key, attestation_key) = tee.machine(fmspc);
        let chain = format!("{pck}{}{}", tee.pck_ca_pem, tee.root_pem);
        move |guest: &Guest, _: &[u8; 64]| guest.quote_by(&attestation_key, &pck_key, &chain, &[7; 64])
    });
    let world = showing(quotes.collect(), tee);
    for _ in 0..50 {
        assert_eq!(world.refused("BINDING_MISMATCH").check, "report_data");
    }
    assert_eq!(world.pccs.hits(""), 0);
}

/// Another service with the same vendor's documents.
fn mirror(world: &World, change: impl FnOnce(&mut Knobs)) -> Pccs {
    let pccs = world.runtime.block_on(Pccs::start(world.tee.clone()));
    pccs.set(change);
    pccs
}

fn from(world: &World, sources: &[&str]) -> serde_json::Value {
    let mut policy = world.policy.clone();
    policy.as_object_mut().unwrap().remove("pccs_url");
    policy["collateral"] = serde_json::json!({"sources": sources});
    policy
}

/// Connects with a verifier that knows nothing.
fn fresh(world: &World, policy: &serde_json::Value) -> Result<Stream, Refusal> {
    let verifier = support::simulated_verifier(&world.tee.root_der);
    let add_root = |config| support::add_root(config, &world.tee.web_ca_pem);
    let done = support::open(world.server.port(), policy, verifier, add_root);
    unsafe { support::abi::atls_verifier_free(verifier) };
    done
}

const BAD: &str = "COLLATERAL_INVALID";
const GONE: &str = "COLLATERAL_UNAVAILABLE";

/// What is wrong with a source's answers, the status, and what the error says of it.
type Fault = (fn(&mut Knobs), &'static str, &'static str);

fn faults() -> Vec<Fault> {
    vec![
        (|knobs| knobs.fail = Some(500), GONE, "status 500"),
        (|knobs| knobs.oversize = Some((1 << 20) + 1), GONE, "longer than 1048576 bytes"),
        (|knobs| knobs.oversize = Some(10), BAD, "CRL: "),
        (|knobs| knobs.no_chain = true, BAD, "no issuer chain"),
        (|knobs| (knobs.issue.issued, knobs.issue.expires) = (-40, -10), BAD, "expired"),
        (|knobs| knobs.issue.issued = 1, BAD, "after now"),
        (|knobs| (knobs.issue.crl_issued, knobs.issue.crl_expires) = (-40, -10), BAD, "root_crl"),
        (|knobs| knobs.issue.fmspc = [1; 6], BAD, "it is about \"TDX\" \"010101010101\""),
        (|knobs| knobs.issue.tamper = true, BAD, "signature is not the signer's"),
        (|knobs| knobs.impostor = Some("/tcb?"), BAD, "does not lead to the vendor's root"),
        (|knobs| knobs.impostor = Some("/qe/identity"), BAD, "does not lead to the vendor's root"),
        (|knobs| knobs.impostor = Some("/pckcrl"), BAD, "not signed by the vendor's root"),
        (|knobs| knobs.impostor = Some("/rootcacrl"), BAD, "not signed by its issuer"),
        (|knobs| knobs.issue.revoke_tcb_signer = true, BAD, "revocation list"),
    ]
}

#[test]
fn a_bad_source_does_not_spoil_the_good_ones() {
    let world = World::honest();
    for (fault, status, why) in faults() {
        let bad = mirror(&world, fault);
        let refusal = fresh(&world, &from(&world, &[&bad.url])).err().expect(why);
        assert_eq!((refusal.name.as_str(), refusal.phase.as_str()), (status, "collateral"), "{refusal:?}");
        assert!(refusal.message.contains(&format!("{}: ", bad.url)) && refusal.message.contains(why), "{refusal:?}");
        if why != "revocation list" {
            let done = fresh(&world, &from(&world, &["http://127.0.0.1:1", &bad.url, &world.pccs.url]));
            assert!(done.is_ok(), "{why}: {:?}", done.err());
        }
    }
}

#[test]
fn a_search_that_failed_says_of_each_source_what_was_wrong() {
    let world = World::honest();
    let (gone, forged) =
        (mirror(&world, |knobs| knobs.fail = Some(404)), mirror(&world, |knobs| knobs.impostor = Some("/rootcacrl")));
    let refusal = fresh(&world, &from(&world, &[&forged.url, "http://127.0.0.1:1", &gone.url])).err().unwrap();
    let wanted = [&forged.url, "not signed by its issuer", "http://127.0.0.1:1: ", "refused", &gone.url, "status 404"];
    let places: Vec<_> = wanted.iter().map(|part| refusal.message.find(*part)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{refusal:?}");
    // One was not to be had: asking again may help.
    assert_eq!(refusal.name, GONE);
}

#[test]
fn mirrors_of_different_age_are_no_roll_back() {
    for cached in [true, false] {
        let world = World::honest();
        let older = mirror(&world, |knobs| {
            knobs.issue.evaluation_number = 18;
            knobs.issue.crl_number = 4;
            (knobs.issue.issued, knobs.issue.crl_issued) = (-2, -2);
        });
        let with = |sources: &[&str], least: u64| {
            let mut policy = from(&world, sources);
            policy["cache_collateral"] = cached.into();
            policy["tcb"] = serde_json::json!({"min_evaluation_number": least});
            world.connect_with(&policy, |_| ())
        };
        // Each is somebody's own source, and then behind nothing that counts.
        for _ in 0..2 {
            assert!(with(&[&world.pccs.url], 19).is_ok());
            assert!(with(&[&older.url], 18).is_ok());
            assert_eq!(with(&[&older.url], 19).err().unwrap().check, "tcb_evaluation");
        }
        // Where both count, the newer one does, whichever answers.
        world.pccs.set(|knobs| knobs.fail = Some(500));
        assert!(with(&[&world.pccs.url, &older.url], 19).is_ok());
    }
}

#[test]
fn a_document_is_not_used_after_a_newer_one_was_seen() {
    // Nothing that could be used in its place: the newer ones are past their date.
    let world = World::honest();
    let issue = simtee::collateral::Issue { issued: -40, expires: -10, evaluation_number: 20, ..Default::default() };
    let object = serde_json::json!({
        "name": "tcb_info/514D54454500/standard", "body": simtee::hex(world.tee.tcb_info(&issue).as_bytes()),
        "chain": world.tee.tcb_chain(), "fetched": 0});
    let bundle = serde_json::json!({"atls_collateral_bundle": 1, "objects": [object]}).to_string();
    let mut taken = 0;
    let done = unsafe {
        use support::abi::atls_verifier_import as import;
        import(world.verifier, atls_bytes { ptr: bundle.as_ptr(), len: bundle.len() }, &mut taken, std::ptr::null_mut())
    };
    assert_eq!((done, taken), (0, 1));
    assert!(world.refused(BAD).message.contains("number 19 issued"));
}

#[test]
fn what_only_another_policys_source_said_does_not_count() {
    let world = World::honest();
    let own = mirror(&world, |knobs| knobs.fail = Some(500));
    assert!(world.connect().is_ok());
    world.refused_after(&from(&world, &[&own.url]), GONE);
    let mut offline = from(&world, &[&own.url]);
    offline["collateral"]["offline"] = true.into();
    world.refused_after(&offline, GONE);
    // Without sources of its own a policy takes what is there.
    offline["collateral"].as_object_mut().unwrap().remove("sources");
    assert!(world.connect_with(&offline, |_| ()).is_ok());
}

#[test]
fn a_bad_answer_is_remembered_for_a_while() {
    let world = World::honest();
    world.pccs.set(|knobs| knobs.fail = Some(404));
    for round in 0..10 {
        assert_eq!(world.refused(GONE).message.contains("s ago"), round > 0);
    }
    assert_eq!(world.pccs.hits(""), 1);
    // That of one source is not that of another, and not having reached one is no answer.
    let other = mirror(&world, |_| ());
    assert!(world.connect_with(&from(&world, &[&world.pccs.url, &other.url]), |_| ()).is_ok());
    assert_eq!(world.pccs.hits(""), 4, "the other three were not known");
}

#[test]
fn a_source_that_asks_to_be_left_alone_is() {
    let world = World::honest();
    world.pccs.set(|knobs| (knobs.fail, knobs.retry_after) = (Some(429), Some("1")));
    assert_eq!(world.refused(GONE).http_status, 429);
    world.pccs.set(|knobs| knobs.fail = None);
    for _ in 0..10 {
        assert!(world.refused(GONE).message.contains("left alone"));
    }
    assert_eq!(world.pccs.hits(""), 1);
    std::thread::sleep(Duration::from_millis(1100));
    assert!(world.connect().is_ok(), "after the time that it asked for");
}

#[test]
fn genuine_platforms_of_many_kinds_have_one_request_each() {
    let tee = SimTee::new();
    let quotes = fmspcs(20).flat_map(|fmspc| {
        let machine = Arc::new(tee.machine(fmspc));
        let chain = format!("{}{}{}", machine.0, tee.pck_ca_pem, tee.root_pem);
        std::iter::repeat_n((machine, chain), 2)
    });
    let quotes: Vec<_> = quotes.collect();
    let make = |(machine, chain): (Arc<(String, _, _)>, String)| {
        move |guest: &Guest, data: &[u8; 64]| guest.quote_by(&machine.2, &machine.1, &chain, data)
    };
    let world = showing(quotes.into_iter().map(make).collect(), tee);
    world.pccs.set(|knobs| knobs.any_kind = true);
    for _ in 0..40 {
        let done = world.connect();
        assert!(done.is_ok(), "{:?}", done.err());
    }
    assert_eq!((world.pccs.hits("/tcb?"), world.pccs.hits("")), (20, 23));
}

#[test]
fn who_waits_for_an_answer_does_not_ask_again() {
    // Even where each connection wants to know anew.
    let world = World::honest();
    world.pccs.set(|knobs| knobs.delay = Duration::from_millis(200));
    let mut policy = world.policy.clone();
    policy["cache_collateral"] = false.into();
    let (shared, policy, barrier) = (&world, &policy, &std::sync::Barrier::new(16));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(move || {
                barrier.wait();
                assert!(shared.connect_with(policy, |_| ()).is_ok());
            });
        }
    });
    assert!(world.pccs.hits("") <= 16, "{}", world.pccs.hits(""));
    let hits = world.pccs.hits("");
    assert!(world.connect_with(policy, |_| ()).is_ok());
    assert_eq!(world.pccs.hits(""), hits + 4);
}

#[test]
fn a_platform_whose_ca_was_revoked() {
    let world = World::honest();
    world.pccs.set(|knobs| knobs.issue.revoke_pck_ca = true);
    assert_eq!(world.refused("TCB_REJECTED|QUOTE_INVALID").check, "quote");
}

#[test]
fn a_signer_that_is_revoked_meanwhile_does_not_count_although_it_is_kept() {
    let world = World::honest();
    assert!(world.connect().is_ok());
    let renewed = mirror(&world, |knobs| {
        knobs.issue.revoke_tcb_signer = true;
        knobs.issue.crl_number = 6;
    });
    // The kept documents are of a source that counts, and so is the new list.
    let policy = from(&world, &[&renewed.url, &world.pccs.url]);
    let mut uncached = policy.clone();
    uncached["cache_collateral"] = false.into();
    assert!(world.refused_after(&uncached, BAD).message.contains("revocation list"));
    // Before any appraisal: what a source with another signer had to say would count.
    let refusal = world.refused_after(&policy, BAD);
    assert!(refusal.phase == "collateral" && refusal.message.contains("revocation list"), "{refusal:?}");
}

#[test]
fn a_source_that_has_nothing_newer_yet_is_not_asked_by_every_connection() {
    let world = World::honest();
    // Two hours before their date it is time for newer ones.
    world.pccs.set(|knobs| (knobs.issue.expires, knobs.issue.expires_earlier) = (1, 22));
    for _ in 0..5 {
        assert!(world.connect().is_ok());
    }
    assert_eq!(world.pccs.hits(""), 4);
}
