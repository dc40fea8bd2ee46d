//! Protocol exporter-v1 as docs/protocol.md has it, written apart from the library so that the two check each other.

use aws_lc_rs::digest::{SHA384, SHA512, digest};
use serde_json::{Value, json};

use crate::hex;

pub const LABEL: &[u8] = b"EXPERIMENTAL-atls-exporter-v1";
pub const PATH: &str = "/atls/exporter-v1";

/// What evidence is bound to.
#[derive(Clone)]
pub struct Binder {
    pub role: u8,
    pub nonce: Vec<u8>,
    pub exporter: [u8; 32],
    /// Certificates, DER.
    pub attester: Option<Vec<u8>>,
    pub verifier: Option<Vec<u8>>,
    pub server_name: String,
}

impl Binder {
    pub fn report_data(&self) -> [u8; 64] {
        self.report_data_of([0, 1])
    }

    /// For evidence of the kind with this code.
    pub fn report_data_of(&self, code: [u8; 2]) -> [u8; 64] {
        let mut text = b"atls-exporter-v1\0".to_vec();
        text.extend_from_slice(&[self.role, code[0], code[1]]);
        text.extend_from_slice(&self.nonce);
        text.extend_from_slice(&self.exporter);
        for leaf in [&self.attester, &self.verifier] {
            match leaf {
                Some(leaf) => text.extend_from_slice(digest(&SHA384, public_key(leaf)).as_ref()),
                None => text.extend_from_slice(&[0; 48]),
            }
        }
        text.extend_from_slice(digest(&SHA384, self.server_name.as_bytes()).as_ref());
        digest(&SHA512, &text).as_ref().try_into().expect("64 bytes")
    }
}

/// The exporter's context.
pub fn context(challenge: &[u8]) -> Vec<u8> {
    digest(&SHA384, challenge).as_ref().to_vec()
}

pub fn answer(role: &str, quote: &[u8], log: &Value, challenge: Option<&str>) -> Value {
    json!({
        "protocol": "exporter-v1", "role": role, "tee": "tdx", "challenge": challenge,
        "evidence": {"quote": hex(quote), "event_log": log.to_string()},
    })
}

/// SubjectPublicKeyInfo: the element of TBSCertificate after version, serial number, algorithm, issuer, validity and subject.
fn public_key(certificate: &[u8]) -> &[u8] {
    let mut at = element(element(certificate).1).1;
    for _ in 0..6 {
        at = &at[element(at).0..];
    }
    &at[..element(at).0]
}

/// Length of the DER element at the front, and what is in it.
fn element(der: &[u8]) -> (usize, &[u8]) {
    let (header, length) = match der[1] {
        short @ 0..0x80 => (2, usize::from(short)),
        long => {
            let count = usize::from(long & 0x7f);
            (2 + count, der[2..2 + count].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
        }
    };
    (header + length, &der[header..header + length])
}
