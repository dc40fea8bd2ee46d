//! Evidence of connections that stay open, once it is too old (docs/policy.md, "Open connections"), through the C ABI: the server proves itself anew, or is sent
//! nothing more. The tests move the clock of this process, and with it that of the simulated vendor.

#![allow(unsafe_code)] // It is a client of the C ABI, and has a clock of its own.

#[path = "support/open.rs"]
mod open;
mod support;

use std::sync::Arc;

use hostile::server::Then;
use hostile::{Options, Reply, Session};
use open::{HOUR, WAYS, Way, advise, clock, connections, fetch_anew, pass, policy, pool, sent};
use serde_json::{Value, json};
use simtee::http::response;
use support::World;

/// A world whose server speaks HTTP, and answers for evidence with what `reply` says.
fn serving(reply: impl Fn(&Session) -> Reply + Send + Sync + 'static) -> World {
    World::new(Options { behaviour: Arc::new(reply), ..Options::default() })
}

fn honest() -> World {
    serving(|session| Reply::json(&session.honest()))
}

fn hourly(world: &World) -> Value {
    policy(world, json!({"binding": {"protocols": ["exporter-v1"]}, "reattest": {"interval_s": 3600}}))
}

/// Requests for evidence that the server has received: heads and bodies.
fn challenges(world: &World) -> Vec<Value> {
    let recorded = world.server.recorded.lock().unwrap();
    let is_asked = |pair: &&[Vec<u8>]| pair[0].starts_with(b"POST /atls/exporter-v1 HTTP/1.1\r\nHost: localhost\r\n");
    recorded.windows(2).filter(is_asked).map(|pair| serde_json::from_slice(&pair[1]).unwrap()).collect()
}

#[test]
fn evidence_is_renewed_on_the_same_connection_once_it_is_too_old() {
    let _clock = clock();
    for way in WAYS {
        let world = honest();
        let requests = way(&world, &hourly(&world));
        requests.is_ok();
        pass(HOUR - 10);
        let before = requests.is_ok();
        assert_eq!(challenges(&world).len(), 1);
        pass(10);
        let after = requests.is_ok();
        assert_eq!((challenges(&world).len(), connections(&world)), (2, 1));
        assert!(after.verdict["time"].as_u64() > before.verdict["time"].as_u64());
        requests.is_ok();
        // Idle for long: once, not for each hour that has passed.
        pass(10 * HOUR);
        requests.is_ok();
        let challenges = challenges(&world);
        assert_eq!((challenges.len(), connections(&world)), (3, 1));
        assert_ne!(challenges[0]["nonce"], challenges[1]["nonce"]);
        let recorded = world.server.recorded.lock().unwrap();
        let of_evidence: Vec<_> = recorded.iter().filter(|head| head.starts_with(b"POST ")).collect();
        assert_eq!(of_evidence[0], of_evidence[1], "the same head, byte for byte");
    }
}

/// How a server answers for evidence that is to be renewed, and what comes of it: status, and the check or a part of the message.
type Wrong = (fn(&Session) -> Reply, &'static str, &'static str);

const WRONG: [Wrong; 13] = [
    (|_| Reply::bytes(response("404 Not Found", b"who?")), "NO_EVIDENCE", "status 404"),
    (|_| Reply::bytes(response("500 Oops", b"{}")), "NO_EVIDENCE", "status 500"),
    (|_| Reply::json(b"{}"), "EVIDENCE_INVALID", "protocol must be"),
    (|_| Reply::json(br#"{"protocol":"exporter-v1","role":"S","tee":"tdx"}"#), "NO_EVIDENCE", "gave no evidence"),
    (|session| Reply::json(&other_nonce(session)), "BINDING_MISMATCH", "report_data"),
    (|session| Reply::json(&other_session(session)), "BINDING_MISMATCH", "report_data"),
    (|session| Reply::json(&other_machine(session)), "MEASUREMENT_MISMATCH", "bootchain"),
    (|_| Reply::json(&vec![b' '; 2 << 20]), "EVIDENCE_INVALID", "longer than"),
    (
        |session| Reply::bytes([response("200 OK", &session.honest()), b"x".to_vec()].concat()),
        "EVIDENCE_INVALID",
        "after the answer",
    ),
    (twice_as_long, "EVIDENCE_INVALID", "may have one of them"),
    (
        |_| Reply::bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\nshort".to_vec()).then(Then::Hang),
        "TIMED_OUT",
        "evidence exchange",
    ),
    (|_| Reply::bytes(Vec::new()).then(Then::Hang), "TIMED_OUT", "evidence exchange"),
    (|_| Reply::bytes(response("503 Busy", b"{}")), "EVIDENCE_BUSY", "status 503"),
];

/// A list of two lengths, which are the same.
fn twice_as_long(session: &Session) -> Reply {
    let body = session.honest();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {0}, {0}\r\n\r\n", body.len());
    Reply::bytes([head.as_bytes(), &body].concat())
}

fn other_nonce(session: &Session) -> Vec<u8> {
    let mut binder = session.binder();
    binder.nonce = vec![7; 32];
    session.bound_to(&binder)
}

fn other_session(session: &Session) -> Vec<u8> {
    let mut binder = session.binder();
    binder.exporter = [7; 32];
    session.bound_to(&binder)
}

fn other_machine(session: &Session) -> Vec<u8> {
    let mut guest = session.guest.clone();
    guest.mrtd = [0xee; 48];
    guest.emit_certificate(&session.leaf);
    let quote = guest.quote(&session.tee, &session.binder().report_data());
    simtee::exporter::answer("S", &quote, &guest.log(), None).to_string().into_bytes()
}

#[test]
fn a_server_that_does_not_prove_itself_anew_is_sent_nothing_more() {
    let _clock = clock();
    for (index, (wrong, status, part)) in WRONG.into_iter().enumerate() {
        for way in WAYS {
            let world = serving(
                move |session| if session.count == 0 { Reply::json(&session.honest()) } else { wrong(session) },
            );
            let mut policy = hourly(&world);
            policy["binding"]["timeout_ms"] = 500.into();
            let requests = way(&world, &policy);
            requests.is_ok();
            pass(HOUR);
            let before = sent(&world);
            let refusal = requests.get("/small").expect_err("the request was answered");
            assert!(status.split('|').any(|one| one == refusal.name), "{index}: {refusal:?}");
            assert!(refusal.check == part || refusal.message.contains(part), "{index}: {refusal:?}");
            assert!(refusal.message.contains("open connection"), "{index}: {refusal:?}");
            assert_eq!((sent(&world), connections(&world)), (before, 1), "{index}");
            if matches!(requests.way, Way::Connection(_)) {
                let closed = requests.get("/small").expect_err("closed");
                assert_eq!((closed.name.as_str(), closed.check), ("CLOSED", refusal.check), "{index}");
            }
        }
    }
}

#[test]
fn a_pool_opens_another_connection_if_the_server_has_closed_or_has_a_new_certificate() {
    let _clock = clock();
    let certificate_renewed = |session: &Session| {
        let mut guest = session.guest.clone();
        guest.emit_certificate(b"another certificate");
        let quote = guest.quote(&session.tee, &session.binder().report_data());
        Reply::json(simtee::exporter::answer("S", &quote, &guest.log(), None).to_string().as_bytes())
    };
    let closed = |_: &Session| Reply::bytes(Vec::new()).then(Then::Close);
    let closes = |session: &Session| {
        let body = session.honest();
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
        Reply::bytes([head.as_bytes(), &body].concat()).then(Then::Close)
    };
    let replies: [fn(&Session) -> Reply; 3] = [certificate_renewed, closed, closes];
    for reply in replies {
        let world =
            serving(move |session| if session.count == 1 { reply(session) } else { Reply::json(&session.honest()) });
        let requests = pool(&world, &hourly(&world));
        requests.is_ok();
        pass(HOUR);
        assert!(!requests.is_ok().reused);
        assert_eq!(connections(&world), 2);
    }
}

#[test]
fn a_server_that_is_busy_is_asked_again() {
    let _clock = clock();
    let busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n";
    let world = serving(
        move |session| if session.count == 1 { Reply::bytes(busy.to_vec()) } else { Reply::json(&session.honest()) },
    );
    let requests = pool(&world, &hourly(&world));
    requests.is_ok();
    pass(HOUR);
    assert!(requests.is_ok().reused);
    assert_eq!(challenges(&world).len(), 3);
}

#[test]
fn evidence_that_changes_and_still_passes_renews_the_connection() {
    let _clock = clock();
    let world = serving(|session| {
        let mut guest = session.guest.clone();
        guest.emit(1, "an-event-of-the-application", format!("{}", session.count).as_bytes());
        guest.emit_certificate(&session.leaf);
        let quote = guest.quote(&session.tee, &session.binder().report_data());
        Reply::json(simtee::exporter::answer("S", &quote, &guest.log(), None).to_string().as_bytes())
    });
    let requests = pool(&world, &hourly(&world));
    let before = requests.is_ok().verdict;
    pass(HOUR);
    let after = requests.is_ok();
    assert!(after.reused);
    assert_ne!(after.verdict["measurements"], before["measurements"]);
    // The newer evidence is what is judged again.
    advise(&world);
    fetch_anew(&world);
    assert_eq!(requests.is_refused(&world, "TCB_REJECTED").check, "tcb_status");
}
