//! Trust in connections that stay open (docs/policy.md, "Open connections"), through the C ABI: evidence is judged again when the vendor's documents change or end,
//! and when a date of its own does. The tests move the clock of this process, and with it that of the simulated vendor.

#![allow(unsafe_code)] // It is a client of the C ABI, and has a clock of its own.

#[path = "support/open.rs"]
mod open;
mod support;

use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hostile::{Options, Reply, Session};
use open::{
    DAY, HOUR, Upload, WAYS, Way, advise, clock, connection, connections, fetch_anew, pass, pass_without_dates, policy,
    pool, sent,
};
use serde_json::{Value, json};
use support::World;
use support::abi::*;

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
fn a_stream_whose_trust_has_ended_has_no_orderly_end() {
    let _clock = clock();
    let world = World::new(Options { raw_echo: true, ..Options::default() });
    for is_trusted in [true, false] {
        let stream = world.connect().unwrap_or_else(|refusal| panic!("{refusal:?}"));
        support::echo(&stream, b"good");
        if !is_trusted {
            advise(&world);
            fetch_anew(&world);
        }
        let mut error = null_mut();
        let done = unsafe { atls_stream_finish(stream.0, &mut error) };
        assert_eq!(done == 0, is_trusted);
        if !is_trusted {
            assert_eq!(support::refusal(error).check, "tcb_status");
        }
    }
}

#[test]
fn an_upload_under_way_ends_when_the_evidence_is_refused() {
    let _clock = clock();
    for way in WAYS {
        let world = honest();
        let requests = way(&world, &hourly(&world));
        requests.is_ok();
        let upload = Upload::begin(&requests);
        upload.arrive(&world);
        // New evidence cannot come in the middle of an exchange, and is not missed there.
        pass(2 * HOUR);
        upload.write("good").unwrap();
        assert_eq!(upload.end().unwrap(), 200);
        drop(upload);
        let requests = way(&world, &world.policy);
        requests.is_ok();
        let (before, made) = (sent(&world), connections(&world));
        let upload = Upload::begin(&requests);
        upload.arrive(&world);
        advise(&world);
        fetch_anew(&world);
        let _ = upload.write("secret");
        let refusal = upload.end().expect_err("the upload was answered");
        assert_eq!((refusal.name.as_str(), refusal.check.as_str()), ("TCB_REJECTED", "tcb_status"), "{refusal:?}");
        drop(upload);
        let head = sent(&world) - before;
        assert!(head < 400, "{head} bytes: the head alone, and the other connection's");
        let refusal = requests.get("/small").expect_err("answered");
        let expected = if matches!(requests.way, Way::Pool(_)) { "TCB_REJECTED" } else { "CLOSED" };
        assert_eq!((refusal.name.as_str(), refusal.check.as_str()), (expected, "tcb_status"));
        assert!(connections(&world) > made);
    }
}

/// The last second of a grace period, as the verdict has it.
fn grace(verdict: &Value) -> i64 {
    let checks = verdict["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "tcb_grace_period").unwrap();
    let words = check["expected"].as_str().unwrap().strip_prefix("not after ").unwrap();
    words.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_grace_period_ends_for_open_connections_too() {
    let _clock = clock();
    for way in WAYS {
        let world = honest();
        world.pccs.set(|knobs| knobs.issue.status = "OutOfDate");
        let late = json!({"allowed_tcb_status": ["UpToDate", "OutOfDate"], "grace_period": 101 * DAY});
        let requests = way(&world, &policy(&world, late));
        let verdict = requests.is_ok().verdict;
        let left = grace(&verdict) - verdict["time"].as_i64().unwrap();
        assert!(left > HOUR);
        // Not long before, so that nothing else is a reason to look.
        pass(left - 60);
        assert!(requests.is_ok().verdict["time"].as_i64() > verdict["time"].as_i64());
        pass(61);
        assert_eq!(requests.is_refused(&world, "TCB_REJECTED").check, "tcb_grace_period");
    }
}

#[test]
fn what_ends_by_its_own_date_is_noticed_after_some_minutes() {
    let _clock = clock();
    let world = honest();
    let requests = pool(&world, &world.policy);
    let before = requests.is_ok().verdict["time"].as_i64().unwrap();
    let hits = world.pccs.hits("");
    pass(290);
    assert_eq!(requests.is_ok().verdict["time"], before);
    pass(10);
    assert!(requests.is_ok().verdict["time"].as_i64().unwrap() >= before + 300);
    assert_eq!((connections(&world), world.pccs.hits("")), (1, hits), "nobody was asked");
}

#[test]
fn dates_that_are_set_back_keep_nothing_alive() {
    let _clock = clock();
    let world = honest();
    let requests = connection(&world, &policy(&world, json!({"collateral": {"max_age_s": 200}})));
    requests.is_ok();
    world.pccs.set(|knobs| knobs.fail = Some(503));
    pass_without_dates(190);
    requests.is_ok();
    pass_without_dates(11);
    requests.is_refused(&world, "COLLATERAL_UNAVAILABLE");
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
