//! The frames of protocol exporter-v1 (docs/protocol.md, "The challenge"): a challenge, and the answer to it. JSON, and refused if it could mean
//! two things. The bytes of the challenge themselves are bound, by way of the exporter's context.

use serde_json::{Value, json};

use super::Evidence;
use super::binding::{Protocol, ProvingSide};
use super::hash::{hex, sha384, unhex_array};
use super::json;
use super::tee::Tee;

/// Where a server is asked to prove itself.
pub const CHALLENGE_PATH: &str = "/atls/exporter-v1";
/// Where a client proves itself, once the server's answer has asked it to.
pub const CLIENT_PATH: &str = "/atls/exporter-v1/client";
/// What is refused as a challenge for its size alone.
pub const MAX_CHALLENGE: usize = 1024;

/// "Prove yourself": by the verifier, to the side in `role`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    pub role: ProvingSide,
    pub nonce: [u8; 32],
    /// Kinds of evidence that the verifier can judge, in its order of preference; others that it names are passed over.
    pub kinds: Vec<Tee>,
    /// As it is sent.
    text: String,
}

impl Challenge {
    pub fn new(role: ProvingSide, nonce: [u8; 32], kinds: &[Tee]) -> Challenge {
        let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
        let text = format!(
            r#"{{"protocol":"{}","role":"{}","nonce":"{}","tee":["{}"]}}"#,
            Protocol::ExporterV1.name(),
            role.letter(),
            hex(&nonce),
            names.join(r#"",""#)
        );
        Challenge { role, nonce, kinds: kinds.to_vec(), text }
    }

    /// A challenge to the side in `role`; one to the other side is refused.
    pub fn parse(text: &[u8], role: ProvingSide) -> Result<Challenge, String> {
        let exact = std::str::from_utf8(text).map_err(|_| "the challenge is not UTF-8")?;
        if text.len() > MAX_CHALLENGE {
            return Err(format!("the challenge has more than {MAX_CHALLENGE} bytes"));
        }
        let document = json::parse(text)?;
        if document["protocol"] != Protocol::ExporterV1.name() {
            return Err(format!("protocol must be \"{}\"", Protocol::ExporterV1.name()));
        }
        if document["role"] != role.letter().to_string() {
            return Err(format!("role must be \"{}\"", role.letter()));
        }
        let nonce = document["nonce"].as_str().and_then(unhex_array).ok_or("nonce must be 64 hexadecimal digits")?;
        let names = document["tee"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let kinds: Vec<Tee> = names.filter_map(Tee::from_name).collect();
        if kinds.is_empty() {
            return Err(must_list(Tee::ALL));
        }
        Ok(Challenge { role, nonce, kinds, text: exact.to_owned() })
    }

    /// Whether evidence of that kind is an answer to it.
    pub fn check_kind(&self, tee: Tee) -> Result<(), String> {
        if self.kinds.contains(&tee) { Ok(()) } else { Err(must_list(&[tee])) }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The context of the exporter value that the answer is bound to.
    pub fn context(&self) -> [u8; 48] {
        sha384(self.text.as_bytes())
    }
}

fn must_list(kinds: &[Tee]) -> String {
    let names: Vec<_> = kinds.iter().map(|kind| format!("{:?}", kind.name())).collect();
    format!("tee must list {}", names.join(" or "))
}

/// What a side shows of itself: evidence of kind `tee`, or nothing, of a server that only wants to see the client's. `next` is a challenge to the other
/// side, which a server may add to its own answer.
pub fn answer_json(role: ProvingSide, tee: Tee, evidence: Option<&Value>, next: Option<&Challenge>) -> String {
    json!({
        "protocol": Protocol::ExporterV1.name(), "role": role.letter().to_string(), "tee": tee.name(), "evidence": evidence,
        "challenge": next.map(Challenge::text),
    })
    .to_string()
}

/// The evidence of the side in `role`, if it gave any, and the challenge that came with it. `asked`: kinds that there may be an answer of.
pub fn read_answer(
    text: &[u8],
    role: ProvingSide,
    asked: &[Tee],
) -> Result<(Option<Evidence>, Option<Challenge>), String> {
    let document = json::parse(text)?;
    let expected = [("protocol", Protocol::ExporterV1.name().to_owned()), ("role", role.letter().to_string())];
    for (member, expected) in expected {
        if document[member] != expected {
            return Err(format!("{member} must be \"{expected}\", and is {}", document[member]));
        }
    }
    let tee = document["tee"].as_str().and_then(Tee::from_name).filter(|tee| asked.contains(tee));
    let Some(tee) = tee else {
        let names: Vec<_> = asked.iter().map(|kind| format!("\"{}\"", kind.name())).collect();
        return Err(format!("tee must be {}, and is {}", names.join(" or "), document["tee"]));
    };
    let evidence = match &document["evidence"] {
        Value::Null if role == ProvingSide::Server => None,
        evidence => Some(Evidence::read(tee, evidence)?),
    };
    let next = match &document["challenge"] {
        Value::Null => None,
        Value::String(text) if role == ProvingSide::Server => {
            Some(Challenge::parse(text.as_bytes(), ProvingSide::Client)?)
        }
        other => return Err(format!("challenge is {other}")),
    };
    Ok((evidence, next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attest::dstack::DstackTdx;

    const KINDS: &[Tee] = &[Tee::Tdx];

    fn quote(evidence: &Option<Evidence>) -> Vec<u8> {
        evidence.as_ref().unwrap().get::<DstackTdx>().unwrap().quote.clone()
    }

    #[test]
    fn a_challenge_goes_to_one_side() {
        let challenge = Challenge::new(ProvingSide::Server, [7; 32], &[Tee::Tdx]);
        assert_eq!(Challenge::parse(challenge.text().as_bytes(), ProvingSide::Server).unwrap(), challenge);
        assert!(Challenge::parse(challenge.text().as_bytes(), ProvingSide::Client).unwrap_err().contains("role"));
        let nonce = "00".repeat(32);
        for (bad, why) in [
            (String::new(), "EOF"),
            ("{}".into(), "protocol"),
            (format!(r#"{{"protocol":"atlas-v1","role":"S","nonce":"{nonce}","tee":["tdx"]}}"#), "protocol"),
            (r#"{"protocol":"exporter-v1","role":"S","nonce":"00","tee":["tdx"]}"#.into(), "nonce"),
            (format!(r#"{{"protocol":"exporter-v1","role":"S","nonce":"{nonce}","tee":["sgx"]}}"#), "tee"),
            (
                format!(r#"{{"protocol":"exporter-v1","role":"C","role":"S","nonce":"{nonce}","tee":["tdx"]}}"#),
                "is duplicated",
            ),
            (
                format!(
                    r#"{{"protocol":"exporter-v1","role":"S","nonce":"{nonce}","tee":["tdx"]{}}}"#,
                    " ".repeat(1000)
                ),
                "more than",
            ),
        ] {
            let error = Challenge::parse(bad.as_bytes(), ProvingSide::Server).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn other_bytes_are_another_context() {
        let nonce = "00".repeat(32);
        let of = |blank: &str| {
            let text = format!(r#"{{{blank}"protocol":"exporter-v1","role":"S","nonce":"{nonce}","tee":["tdx"]}}"#);
            Challenge::parse(text.as_bytes(), ProvingSide::Server).unwrap().context()
        };
        assert_ne!(of(""), of(" "));
    }

    #[test]
    fn an_answer_is_read_in_its_role_and_with_its_challenge() {
        let evidence = json!({"quote": "00ff", "event_log": "[]"});
        let next = Challenge::new(ProvingSide::Client, [9; 32], &[Tee::Tdx]);
        let text = answer_json(ProvingSide::Server, Tee::Tdx, Some(&evidence), Some(&next));
        let (found, challenge) = read_answer(text.as_bytes(), ProvingSide::Server, KINDS).unwrap();
        assert_eq!((&quote(&found)[..], challenge), (&[0, 0xff][..], Some(next.clone())));
        assert!(read_answer(text.as_bytes(), ProvingSide::Client, KINDS).unwrap_err().contains("role"));
        // A client has nothing to ask.
        let text = answer_json(ProvingSide::Client, Tee::Tdx, Some(&evidence), Some(&next));
        assert!(read_answer(text.as_bytes(), ProvingSide::Client, KINDS).unwrap_err().contains("challenge"));
        // A quote on its own has no log.
        let text = answer_json(ProvingSide::Client, Tee::Tdx, Some(&json!({"quote": "00"})), None);
        assert!(
            read_answer(text.as_bytes(), ProvingSide::Client, KINDS)
                .unwrap()
                .0
                .unwrap()
                .get::<DstackTdx>()
                .unwrap()
                .event_log
                .is_none()
        );
        assert!(
            read_answer(br#"{"protocol":"exporter-v1","role":"S","tee":"tdx"}"#, ProvingSide::Server, KINDS)
                .unwrap()
                .0
                .is_none()
        );
        for bad in ["", "{}", r#"{"protocol":"exporter-v1","role":"C","tee":"tdx"}"#] {
            assert!(read_answer(bad.as_bytes(), ProvingSide::Client, KINDS).is_err(), "{bad}");
        }
    }
}
