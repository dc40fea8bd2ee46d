//! Attacks on protocol exporter-v1 that must fail, each by name: servers and intermediaries that lie about what they are. (Clients that do are in
//! tests/c/test_mutual.c.) The true evidence is made by an implementation of its own.

mod support;

use std::sync::{Arc, Mutex};
use support::abi::*;

use hostile::server::Then;
use hostile::{Reply, Session};
use serde_json::{Value, json};
use simtee::exporter::{self, Binder};
use simtee::http::response;
use support::{World, echo};

/// Only exporter-v1 will do.
fn strict(world: &World) -> Value {
    let mut policy = world.policy.clone();
    policy["binding"] = json!({"protocols": ["exporter-v1"]});
    policy
}

fn binding(lie: impl Fn(&Session, &mut Binder) + Send + Sync + 'static) -> World {
    World::lying(move |session| {
        let mut binder = session.binder();
        lie(session, &mut binder);
        session.bound_to(&binder)
    })
}

#[track_caller]
fn not_bound(world: &World) {
    assert_eq!(world.refused_with(&strict(world), "BINDING_MISMATCH").check, "report_data");
}

#[test]
fn the_truth_is_accepted() {
    let world = binding(|_, _| ());
    let stream = world.connect_with(&strict(&world), |_| ()).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    echo(&stream, b"to the enclave");
    let heads = world.server.recorded.lock().unwrap();
    assert!(heads[0].starts_with(b"POST /atls/exporter-v1 HTTP/1.1\r\nHost: localhost\r\n"));
}

#[test]
fn a_relay_with_the_leaked_key() {
    // It has the server's certificate and key, and so a session of its own with the client and another one with the server, where it asks for
    // evidence with the client's own challenge: all is as it should be, but for the session.
    not_bound(&binding(|_, binder| binder.exporter = [0x77; 32]));
}

#[test]
fn a_relay_with_a_key_of_its_own() {
    not_bound(&binding(|session, binder| binder.attester = Some(session.tee.web_certificate(&["localhost"], -1, 1).0)));
}

#[test]
fn diversion_to_a_sibling_with_another_name() {
    // Another server of the same operator, with a certificate for both names, was opened for the other one.
    not_bound(&binding(|_, binder| binder.server_name = "sibling.test".into()));
}

#[test]
fn reflection_of_the_clients_own_evidence() {
    // A client that is a TEE too proves itself in this very session; its evidence is shown to it as the server's.
    not_bound(&binding(|_, binder| {
        binder.role = b'C';
        std::mem::swap(&mut binder.attester, &mut binder.verifier);
    }));
}

#[test]
fn a_role_swap_in_the_answer() {
    let world = World::lying(|session| {
        let mut answer: Value = serde_json::from_slice(&session.honest()).unwrap();
        answer["role"] = "C".into();
        answer.to_string().into_bytes()
    });
    assert!(world.refused_with(&strict(&world), "EVIDENCE_INVALID").message.contains("role must be \"S\""));
}

#[test]
fn a_client_certificate_that_was_never_shown() {
    not_bound(&binding(|session, binder| binder.verifier = Some(session.leaf.clone())));
}

#[test]
fn replay_of_an_earlier_answer() {
    let first: Arc<Mutex<Option<Vec<u8>>>> = Arc::default();
    let world = World::lying(move |session| first.lock().unwrap().get_or_insert_with(|| session.honest()).clone());
    assert!(world.connect_with(&strict(&world), |_| ()).is_ok());
    let refusal = world.refused_after(&strict(&world), "BINDING_MISMATCH");
    assert_eq!(refusal.check, "report_data");
}

#[test]
fn a_nonce_that_was_used_before() {
    let first: Arc<Mutex<Option<Vec<u8>>>> = Arc::default();
    let world = binding(move |_, binder| {
        binder.nonce = first.lock().unwrap().get_or_insert_with(|| binder.nonce.clone()).clone();
    });
    assert!(world.connect_with(&strict(&world), |_| ()).is_ok());
    let refusal = world.refused_after(&strict(&world), "BINDING_MISMATCH");
    assert_eq!(refusal.check, "report_data");
}

#[test]
fn the_other_protocols_evidence() {
    // A quote that is bound to this session, but as atlas-v1 does it.
    let world = World::lying(|session| {
        let mut guest = session.guest.clone();
        guest.emit_certificate(&session.leaf);
        let quote = guest.quote(&session.tee, &simtee::guest::report_data(&session.nonce, &session.exporter));
        exporter::answer("S", &quote, &guest.log(), None).to_string().into_bytes()
    });
    not_bound(&world);
}

#[test]
fn who_terminates_tls_elsewhere_computes_the_same() {
    let tee = simtee::SimTee::new();
    let (server, client) = (tee.web_certificate(&["a.test"], -1, 1).0, tee.web_certificate(&["b.test"], -1, 1).0);
    let compute = |attester, client: &[u8]| {
        let mut binder = [0; 64];
        let (nonce, exporter) = ([3u8; 32], [4u8; 32]);
        #[allow(unsafe_code)]
        let status = unsafe {
            support::abi::atls_compute_exporter_binder(
                attester,
                atls_bytes { ptr: nonce.as_ptr(), len: 32 },
                atls_bytes { ptr: exporter.as_ptr(), len: 32 },
                atls_bytes { ptr: server.as_ptr(), len: server.len() },
                atls_bytes { ptr: client.as_ptr(), len: client.len() },
                c"A.test.".as_ptr(),
                binder.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        };
        assert_eq!(status, if attester > 1 { 102 } else { 0 });
        binder
    };
    let mut expected = Binder {
        role: b'S',
        nonce: vec![3; 32],
        exporter: [4; 32],
        attester: Some(server.clone()),
        verifier: Some(client.clone()),
        server_name: "a.test".into(),
    };
    assert_eq!(compute(0, &client), expected.report_data());
    std::mem::swap(&mut expected.attester, &mut expected.verifier);
    expected.role = b'C';
    assert_eq!(compute(1, &client), expected.report_data());
    expected.attester = None;
    assert_eq!(compute(1, &[]), expected.report_data());
    compute(2, &[]);
}

#[test]
fn each_kind_of_evidence_has_a_binder_of_its_own() {
    let server = simtee::SimTee::new().web_certificate(&["a.test"], -1, 1).0;
    let compute = |tee: &std::ffi::CStr| {
        let (mut binder, bytes) = ([0; 64], |data: &[u8]| atls_bytes { ptr: data.as_ptr(), len: data.len() });
        let (nonce, exporter, name) = (bytes(&[3; 32]), bytes(&[4; 32]), c"a.test".as_ptr());
        #[allow(unsafe_code)]
        let status = unsafe {
            let (to, error) = (binder.as_mut_ptr(), std::ptr::null_mut());
            let (server, none) = (bytes(&server), bytes(&[]));
            atls_compute_exporter_binder_for(tee.as_ptr(), 0, nonce, exporter, server, none, name, to, error)
        };
        (status, binder)
    };
    let expected = Binder {
        role: b'S',
        nonce: vec![3; 32],
        exporter: [4; 32],
        attester: Some(server.clone()),
        verifier: None,
        server_name: "a.test".into(),
    };
    for (name, code) in [(c"tdx", [0, 1]), (c"snp", [0, 2]), (c"nitro", [0, 4])] {
        assert_eq!(compute(name), (0, expected.report_data_of(code)), "{name:?}");
    }
    for unknown in [c"", c"TDX", c"later"] {
        assert_eq!(compute(unknown).0, 102, "{unknown:?}");
    }
}

/// Knows atlas-v1 only.
fn older() -> World {
    World::replying(|session| match session.path.as_str() {
        "/tdx_quote" => Reply::json(&session.honest()),
        _ => Reply::bytes(response("404 Not Found", b"no such thing")).then(Then::Again),
    })
}

#[test]
fn downgrade_to_a_protocol_that_the_policy_does_not_name() {
    let world = older();
    let refusal = world.refused_with(&strict(&world), "NO_EVIDENCE");
    assert_eq!(refusal.http_status, 404);
    let asked: Vec<Vec<u8>> = world.server.recorded.lock().unwrap().clone();
    assert!(asked.iter().all(|head| !head.starts_with(b"POST /tdx_quote")), "the other protocol was tried");
}

#[test]
fn a_protocol_that_the_policy_does_name_comes_second() {
    let world = older();
    let mut policy = strict(&world);
    policy["binding"]["protocols"] = json!(["exporter-v1", "atlas-v1"]);
    let stream = world.connect_with(&policy, |_| ()).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    echo(&stream, b"on the same connection");
    assert_eq!(world.server.connections.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[test]
fn a_lie_by_the_first_protocol_is_not_forgiven_for_the_second() {
    let world = World::replying(|session| match session.path.as_str() {
        "/tdx_quote" => Reply::json(&session.honest()),
        _ => {
            let mut binder = session.binder();
            binder.exporter = [1; 32];
            Reply::json(&session.bound_to(&binder)).then(Then::Again)
        }
    });
    let mut policy = strict(&world);
    policy["binding"]["protocols"] = json!(["exporter-v1", "atlas-v1"]);
    assert_eq!(world.refused_with(&policy, "BINDING_MISMATCH").check, "report_data");
}

#[test]
fn a_certificate_that_the_log_does_not_name() {
    let silent = |session: &Session| {
        let quote = session.guest.quote(&session.tee, &session.binder().report_data());
        exporter::answer("S", &quote, &session.guest.log(), None).to_string().into_bytes()
    };
    let world = World::lying(silent);
    assert_eq!(world.refused_with(&strict(&world), "BINDING_MISMATCH").check, "certificate_event");
    // The key is in the binder: a policy may be content with that.
    let mut content = strict(&world);
    content["identity"] = json!({"require_key_event": false});
    assert!(world.connect_with(&content, |_| ()).is_ok());
}

#[test]
fn a_quote_without_its_log() {
    let alone = |session: &Session| {
        let mut answer: Value = serde_json::from_slice(&session.honest()).unwrap();
        answer["evidence"].as_object_mut().unwrap().remove("event_log");
        answer.to_string().into_bytes()
    };
    let world = World::lying(alone);
    let mut policy = strict(&world);
    assert_eq!(world.refused_with(&policy, "EVENT_LOG_INVALID").check, "event_log");
    policy["identity"] = json!({"require_key_event": false});
    // It names an application, which only the log can show.
    assert_eq!(world.refused_with(&policy, "EVENT_LOG_INVALID").check, "event_log");
    for field in ["app_compose", "os_image_hash"] {
        policy.as_object_mut().unwrap().remove(field);
    }
    policy["disable_runtime_verification"] = true.into();
    assert!(world.connect_with(&policy, |_| ()).is_ok());
}

#[test]
fn an_answer_with_no_evidence() {
    let world = World::lying(|_| br#"{"protocol":"exporter-v1","role":"S","tee":"tdx","evidence":null}"#.to_vec());
    world.refused_with(&strict(&world), "NO_EVIDENCE");
}

#[test]
fn a_challenge_to_a_client_that_has_nothing_to_show() {
    let world = World::lying(|session| {
        let mut answer: Value = serde_json::from_slice(&session.honest()).unwrap();
        let nonce = "00".repeat(32);
        answer["challenge"] =
            format!(r#"{{"protocol":"exporter-v1","role":"C","nonce":"{nonce}","tee":["tdx"]}}"#).into();
        answer.to_string().into_bytes()
    });
    world.refused_with(&strict(&world), "EVIDENCE_REFUSED");
}
