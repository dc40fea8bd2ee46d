//! The frames of protocol exporter-v1 (docs/protocol.md, "The challenge"): a challenge, and the answer to it. JSON, and refused if it could mean
//! two things. The bytes of the challenge themselves are bound, by way of the exporter's context. Pure.

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
/// Kinds of evidence in a challenge, known or not.
pub const MAX_KINDS: usize = 16;

/// "Prove yourself": by the verifier, to the side in `role`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    pub role: ProvingSide,
    pub nonce: [u8; 32],
    /// Kinds of evidence that the verifier can judge, in its order of preference; others that it names are passed over. Those that attach are wishes: nobody
    /// has to have such devices.
    pub kinds: Vec<Tee>,
    /// The evidence must be made for this challenge throughout, even if that is slow.
    pub fresh: bool,
    /// As it is sent.
    text: String,
}

impl Challenge {
    pub fn new(role: ProvingSide, nonce: [u8; 32], kinds: &[Tee], fresh: bool) -> Challenge {
        let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
        let text = format!(
            r#"{{"protocol":"{}","role":"{}","nonce":"{}","tee":["{}"]{}}}"#,
            Protocol::ExporterV1.name(),
            role.letter(),
            hex(&nonce),
            names.join(r#"",""#),
            if fresh { r#","fresh":true"# } else { "" }
        );
        Challenge { role, nonce, kinds: kinds.to_vec(), fresh, text }
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
        let kinds = read_kinds(&document["tee"])?;
        let fresh = match document.get("fresh") {
            None => false,
            Some(fresh) => fresh.as_bool().ok_or("fresh must be true or false")?,
        };
        Ok(Challenge { role, nonce, kinds, fresh, text: exact.to_owned() })
    }

    /// The kind to answer with: the first one that the verifier lists and this side makes.
    pub fn choose(&self, makes: &[Tee]) -> Result<Tee, String> {
        let chosen = self.kinds.iter().find(|kind| makes.contains(kind) && !kind.attaches());
        chosen.copied().ok_or_else(|| {
            let names: Vec<_> = makes.iter().map(|kind| format!("{:?}", kind.name())).collect();
            format!("tee must list {}", names.join(" or "))
        })
    }

    /// The kinds that the verifier wants beside the first.
    pub fn wishes(&self) -> Vec<Tee> {
        self.kinds.iter().copied().filter(|kind| kind.attaches()).collect()
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The context of the exporter value that the answer is bound to.
    pub fn context(&self) -> [u8; 48] {
        sha384(self.text.as_bytes())
    }
}

/// A list that could be read in two ways, or that hides a kind behind hundreds of others, is nobody's honest question.
fn read_kinds(list: &Value) -> Result<Vec<Tee>, String> {
    let list = list.as_array().ok_or("tee must be a list")?;
    if list.is_empty() || list.len() > MAX_KINDS {
        return Err(format!("tee must list 1 to {MAX_KINDS} kinds, and has {}", list.len()));
    }
    let mut names: Vec<&str> = Vec::new();
    for name in list {
        let name = name.as_str().ok_or("tee must be a list of strings")?;
        if names.contains(&name) {
            return Err(format!("{name:?} is duplicated in tee"));
        }
        names.push(name);
    }
    Ok(names.into_iter().filter_map(Tee::from_name).collect())
}

/// Evidence objects as an answer has them.
#[derive(Debug)]
pub struct Shown {
    pub tee: Tee,
    /// Nothing, of a server that only wants to see the client's.
    pub evidence: Option<Value>,
    /// Entries about devices beside the machine.
    pub attached: Vec<Value>,
}

/// What a side shows of itself. `next` is a challenge to the other side, which a server may add to its own answer.
pub fn answer_json(role: ProvingSide, shown: Shown, next: Option<&Challenge>) -> String {
    let Shown { tee, evidence, attached } = shown;
    let mut answer = json!({
        "protocol": Protocol::ExporterV1.name(), "role": role.letter().to_string(), "tee": tee.name(), "evidence": evidence,
    });
    if !attached.is_empty() {
        answer["attached"] = attached.into();
    }
    answer["challenge"] = next.map(Challenge::text).into();
    answer.to_string()
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
    let tee = document["tee"].as_str().and_then(Tee::from_name).filter(|tee| asked.contains(tee) && !tee.attaches());
    let Some(tee) = tee else {
        let main = asked.iter().filter(|kind| !kind.attaches());
        let names: Vec<_> = main.map(|kind| format!("\"{}\"", kind.name())).collect();
        return Err(format!("tee must be {}, and is {}", names.join(" or "), document["tee"]));
    };
    let evidence = match &document["evidence"] {
        Value::Null if role == ProvingSide::Server => None,
        evidence => {
            let attached = document.get("attached");
            Some(Evidence::read(tee, evidence)?.beside(attached, |kind| asked.contains(&kind))?)
        }
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
        let challenge = Challenge::new(ProvingSide::Server, [7; 32], &[Tee::Tdx], false);
        assert_eq!(Challenge::parse(challenge.text().as_bytes(), ProvingSide::Server).unwrap(), challenge);
        assert!(Challenge::parse(challenge.text().as_bytes(), ProvingSide::Client).unwrap_err().contains("role"));
        let nonce = "00".repeat(32);
        for (bad, why) in [
            (String::new(), "EOF"),
            ("{}".into(), "protocol"),
            (format!(r#"{{"protocol":"atlas-v1","role":"S","nonce":"{nonce}","tee":["tdx"]}}"#), "protocol"),
            (r#"{"protocol":"exporter-v1","role":"S","nonce":"00","tee":["tdx"]}"#.into(), "nonce"),
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

    fn asking(rest: &str) -> Result<Challenge, String> {
        let nonce = "00".repeat(32);
        let text = format!(r#"{{"protocol":"exporter-v1","role":"S","nonce":"{nonce}",{rest}}}"#);
        Challenge::parse(text.as_bytes(), ProvingSide::Server)
    }

    #[test]
    fn kinds_are_listed_once_each_and_unknown_ones_passed_over() {
        let many = |count: usize| {
            let names: Vec<_> = (0..count).map(|number| format!("\"later-{number}\"")).collect();
            format!(r#""tee":[{}]"#, names.join(","))
        };
        for (list, why) in [
            (r#""x":1"#.to_owned(), "must be a list"),
            (r#""tee":"tdx""#.into(), "must be a list"),
            (r#""tee":[]"#.into(), "1 to 16 kinds"),
            (many(17), "1 to 16 kinds"),
            (r#""tee":["tdx",1]"#.into(), "strings"),
            (r#""tee":["tdx",null]"#.into(), "strings"),
            (r#""tee":["snp","tdx","snp"]"#.into(), "\"snp\" is duplicated"),
            (r#""tee":["later","later","tdx"]"#.into(), "\"later\" is duplicated"),
            (r#""tee":["tdx"],"fresh":1"#.into(), "fresh"),
            (r#""tee":["tdx"],"fresh":null"#.into(), "fresh"),
        ] {
            let error = asking(&list).unwrap_err();
            assert!(error.contains(why), "{list}: {error}");
        }
        assert_eq!(asking(r#""tee":["later","snp","TDX","tdx"]"#).unwrap().kinds, [Tee::Snp, Tee::Tdx]);
        assert!(asking(&many(16)).unwrap().kinds.is_empty());
    }

    #[test]
    fn the_verifiers_first_kind_that_this_side_makes() {
        let asked = asking(r#""tee":["later","nitro","snp","tdx"]"#).unwrap();
        assert_eq!(asked.choose(&[Tee::Tdx, Tee::Snp]), Ok(Tee::Snp));
        assert_eq!(asked.choose(&[Tee::Tdx]), Ok(Tee::Tdx));
        let only = asking(r#""tee":["later","snp"]"#).unwrap();
        assert_eq!(only.choose(&[Tee::Tdx, Tee::Nitro]).unwrap_err(), r#"tee must list "tdx" or "nitro""#);
    }

    #[test]
    fn a_wish_for_fresh_evidence_is_part_of_the_challenge() {
        for fresh in [false, true] {
            let asked = Challenge::new(ProvingSide::Server, [7; 32], &[Tee::Tdx], fresh);
            assert_eq!(asked.text().contains("fresh"), fresh);
            assert_eq!(Challenge::parse(asked.text().as_bytes(), ProvingSide::Server).unwrap(), asked);
        }
        assert!(!asking(r#""tee":["tdx"],"fresh":false"#).unwrap().fresh);
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
        let next = Challenge::new(ProvingSide::Client, [9; 32], &[Tee::Tdx], false);
        let shown = || Shown { tee: Tee::Tdx, evidence: Some(evidence.clone()), attached: Vec::new() };
        let text = answer_json(ProvingSide::Server, shown(), Some(&next));
        let (found, challenge) = read_answer(text.as_bytes(), ProvingSide::Server, KINDS).unwrap();
        assert_eq!((&quote(&found)[..], challenge), (&[0, 0xff][..], Some(next.clone())));
        assert!(read_answer(text.as_bytes(), ProvingSide::Client, KINDS).unwrap_err().contains("role"));
        // A client has nothing to ask.
        let text = answer_json(ProvingSide::Client, shown(), Some(&next));
        assert!(read_answer(text.as_bytes(), ProvingSide::Client, KINDS).unwrap_err().contains("challenge"));
        // A quote on its own has no log.
        let alone = Shown { evidence: Some(json!({"quote": "00"})), ..shown() };
        let text = answer_json(ProvingSide::Client, alone, None);
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
