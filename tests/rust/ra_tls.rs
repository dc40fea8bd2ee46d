//! Certificates that carry evidence (RA-TLS): judged only under a policy that names this weak binding, and then for the key of the certificate.

#![allow(unsafe_code)] // It is a client of the C ABI.

#[path = "support/open.rs"]
mod open;
mod support;

use atls::attest::hash::sha512;
use hostile::server::Then;
use hostile::{Options, Reply, Session};
use open::{HOUR, WAYS, advise, clock, connections, fetch_anew, pass};
use serde_json::{Value, json};
use simtee::http::response;
use simtee::{Guest, SimTee};
use std::sync::Arc;
use support::abi::*;
use support::offline::now;
use support::snp::Question;
use support::snp_guest::{Machine, NOW, PRODUCTS};
use support::{Stream, World, text};

const DAY: u64 = 86400;
const ARC: [u64; 9] = [1, 3, 6, 1, 4, 1, 62397, 1, 0];

fn oid(last: u64) -> Vec<u64> {
    ARC[..8].iter().copied().chain([last]).collect()
}

/// An OCTET STRING in DER.
fn octets(data: &[u8]) -> Vec<u8> {
    let length = data.len();
    let head = match length {
        0..0x80 => vec![4, length as u8],
        0x80..0x100 => vec![4, 0x81, length as u8],
        0x100..0x1_0000 => vec![4, 0x82, (length >> 8) as u8, length as u8],
        _ => vec![4, 0x83, (length >> 16) as u8, (length >> 8) as u8, length as u8],
    };
    [head, data.to_vec()].concat()
}

fn report_data(tag: &str, key: &[u8]) -> [u8; 64] {
    sha512(&[tag.as_bytes(), key])
}

/// Bytes in SCALE, with their length.
fn scale(data: &[u8]) -> Vec<u8> {
    [&(((data.len() as u32) << 2) | 2).to_le_bytes()[..], data].concat()
}

/// dstack's document of version 0 about an SEV-SNP guest.
fn snp_document(report: &[u8], leaf: &[u8]) -> Vec<u8> {
    let certificates = [&[4][..], &scale_any(leaf)].concat();
    let end = [&[0, 0][..], &[0; 64], &[0]].concat();
    [&[0, 3][..], &scale_any(report), &certificates, &end].concat()
}

/// The shortest form.
fn scale_any(data: &[u8]) -> Vec<u8> {
    match data.len() {
        length @ 0..64 => [&[(length << 2) as u8][..], data].concat(),
        length @ 64..16384 => [&((length as u16) << 2 | 1).to_le_bytes()[..], data].concat(),
        _ => scale(data),
    }
}

fn rules(policy: &Value) -> Value {
    let mut policy = policy.clone();
    policy["binding"] = json!({"protocols": ["ra-tls"]});
    policy["ra_tls"] = json!({"formats": ["dstack"], "max_age_s": DAY});
    policy
}

/// A server whose certificate has the quote and the log of a guest, over what `data` makes of the key, and that answers so for evidence.
fn server(begun: u64, data: impl Fn(&[u8]) -> [u8; 64], reply: fn() -> Reply) -> World {
    serving(begun, data, move |_| reply())
}

fn serving(
    begun: u64,
    data: impl Fn(&[u8]) -> [u8; 64],
    reply: impl Fn(&Session) -> Reply + Send + Sync + 'static,
) -> World {
    let (tee, guest) = (SimTee::new(), Guest::booted(1));
    let certificate = tee.certificate_with((begun, 30 * DAY), |key| {
        let (quote, log) = (guest.quote(&tee, &data(key)), guest.log().to_string());
        vec![(oid(1), octets(&quote)), (oid(2), octets(log.as_bytes()))]
    });
    let behaviour = Arc::new(reply);
    World::of(tee, Options { certificate: Some(certificate), behaviour, guest, ..Options::default() })
}

fn verdict(stream: &Stream) -> String {
    unsafe {
        let verdict = atls_stream_verdict(stream.0);
        let json = text(atls_verdict_json(verdict));
        atls_verdict_free(verdict);
        json
    }
}

fn unknown() -> Reply {
    Reply::bytes(response("404 Not Found", b"{}")).then(Then::Again)
}

fn of_key(key: &[u8]) -> [u8; 64] {
    report_data("ratls-cert:", key)
}

#[test]
fn a_certificate_is_judged_only_where_the_policy_names_it() {
    let _clock = clock();
    let world = server(now() - 60, of_key, unknown);
    world.refused("NO_EVIDENCE");
    for protocols in [json!(["exporter-v1"]), json!(["exporter-v1", "atlas-v1"])] {
        let mut policy = world.policy.clone();
        policy["binding"] = json!({"protocols": protocols});
        world.refused_after(&policy, "NO_EVIDENCE");
    }
    let asked = world.server.recorded.lock().unwrap().len();
    let stream = world.connect_with(&rules(&world.policy), |_| ()).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    let verdict: Value = serde_json::from_str(&verdict(&stream)).unwrap();
    assert_eq!((&verdict["trusted"], &verdict["protocol"]), (&json!(true), &json!("ra-tls")));
    assert_eq!(verdict["bound_to_session"], false, "{verdict}");
    assert_eq!(world.server.recorded.lock().unwrap().len(), asked, "the server was asked nothing");
}

#[test]
fn the_order_of_the_policy_decides() {
    let _clock = clock();
    let world = server(now() - 60, of_key, unknown);
    let mut policy = rules(&world.policy);
    policy["binding"]["protocols"] = json!(["exporter-v1", "ra-tls"]);
    let stream = world.connect_with(&policy, |_| ()).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    assert!(verdict(&stream).contains("\"protocol\":\"ra-tls\""));
    assert!(world.server.recorded.lock().unwrap()[0].starts_with(b"POST /atls/exporter-v1"));
    // What fails is not made good by a certificate.
    let failing = server(now() - 60, of_key, || Reply::bytes(response("500 Internal Server Error", b"{}")));
    failing.refused_with(&policy_of(&failing, &["exporter-v1", "ra-tls"]), "NO_EVIDENCE");
    // Nor is a bad certificate by another protocol.
    let lying = server(now() - 60, |_| [7; 64], unknown);
    lying.refused_with(&policy_of(&lying, &["ra-tls", "exporter-v1"]), "BINDING_MISMATCH");
    // One that carries nothing leaves the others.
    let plain = World::new(Options { raw_echo: true, ..Options::default() });
    assert!(plain.connect_with(&policy_of(&plain, &["ra-tls", "atlas-v1"]), |_| ()).is_ok());
    plain.refused_after(&policy_of(&plain, &["ra-tls"]), "NO_EVIDENCE");
}

fn policy_of(world: &World, protocols: &[&str]) -> Value {
    let mut policy = rules(&world.policy);
    policy["binding"]["protocols"] = json!(protocols);
    policy
}

#[test]
fn lies_in_certificates() {
    let _clock = clock();
    for data in [
        |_: &[u8]| of_key(b"another key"),
        |key: &[u8]| report_data("app-data:", key),
        |key: &[u8]| report_data("kms-root-ca:", key),
        |key: &[u8]| report_data("", key),
        |_: &[u8]| [0; 64],
    ] {
        let world = server(now() - 60, data, unknown);
        let refusal = world.refused_with(&rules(&world.policy), "BINDING_MISMATCH");
        assert_eq!(refusal.check, "report_data");
        assert_eq!(world.pccs.hits(""), 0, "nothing is fetched for it");
    }
    let old = server(now() - DAY - 60, of_key, unknown);
    assert_eq!(old.refused_with(&rules(&old.policy), "BINDING_MISMATCH").check, "certificate_age");
    let world = server(now() - 60, of_key, unknown);
    let mut other = rules(&world.policy);
    other["expected_bootchain"]["mrtd"] = "ee".repeat(48).into();
    assert_eq!(world.refused_with(&other, "MEASUREMENT_MISMATCH").check, "bootchain");
}

#[test]
fn open_connections_are_judged_again() {
    let _clock = clock();
    for way in WAYS {
        let honest = || serving(now() - 60, of_key, |session| Reply::json(&session.honest()));
        let world = honest();
        let requests = way(&world, &rules(&world.policy));
        let before = requests.is_ok().verdict;
        assert_eq!((&before["protocol"], &before["bound_to_session"]), (&json!("ra-tls"), &json!(false)));
        // Other documents, by which it still passes.
        world.pccs.set(|knobs| knobs.issue.evaluation_number = 20);
        pass(1);
        fetch_anew(&world);
        let made = connections(&world);
        let after = requests.is_ok().verdict;
        assert_eq!((connections(&world), &after["protocol"]), (made, &json!("ra-tls")), "the connection was kept");
        assert!(after["time"].as_u64() > before["time"].as_u64(), "judged again");
        world.pccs.set(|knobs| knobs.issue.evaluation_number = 21);
        advise(&world);
        world.pccs.set(|knobs| knobs.issue.evaluation_number = 21);
        fetch_anew(&world);
        assert_eq!(requests.is_refused(&world, "TCB_REJECTED").check, "tcb_status");
        // Or it has become too old meanwhile.
        let world = honest();
        let requests = way(&world, &rules(&world.policy));
        requests.is_ok();
        pass(24 * HOUR);
        world.pccs.set(|knobs| knobs.issue.evaluation_number = 20);
        fetch_anew(&world);
        assert_eq!(requests.is_refused(&world, "BINDING_MISMATCH").check, "certificate_age");
    }
}

#[test]
fn only_another_protocol_renews_it() {
    let _clock = clock();
    let hourly = |world: &World| {
        let mut policy = policy_of(world, &["ra-tls", "exporter-v1"]);
        policy["reattest"] = json!({"interval_s": HOUR});
        policy
    };
    for way in WAYS {
        let world = serving(now() - 60, of_key, |session| Reply::json(&session.honest()));
        let requests = way(&world, &hourly(&world));
        assert_eq!(requests.is_ok().verdict["protocol"], "ra-tls");
        pass(HOUR);
        let renewed = requests.is_ok().verdict;
        assert_eq!((&renewed["protocol"], &renewed["bound_to_session"]), (&json!("exporter-v1"), &json!(true)));
        assert_eq!(connections(&world), 1);
        // A server that knows no other is accepted once.
        let world = server(now() - 60, of_key, unknown);
        let requests = way(&world, &hourly(&world));
        requests.is_ok();
        pass(HOUR);
        requests.is_refused(&world, "NO_EVIDENCE");
    }
}

/// Changes extensions: OIDs and values.
type Bend = fn(&mut Vec<(Vec<u64>, Vec<u8>)>);

/// A certificate with evidence of a simulated SEV-SNP guest in it, and a question about it; `change` bends the extensions.
fn snp(begun: u64, change: impl FnOnce(&mut Vec<(Vec<u64>, Vec<u8>)>)) -> (Question, Vec<u8>) {
    let machine = Machine::new(PRODUCTS[0], 3);
    let mut question = machine.honest();
    let (der, _) = SimTee::new().certificate_with((begun, 30 * DAY), |key| {
        let signed = Machine::new(PRODUCTS[0], 3).with(0x50, &of_key(key)).honest();
        let mut extensions = vec![(oid(8), octets(&snp_document(&signed.report, &signed.leaf.unwrap())))];
        change(&mut extensions);
        extensions
    });
    question.policy = rules(&question.policy);
    (question, der)
}

#[test]
fn a_certificate_offline() {
    let (question, der) = snp(NOW, |_| ());
    let found = question.ask_certificate(&der);
    assert_eq!(found.status, "OK", "{found:?}");
    assert_eq!((&found.verdict["protocol"], &found.verdict["bound_to_session"]), (&json!("ra-tls"), &json!(false)));
    // Without the policy's consent.
    let mut silent = question.clone();
    for name in ["binding", "ra_tls"] {
        silent.policy.as_object_mut().unwrap().remove(name);
    }
    let found = silent.ask_certificate(&der);
    assert_eq!((found.status.as_str(), found.check.as_str()), ("BINDING_MISMATCH", "ra_tls"), "{found:?}");
    assert_eq!(found.verdict["trusted"], false);
    // A key that is pinned is the certificate's.
    let mut pinned = question.clone();
    pinned.policy["identity"] = json!({"spki_sha256": ["00".repeat(32)]});
    assert_eq!(pinned.ask_certificate(&der).check, "spki");
}

#[test]
fn a_certificate_has_an_age() {
    for (begun, holds) in
        [(NOW - DAY, true), (NOW - DAY - 1, false), (NOW, true), (NOW + 1, false), (NOW - 31 * DAY, false)]
    {
        let (mut question, der) = snp(begun, |_| ());
        if begun < NOW - 2 * DAY {
            // Long enough, but it has ended.
            question.policy["ra_tls"]["max_age_s"] = (100 * DAY).into();
        }
        let found = question.ask_certificate(&der);
        match holds {
            true => assert_eq!(found.status, "OK", "{begun}: {found:?}"),
            false => assert_eq!(found.check, "certificate_age", "{begun}: {found:?}"),
        }
    }
}

#[test]
fn certificates_that_carry_none_or_too_much() {
    let ask = |change: Bend| {
        let (question, der) = snp(NOW, change);
        let found = question.ask_certificate(&der);
        (found.status, found.message)
    };
    assert_eq!(ask(Vec::clear).0, "NO_EVIDENCE");
    assert_eq!(ask(|extensions| extensions[0].0 = oid(9)).0, "NO_EVIDENCE");
    let changes: [(Bend, &str); 7] = [
        (|extensions| extensions.push(extensions[0].clone()), "duplicated"),
        (|extensions| extensions[0].1 = vec![0, 3], "extension"),
        (|extensions| extensions[0].1.push(0), "extension"),
        (|extensions| extensions[0].1 = octets(&[0, 9]), "kind 9"),
        (|extensions| extensions[0].1 = octets(&[1]), "neither"),
        (|extensions| extensions[0].1 = octets(b"{}"), "neither"),
        (|extensions| extensions[0] = (oid(1), octets(&[4, 0])), "no event log"),
    ];
    for (change, why) in changes {
        let (status, message) = ask(change);
        assert!(status == "EVIDENCE_INVALID" && message.contains(why), "{why}: {status} {message}");
    }
    let (question, _) = snp(NOW, |_| ());
    for bad in [&b"x"[..], b"0", b"-----BEGIN CERTIFICATE-----\n"] {
        assert_eq!(question.ask_certificate(bad).status, "INVALID_ARGUMENT");
    }
}

/// Changes a policy.
type Change = fn(&mut Value);

#[test]
fn policies_that_name_half_of_it() {
    let tdx = json!({"type": "dstack_tdx", "disable_runtime_verification": true});
    let with = |change: fn(&mut Value)| {
        let mut policy = rules(&tdx);
        change(&mut policy);
        atls::attest::Policy::from_json(policy.to_string().as_bytes()).map(|policy| policy.protocols.len())
    };
    assert_eq!(with(|_| ()), Ok(1));
    assert_eq!(with(|policy| policy["binding"]["protocols"] = json!(["exporter-v1", "ra-tls"])), Ok(2));
    let changes: [(Change, &str); 12] = [
        (|policy| policy["ra_tls"] = Value::Null, "policy.binding.protocols: ra-tls is there"),
        (|policy| policy["binding"] = Value::Null, "policy.binding.protocols: ra-tls is not there"),
        (|policy| policy["ra_tls"] = json!({"max_age_s": 1}), "policy.ra_tls.formats: is missing"),
        (|policy| policy["ra_tls"] = json!({"formats": ["dstack"]}), "policy.ra_tls.max_age_s: is missing"),
        (|policy| policy["ra_tls"]["formats"] = json!([]), "policy.ra_tls.formats"),
        (|policy| policy["ra_tls"]["formats"] = json!(["cmw"]), "policy.ra_tls.formats: \"cmw\" is unknown"),
        (|policy| policy["ra_tls"]["max_age_s"] = 0.into(), "policy.ra_tls.max_age_s: 0"),
        (|policy| policy["ra_tls"]["more"] = 1.into(), "policy.ra_tls.more: unknown"),
        (|policy| policy["identity"] = json!({"require_key_event": true}), "policy.identity.require_key_event: true"),
        (
            |policy| policy["reattest"] = json!({"interval_s": 60}),
            "policy.reattest.interval_s: new evidence comes by exporter-v1",
        ),
        (
            |policy| policy["gpu"] = json!({"required": 1, "unmeasured": true}),
            "policy.binding.protocols: ra-tls carries no evidence beside the machine's, which `gpu` asks for",
        ),
        (
            |policy| *policy = rules(&json!({"type": "sgx", "mr_enclave": ["00".repeat(32)]})),
            "policy.binding.protocols: ra-tls does not carry evidence of type sgx",
        ),
    ];
    for (change, why) in changes {
        let error = with(change).unwrap_err();
        assert!(error.status.name() == "POLICY_INVALID" && error.message.starts_with(why), "{why}: {error}");
    }
}
