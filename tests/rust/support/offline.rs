//! Judging evidence of the simulated guest offline, through the C ABI: every piece can be bent before it is asked about.

use super::abi::*;
use std::ffi::{CString, c_char};
use std::ptr::{null, null_mut};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use simtee::collateral::Issue;
use simtee::exporter::Binder;
use simtee::guest::report_data;
use simtee::{Guest, SimTee};

use super::results::{self, Results};
use super::text;

pub const NONCE: [u8; 32] = [3; 32];
pub const EXPORTER: [u8; 32] = [4; 32];

/// The session that the evidence is asked to belong to.
pub enum Session {
    None,
    Atlas {
        leaf: Vec<u8>,
    },
    /// By exporter-v1, of a client that proves itself.
    Client {
        server_leaf: Vec<u8>,
        client_leaf: Vec<u8>,
    },
}

/// One question for the verifier.
pub struct Question {
    pub quote: Vec<u8>,
    pub log: Option<String>,
    /// Evidence as it is stored, in place of these two.
    pub stored: Option<Value>,
    pub collateral: String,
    pub policy: Value,
    /// A simulator's root, or the vendor's.
    pub root: Option<Vec<u8>>,
    pub session: Session,
    pub now: u64,
}

/// Its answer.
#[derive(Debug)]
pub struct Found {
    /// Of the call where it failed, else of the verdict.
    pub status: String,
    pub message: String,
    /// Name of the first check that failed.
    pub check: String,
    pub verdict: Value,
    /// What is made of the verdict, if there is one.
    pub results: Option<Results>,
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The truth about `guest`, bound to a session by atlas-v1.
pub fn honest(tee: &SimTee, guest: &Guest) -> Question {
    let leaf = b"the server's certificate".to_vec();
    let mut guest = guest.clone();
    let policy = guest.policy("");
    guest.emit_certificate(&leaf);
    Question {
        quote: guest.quote(tee, &report_data(&NONCE, &EXPORTER)),
        log: Some(guest.log().to_string()),
        stored: None,
        collateral: tee.collateral_json(&Issue::default()),
        policy,
        root: Some(tee.root_der.clone()),
        session: Session::Atlas { leaf },
        now: now(),
    }
}

/// The truth about `guest` as a client without a certificate, by exporter-v1; `change` comes before the quote.
pub fn of_client(tee: &SimTee, guest: &Guest, change: impl FnOnce(&mut Guest)) -> Question {
    let server_leaf = tee.web_certificate(&["localhost"], -1, 1).0;
    let mut guest = guest.clone();
    let mut policy = guest.policy("");
    policy["binding"] = serde_json::json!({"protocols": ["exporter-v1"]});
    change(&mut guest);
    let binder = Binder {
        role: b'C',
        nonce: NONCE.to_vec(),
        exporter: EXPORTER,
        attester: None,
        verifier: Some(server_leaf.clone()),
        server_name: "localhost".into(),
    };
    Question {
        quote: guest.quote(tee, &binder.report_data()),
        log: Some(guest.log().to_string()),
        policy,
        session: Session::Client { server_leaf, client_leaf: vec![] },
        ..honest(tee, &guest)
    }
}

impl Found {
    /// The policy that is drafted from the verdict.
    #[track_caller]
    pub fn draft(&self) -> Value {
        self.results.as_ref().expect("a verdict").draft.clone().unwrap()
    }
}

impl Question {
    pub fn ask(&self) -> Found {
        unsafe {
            let mut question = null_mut();
            assert_eq!(atls_verification_new(&mut question, null_mut()), 0);
            let mut error = null_mut();
            let mut verdict = null_mut();
            let status = match self.put(question, &mut error) {
                0 => atls_verify(question, &mut verdict, &mut error),
                refused => refused,
            };
            atls_verification_free(question);
            let failed = (0..atls_verdict_check_count(verdict))
                .find(|index| atls_verdict_check_outcome(verdict, *index) == ATLS_CHECK_FAIL)
                .map(|index| {
                    (text(atls_verdict_check_name(verdict, index)), text(atls_verdict_check_actual(verdict, index)))
                });
            let results = (!verdict.is_null()).then(|| results::of(verdict));
            let found = match status {
                0 => Found {
                    status: text(atls_status_name(atls_verdict_status(verdict))),
                    message: failed.as_ref().map_or(String::new(), |failed| failed.1.clone()),
                    check: failed.map_or(String::new(), |failed| failed.0),
                    verdict: serde_json::from_str(&text(atls_verdict_json(verdict))).unwrap(),
                    results,
                },
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

    unsafe fn put(&self, question: *mut atls_verification, error: &mut *mut atls_error) -> i32 {
        let pair = |bytes: &[u8]| (bytes.as_ptr(), bytes.len());
        let (quote, quote_len) = pair(&self.quote);
        let (log, log_len) = self.log.as_deref().map_or((null(), 0), |log| pair(log.as_bytes()));
        let (collateral, collateral_len) = pair(self.collateral.as_bytes());
        let mut parsed = null_mut();
        let mut done = vec![unsafe { super::parse_policy(&self.policy, &mut parsed, error) }];
        let mut step = |status: i32| {
            if done.iter().all(|earlier| *earlier == 0) {
                done.push(status);
            }
            done.last().copied().unwrap_or_default()
        };
        unsafe {
            if step(0) == 0 {
                step(atls_verification_set_policy(question, parsed, error));
            }
            atls_policy_free(parsed);
            let stored = self.stored.as_ref().map(Value::to_string);
            if let (0, Some(stored)) = (step(0), &stored) {
                let stored = atls_bytes { ptr: stored.as_ptr(), len: stored.len() };
                step(atls_verification_set_evidence_json(question, stored, error));
            } else if step(0) == 0 {
                step(atls_verification_set_quote(
                    question,
                    atls_bytes { ptr: quote, len: quote_len },
                    atls_bytes { ptr: log, len: log_len },
                    error,
                ));
            }
            if step(0) == 0 {
                step(atls_verification_set_collateral_json(
                    question,
                    atls_bytes { ptr: collateral, len: collateral_len },
                    error,
                ));
            }
            if let (0, Some(root)) = (step(0), &self.root) {
                step(atls_verification_set_simulated_root(
                    question,
                    atls_bytes { ptr: root.as_ptr(), len: root.len() },
                    error,
                ));
            }
            if step(0) == 0 {
                step(atls_verification_set_time(question, self.now, error));
            }
            if step(0) == 0 {
                step(self.bind(question, error));
            }
        }
        step(0)
    }

    unsafe fn bind(&self, question: *mut atls_verification, error: &mut *mut atls_error) -> i32 {
        let name: *const c_char = c"localhost".as_ptr();
        match &self.session {
            Session::None => unsafe { atls_verification_skip_binding(question, error) },
            Session::Atlas { leaf } => unsafe {
                let (nonce, exporter) = (NONCE.as_ptr(), EXPORTER.as_ptr());
                atls_verification_set_session(
                    question,
                    atls_bytes { ptr: nonce, len: 32 },
                    atls_bytes { ptr: exporter, len: 32 },
                    atls_bytes { ptr: leaf.as_ptr(), len: leaf.len() },
                    error,
                )
            },
            Session::Client { server_leaf, client_leaf } => unsafe {
                atls_verification_set_exporter_session(
                    question,
                    1,
                    atls_bytes { ptr: NONCE.as_ptr(), len: 32 },
                    atls_bytes { ptr: EXPORTER.as_ptr(), len: 32 },
                    atls_bytes { ptr: server_leaf.as_ptr(), len: server_leaf.len() },
                    atls_bytes { ptr: client_leaf.as_ptr(), len: client_leaf.len() },
                    name,
                    error,
                )
            },
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

/// `atls_policy_new` of a document: the message of its refusal, or nothing.
pub fn policy_refused(policy: &Value) -> Option<(String, String)> {
    let json = CString::new(policy.to_string()).unwrap();
    let (mut parsed, mut error) = (null_mut(), null_mut());
    unsafe {
        let status = atls_policy_new(
            atls_bytes { ptr: json.as_ptr().cast(), len: json.as_bytes().len() },
            &mut parsed,
            &mut error,
        );
        atls_policy_free(parsed);
        let refused = (status != 0).then(|| (text(atls_status_name(status)), text(atls_error_message(error))));
        atls_error_free(error);
        refused
    }
}
