//! Evidence of a TDX guest as it comes off the wire: a quote and the event log that explains it (docs/protocol.md, "Evidence"). Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::attest::dstack::DstackTdx;
use crate::attest::evidence::Evidence;
use crate::attest::hash::unhex;
use crate::attest::json;

/// Evidence, decoded but not judged.
#[derive(Clone, Debug)]
pub struct TdxEvidence {
    pub quote: Vec<u8>,
    /// JSON text of the event log; parsed by appraisal, so that a bad log shows up in the verdict. `None` only for a quote that is
    /// judged on its own, which no policy accepts that names an application, or wants the certificate in the log.
    pub event_log: Option<String>,
    /// The firmware's boot log, as the machine's table has it; parsed by appraisal too.
    pub ccel: Option<Vec<u8>>,
}

impl TdxEvidence {
    /// Reads either the answer of `POST /tdx_quote` (`{"quote":{"quote":..,"event_log":..}}`) or the guest agent's object inside it.
    /// Members that are not used are ignored: servers add to them.
    pub fn from_json(text: &[u8]) -> Result<TdxEvidence, String> {
        let document = json::parse(text)?;
        let agent = match document.get("quote") {
            Some(inner @ Value::Object(_)) => inner,
            Some(Value::String(_)) => &document,
            Some(Value::Null) | None => return Err(refusal(&document)),
            Some(other) => return Err(format!("quote is {other}, not an object")),
        };
        let evidence = TdxEvidence::from_agent(agent)?;
        match evidence.event_log {
            Some(_) => Ok(evidence),
            None => Err("quote.event_log is missing".into()),
        }
    }

    /// Reads a guest agent's object. What is no dstack guest has no log.
    pub fn from_agent(agent: &Value) -> Result<TdxEvidence, String> {
        let quote = unhex(string(agent, "quote")?).ok_or("quote.quote is not plain hexadecimal")?;
        if quote.is_empty() {
            return Err("quote.quote is empty".into());
        }
        let event_log = match agent.get("event_log") {
            Some(Value::String(text)) => Some(text.clone()),
            Some(array @ Value::Array(_)) => Some(array.to_string()),
            Some(other) => return Err(format!("quote.event_log is {other}, not a string")),
            None => None,
        };
        let ccel = match agent.get("ccel") {
            // Canonical base64, so that one evidence has one text.
            Some(Value::String(text)) => {
                Some(STANDARD.decode(text).map_err(|error| format!("quote.ccel is not base64: {error}"))?)
            }
            Some(Value::Null) | None => None,
            Some(other) => return Err(format!("quote.ccel is {other}, not a string")),
        };
        Ok(TdxEvidence { quote, event_log, ccel })
    }
}

impl From<TdxEvidence> for Evidence {
    fn from(evidence: TdxEvidence) -> Evidence {
        Evidence::of::<DstackTdx>(evidence)
    }
}

fn refusal(document: &Value) -> String {
    match document.get("error").and_then(Value::as_str) {
        Some(reason) => format!("the server gave no quote: {}", reason.escape_debug()),
        None => "quote is missing".into(),
    }
}

fn string<'a>(object: &'a Value, field: &str) -> Result<&'a str, String> {
    match object.get(field) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(format!("quote.{field} is {other}, not a string")),
        None => Err(format!("quote.{field} is missing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_and_the_refusals() {
        let outer = br#"{"success":false,"quote":{"quote":"00ff","event_log":"[]","x":1}}"#;
        assert_eq!(TdxEvidence::from_json(outer).unwrap().quote, [0, 0xff]);
        let inner = br#"{"quote":"00ff","event_log":[{"imr":3}]}"#;
        assert_eq!(TdxEvidence::from_json(inner).unwrap().event_log.unwrap(), r#"[{"imr":3}]"#);
        for (bad, why) in [
            (&br#"{"quote":null,"error":"no"}"#[..], "gave no quote: no"),
            (br#"{}"#, "quote is missing"),
            (br#"{"quote":{"quote":"0x00","event_log":""}}"#, "hexadecimal"),
            (br#"{"quote":{"quote":"","event_log":""}}"#, "empty"),
            (br#"{"quote":{"quote":"00"}}"#, "event_log is missing"),
            (br#"{"quote":{"quote":"00","quote":"01","event_log":""}}"#, "is duplicated"),
            (br#"nope"#, "line 1"),
        ] {
            let error = TdxEvidence::from_json(bad).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
