//! Trust in clients whose connections stay open (docs/protocol.md, "Open connections"), through the C ABI: a server that judges its clients looks at their
//! evidence again, and wants new evidence as often as its policy says. Client and server are both the library's.

#![allow(unsafe_code)] // It is a client of the C ABI.

#[path = "support/open.rs"]
mod open;
mod support;

use std::ffi::{CStr, CString, c_void};
use std::path::PathBuf;
use std::ptr::null_mut;
use std::sync::Mutex;
use std::time::Duration;

use open::{DAY, HOUR, Requests, Way, advise, clock, connection_to, fetch_anew, pass, policy, pool_to};
use serde_json::{Value, json};
use simtee::Guest;
use support::abi::*;
use support::server::Served;
use support::{Refusal, World, refusal, text};

/// What the server's host was told of clients that were refused.
static TOLD: Mutex<Vec<Refusal>> = Mutex::new(Vec::new());

unsafe extern "C" fn on_server(_: *mut c_void, event: *const atls_event) {
    unsafe {
        match (*event).kind {
            ATLS_EVENT_REFUSED => TOLD.lock().unwrap().push(refusal(atls_error_ref((*event).error))),
            ATLS_EVENT_REQUEST => {
                let (runtime, queue) = *HOST.lock().unwrap();
                let request: *mut atls_server_request = (*event).source.cast();
                let user_data = atls_server_request_ref(request).cast();
                let (queue, call, drop) = (queue as *mut atls_queue, Some(on_request as _), Some(let_go as _));
                let sink = atls_sink { queue, token: 0, call, user_data, drop };
                let _ = atls_server_request_start(request, runtime as *const atls_runtime, &sink, null_mut());
            }
            _ => {}
        }
    }
}

/// The server's runtime and queue.
static HOST: Mutex<(usize, usize)> = Mutex::new((0, 0));

unsafe extern "C" fn on_request(request: *mut c_void, event: *const atls_event) {
    unsafe {
        if (*event).kind == ATLS_EVENT_END {
            if text(atls_server_request_target(request.cast())) == "/late" {
                std::thread::sleep(Duration::from_millis(1500));
            }
            let body = atls_bytes { ptr: b"x".as_ptr(), len: 1 };
            let _ = atls_server_request_respond(request.cast(), 200, std::ptr::null(), body, null_mut());
        }
    }
}

unsafe extern "C" fn let_go(request: *mut c_void) {
    unsafe { atls_server_request_free(request.cast()) };
}

/// A server and the way to prove oneself to it.
struct Judging {
    world: World,
    port: u16,
    agent: CString,
    folder: PathBuf,
    _served: Served,
}

impl Drop for Judging {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Serves clients that are the world's guest, with these members in the policy for them.
fn judging(more: Value) -> Judging {
    TOLD.lock().unwrap().clear();
    let world = World::honest();
    let folder = std::env::temp_dir().join(format!("atls-open-{}-{:p}", std::process::id(), world.verifier));
    std::fs::create_dir_all(&folder).unwrap();
    let socket = folder.join("agent.sock");
    let entered = world.runtime.enter();
    simtee::agent::start(&socket, world.tee.clone(), Guest::booted(1), |_| ());
    drop(entered);
    let agent = CString::new(socket.to_str().unwrap()).unwrap();
    let mut wanted =
        policy(&world, json!({"binding": {"protocols": ["exporter-v1"]}, "identity": {"require_key_event": false}}));
    wanted.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let (served, port) = support::server::serving(&world.tee, on_server, |config| unsafe {
        let (text, mut parsed) = (wanted.to_string(), null_mut());
        let json = atls_bytes { ptr: text.as_ptr(), len: text.len() };
        assert_eq!(atls_policy_new(json, &mut parsed, null_mut()), 0, "{text}");
        assert_eq!(atls_server_config_set_client_policy(config, parsed, world.verifier, null_mut()), 0);
        atls_policy_free(parsed);
        assert_eq!(atls_server_config_set_dstack_agent(config, agent.as_ptr(), null_mut()), 0);
    });
    *HOST.lock().unwrap() = (served.runtime as usize, served.queue as usize);
    Judging { world, port, agent, folder, _served: served }
}

impl Judging {
    /// A client that is content with the server for good, unless its policy has other members.
    fn pool(&self, more: Value) -> Requests {
        pool_to((&self.world, self.port), &self.policy(more), |config| self.prove(config))
    }

    fn connection(&self, more: Value) -> Requests {
        connection_to((&self.world, self.port), &self.policy(more), |config| self.prove(config))
    }

    fn policy(&self, more: Value) -> Value {
        let usual = json!({"binding": {"protocols": ["exporter-v1"]}, "reattest": {"on_collateral_change": false}});
        let mut policy = policy(&self.world, usual);
        policy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        policy
    }

    fn prove(&self, config: *mut atls_config) {
        assert_eq!(unsafe { atls_config_set_dstack_agent(config, self.agent.as_ptr(), null_mut()) }, 0);
    }
}

fn told() -> Vec<Refusal> {
    std::mem::take(&mut TOLD.lock().unwrap())
}

#[test]
fn a_client_is_judged_again_before_its_next_request() {
    let _clock = clock();
    let judging = judging(json!({}));
    let requests = judging.pool(json!({}));
    requests.is_ok();
    assert!(requests.is_ok().reused);
    advise(&judging.world);
    fetch_anew(&judging.world);
    assert_eq!(requests.get("/").unwrap().status, 403);
    let told = told();
    assert_eq!((told.len(), told[0].name.as_str(), told[0].http_status), (1, "TCB_REJECTED", 403), "{told:?}");
    assert_eq!(told[0].check, "tcb_status");
}

#[test]
fn a_client_whose_proof_is_too_old_is_refused_and_may_come_again() {
    let _clock = clock();
    let judging = judging(json!({"reattest": {"interval_s": 3600}}));
    let requests = judging.pool(json!({}));
    requests.is_ok();
    pass(HOUR - 10);
    assert!(requests.is_ok().reused);
    pass(10);
    assert_eq!(requests.get("/").unwrap().status, 403);
    let told = told();
    assert_eq!((told.len(), told[0].name.as_str(), told[0].http_status), (1, "TIMED_OUT", 403), "{told:?}");
    assert!(!requests.is_ok().reused, "a new connection, with a new proof");
}

#[test]
fn a_client_that_renews_the_servers_evidence_renews_its_own() {
    let _clock = clock();
    let judging = judging(json!({"reattest": {"interval_s": 3600}}));
    for requests in [
        judging.pool(json!({"reattest": {"interval_s": 1800}})),
        judging.connection(json!({"reattest": {"interval_s": 1800}})),
    ] {
        let first = requests.is_ok().verdict;
        for _ in 0..5 {
            pass(HOUR / 2);
            assert!(requests.is_ok().verdict["time"].as_u64() > first["time"].as_u64());
        }
        assert!(told().is_empty());
    }
    // At the last moment: the server's answer to the challenge does not end the connection.
    let requests = judging.pool(json!({"reattest": {"interval_s": 3600}}));
    requests.is_ok();
    pass(HOUR);
    assert!(requests.is_ok().reused);
}

/// The status of what the server answers to a body by POST; `None` if it does not.
fn post(requests: &Requests, path: &CStr, body: &str) -> Option<u32> {
    let Way::Connection(http) = requests.way else { panic!("a client of its own for each") };
    unsafe {
        let (mut request, mut exchange, mut head, mut rest) = (null_mut(), null_mut(), null_mut(), null_mut());
        let name = c"localhost".as_ptr();
        assert_eq!(atls_request_new(c"POST".as_ptr(), path.as_ptr(), name, &mut request, null_mut()), 0);
        let body = atls_bytes { ptr: body.as_ptr(), len: body.len() };
        assert_eq!(atls_request_set_body(request, body, null_mut()), 0);
        let mut done = atls_http_fetch(http, request, &mut exchange, null_mut());
        if done == 0 {
            done = atls_exchange_head(exchange, 5000, &mut head, null_mut());
        }
        if done == 0 {
            done = atls_exchange_read_all(exchange, 1 << 20, 5000, &mut rest, null_mut());
        }
        let status = atls_head_status(head);
        atls_buf_free(rest);
        atls_head_free(head);
        atls_exchange_free(exchange);
        atls_request_free(request);
        (done == 0).then_some(status)
    }
}

#[test]
fn a_client_whose_newer_proof_is_refused_is_not_served_by_the_one_before() {
    const ANSWER: &str = r#"{"protocol":"exporter-v1","role":"C","tee":"tdx","evidence":{"quote":"00"}}"#;
    let _clock = clock();
    let judging = judging(json!({}));
    for is_asked in [true, false] {
        let requests = judging.connection(json!({}));
        requests.is_ok();
        if is_asked {
            let nonce = "5a".repeat(32);
            let challenge = json!({"protocol": "exporter-v1", "role": "S", "nonce": nonce, "tee": ["tdx"]});
            assert_eq!(post(&requests, c"/atls/exporter-v1", &challenge.to_string()), Some(200));
            requests.is_ok();
        }
        assert_eq!(post(&requests, c"/atls/exporter-v1/client", ANSWER), Some(403));
        assert_eq!(told().len(), 1);
        assert_eq!(requests.get("/").expect_err("served").name, "CLOSED");
    }
}

#[test]
fn a_server_that_cannot_judge_a_client_again_says_so() {
    let _clock = clock();
    let judging = judging(json!({}));
    let requests = judging.pool(json!({}));
    requests.is_ok();
    judging.world.pccs.set(|knobs| knobs.fail = Some(500));
    pass(40 * DAY);
    assert_eq!(requests.get("/").unwrap().status, 503);
    let told = told();
    assert_eq!(
        (told.len(), told[0].name.as_str(), told[0].http_status),
        (1, "COLLATERAL_UNAVAILABLE", 503),
        "{told:?}"
    );
}

#[test]
fn a_connection_that_waits_is_closed_when_the_proof_is_too_old() {
    let _clock = clock();
    let judging = judging(json!({"reattest": {"interval_s": 1}}));
    let requests = judging.pool(json!({}));
    requests.is_ok();
    std::thread::sleep(Duration::from_millis(1500));
    assert!(!requests.is_ok().reused, "closed meanwhile");
    assert!(told().is_empty());
}

#[test]
fn a_response_that_ends_too_late_says_that_the_connection_ends() {
    let _clock = clock();
    let judging = judging(json!({"reattest": {"interval_s": 1}}));
    let requests = judging.pool(json!({}));
    let late = requests.get("/late").unwrap();
    assert_eq!((late.status, late.closes), (200, true));
    assert!(!requests.is_ok().reused);
    assert!(told().is_empty());
}
