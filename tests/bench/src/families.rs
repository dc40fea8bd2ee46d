//! Questions about evidence of every kind, of machines met for the first time and of known ones, for the programs that measure how long judging them takes.

mod azure;
mod intel;
mod others;

use atls::attest::{AppraisalRequest, Binding, Documents, Evidence, Policy, TrustAnchors, appraise};
use serde_json::Value;

pub use intel::{Intel, quotes};

/// All that a judgement takes.
pub struct Question {
    evidence: Evidence,
    documents: Documents,
    policy: Policy,
    anchors: TrustAnchors,
    now: u64,
}

impl Question {
    /// `roots` are of simulators: vendor and PEM.
    pub fn new(evidence: Value, documents: Documents, policy: &Value, roots: &[(&str, &str)], now: u64) -> Question {
        let mut anchors = TrustAnchors::default();
        for (vendor, root) in roots {
            anchors.read_simulated(vendor, root.as_bytes()).unwrap();
        }
        Question {
            evidence: Evidence::from_json(evidence.to_string().as_bytes()).unwrap(),
            documents,
            policy: Policy::from_json(policy.to_string().as_bytes()).unwrap(),
            anchors,
            now,
        }
    }

    /// Errors: none; whatever is not trusted is a panic.
    pub fn judge(&self) {
        let verdict = appraise(&AppraisalRequest {
            evidence: &self.evidence,
            documents: &self.documents,
            policy: &self.policy,
            anchors: &self.anchors,
            binding: &Binding::Skip,
            received: self.now,
            now: self.now,
        });
        let verdict = verdict.unwrap();
        assert!(verdict.trusted, "{:?}", verdict.first_failure());
    }
}

/// One kind.
pub struct Case {
    pub name: &'static str,
    /// Nothing of their chains was seen.
    pub strangers: Vec<Question>,
    /// New evidence of one machine. The first one is to be judged before the rest is measured.
    pub known: Vec<Question>,
}

/// Every kind, `count` pieces of evidence of a known machine and a quarter as many of unknown ones.
pub fn cases(count: usize) -> impl Iterator<Item = Case> {
    let kinds: [fn(usize) -> Case; 7] =
        [others::snp, others::nitro, intel::tdx, intel::sgx, azure::tdx, azure::snp, others::nvidia];
    kinds.into_iter().map(move |kind| kind(count))
}

/// Different each time.
pub fn report_data(n: usize) -> [u8; 64] {
    let mut data = [0; 64];
    data[..8].copy_from_slice(&(n as u64 + 1).to_le_bytes());
    data
}

fn clock() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}
