//! Attacks by the event log that must fail, each by name: logs that do not explain the quote, or explain it in a way that nobody measured. Every test also
//! holds that no byte of the application's data was sent, and names the check that noticed.

mod support;

use std::sync::Arc;

use hostile::{Options, Reply};
use simtee::guest::{Guest, answer, report_data};
use support::World;

/// Answers with a true quote of `guest` beside a log that `forge` has changed after the fact.
fn forged_log(forge: impl Fn(&mut Vec<serde_json::Value>) + Send + Sync + 'static) -> World {
    World::lying(move |session| {
        let mut guest = session.guest.clone();
        guest.emit_certificate(&session.leaf);
        let mut log = guest.log();
        forge(log.as_array_mut().unwrap());
        let quote = guest.quote(&session.tee, &report_data(&session.nonce, &session.exporter));
        answer(&quote, &log).to_string().into()
    })
}

fn named<'a>(log: &'a mut [serde_json::Value], name: &str) -> &'a mut serde_json::Value {
    log.iter_mut().find(|event| event["event"] == name).unwrap()
}

#[test]
fn forged_event_payload_under_a_true_digest() {
    let world = forged_log(|log| named(log, "compose-hash")["event_payload"] = "00".repeat(32).into());
    assert_eq!(world.refused("EVENT_LOG_INVALID").check, "event_log");
}

#[test]
fn forged_event_payload_without_a_digest() {
    let world = forged_log(|log| {
        let event = named(log, "compose-hash");
        event["event_payload"] = "00".repeat(32).into();
        event["digest"] = "".into();
    });
    assert_eq!(world.refused("EVENT_LOG_INVALID").check, "rtmr3");
}

#[test]
fn event_in_a_wrong_register() {
    let world = forged_log(|log| named(log, "compose-hash")["imr"] = 2.into());
    assert_eq!(world.refused("EVENT_LOG_INVALID").check, "event_log");
    let world = forged_log(|log| named(log, "compose-hash")["imr"] = 7.into());
    assert_eq!(world.refused("EVENT_LOG_INVALID").check, "event_log");
}

#[test]
fn a_real_event_hidden_behind_its_digest() {
    // The log of an evil application: the true compose-hash and system-ready are shown as opaque extensions of the register, so that
    // the event which the application itself emitted would be the only one of that name, and "before" system-ready.
    let hide = |event: &mut serde_json::Value| {
        event["event_type"] = 1.into();
        event["event"] = "".into();
        event["event_payload"] = "".into();
    };
    let world = World::lying(move |session| {
        let mut guest = session.guest.clone();
        let good = guest.event_mut("compose-hash").payload.clone();
        guest.event_mut("compose-hash").payload = vec![0xee; 32];
        guest.mr_config_id = [0; 48];
        guest.emit(1, "compose-hash", &good);
        guest.emit(1, "system-ready", b"");
        guest.emit_certificate(&session.leaf);
        let mut log = guest.log();
        let entries = log.as_array_mut().unwrap();
        hide(named(entries, "compose-hash"));
        hide(named(entries, "system-ready"));
        let quote = guest.quote(&session.tee, &report_data(&session.nonce, &session.exporter));
        answer(&quote, &log).to_string().into()
    });
    assert_eq!(world.refused("EVENT_LOG_INVALID").check, "event_log");
}

#[test]
fn a_name_with_a_colon_cannot_pass_for_another_event() {
    let world = World::lying(|session| {
        let mut guest = session.guest.clone();
        guest.emit(1, "compose-hash:", &[1]);
        guest.emit_certificate(&session.leaf);
        session.answer_for(&guest)
    });
    assert_eq!(world.refused("EVENT_LOG_INVALID").check, "event_log");
}

#[test]
fn system_event_twice() {
    let world = World::lying(|session| {
        let mut guest = session.guest.clone();
        let at = guest.events.iter().position(|event| event.name == "compose-hash").unwrap();
        let twin = guest.events[at].clone();
        guest.events.insert(at, twin);
        guest.emit_certificate(&session.leaf);
        session.answer_for(&guest)
    });
    assert_eq!(world.refused("EVENT_LOG_INVALID").check, "event_order");
}

#[test]
fn system_event_after_system_ready() {
    let world = World::lying(|session| {
        let mut guest = session.guest.clone();
        let at = guest.events.iter().position(|event| event.name == "compose-hash").unwrap();
        let moved = guest.events.remove(at);
        guest.events.push(moved);
        guest.emit_certificate(&session.leaf);
        session.answer_for(&guest)
    });
    assert_eq!(world.refused("EVENT_LOG_INVALID").check, "event_order");
}

#[test]
fn preimage_that_differs() {
    let mut options = Options { guest: Guest::booted(2), ..Options::default() };
    options.behaviour = Arc::new(|session| {
        let mut guest = session.guest.clone();
        guest.emit_certificate(&session.leaf);
        let mut log = guest.log();
        named(log.as_array_mut().unwrap(), "app-id")["preimage"] = "7b7d".into();
        let quote = guest.quote(&session.tee, &report_data(&session.nonce, &session.exporter));
        Reply::json(answer(&quote, &log).to_string().as_bytes())
    });
    let world = World::new(options);
    assert_eq!(world.refused("EVENT_LOG_INVALID").check, "event_log");
}

#[test]
fn boot_log_that_contradicts_the_quote() {
    let world = forged_log(|log| log[0]["digest"] = "ee".repeat(48).into());
    assert_eq!(world.refused("EVENT_LOG_INVALID").check, "rtmr0");
}
