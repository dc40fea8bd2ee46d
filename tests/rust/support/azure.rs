//! Judging evidence of Azure's virtual machines offline, through the C ABI: every piece can be bent before it is asked about.

use std::ffi::CString;
use std::ptr::null_mut;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::abi::*;
use super::results;
use super::snp::Found;
use super::text;

/// One question for the verifier.
#[derive(Clone, Debug)]
pub struct Question {
    pub tee: &'static str,
    pub hcl: Vec<u8>,
    pub message: Vec<u8>,
    pub signature: Vec<u8>,
    pub pcrs: Value,
    /// DER, the key's own first.
    pub ak: Vec<Vec<u8>>,
    /// TDX.
    pub quote: Option<Vec<u8>>,
    /// SEV-SNP, DER.
    pub leaf: Option<Vec<u8>>,
    /// As the C ABI takes it.
    pub collateral: Option<String>,
    pub policy: Value,
    /// Of simulators: vendor and PEM.
    pub roots: Vec<(&'static str, String)>,
    /// `server_leaf` of an exporter-v1 session with nonce 3.. and exporter value 4.., in which a client without a certificate proves itself; else no
    /// binding.
    pub session: Option<Vec<u8>>,
    pub now: u64,
}

fn raw(bytes: &[u8]) -> atls_bytes {
    atls_bytes { ptr: bytes.as_ptr(), len: bytes.len() }
}

impl Question {
    /// The object that protocol exporter-v1 carries.
    pub fn object(&self) -> Value {
        let mut object = json!({
            "hcl_report": STANDARD.encode(&self.hcl),
            "tpm_quote": {
                "message": STANDARD.encode(&self.message), "signature": STANDARD.encode(&self.signature), "pcrs": self.pcrs,
            },
        });
        if !self.ak.is_empty() {
            object["ak_certificates"] = self.ak.iter().map(|der| STANDARD.encode(der)).collect();
        }
        for (member, value) in [("td_quote", &self.quote), ("leaf", &self.leaf)] {
            if let Some(value) = value {
                object[member] = STANDARD.encode(value).into();
            }
        }
        object
    }

    pub fn ask(&self) -> Found {
        self.ask_with(&json!({"tee": self.tee, "evidence": self.object()}))
    }

    /// As `ask`, with evidence as it is stored.
    pub fn ask_with(&self, evidence: &Value) -> Found {
        let (mut question, mut error, mut verdict) = (null_mut(), null_mut(), null_mut());
        unsafe {
            assert_eq!(atls_verification_new(&mut question, null_mut()), 0);
            let status = match self.put(question, &evidence.to_string(), &mut error) {
                0 => atls_verify(question, &mut verdict, &mut error),
                refused => refused,
            };
            atls_verification_free(question);
            let mut failed = (0..atls_verdict_check_count(verdict))
                .filter(|index| atls_verdict_check_outcome(verdict, *index) == ATLS_CHECK_FAIL)
                .map(|at| (text(atls_verdict_check_name(verdict, at)), text(atls_verdict_check_actual(verdict, at))));
            let results = (!verdict.is_null()).then(|| results::of(verdict));
            let found = match status {
                0 => {
                    let (check, message) = failed.next().unwrap_or_default();
                    let status = text(atls_status_name(atls_verdict_status(verdict)));
                    let verdict = serde_json::from_str(&text(atls_verdict_json(verdict))).unwrap();
                    Found { status, message, check, verdict, results }
                }
                _ => Found {
                    status: text(atls_status_name(status)),
                    message: text(atls_error_message(error)),
                    check: String::new(),
                    verdict: Value::Null,
                    results,
                },
            };
            atls_verdict_free(verdict);
            atls_error_free(error);
            found
        }
    }

    unsafe fn put(&self, question: *mut atls_verification, evidence: &str, error: &mut *mut atls_error) -> i32 {
        let mut parsed = null_mut();
        unsafe {
            let mut status = super::parse_policy(&self.policy, &mut parsed, error);
            let mut step = |call: &dyn Fn(&mut *mut atls_error) -> i32| {
                if status == 0 {
                    status = call(error);
                }
            };
            step(&|error| atls_verification_set_policy(question, parsed, error));
            step(&|error| atls_verification_set_evidence_json(question, raw(evidence.as_bytes()), error));
            if let Some(collateral) = &self.collateral {
                step(&|error| atls_verification_set_collateral_json(question, raw(collateral.as_bytes()), error));
            }
            for (vendor, pem) in &self.roots {
                let vendor = CString::new(*vendor).unwrap();
                step(&|error| {
                    atls_verification_add_simulated_root(question, vendor.as_ptr(), raw(pem.as_bytes()), error)
                });
            }
            step(&|error| atls_verification_set_time(question, self.now, error));
            step(&|error| match &self.session {
                None => atls_verification_skip_binding(question, error),
                Some(leaf) => atls_verification_set_exporter_session(
                    question,
                    1,
                    raw(&[3; 32]),
                    raw(&[4; 32]),
                    raw(leaf),
                    raw(&[]),
                    c"localhost".as_ptr(),
                    error,
                ),
            });
            atls_policy_free(parsed);
            status
        }
    }

    #[track_caller]
    pub fn trusted(&self) -> Found {
        let found = self.ask();
        assert_eq!(found.status, "OK", "{found:?}");
        assert_eq!(found.verdict["trusted"], true);
        found
    }

    /// Refused with this status, by this check; by none if it cannot be read.
    #[track_caller]
    pub fn refused(&self, status: &str, check: &str) -> Found {
        let found = self.ask();
        assert_eq!((found.status.as_str(), found.check.as_str()), (status, check), "{found:?}");
        found
    }

    /// The one that `change` has bent is refused.
    #[track_caller]
    pub fn bent(&self, status: &str, check: &str, change: impl FnOnce(&mut Question)) -> Found {
        let mut bent = self.clone();
        change(&mut bent);
        bent.refused(status, check)
    }
}
