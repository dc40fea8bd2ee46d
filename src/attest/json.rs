//! JSON that must mean one thing only: objects with a member twice are refused, because two readers may pick different ones. Pure.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Parses `text`; the error is a sentence with line and column.
pub fn parse(text: &[u8]) -> Result<Value, String> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Strict.deserialize(&mut deserializer).map_err(|error| error.to_string())?;
    deserializer.end().map_err(|error| error.to_string())?;
    Ok(value)
}

/// A value, or a refusal.
pub struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Strict)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let value = access.next_value_seed(Strict)?;
            if map.contains_key(&key) {
                return Err(A::Error::custom(format_args!("member {key:?} is duplicated")));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// A member that is text, if it is there.
pub fn string<'a>(object: &'a Value, member: &str) -> Result<Option<&'a str>, String> {
    match object.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{member} is not a string")),
    }
}

/// A member that is canonical base64, so that one evidence has one text.
pub fn base64(object: &Value, member: &str) -> Result<Option<Vec<u8>>, String> {
    let Some(text) = string(object, member)? else { return Ok(None) };
    STANDARD.decode(text).map(Some).map_err(|error| format!("{member} is not base64: {error}"))
}

/// An object of these members. `json!` makes code for each member; this is made once.
pub fn object_of(members: &mut [(&'static str, Value)]) -> Value {
    members.iter_mut().map(|(name, value)| ((*name).to_owned(), value.take())).collect::<Map<_, _>>().into()
}

/// As `json!`, for an object whose values turn into JSON by themselves.
macro_rules! object {
    ({ $($name:literal: $value:expr),* $(,)? }) => {
        $crate::attest::json::object_of(&mut [$(($name, serde_json::Value::from($value))),*])
    };
}
pub(crate) use object;

/// Compact JSON with the keys of every object sorted, which for ASCII keys and integer numbers is RFC 8785.
pub fn sorted_compact(value: &Value) -> String {
    fn sort(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let mut keys: Vec<_> = map.keys().collect();
                keys.sort();
                Value::Object(keys.into_iter().map(|k| (k.clone(), sort(&map[k]))).collect())
            }
            Value::Array(items) => Value::Array(items.iter().map(sort).collect()),
            other => other.clone(),
        }
    }
    sort(value).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_member_is_refused_at_any_depth() {
        assert!(parse(br#"{"a":1,"a":1}"#).unwrap_err().contains("\"a\" is duplicated"));
        assert!(parse(br#"[{"x":{"b":1,"b":2}}]"#).is_err());
        assert!(parse(b"{} x").is_err());
        assert_eq!(parse(br#"{"a":[1,-2,1.5,null,"\n"]}"#).unwrap().to_string(), r#"{"a":[1,-2,1.5,null,"\n"]}"#);
    }

    #[test]
    fn sorting_reaches_every_level() {
        let value = parse(br#"{"b":{"z":1,"a":2},"a":[{"d":1,"c":2}]}"#).unwrap();
        assert_eq!(sorted_compact(&value), r#"{"a":[{"c":2,"d":1}],"b":{"a":2,"z":1}}"#);
    }
}
