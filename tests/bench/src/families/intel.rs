//! Quotes of trust domains and of enclaves.

use atls::collateral::documents_from_json;
use serde_json::{Value, json};
use simtee::collateral::Issue;
use simtee::sgx::Enclave;
use simtee::{Guest, SimTee, hex};

use super::{Case, Question, clock, report_data};

/// A platform's quotes with the documents about it, as verifiers of quotes take them.
pub struct Intel {
    pub quotes: Vec<Vec<u8>>,
    pub collateral: String,
    pub root: Vec<u8>,
}

/// Of one trust domain.
pub fn quotes(tee: &SimTee, count: usize) -> Intel {
    let guest = Guest::booted(1);
    let quotes = (0..count).map(|n| guest.quote(tee, &report_data(n))).collect();
    Intel { quotes, collateral: tee.collateral_json(&Issue::default()), root: tee.root_der.clone() }
}

/// `of` makes the quote and knows its documents and policy.
fn question(tee: &SimTee, kind: &str, quote: &[u8], collateral: &str, policy: &Value) -> Question {
    let evidence = json!({"tee": kind, "evidence": {"quote": hex(quote)}});
    let documents = documents_from_json(collateral.as_bytes()).unwrap();
    Question::new(evidence, documents, policy, &[("intel", &tee.root_pem)], clock())
}

pub fn tdx(count: usize) -> Case {
    let policy = json!({
        "type": "tdx", "firmware_only": true, "measurements": [{"mrtd": "11".repeat(48)}], "allow_simulated": true,
    });
    let ask = |tee: &SimTee, count| -> Vec<Question> {
        let of = quotes(tee, count);
        of.quotes.iter().map(|quote| question(tee, "tdx", quote, &of.collateral, &policy)).collect()
    };
    let strangers = (0..count / 4).flat_map(|_| ask(&SimTee::new(), 1)).collect();
    Case { name: "tdx", strangers, known: ask(&SimTee::new(), count) }
}

pub fn sgx(count: usize) -> Case {
    let enclave = Enclave::new();
    let policy = json!({"type": "sgx", "mr_enclave": [hex(&enclave.mr_enclave)], "allow_simulated": true});
    let ask = |tee: &SimTee, count| -> Vec<Question> {
        let collateral = tee.sgx_collateral_json(&Issue::default());
        let quotes = (0..count).map(|n| enclave.quote(tee, &report_data(n)));
        quotes.map(|quote| question(tee, "sgx", &quote, &collateral, &policy)).collect()
    };
    let strangers = (0..count / 4).flat_map(|_| ask(&SimTee::new(), 1)).collect();
    Case { name: "sgx", strangers, known: ask(&SimTee::new(), count) }
}
