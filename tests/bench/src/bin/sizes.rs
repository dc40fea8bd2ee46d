//! What a large policy and a long event log cost: whole appraisals of new quotes of one known platform.
//!
//! sizes N: prints one JSON line per case. policy-M: under `any_of` of M members, the last of which fits; log-E: with E events in the log.

use atls::collateral::documents_from_json;
use bench::Meter;
use bench::families::{Question, report_data};
use serde_json::{Value, json};
use simtee::collateral::Issue;
use simtee::{Guest, SimTee, hex};

/// Another one each time, all of one guest.
fn questions(tee: &SimTee, guest: &Guest, policy: &Value, count: usize) -> Vec<Question> {
    let (collateral, log) = (tee.collateral_json(&Issue::default()), guest.log().to_string());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let ask = |n| {
        let evidence = json!({"quote": hex(&guest.quote(tee, &report_data(n))), "event_log": log});
        let documents = documents_from_json(collateral.as_bytes()).unwrap();
        let evidence = json!({"tee": "tdx", "evidence": evidence});
        Question::new(evidence, documents, policy, &[("intel", &tee.root_pem)], now)
    };
    (0..=count).map(ask).collect()
}

fn measure(name: &str, questions: &[Question]) {
    questions[0].judge();
    print!("{name} ");
    let meter = Meter::start();
    questions[1..].iter().for_each(Question::judge);
    meter.finish(questions.len() as u64 - 1, 0);
}

/// Members that differ in what may run.
fn any_of(fits: &Value, count: usize) -> Value {
    let other = |n: usize| {
        let mut member = fits.clone();
        member["os_image_hash"] = Value::from(hex(&[n as u8; 32]));
        member
    };
    let mut members: Vec<_> = (1..count).map(|n| other(n + 100)).chain([fits.clone()]).collect();
    for member in &mut members {
        // Said once, of all members.
        member.as_object_mut().unwrap().remove("allow_simulated");
    }
    json!({"any_of": members, "allow_simulated": true})
}

fn main() {
    let count: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(100);
    let (tee, guest) = (SimTee::new(), Guest::booted(1));
    let policy = |guest: &Guest| guest.policy("https://localhost");
    for members in [1, 10, 100] {
        let policy = any_of(&policy(&guest), members);
        measure(&format!("policy-{members}"), &questions(&tee, &guest, &policy, count));
    }
    for events in [10, 100, 1000, 4000] {
        let mut guest = guest.clone();
        // Those that no policy asks for make room for the smallest log.
        guest.events.retain(|event| !matches!(event.name.as_str(), "key-provider" | "storage-fs"));
        for n in guest.events.len()..events {
            guest.emit(1, "application-event", format!("{n:016}").as_bytes());
        }
        assert_eq!(guest.events.len(), events);
        measure(&format!("log-{events}"), &questions(&tee, &guest, &policy(&guest), count));
    }
}
