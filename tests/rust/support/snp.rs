//! Judging evidence of SEV-SNP guests offline, through the C ABI: every piece can be bent before it is asked about.

use std::ffi::CString;
use std::ptr::null_mut;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::abi::*;
use super::results::{self, Results};
use super::text;

/// One question for the verifier.
#[derive(Clone, Debug)]
pub struct Question {
    pub report: Vec<u8>,
    /// DER.
    pub leaf: Option<Vec<u8>>,
    pub mr_config: Option<String>,
    /// Names and bodies; `None` for no collateral at all.
    pub bundle: Option<Vec<(String, Vec<u8>)>>,
    pub policy: Value,
    /// Whose root a simulator's takes the place of.
    pub vendor: &'static str,
    /// PEM of a simulator's root, of AMD its ARK, ASK and ASVK.
    pub roots: Option<String>,
    /// `server_leaf` of an exporter-v1 session with nonce 3.. and exporter value 4.., in which the client proves itself; else no binding.
    pub session: Option<Vec<u8>>,
    /// The client's certificate in it, DER; empty for none.
    pub client: Vec<u8>,
    pub now: u64,
}

/// Sets the evidence.
type Give<'a> = &'a dyn Fn(*mut atls_verification, &mut *mut atls_error) -> i32;

/// Its answer.
#[derive(Debug)]
pub struct Found {
    /// Of the call that failed, else of the verdict.
    pub status: String,
    pub message: String,
    /// Name of the first check that failed.
    pub check: String,
    pub verdict: Value,
    /// What is made of the verdict, if there is one.
    pub results: Option<Results>,
}

impl Found {
    /// The policy that is drafted from the verdict.
    #[track_caller]
    pub fn draft(&self) -> Value {
        self.results.as_ref().expect("a verdict").draft.clone().unwrap()
    }
}

fn raw(bytes: &[u8]) -> atls_bytes {
    atls_bytes { ptr: bytes.as_ptr(), len: bytes.len() }
}

impl Question {
    pub fn evidence(&self) -> Value {
        let mut evidence = json!({"report": STANDARD.encode(&self.report)});
        if let Some(leaf) = &self.leaf {
            evidence["leaf"] = STANDARD.encode(leaf).into();
        }
        if let Some(document) = &self.mr_config {
            evidence["mr_config"] = document.as_str().into();
        }
        json!({"tee": "snp", "evidence": evidence})
    }

    fn collateral(&self) -> Option<String> {
        let entry = |(name, body): &(String, Vec<u8>)| json!({"name": name, "body": atls::attest::hash::hex(body), "chain": "", "fetched": 1});
        let objects: Vec<Value> = self.bundle.as_ref()?.iter().map(entry).collect();
        Some(json!({"atls_collateral_bundle": 1, "objects": objects}).to_string())
    }

    pub fn ask(&self) -> Found {
        self.ask_with(&self.evidence().to_string())
    }

    /// As `ask`, with evidence as it is stored.
    pub fn ask_with(&self, evidence: &str) -> Found {
        self.ask_beside(evidence, &[])
    }

    /// As `ask_with`, with simulated roots of more vendors.
    pub fn ask_beside(&self, evidence: &str, more: &[(&str, &str)]) -> Found {
        self.ask_by(more, &|question, error| unsafe {
            atls_verification_set_evidence_json(question, raw(evidence.as_bytes()), error)
        })
    }

    /// As `ask`, with a document of another stack.
    pub fn ask_document(&self, format: &str, document: &[u8]) -> Found {
        let format = CString::new(format).unwrap();
        self.ask_by(&[], &|question, error| unsafe {
            atls_verification_set_evidence_document(question, format.as_ptr(), raw(document), error)
        })
    }

    /// As `ask`, with evidence that this certificate carries, bound to its key.
    pub fn ask_certificate(&self, certificate: &[u8]) -> Found {
        self.ask_by(&[], &|question, error| unsafe {
            atls_verification_set_ra_tls_certificate(question, raw(certificate), error)
        })
    }

    fn ask_by(&self, more: &[(&str, &str)], give: Give<'_>) -> Found {
        let mut error = null_mut();
        let mut verdict = null_mut();
        unsafe {
            let mut question = null_mut();
            assert_eq!(atls_verification_new(&mut question, null_mut()), 0);
            for (vendor, root) in more {
                let vendor = CString::new(*vendor).unwrap();
                let root = raw(root.as_bytes());
                assert_eq!(atls_verification_add_simulated_root(question, vendor.as_ptr(), root, null_mut()), 0);
            }
            let status = match self.put(question, give, &mut error) {
                0 => atls_verify(question, &mut verdict, &mut error),
                refused => refused,
            };
            atls_verification_free(question);
            let mut failed = (0..atls_verdict_check_count(verdict))
                .filter(|index| atls_verdict_check_outcome(verdict, *index) == ATLS_CHECK_FAIL)
                .map(|at| (text(atls_verdict_check_name(verdict, at)), text(atls_verdict_check_actual(verdict, at))));
            let results = (!verdict.is_null()).then(|| results::of(verdict));
            let found = match (status, failed.next()) {
                (0, failed) => {
                    let (check, message) = failed.unwrap_or_default();
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

    unsafe fn put(&self, question: *mut atls_verification, give: Give<'_>, error: &mut *mut atls_error) -> i32 {
        let mut parsed = null_mut();
        unsafe {
            let mut status = super::parse_policy(&self.policy, &mut parsed, error);
            let mut step = |call: &dyn Fn(&mut *mut atls_error) -> i32| {
                if status == 0 {
                    status = call(error);
                }
            };
            step(&|error| atls_verification_set_policy(question, parsed, error));
            if let Some(bundle) = self.collateral() {
                step(&|error| atls_verification_set_collateral_json(question, raw(bundle.as_bytes()), error));
            }
            if let Some(roots) = &self.roots {
                let vendor = CString::new(self.vendor).unwrap();
                step(&|error| {
                    atls_verification_add_simulated_root(question, vendor.as_ptr(), raw(roots.as_bytes()), error)
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
                    raw(&self.client),
                    c"localhost".as_ptr(),
                    error,
                ),
            });
            // Last, because a certificate is a binding too.
            step(&|error| give(question, error));
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

    /// Refused with this status, by this check.
    #[track_caller]
    pub fn refused(&self, status: &str, check: &str) -> Found {
        let found = self.ask();
        assert_eq!((found.status.as_str(), found.check.as_str()), (status, check), "{found:?}");
        found
    }
}
