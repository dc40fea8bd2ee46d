//! Trust in connections that stay open (docs/policy.md, "Open connections"), through the C ABI: evidence is judged again when the vendor's documents change or end,
//! and asked for anew when it is too old. The tests move the clock of this process, and with it that of the simulated vendor.

#![allow(unsafe_code)] // It is a client of the C ABI, and has a clock of its own.

mod support;

use std::ffi::{CString, c_long};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hostile::server::Then;
use hostile::{Options, Reply, Session};
use serde_json::{Value, json};
use simtee::http::response;
use support::abi::*;
use support::{Refusal, World, add_root};

/// Seconds by which dates are ahead of the machine's.
static AHEAD: AtomicI64 = AtomicI64::new(0);
static ALONE: Mutex<()> = Mutex::new(());

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

/// Everybody's clock in this process.
#[unsafe(no_mangle)]
extern "C" fn clock_gettime(which: i32, now: *mut Timespec) -> i32 {
    #[cfg(target_arch = "x86_64")]
    const NUMBER: c_long = 228;
    #[cfg(target_arch = "aarch64")]
    const NUMBER: c_long = 113;
    let done = unsafe { syscall(NUMBER, c_long::from(which), now) };
    if done == 0 && which == 0 {
        unsafe { (*now).seconds += AHEAD.load(Ordering::SeqCst) };
    }
    done as i32
}

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

fn pass(seconds: i64) {
    AHEAD.fetch_add(seconds, Ordering::SeqCst);
}

/// Each test has the clock for itself.
struct Clock(#[allow(dead_code)] MutexGuard<'static, ()>);

fn clock() -> Clock {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    AHEAD.store(0, Ordering::SeqCst);
    Clock(alone)
}

/// What makes requests: a client with its pool, or one connection.
#[derive(Clone, Copy)]
enum Way {
    Pool(*mut atls_client),
    Connection(*mut atls_http),
}

struct Requests {
    way: Way,
    port: u16,
}

// SAFETY: the handles are thread-safe ones.
unsafe impl Sync for Requests {}

impl Drop for Requests {
    fn drop(&mut self) {
        match self.way {
            Way::Pool(client) => unsafe { atls_client_free(client) },
            Way::Connection(http) => unsafe { atls_http_free(http) },
        }
    }
}

/// What a response came with.
#[derive(Debug)]
struct Answer {
    reused: bool,
    verdict: Value,
}

fn with_config<T>(world: &World, policy: &Value, make: impl FnOnce(*mut atls_config) -> T) -> T {
    unsafe {
        let (json, mut config, mut parsed) = (policy.to_string(), null_mut(), null_mut());
        assert_eq!(atls_config_new(c"localhost".as_ptr(), world.server.port(), &mut config, null_mut()), 0);
        assert_eq!(
            atls_policy_new(atls_bytes { ptr: json.as_ptr(), len: json.len() }, &mut parsed, null_mut()),
            0,
            "{json}"
        );
        assert_eq!(atls_config_set_policy(config, parsed, null_mut()), 0);
        atls_policy_free(parsed);
        assert_eq!(atls_config_set_verifier(config, world.verifier, null_mut()), 0);
        add_root(config, &world.tee.web_ca_pem);
        let made = make(config);
        atls_config_free(config);
        made
    }
}

fn pool(world: &World, policy: &Value) -> Requests {
    let mut client = null_mut();
    let new = |config: *mut atls_config| unsafe {
        atls_client_new(std::ptr::null(), config, std::ptr::null(), &mut client, null_mut())
    };
    assert_eq!(with_config(world, policy, new), 0);
    Requests { way: Way::Pool(client), port: world.server.port() }
}

fn connection(world: &World, policy: &Value) -> Requests {
    let mut http = null_mut();
    let connect = |config: *mut atls_config| unsafe { atls_http_connect(config, &mut http, null_mut()) };
    assert_eq!(with_config(world, policy, connect), 0);
    Requests { way: Way::Connection(http), port: world.server.port() }
}

impl Requests {
    fn get(&self, path: &str) -> Result<Answer, Refusal> {
        unsafe {
            let url = CString::new(format!("https://localhost:{}{path}", self.port)).unwrap();
            let (mut request, mut exchange, mut body, mut error) = (null_mut(), null_mut(), null_mut(), null_mut());
            assert_eq!(atls_request_new_url(c"GET".as_ptr(), url.as_ptr(), &mut request, null_mut()), 0);
            let mut status = match self.way {
                Way::Pool(client) => atls_client_fetch(client, request, &mut exchange, &mut error),
                Way::Connection(http) => atls_http_fetch(http, request, &mut exchange, &mut error),
            };
            if status == 0 {
                status = atls_exchange_read_all(exchange, 1 << 20, 5000, &mut body, &mut error);
            }
            let verdict = match self.way {
                Way::Pool(_) => atls_exchange_verdict(exchange),
                Way::Connection(http) => atls_http_verdict(http),
            };
            let reused = atls_exchange_reused(exchange);
            let json = support::text(atls_verdict_json(verdict));
            atls_verdict_free(verdict);
            atls_buf_free(body);
            atls_exchange_free(exchange);
            atls_request_free(request);
            match status {
                0 => Ok(Answer { reused, verdict: serde_json::from_str(&json).unwrap() }),
                _ => Err(support::refusal(error)),
            }
        }
    }

    #[track_caller]
    fn is_ok(&self) -> Answer {
        self.get("/small").unwrap_or_else(|refusal| panic!("{refusal:?}"))
    }

    /// Refused, before any of the request was sent.
    #[track_caller]
    fn is_refused(&self, world: &World, status: &str) -> Refusal {
        let before = sent(world);
        let refusal = self.get("/small").expect_err("the request was answered");
        assert_eq!(refusal.name, status, "{refusal:?}");
        assert_eq!(sent(world), before, "some of the request was sent");
        refusal
    }
}

/// Bytes of requests that the server has received.
fn sent(world: &World) -> u64 {
    world.server.application_bytes.load(Ordering::SeqCst)
}

fn connections(world: &World) -> u64 {
    world.server.connections.load(Ordering::SeqCst)
}

/// A world whose server speaks HTTP, and answers for evidence with what `reply` says.
fn serving(reply: impl Fn(&Session) -> Reply + Send + Sync + 'static) -> World {
    World::new(Options { behaviour: Arc::new(reply), ..Options::default() })
}

fn honest() -> World {
    serving(|session| Reply::json(&session.honest()))
}

/// The world's policy, with these members more.
fn policy(world: &World, more: Value) -> Value {
    let mut policy = world.policy.clone();
    policy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    policy
}

fn hourly(world: &World) -> Value {
    policy(world, json!({"binding": {"protocols": ["exporter-v1"]}, "reattest": {"interval_s": 3600}}))
}

/// The vendor publishes that the platform needs an update.
fn advise(world: &World) {
    world.pccs.set(|knobs| {
        (knobs.issue.status, knobs.issue.advisories) = ("OutOfDate", vec!["INTEL-SA-99999"]);
        knobs.issue.evaluation_number = 20;
    });
}

/// Lets the verifier fetch what the vendor has now, by another connection that it serves.
fn fetch_anew(world: &World) {
    let anew = policy(world, json!({"cache_collateral": false, "binding": {"protocols": ["exporter-v1"]}}));
    let _ = world.connect_with(&anew, |_| ());
}

const WAYS: [fn(&World, &Value) -> Requests; 2] = [pool, connection];

#[test]
fn an_advisory_that_the_verifier_learns_of_ends_the_connection_before_the_next_request() {
    let _clock = clock();
    for way in WAYS {
        let world = honest();
        let requests = way(&world, &world.policy);
        requests.is_ok();
        assert_eq!(requests.is_ok().verdict["tcb_status"], "UpToDate");
        let quotes = world.server.recorded.lock().unwrap().len();
        advise(&world);
        fetch_anew(&world);
        let asked = world.server.recorded.lock().unwrap().len();
        assert_eq!(asked, quotes + 2, "only the other connection was asked for evidence");
        let refusal = requests.is_refused(&world, "TCB_REJECTED");
        assert_eq!((refusal.check.as_str(), refusal.phase.as_str()), ("tcb_status", "verify"));
        assert!(refusal.message.contains("judged again"), "{}", refusal.message);
        assert_eq!(world.server.recorded.lock().unwrap().len(), asked, "the server was not asked");
        // The connection is closed; a pool's next one is refused as it is made.
        let refusal = requests.get("/small").expect_err("answered");
        let expected = if matches!(requests.way, Way::Pool(_)) { "TCB_REJECTED" } else { "CLOSED" };
        assert_eq!((refusal.name.as_str(), refusal.check.as_str()), (expected, "tcb_status"));
    }
}

#[test]
fn an_advisory_is_noticed_when_documents_are_due_to_be_refreshed() {
    let _clock = clock();
    let world = honest();
    let requests = pool(&world, &world.policy);
    requests.is_ok();
    let hits = world.pccs.hits("");
    advise(&world);
    pass(28 * DAY);
    assert!(requests.is_ok().reused);
    assert_eq!(world.pccs.hits(""), hits, "what is kept is not due yet");
    pass(DAY - 2 * HOUR);
    assert_eq!(requests.is_refused(&world, "TCB_REJECTED").check, "tcb_status");
    assert!(world.pccs.hits("") > hits);
}

#[test]
fn documents_that_change_and_still_pass_keep_the_connection() {
    let _clock = clock();
    for way in WAYS {
        let world = honest();
        let requests = way(&world, &world.policy);
        let before = requests.is_ok().verdict;
        world.pccs.set(|knobs| knobs.issue.advisories = vec!["INTEL-SA-00001"]);
        world.pccs.set(|knobs| knobs.issue.evaluation_number = 20);
        pass(1);
        fetch_anew(&world);
        let made = connections(&world);
        let after = requests.is_ok();
        assert_eq!(connections(&world), made, "the connection was kept");
        assert!(after.verdict["time"].as_u64() > before["time"].as_u64(), "judged again");
        assert_ne!(after.verdict["collateral"], before["collateral"]);
        assert_eq!(requests.is_ok().verdict["time"], after.verdict["time"], "judged once");
    }
}

#[test]
fn the_same_documents_once_more_are_no_reason_to_judge() {
    let _clock = clock();
    let world = honest();
    let requests = pool(&world, &world.policy);
    let before = requests.is_ok().verdict;
    pass(10);
    let mut taken = 0;
    unsafe {
        let mut bundle = null_mut();
        assert_eq!(atls_verifier_export(world.verifier, &mut bundle, null_mut()), 0);
        let bytes = atls_bytes { ptr: atls_buf_data(bundle), len: atls_buf_len(bundle) };
        assert_eq!(atls_verifier_import(world.verifier, bytes, &mut taken, null_mut()), 0);
        atls_buf_free(bundle);
    }
    assert_eq!(requests.is_ok().verdict["time"], before["time"]);
}

#[test]
fn documents_that_end_are_fetched_anew_or_the_connection_ends() {
    let _clock = clock();
    for way in WAYS {
        let world = honest();
        let requests = way(&world, &world.policy);
        requests.is_ok();
        let made = connections(&world);
        pass(29 * DAY + HOUR);
        requests.is_ok();
        assert_eq!(connections(&world), made, "newer documents were had");
        pass(30 * DAY);
        world.pccs.set(|knobs| knobs.fail = Some(503));
        let refusal = requests.is_refused(&world, "COLLATERAL_UNAVAILABLE");
        assert!(refusal.retryable && refusal.phase == "collateral", "{refusal:?}");
        assert_eq!(connections(&world), made);
    }
}

#[test]
fn a_service_that_is_down_ends_nothing_as_long_as_what_is_kept_holds() {
    let _clock = clock();
    for cached in [true, false] {
        let world = honest();
        let requests = pool(&world, &policy(&world, json!({"cache_collateral": cached})));
        requests.is_ok();
        world.pccs.set(|knobs| knobs.fail = Some(503));
        pass(29 * DAY - HOUR);
        assert!(requests.is_ok().reused);
        pass(2 * HOUR);
        requests.is_refused(&world, "COLLATERAL_UNAVAILABLE");
    }
}

#[test]
fn documents_older_than_the_policy_allows_are_fetched_anew() {
    let _clock = clock();
    let world = honest();
    let requests = pool(&world, &policy(&world, json!({"collateral": {"max_age_s": 600}})));
    requests.is_ok();
    advise(&world);
    pass(600);
    assert!(requests.is_ok().reused);
    pass(1);
    requests.is_refused(&world, "TCB_REJECTED");
}

#[test]
fn a_policy_may_be_content_with_the_first_judgement() {
    let _clock = clock();
    let world = honest();
    let requests = pool(&world, &policy(&world, json!({"reattest": {"on_collateral_change": false}})));
    requests.is_ok();
    advise(&world);
    fetch_anew(&world);
    pass(40 * DAY);
    assert!(requests.is_ok().reused);
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
    (
        |_| Reply::bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx".to_vec()),
        "NO_EVIDENCE|HTTP_PROTOCOL|EVIDENCE_INVALID",
        "",
    ),
    (
        |_| Reply::bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\nshort".to_vec()).then(Then::Hang),
        "TIMED_OUT",
        "evidence exchange",
    ),
    (|_| Reply::bytes(Vec::new()).then(Then::Hang), "TIMED_OUT", "evidence exchange"),
    (|_| Reply::bytes(response("503 Busy", b"{}")), "EVIDENCE_BUSY", "status 503"),
];

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

#[test]
fn streams_end_when_the_evidence_is_refused_or_too_old() {
    let _clock = clock();
    let world = World::new(Options { raw_echo: true, ..Options::default() });
    let fails = |stream: &support::Stream| unsafe {
        let (mut error, before) = (null_mut(), sent(&world));
        let data = atls_bytes { ptr: b"secret".as_ptr(), len: 6 };
        assert_ne!(atls_stream_write_all(stream.0, data, 5000, &mut error), 0);
        assert_eq!(sent(&world), before);
        support::refusal(error)
    };
    let stream = world.connect_with(&hourly(&world), |_| ()).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    pass(HOUR - 10);
    support::echo(&stream, b"within the hour");
    pass(10);
    let refusal = fails(&stream);
    assert_eq!((refusal.name.as_str(), refusal.phase.as_str()), ("TIMED_OUT", "evidence"));
    assert!(refusal.message.contains("policy.reattest.interval_s (3600 s)"), "{}", refusal.message);
    let stream = world.connect().unwrap_or_else(|refusal| panic!("{refusal:?}"));
    support::echo(&stream, b"good");
    advise(&world);
    fetch_anew(&world);
    let refusal = fails(&stream);
    assert_eq!((refusal.name.as_str(), refusal.check.as_str()), ("TCB_REJECTED", "tcb_status"));
}

#[test]
fn a_stream_that_waits_for_bytes_ends_at_once() {
    let _clock = clock();
    let world = World::new(Options { raw_echo: true, ..Options::default() });
    let stream = world.connect().unwrap_or_else(|refusal| panic!("{refusal:?}"));
    advise(&world);
    let waiting = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (told, stream) = (waiting.clone(), &stream);
        // SAFETY: the handle is a thread-safe one.
        let handle = stream.0 as usize;
        let reader = scope.spawn(move || unsafe {
            let (mut buffer, mut n, mut error) = ([0; 16], 0, null_mut());
            told.store(true, Ordering::SeqCst);
            let stream = handle as *const atls_stream;
            let status = atls_stream_read(stream, buffer.as_mut_ptr(), buffer.len(), 30_000, &mut n, &mut error);
            assert_ne!(status, 0);
            support::refusal(error).check
        });
        while !waiting.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(50));
        fetch_anew(&world);
        assert_eq!(reader.join().unwrap(), "tcb_status");
    });
}

#[test]
fn many_threads_on_one_pool_while_time_passes() {
    let _clock = clock();
    let world = honest();
    let requests = pool(&world, &hourly(&world));
    let rounds = 30;
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let (requests, world) = (&requests, &world);
            scope.spawn(move || {
                for round in 0..rounds {
                    requests.is_ok();
                    if thread == 0 {
                        pass(HOUR / 2);
                        world.pccs.set(|knobs| knobs.issue.evaluation_number += 1);
                    }
                    if thread == 1 && round % 5 == 0 {
                        fetch_anew(world);
                    }
                }
            });
        }
    });
    requests.is_ok();
    // Each connection was asked for new evidence at most once in an hour.
    let recorded = world.server.recorded.lock().unwrap();
    let asked = recorded.iter().filter(|head| head.starts_with(b"POST /atls/exporter-v1 ")).count() as u64;
    let made = connections(&world);
    assert!(asked <= made * (rounds / 2 + 2), "{asked} challenges on {made} connections");
}
