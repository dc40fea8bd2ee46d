//! What a verifier keeps, through the C ABI: in memory, as a bundle, on disk, and for how long.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use std::ptr::null_mut;
use std::time::Duration;

use serde_json::{Value, json};
use support::abi::*;
use support::{Refusal, Stream, World};

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
fn bundles_travel() {
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
        assert_eq!(
            atls_verifier_import(fresh, atls_bytes { ptr: data, len: len - 1 }, &mut taken, std::ptr::null_mut()),
            409
        );
        assert_eq!(atls_verifier_import(fresh, atls_bytes { ptr: data, len }, &mut taken, std::ptr::null_mut()), 0);
        assert_eq!(taken, 4);
        assert!(attempt(fresh).is_ok());
        assert_eq!(atls_verifier_import(fresh, atls_bytes { ptr: data, len }, &mut taken, std::ptr::null_mut()), 0);
        assert_eq!(taken, 0, "nothing newer");
        atls_buf_free(bundle);
        atls_verifier_free(fresh);
    }
}

/// What a verifier keeps, as a bundle.
fn bundle(verifier: *const atls_verifier) -> Value {
    unsafe {
        let mut buffer = null_mut();
        assert_eq!(atls_verifier_export(verifier, &mut buffer, null_mut()), 0);
        let text = std::slice::from_raw_parts(atls_buf_data(buffer), atls_buf_len(buffer)).to_vec();
        atls_buf_free(buffer);
        serde_json::from_slice(&text).unwrap()
    }
}

/// Takes `bundle` into a verifier that knows nothing, and connects with it.
fn with_bundle(world: &World, bundle: &Value, policy: &Value) -> Result<Stream, Refusal> {
    let verifier = support::simulated_verifier(&world.tee.root_der);
    let text = bundle.to_string();
    assert_eq!(
        unsafe {
            atls_verifier_import(verifier, atls_bytes { ptr: text.as_ptr(), len: text.len() }, null_mut(), null_mut())
        },
        0
    );
    let done =
        support::open(world.server.port(), policy, verifier, |config| support::add_root(config, &world.tee.web_ca_pem));
    unsafe { atls_verifier_free(verifier) };
    done
}

#[test]
fn a_document_fetched_longer_ago_than_the_policy_allows_is_not_used() {
    let world = World::honest();
    assert!(world.connect().is_ok());
    let mut bundle = bundle(world.verifier);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut aged = |by: i64| {
        for object in bundle["objects"].as_array_mut().unwrap() {
            object["fetched"] = now.checked_sub_signed(by).unwrap().into();
        }
        bundle.clone()
    };
    let (hour_old, from_the_future) = (aged(3600), aged(-3600));
    let policy = |limit: u64, offline: bool| {
        let mut policy = world.policy.clone();
        policy["collateral"] = json!({"offline": offline, "max_age_s": limit});
        policy
    };
    assert!(with_bundle(&world, &hour_old, &policy(4000, true)).is_ok());
    assert_eq!(with_bundle(&world, &hour_old, &policy(3500, true)).err().unwrap().name, "COLLATERAL_UNAVAILABLE");
    assert!(with_bundle(&world, &from_the_future, &policy(4000, true)).is_err());
    let hits = world.pccs.hits("");
    assert!(with_bundle(&world, &hour_old, &policy(4000, false)).is_ok());
    assert_eq!(world.pccs.hits(""), hits);
    assert!(with_bundle(&world, &hour_old, &policy(3500, false)).is_ok());
    assert_eq!(world.pccs.hits(""), hits + 4, "asked for anew");
}

#[test]
fn a_bundle_with_a_document_that_the_vendor_did_not_sign_changes_nothing() {
    let world = World::honest();
    assert!(world.connect().is_ok());
    let good = bundle(world.verifier);
    let other = World::honest();
    assert!(other.connect().is_ok());
    for index in 0..4 {
        let mut bad = good.clone();
        bad["objects"][index] = bundle(other.verifier)["objects"][index].clone();
        let (text, verifier) = (bad.to_string(), support::simulated_verifier(&world.tee.root_der));
        let done = unsafe {
            atls_verifier_import(verifier, atls_bytes { ptr: text.as_ptr(), len: text.len() }, null_mut(), null_mut())
        };
        assert_eq!((done, bundle(verifier)["objects"].as_array().unwrap().len()), (409, 0), "{index}");
        unsafe { atls_verifier_free(verifier) };
    }
}
