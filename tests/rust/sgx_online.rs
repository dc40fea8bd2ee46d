//! Servers in SGX enclaves, asked by exporter-v1: true ones, and ones that lie.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use std::sync::atomic::Ordering;

use hostile::Session;
use serde_json::{Value, json};
use simtee::collateral::Issue;
use simtee::sgx::Enclave;
use simtee::{Guest, hex};
use support::{World, echo};

const CODE: [u8; 2] = [0, 3];

/// A server in an enclave that `change` has bent before its quote is made, as well as the answer around it.
fn lying(change: impl Fn(&Session, &mut Enclave, &mut Value) + Send + Sync + 'static) -> World {
    let mut world = World::lying(move |session| {
        let (mut enclave, binder) = (Enclave::new(), session.binder().report_data_of(CODE));
        let mut answer = json!({"protocol": "exporter-v1", "role": "S", "tee": "sgx", "challenge": null});
        change(session, &mut enclave, &mut answer);
        if answer["evidence"].is_null() {
            answer["evidence"] = json!({"quote": hex(&enclave.quote(&session.tee, &binder))});
        }
        answer.to_string().into_bytes()
    });
    world.policy = Enclave::new().policy(&world.pccs.url);
    world
}

fn quoted(session: &Session, report_data: &[u8; 64], answer: &mut Value) {
    answer["evidence"] = json!({"quote": hex(&Enclave::new().quote(&session.tee, report_data))});
}

#[track_caller]
fn refused(world: &World, status: &str, check: &str) {
    let refusal = world.refused(status);
    assert_eq!(refusal.check, check, "{refusal:?}");
}

#[test]
fn an_enclave_is_trusted_by_documents_about_enclaves() {
    let world = lying(|_, _, _| ());
    let stream = world.connect().unwrap_or_else(|refusal| panic!("{refusal:?}"));
    echo(&stream, b"to the enclave");
    assert!(world.server.recorded.lock().unwrap()[0].starts_with(b"POST /atls/exporter-v1 HTTP/1.1\r\n"));
    for part in [
        "/sgx/certification/v4/tcb?fmspc=514D54454500&update=standard",
        "/sgx/certification/v4/qe/identity?update=standard",
    ] {
        assert_eq!(world.pccs.hits(part), 1, "{part}");
    }
    assert_eq!(world.pccs.hits("/tdx/"), 0);
    drop(world.connect().unwrap_or_else(|refusal| panic!("{refusal:?}")));
    assert_eq!(world.pccs.hits("/sgx/certification/v4/tcb"), 1, "they are kept");
}

#[test]
fn one_policy_for_enclaves_and_trust_domains() {
    let world = lying(|_, _, _| ());
    let tdx = json!({"type": "dstack_tdx", "disable_runtime_verification": true});
    let sgx = json!({"type": "sgx", "mr_enclave": [hex(&Enclave::new().mr_enclave)]});
    let mut fleet = json!({"any_of": [tdx, sgx], "allow_simulated": true, "collateral": {"sources": [world.pccs.url]}});
    let stream = world.connect_with(&fleet, |_| ()).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    echo(&stream, b"to the enclave");
    fleet["any_of"][1]["mr_enclave"] = json!(["00".repeat(32)]);
    let refusal = world.refused_after(&fleet, "MEASUREMENT_MISMATCH");
    assert_eq!(refusal.check, "any_of[1].mr_enclave");
}

#[test]
fn lies_are_noticed_before_data_is_sent() {
    refused(&lying(|_, enclave, _| enclave.attributes[0] |= 2), "MEASUREMENT_MISMATCH", "debug");
    refused(&lying(|_, enclave, _| enclave.attributes[0] |= 0x10), "MEASUREMENT_MISMATCH", "attributes");
    refused(&lying(|_, enclave, _| enclave.mr_enclave[0] ^= 1), "MEASUREMENT_MISMATCH", "mr_enclave");
    let mut old = lying(|_, enclave, _| enclave.isv_svn = 2);
    old.policy["min_isv_svn"] = 3.into();
    refused(&old, "MEASUREMENT_MISMATCH", "isv_svn");
    let of_tdx = |session: &Session, _: &mut Enclave, answer: &mut Value| {
        quoted(session, &session.binder().report_data_of([0, 1]), answer);
    };
    refused(&lying(of_tdx), "BINDING_MISMATCH", "report_data");
    let domain = |session: &Session, _: &mut Enclave, answer: &mut Value| {
        let quote = Guest::booted(2).quote(&session.tee, &session.binder().report_data_of(CODE));
        answer["evidence"] = json!({"quote": hex(&quote)});
    };
    refused(&lying(domain), "QUOTE_INVALID", "quote");
    // Under another kind's name, of a kind that was not asked for, and in no form.
    refused(&lying(|_, _, answer| answer["tee"] = "tdx".into()), "EVIDENCE_INVALID", "");
    refused(&lying(|_, _, answer| answer["tee"] = "SGX".into()), "EVIDENCE_INVALID", "");
    refused(&lying(|_, _, answer| answer["evidence"] = json!({"quote": "AAAA=="})), "EVIDENCE_INVALID", "");
}

#[test]
fn nothing_is_fetched_for_a_quote_of_another_session_or_platform() {
    let replayed = lying(|session, _, answer| quoted(session, &[7; 64], answer));
    refused(&replayed, "BINDING_MISMATCH", "report_data");
    assert_eq!(replayed.pccs.hits(""), 0);
    let elsewhere = lying(|session, _, answer| {
        let report_data = session.binder().report_data_of(CODE);
        let quote = Enclave::new().quote(&simtee::SimTee::new(), &report_data);
        answer["evidence"] = json!({"quote": hex(&quote)});
    });
    refused(&elsewhere, "QUOTE_INVALID", "quote");
    assert_eq!(elsewhere.pccs.hits(""), 0);
}

#[test]
fn documents_that_do_not_come_or_lie() {
    let with = |change: fn(&mut simtee::pccs::Knobs)| {
        let world = lying(|_, _, _| ());
        world.pccs.set(change);
        world
    };
    with(|knobs| knobs.fail = Some(500)).refused("COLLATERAL_UNAVAILABLE");
    with(|knobs| knobs.impostor = Some("/sgx/certification/v4/tcb")).refused("COLLATERAL_INVALID");
    with(|knobs| knobs.impostor = Some("/sgx/certification/v4/qe")).refused("COLLATERAL_INVALID");
    with(|knobs| knobs.issue = Issue { issued: -3, expires: -1, ..Issue::default() }).refused("COLLATERAL_INVALID");
    let stale = with(|knobs| knobs.issue.status = "OutOfDate");
    refused(&stale, "TCB_REJECTED", "tcb_status");
    assert_eq!(stale.server.application_bytes.load(Ordering::SeqCst), 0);
}
