//! What is the same for all quotes: which of the documents at hand count, and what the status of the quoting enclave makes of the platform's.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use serde_json::{Value, json};
use simtee::collateral::{Issue, bundle};
use simtee::{Guest, SimTee};
use support::enclave;
use support::offline::{Question, honest};

/// A name in a bundle, the document's chain, and its body.
type Object = (&'static str, String, Vec<u8>);

/// Who is asked about, and whose documents they take.
#[derive(Clone, Copy)]
struct Kind {
    tcb_info: [&'static str; 2],
    qe_identity: [&'static str; 2],
    make: fn(&SimTee) -> Question,
    documents: fn(&SimTee, &Issue) -> (String, String),
}

const DOMAIN: Kind = Kind {
    tcb_info: ["tcb_info/514D54454500/standard", "tcb_info/514D54454500/early"],
    qe_identity: ["qe_identity/standard", "qe_identity/early"],
    make: |tee| honest(tee, &Guest::booted(2)),
    documents: |tee, issue| (tee.tcb_info(issue), tee.qe_identity(issue)),
};

const ENCLAVE: Kind = Kind {
    tcb_info: ["sgx_tcb_info/514D54454500/standard", "sgx_tcb_info/514D54454500/early"],
    qe_identity: ["sgx_qe_identity/standard", "sgx_qe_identity/early"],
    make: |tee| enclave::question(tee, |_| ()),
    documents: |tee, issue| (tee.sgx_tcb_info(issue), tee.sgx_qe_identity(issue)),
};

const KINDS: [Kind; 2] = [DOMAIN, ENCLAVE];

impl Kind {
    /// The question, with the documents of `issue`.
    fn under(&self, tee: &SimTee, issue: &Issue) -> Question {
        Question { collateral: tee.set(issue, (self.documents)(tee, issue)), ..(self.make)(tee) }
    }

    /// The two documents of `issue` by these names.
    fn pair(&self, tee: &SimTee, issue: &Issue, tcb_info: &'static str, qe_identity: &'static str) -> [Object; 2] {
        let (tcb, qe) = (self.documents)(tee, issue);
        [(tcb_info, tee.tcb_chain(), tcb.into_bytes()), (qe_identity, tee.tcb_chain(), qe.into_bytes())]
    }
}

fn lists(tee: &SimTee) -> [Object; 2] {
    let issue = Issue::default();
    [("root_crl", String::new(), tee.root_crl(&issue)), ("pck_crl/platform", tee.pck_crl_chain(), tee.pck_crl(&issue))]
}

fn with_bundle(question: Question, objects: &[Object]) -> Question {
    Question { collateral: bundle(objects).to_string(), ..question }
}

fn allowing(mut question: Question, statuses: &[&str]) -> Question {
    question.policy["allowed_tcb_status"] = json!(statuses);
    question
}

#[test]
fn each_status_of_the_quoting_enclave_counts() {
    let tee = SimTee::new();
    for kind in KINDS {
        for (status, qe_status, both) in [
            ("UpToDate", "ConfigurationNeeded", "ConfigurationNeeded"),
            ("UpToDate", "OutOfDateConfigurationNeeded", "OutOfDateConfigurationNeeded"),
            ("UpToDate", "OutOfDate", "OutOfDate"),
            ("SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded"),
            ("SWHardeningNeeded", "OutOfDateConfigurationNeeded", "OutOfDateConfigurationNeeded"),
            ("ConfigurationNeeded", "OutOfDateConfigurationNeeded", "OutOfDateConfigurationNeeded"),
            ("OutOfDate", "ConfigurationNeeded", "OutOfDateConfigurationNeeded"),
            ("OutOfDate", "OutOfDateConfigurationNeeded", "OutOfDateConfigurationNeeded"),
        ] {
            let question = || kind.under(&tee, &Issue { status, qe_status, ..Issue::default() });
            let found = question().refused("TCB_REJECTED", "tcb_status");
            assert_eq!(found.verdict["tcb_status"], both, "{status} {qe_status}");
            // What the documents say of each of the two alone is not enough.
            let single: Vec<_> = [status, qe_status].into_iter().filter(|one| *one != both).collect();
            if !single.is_empty() {
                allowing(question(), &single).refused("TCB_REJECTED", "tcb_status");
            }
            allowing(question(), &[both]).trusted();
        }
        // And how long ago it went out of date, too.
        let issue = Issue { qe_status: "OutOfDateConfigurationNeeded", ..Issue::default() };
        let mut late = allowing(kind.under(&tee, &issue), &["OutOfDateConfigurationNeeded"]);
        late.policy["tcb"] = json!({"qe_grace_period": 86_400});
        late.refused("TCB_REJECTED", "qe_grace_period");
    }
}

#[test]
fn a_bundle_of_several_platforms_has_the_documents_of_the_quotes_own() {
    let tee = SimTee::new();
    for kind in KINDS {
        let [name, _] = kind.tcb_info;
        let qe = kind.qe_identity[0];
        let other = Issue { fmspc: [0xab; 6], status: "Revoked", ..Issue::default() };
        let (others, own) = (kind.pair(&tee, &other, "", qe), kind.pair(&tee, &Issue::default(), name, qe));
        let family = if name.starts_with("sgx") { "sgx_tcb_info" } else { "tcb_info" };
        let elsewhere: &'static str = format!("{family}/ABABABABABAB/standard").leak();
        let [mut strange, _] = others;
        strange.0 = elsewhere;
        let [tcb, identity] = own;
        let [root, pck] = lists(&tee);
        // In either order, with lists of another CA before the one that counts.
        let processor = ("pck_crl/processor", "-----BEGIN CERTIFICATE-----".to_owned(), pck.2.clone());
        for objects in [
            vec![strange.clone(), tcb.clone(), identity.clone(), processor.clone(), root.clone(), pck.clone()],
            vec![pck.clone(), root.clone(), processor, identity.clone(), tcb, strange.clone()],
        ] {
            with_bundle((kind.make)(&tee), &objects).trusted();
        }
        // Without it there is nothing to judge by: another platform's does not stand in.
        let found = with_bundle((kind.make)(&tee), &[strange, identity, root, pck]);
        let found = found.refused("COLLATERAL_UNAVAILABLE", "quote");
        assert!(found.message.contains("514D54454500/standard is not at hand"), "{found:?}");
    }
}

#[test]
fn the_evaluation_set_of_the_policy_is_the_one_that_counts() {
    let tee = SimTee::new();
    for kind in KINDS {
        let early = Issue { status: "OutOfDate", ..Issue::default() };
        let pairs = [
            kind.pair(&tee, &early, kind.tcb_info[1], kind.qe_identity[1]),
            kind.pair(&tee, &Issue::default(), kind.tcb_info[0], kind.qe_identity[0]),
        ];
        let objects: Vec<_> = pairs.into_iter().flatten().chain(lists(&tee)).collect();
        let ask = |set: Value| {
            let mut question = with_bundle((kind.make)(&tee), &objects);
            question.policy["tcb"] = json!({"evaluation_set": set});
            question
        };
        ask("standard".into()).trusted();
        ask("early".into()).refused("TCB_REJECTED", "tcb_status");
    }
}

#[test]
fn each_document_that_is_not_at_hand_is_named() {
    let tee = SimTee::new();
    for kind in KINDS {
        let own = kind.pair(&tee, &Issue::default(), kind.tcb_info[0], kind.qe_identity[0]);
        let all: Vec<_> = own.into_iter().chain(lists(&tee)).collect();
        for left_out in 0..all.len() {
            let mut objects = all.clone();
            let (name, ..) = objects.remove(left_out);
            let found = with_bundle((kind.make)(&tee), &objects).refused("COLLATERAL_UNAVAILABLE", "quote");
            assert!(found.message.contains(&format!("{name} is not at hand")), "{found:?}");
        }
        with_bundle((kind.make)(&tee), &[]).refused("COLLATERAL_UNAVAILABLE", "quote");
    }
}
