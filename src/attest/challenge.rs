//! The frames of protocol exporter-v1 (docs/protocol.md, "The challenge"): a challenge, and the answer to it. JSON, and refused if it could mean
//! two things. The bytes of the challenge themselves are bound, by way of the exporter's context.

use serde_json::{Value, json};

use super::Evidence;
use super::binding::{Protocol, Role};
use super::hash::{hex, sha384, unhex_array};
use super::json;

/// Where a server is asked to prove itself.
pub const CHALLENGE_PATH: &str = "/atls/exporter-v1";
/// Where a client proves itself, once the server's answer has asked it to.
pub const CLIENT_PATH: &str = "/atls/exporter-v1/client";
/// What is refused as a challenge for its size alone.
pub const MAX_CHALLENGE: usize = 1024;

/// "Prove yourself": by the verifier, to the side in `role`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    pub role: Role,
    pub nonce: [u8; 32],
    /// As it is sent.
    text: String,
}

impl Challenge {
    pub fn new(role: Role, nonce: [u8; 32]) -> Challenge {
        let text = format!(
            r#"{{"protocol":"{}","role":"{}","nonce":"{}","tee":["tdx"]}}"#,
            Protocol::ExporterV1.name(),
            role.letter(),
            hex(&nonce)
        );
        Challenge { role, nonce, text }
    }

    /// A challenge to the side in `role`; one to the other side is refused.
    pub fn parse(text: &[u8], role: Role) -> Result<Challenge, String> {
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
        if !document["tee"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "tdx")) {
            return Err("tee must list \"tdx\"".into());
        }
        Ok(Challenge { role, nonce, text: exact.to_owned() })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The context of the exporter value that the answer is bound to.
    pub fn context(&self) -> [u8; 48] {
        sha384(self.text.as_bytes())
    }
}

/// What a side shows of itself: a guest agent's object, or nothing, of a server that only wants to see the client's. `next` is a challenge to the other side, which a server may add to its own answer.
pub fn answer_json(role: Role, evidence: Option<&Value>, next: Option<&Challenge>) -> String {
    json!({
        "protocol": Protocol::ExporterV1.name(), "role": role.letter().to_string(), "tee": "tdx", "evidence": evidence,
        "challenge": next.map(Challenge::text),
    })
    .to_string()
}

/// The evidence of the side in `role`, if it gave any, and the challenge that came with it.
pub fn read_answer(text: &[u8], role: Role) -> Result<(Option<Evidence>, Option<Challenge>), String> {
    let document = json::parse(text)?;
    let expected = [
        ("protocol", Protocol::ExporterV1.name().to_owned()),
        ("role", role.letter().to_string()),
        ("tee", "tdx".into()),
    ];
    for (member, expected) in expected {
        if document[member] != expected {
            return Err(format!("{member} must be \"{expected}\", and is {}", document[member]));
        }
    }
    let evidence = match &document["evidence"] {
        Value::Null if role == Role::Server => None,
        evidence => Some(Evidence::from_agent(evidence)?),
    };
    let next = match &document["challenge"] {
        Value::Null => None,
        Value::String(text) if role == Role::Server => Some(Challenge::parse(text.as_bytes(), Role::Client)?),
        other => return Err(format!("challenge is {other}")),
    };
    Ok((evidence, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_goes_to_one_side() {
        let challenge = Challenge::new(Role::Server, [7; 32]);
        assert_eq!(Challenge::parse(challenge.text().as_bytes(), Role::Server).unwrap(), challenge);
        assert!(Challenge::parse(challenge.text().as_bytes(), Role::Client).unwrap_err().contains("role"));
        let nonce = "00".repeat(32);
        for (bad, why) in [
            (String::new(), "EOF"),
            ("{}".into(), "protocol"),
            (format!(r#"{{"protocol":"atlas-v1","role":"S","nonce":"{nonce}","tee":["tdx"]}}"#), "protocol"),
            (r#"{"protocol":"exporter-v1","role":"S","nonce":"00","tee":["tdx"]}"#.into(), "nonce"),
            (format!(r#"{{"protocol":"exporter-v1","role":"S","nonce":"{nonce}","tee":["snp"]}}"#), "tee"),
            (format!(r#"{{"protocol":"exporter-v1","role":"C","role":"S","nonce":"{nonce}","tee":["tdx"]}}"#), "twice"),
            (
                format!(
                    r#"{{"protocol":"exporter-v1","role":"S","nonce":"{nonce}","tee":["tdx"]{}}}"#,
                    " ".repeat(1000)
                ),
                "more than",
            ),
        ] {
            let error = Challenge::parse(bad.as_bytes(), Role::Server).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn other_bytes_are_another_context() {
        let nonce = "00".repeat(32);
        let of = |blank: &str| {
            let text = format!(r#"{{{blank}"protocol":"exporter-v1","role":"S","nonce":"{nonce}","tee":["tdx"]}}"#);
            Challenge::parse(text.as_bytes(), Role::Server).unwrap().context()
        };
        assert_ne!(of(""), of(" "));
    }

    #[test]
    fn answers() {
        let evidence = json!({"quote": "00ff", "event_log": "[]"});
        let next = Challenge::new(Role::Client, [9; 32]);
        let text = answer_json(Role::Server, Some(&evidence), Some(&next));
        let (found, challenge) = read_answer(text.as_bytes(), Role::Server).unwrap();
        assert_eq!((&found.unwrap().quote[..], challenge), (&[0, 0xff][..], Some(next.clone())));
        assert!(read_answer(text.as_bytes(), Role::Client).unwrap_err().contains("role"));
        // A client has nothing to ask.
        let text = answer_json(Role::Client, Some(&evidence), Some(&next));
        assert!(read_answer(text.as_bytes(), Role::Client).unwrap_err().contains("challenge"));
        // A quote on its own has no log.
        let text = answer_json(Role::Client, Some(&json!({"quote": "00"})), None);
        assert!(read_answer(text.as_bytes(), Role::Client).unwrap().0.unwrap().event_log.is_none());
        assert!(
            read_answer(br#"{"protocol":"exporter-v1","role":"S","tee":"tdx"}"#, Role::Server).unwrap().0.is_none()
        );
        for bad in ["", "{}", r#"{"protocol":"exporter-v1","role":"C","tee":"tdx"}"#] {
            assert!(read_answer(bad.as_bytes(), Role::Client).is_err(), "{bad}");
        }
    }
}
