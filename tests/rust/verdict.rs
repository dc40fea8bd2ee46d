//! Verdicts are what docs/verdict.schema.json and docs/verdict.md say: of every kind of evidence, trusted and refused, none has a member that the schema
//! does not name, and no member of the schema is never there.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use std::collections::BTreeSet;

use atls::attest::Tee;
use serde_json::{Value, json};
use simtee::snp::Product;
use simtee::{Guest, SimTee};
use support::nvidia::Composite;
use support::offline::{Session, honest};
use support::schema;
use support::snp_guest::{Machine as Snp, with_vlek};
use support::{azure_machine, enclave, nitro, offline};

const PAGE: &str = include_str!("../../docs/verdict.md");

/// Of dstack guests and others in trust domains.
fn of_tdx() -> Vec<Value> {
    let (tee, guest) = (SimTee::new(), Guest::booted(2));
    let ask = |change: &dyn Fn(&mut offline::Question)| {
        let mut question = honest(&tee, &guest);
        change(&mut question);
        question.ask().verdict
    };
    let mut newer = honest(&tee, &Guest { td15: true, ..Guest::booted(1) });
    newer.policy["bootchains"] = Value::Null;
    vec![
        ask(&|_| ()),
        ask(&|question| question.now += 400 * 86400),
        ask(&|question| question.quote[100] ^= 1),
        ask(&|question| question.log = None),
        ask(&|question| question.session = Session::None),
        ask(&|question| question.policy["any_of"] = Value::Null),
        newer.ask().verdict,
    ]
}

fn of_snp() -> Vec<Value> {
    let mut all = Vec::new();
    for product in [Product::Milan, Product::Genoa, Product::Turin] {
        let question = Snp::new(product, 5).honest();
        all.push(question.ask().verdict);
        let mut other = question.clone();
        other.policy["measurement"] = json!(["00".repeat(48)]);
        all.push(other.ask().verdict);
        let mut other = question.clone();
        other.bundle = None;
        all.push(other.ask().verdict);
    }
    let key = [1 << 2, 0, 0, 0];
    all.push(with_vlek(Snp::new(Product::Genoa, 3).with(0x48, &key).honest()).ask().verdict);
    all
}

fn of_sgx() -> Vec<Value> {
    let tee = SimTee::new();
    let bent = |change: fn(&mut simtee::sgx::Enclave)| enclave::question(&tee, change).ask().verdict;
    vec![bent(|_| ()), bent(|enclave| enclave.attributes[0] |= 2), bent(|enclave| enclave.raw.push((20, 1)))]
}

fn of_nitro() -> Vec<Value> {
    let machine = nitro::Machine::new();
    let mut wrong = machine.honest();
    wrong.rest.policy["pcrs"] = json!({"0": ["02".repeat(48)]});
    let mut broken = machine.honest();
    let last = broken.document.len() - 1;
    broken.document[last] ^= 1;
    let mut other = machine.tpm_question(|_| ());
    other.rest.policy["pcrs"]["4"] = json!(["02".repeat(48)]);
    let tpm = [machine.tpm_question(|_| ()).ask().verdict, other.ask().verdict];
    [vec![machine.honest().ask().verdict, wrong.ask().verdict, broken.ask().verdict], tpm.into()].concat()
}

/// Beside an enclave.
fn of_nvidia() -> Vec<Value> {
    let mut without = Composite::honest();
    without.attached = Value::Null;
    let forged = Composite::bent(|report| *report.field(20) = vec![0; 48]);
    [Composite::honest(), without, forged].map(|question| question.ask().verdict).into()
}

fn of_azure() -> Vec<Value> {
    let ask = |hardware| {
        let mut wrong = azure_machine::honest(hardware);
        wrong.policy["pcrs"]["4"] = json!(["02".repeat(32)]);
        let mut broken = azure_machine::honest(hardware);
        broken.signature[0] ^= 1;
        [azure_machine::honest(hardware).ask().verdict, wrong.ask().verdict, broken.ask().verdict]
    };
    azure_machine::BOTH.map(ask).concat()
}

fn all() -> Vec<Value> {
    [of_tdx(), of_snp(), of_sgx(), of_nitro(), of_nvidia(), of_azure()].concat()
}

#[test]
fn each_verdict_is_valid_and_each_property_is_seen() {
    let (mut seen, mut outcomes) = (BTreeSet::new(), BTreeSet::new());
    for verdict in all().iter().filter(|verdict| !verdict.is_null()) {
        schema::hold(verdict);
        seen.extend(schema::seen_in(verdict));
        outcomes.insert((verdict["tee_type"].to_string(), verdict["trusted"] == true));
    }
    let known = schema::properties();
    let unseen: Vec<_> = known.difference(&seen).collect();
    assert!(unseen.is_empty(), "in no verdict: {unseen:#?}");
    let unknown: Vec<_> = seen.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
    for kind in Tee::ALL.iter().filter(|kind| !kind.attaches()) {
        for trusted in [true, false] {
            let name = format!("\"{}\"", kind.name());
            assert!(outcomes.contains(&(name, trusted)), "no verdict of kind {}, trusted {trusted}", kind.name());
        }
    }
}

#[test]
fn what_no_verdict_is_is_refused_by_the_schema() {
    let good = of_nitro().remove(0);
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut bent = good.clone();
        change(&mut bent);
        !schema::faults(&bent).is_empty()
    };
    assert!(!refused(&|_| ()));
    assert!(refused(&|verdict| verdict["more"] = 1.into()));
    assert!(refused(&|verdict| verdict["version"] = 2.into()));
    assert!(refused(&|verdict| verdict["tee_type"] = "sev".into()));
    assert!(refused(&|verdict| verdict["tee_type"] = "snp".into()));
    assert!(refused(&|verdict| verdict["trusted"] = Value::Null));
    assert!(refused(&|verdict| verdict["checks"][0]["outcome"] = "passed".into()));
    assert!(refused(&|verdict| verdict["measurements"]["pcrs"]["32"] = "00".repeat(48).into()));
    assert!(refused(&|verdict| verdict["measurements"]["more"] = Value::Null));
    for name in schema::schema()["required"].as_array().unwrap() {
        assert!(refused(&|verdict| drop(verdict.as_object_mut().unwrap().remove(name.as_str().unwrap()))), "{name}");
    }
}

/// The first column of the page's tables.
fn explained() -> BTreeSet<&'static str> {
    PAGE.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0)).collect()
}

#[test]
fn the_page_explains_each_property() {
    let explained = explained();
    for pointer in schema::properties() {
        let name = pointer.rsplit('/').next().unwrap();
        assert!(explained.contains(name), "docs/verdict.md does not explain {name} ({pointer})");
    }
}
