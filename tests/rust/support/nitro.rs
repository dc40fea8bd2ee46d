//! Judging documents of Nitro enclaves and of instances with a NitroTPM offline, through the C ABI: every piece can be bent before it is asked about.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use simtee::nitro::{Aws, Document, Enclave};

use super::snp::{Found, Question as Stored};
use super::snp_guest::{NOW, binder_of, server};

/// One question for the verifier.
#[derive(Clone, Debug)]
pub struct Question {
    pub kind: &'static str,
    pub document: Vec<u8>,
    /// All the rest of it.
    pub rest: Stored,
}

impl Question {
    /// About real evidence, alone.
    pub fn real(document: Vec<u8>, policy: Value, now: u64) -> Question {
        let rest = Stored {
            report: Vec::new(),
            leaf: None,
            mr_config: None,
            bundle: None,
            policy,
            vendor: "aws",
            roots: None,
            session: None,
            client: Vec::new(),
            now,
        };
        Question { kind: "nitro", document, rest }
    }

    pub fn evidence(&self) -> Value {
        json!({"tee": self.kind, "evidence": {"document": STANDARD.encode(&self.document)}})
    }

    pub fn ask(&self) -> Found {
        self.rest.ask_with(&self.evidence().to_string())
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
}

/// A simulated enclave in an exporter-v1 session, in which it proves itself as the client.
pub struct Machine {
    pub aws: &'static Aws,
    pub enclave: Enclave,
}

impl Machine {
    pub fn new() -> Machine {
        Machine::of(Aws::get())
    }

    pub fn of(aws: &'static Aws) -> Machine {
        Machine { aws, enclave: aws.enclave(NOW - 3, NOW + 10800) }
    }

    pub fn honest(&self) -> Question {
        self.question(|_| ())
    }

    /// About a document that `change` has bent before it was signed.
    pub fn question(&self, change: impl FnOnce(&mut Document)) -> Question {
        let mut document = self.enclave.document(NOW, &binder_of([0, 4]));
        change(&mut document);
        let policy = json!({
            "type": "nitro", "pcrs": {"0": ["01".repeat(48)], "8": ["09".repeat(48)]}, "allow_simulated": true,
        });
        let mut question = Question::real(self.enclave.sign(&document), policy, NOW);
        question.rest.roots = Some(self.aws.root_pem.clone());
        question.rest.session = Some(server().to_vec());
        question
    }

    /// As `question`, about an instance with a NitroTPM.
    pub fn tpm_question(&self, change: impl FnOnce(&mut Document)) -> Question {
        let mut document = self.enclave.tpm_document(NOW, &binder_of([0, 5]));
        change(&mut document);
        let pcrs = json!({"4": ["05".repeat(48)], "7": ["08".repeat(48)], "12": ["00".repeat(48)]});
        let mut question = self.question(|_| ());
        question.rest.policy = json!({"type": "nitro_tpm", "pcrs": pcrs, "allow_simulated": true});
        (question.kind, question.document) = ("nitro_tpm", self.enclave.sign(&document));
        question
    }
}
