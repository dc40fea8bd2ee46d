//! A certificate that is renewed between handshake and quote, and policies with alternatives: what is tried once more, and what is not.

mod support;

use std::sync::{Arc, Mutex};

use hostile::{Options, Reply};
use support::World;

#[test]
fn certificate_renewed_between_handshake_and_quote() {
    // The first session's quote is already about the next certificate; the second attempt then sees that one.
    let renewed: Arc<Mutex<Option<Vec<u8>>>> = Arc::default();
    let known = renewed.clone();
    let options = Options {
        behaviour: Arc::new(move |session| {
            let mut guest = session.guest.clone();
            let leaf = known.lock().unwrap().clone().unwrap_or(vec![1]);
            guest.emit_certificate(if session.count == 0 { &leaf } else { &session.leaf });
            Reply::json(&session.answer_for(&guest))
        }),
        raw_echo: true,
        ..Options::default()
    };
    let world = World::new(options);
    *renewed.lock().unwrap() = Some(world.server.leaf());
    assert!(world.connect().is_ok());
    let fresh = World::lying(|session| {
        let mut guest = session.guest.clone();
        guest.emit_certificate(if session.count == 0 { b"renewed meanwhile" } else { &session.leaf });
        session.answer_for(&guest)
    });
    assert!(fresh.connect().is_ok());
    assert_eq!(fresh.server.connections.load(std::sync::atomic::Ordering::SeqCst), 2, "retried once");
}

#[test]
fn any_of_takes_the_member_that_fits_and_names_all_failures() {
    let world = World::honest();
    let mut other = world.policy.clone();
    other["expected_bootchain"]["mrtd"] = "ee".repeat(48).into();
    other.as_object_mut().unwrap().remove("allow_simulated");
    let mut fits = world.policy.clone();
    fits.as_object_mut().unwrap().remove("allow_simulated");
    let policy = serde_json::json!({"any_of": [other, fits], "allow_simulated": true});
    assert!(world.connect_with(&policy, |_| ()).is_ok());
    let policy = serde_json::json!({"any_of": [other, other], "allow_simulated": true});
    assert_eq!(world.refused_after(&policy, "MEASUREMENT_MISMATCH").check, "any_of[0].bootchain");
}

/// A server whose log names another certificate in the first session, and what `change` makes of the policy.
fn renewed_once(
    payload: &'static [u8],
    change: impl Fn(&mut serde_json::Value),
) -> (Result<(), support::Refusal>, u64) {
    let world = World::lying(move |session| {
        let mut guest = session.guest.clone();
        match session.count {
            0 => guest.emit(1, "New TLS Certificate", payload),
            _ => guest.emit_certificate(&session.leaf),
        }
        session.answer_for(&guest)
    });
    let mut policy = world.policy.clone();
    change(&mut policy);
    let done = world.connect_with(&policy, |_| ()).map(|_| ());
    (done, world.server.connections.load(std::sync::atomic::Ordering::SeqCst))
}

const OTHER_CERTIFICATE: &[u8] = &[b'e'; 64];

/// The policy's members, as `any_of`, each changed on its own.
fn alternatives(policy: &mut serde_json::Value, changes: &[fn(&mut serde_json::Value)]) {
    let mut member = policy.as_object().unwrap().clone();
    let allow = member.remove("allow_simulated");
    let members = changes.iter().map(|change| {
        let mut member = serde_json::Value::Object(member.clone());
        change(&mut member);
        member
    });
    *policy = serde_json::json!({"any_of": members.collect::<Vec<_>>(), "allow_simulated": allow});
}

fn other_machine(member: &mut serde_json::Value) {
    member["expected_bootchain"]["mrtd"] = "ee".repeat(48).into();
}

#[test]
fn a_renewed_certificate_is_retried_whatever_the_number_of_alternatives() {
    for changes in [&[other_machine as fn(&mut _), |_| ()][..], &[|_| (), |_| ()], &[|_| (), other_machine]] {
        let (done, connections) = renewed_once(OTHER_CERTIFICATE, |policy| alternatives(policy, changes));
        assert!(done.is_ok(), "{done:?}");
        assert_eq!(connections, 2, "retried once");
    }
}

#[test]
fn what_a_new_session_cannot_mend_is_not_retried() {
    // As long as a digest, and none.
    let (done, connections) = renewed_once(&[b'x'; 64], |_| ());
    assert_eq!((done.unwrap_err().check.as_str(), connections), ("certificate_event", 1));
    let (done, connections) = renewed_once(OTHER_CERTIFICATE, other_machine);
    assert_eq!((done.unwrap_err().check.as_str(), connections), ("certificate_event", 1));
    let both = &[other_machine as fn(&mut _), other_machine];
    let (done, connections) = renewed_once(OTHER_CERTIFICATE, |policy| alternatives(policy, both));
    assert_eq!((done.unwrap_err().check.as_str(), connections), ("any_of[0].certificate_event", 1));
}
