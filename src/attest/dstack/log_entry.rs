//! Entries of the event log as JSON has them: borrowed from its text, without a tree. As strict as `json`: no object has a member twice, at any depth. Pure.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::attest::json::Strict;

/// The members that appraisal reads of an event; all others are ignored.
#[derive(Default)]
pub struct LogEntry<'a> {
    pub imr: Member<'a>,
    pub event_type: Member<'a>,
    pub digest: Member<'a>,
    pub event: Member<'a>,
    pub event_payload: Member<'a>,
    pub version: Member<'a>,
    pub preimage: Member<'a>,
}

/// A member's value.
#[derive(Default)]
pub enum Member<'a> {
    #[default]
    Missing,
    Number(u64),
    Text(Cow<'a, str>),
    Other(Value),
}

impl Member<'_> {
    pub fn number(&self, name: &str) -> Result<u64, String> {
        match self {
            Member::Number(number) => Ok(*number),
            Member::Missing => Err(format!("{name} is missing")),
            other => Err(format!("{name} is {other}, not a number")),
        }
    }

    pub fn text(&self, name: &str) -> Result<&str, String> {
        match self {
            Member::Text(text) => Ok(text),
            Member::Missing => Err(format!("{name} is missing")),
            other => Err(format!("{name} is {other}, not a string")),
        }
    }

    /// Whether it is not there, or null.
    pub fn is_absent(&self) -> bool {
        matches!(self, Member::Missing | Member::Other(Value::Null))
    }
}

/// As JSON.
impl fmt::Display for Member<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Member::Missing => f.write_str("null"),
            Member::Number(number) => number.fmt(f),
            Member::Text(text) => Value::from(text.as_ref()).fmt(f),
            Member::Other(value) => value.fmt(f),
        }
    }
}

/// The first `most` entries, and how many there are; `None` for JSON that is no array.
pub fn read(text: &str, most: usize) -> Result<Option<(Vec<LogEntry<'_>>, usize)>, String> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let list = deserializer.deserialize_any(ListVisitor(most)).map_err(|error| error.to_string())?;
    deserializer.end().map_err(|error| error.to_string())?;
    Ok(list)
}

/// What [`Strict`] takes: any JSON, of which only the form matters.
macro_rules! all_but {
    ($made:expr; $($visit:ident($type:ty)),+) => {
        $(fn $visit<E: Error>(self, value: $type) -> Result<Self::Value, E> {
            Strict.$visit(value).map($made)
        })+

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Strict.visit_unit().map($made)
        }

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            Strict.expecting(f)
        }
    };
}

struct ListVisitor(usize);

impl<'de> Visitor<'de> for ListVisitor {
    type Value = Option<(Vec<LogEntry<'de>>, usize)>;

    all_but!(|_| None; visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64), visit_str(&str));

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Self::Value, A::Error> {
        Strict.visit_map(access).map(|_| None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let (mut entries, mut count) = (Vec::new(), 0);
        while let Some(entry) = seq.next_element_seed(EntryVisitor)? {
            count += 1;
            if count <= self.0 {
                entries.push(entry);
            }
        }
        Ok(Some((entries, count)))
    }
}

/// What is no object has no members.
struct EntryVisitor;

impl<'de> DeserializeSeed<'de> for EntryVisitor {
    type Value = LogEntry<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<LogEntry<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = LogEntry<'de>;

    all_but!(|_| LogEntry::default(); visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64), visit_str(&str));

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<LogEntry<'de>, A::Error> {
        Strict.visit_seq(seq).map(|_| LogEntry::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<LogEntry<'de>, A::Error> {
        let mut entry = LogEntry::default();
        let mut others = HashSet::new();
        while let Some(key) = access.next_key_seed(MemberVisitor)? {
            // JSON has no other keys than text.
            let Member::Text(name) = key else { return Err(A::Error::custom("a key that is not text")) };
            let place = match &*name {
                "imr" => &mut entry.imr,
                "event_type" => &mut entry.event_type,
                "digest" => &mut entry.digest,
                "event" => &mut entry.event,
                "event_payload" => &mut entry.event_payload,
                "version" => &mut entry.version,
                "preimage" => &mut entry.preimage,
                _ => {
                    access.next_value_seed(Strict)?;
                    if others.contains(&name) {
                        return Err(twice(&name));
                    }
                    others.insert(name);
                    continue;
                }
            };
            let value = access.next_value_seed(MemberVisitor)?;
            if !matches!(place, Member::Missing) {
                return Err(twice(&name));
            }
            *place = value;
        }
        Ok(entry)
    }
}

fn twice<E: Error>(name: &str) -> E {
    E::custom(format_args!("member {name:?} is duplicated"))
}

struct MemberVisitor;

impl<'de> DeserializeSeed<'de> for MemberVisitor {
    type Value = Member<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Member<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for MemberVisitor {
    type Value = Member<'de>;

    all_but!(Member::Other; visit_bool(bool), visit_i64(i64), visit_f64(f64));

    fn visit_u64<E: Error>(self, value: u64) -> Result<Member<'de>, E> {
        Ok(Member::Number(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Member<'de>, E> {
        Ok(Member::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Member<'de>, E> {
        Ok(Member::Text(Cow::Borrowed(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Member<'de>, A::Error> {
        Strict.visit_seq(seq).map(Member::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Member<'de>, A::Error> {
        Strict.visit_map(access).map(Member::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attest::json;

    /// What is read is what a tree of the same text would say, and what the tree's reader refuses is refused.
    #[test]
    fn entries_are_those_of_the_tree() {
        let members = ["imr", "event_type", "digest", "event", "event_payload", "version", "preimage"];
        for text in [
            r#"[{"imr":3,"event_type":134217729,"digest":"","event":"a\n\u00e9","event_payload":"00","version":2,"preimage":"7b"}]"#,
            r#"[{"imr":-1,"event_type":1.5,"digest":null,"event":true,"event_payload":[1,{"a":2}],"version":{"b":[]},"x":1}]"#,
            r#"[{"imr":18446744073709551616,"imr2":0}, 5, "imr", null, [], [{"imr":1}], true, {}]"#,
            r#"[{"imr":1,"imr":1}]"#,
            r#"[{"version":null,"version":null}]"#,
            r#"[{"x":1,"x":2}]"#,
            r#"[{"x":{"y":1,"y":2}}]"#,
            r#"[{"imr":{"y":1,"y":2}}]"#,
            r#"[[{"y":1,"y":2}]]"#,
            r#"{"y":1,"y":2}"#,
            r#"{"imr":3}"#,
            r#"[{"imr":3}"#,
            r#"[{"imr":3}] x"#,
            r#""text""#,
            "",
        ] {
            let (tree, list) = (json::parse(text.as_bytes()), read(text, 10));
            let (tree, list) = match (tree, list) {
                (Err(one), Err(other)) => {
                    assert_eq!(one, other, "{text}");
                    continue;
                }
                (tree, list) => (tree.unwrap(), list.map_err(|why| format!("{text}: {why}")).unwrap()),
            };
            let Some((entries, count)) = list else {
                assert!(!tree.is_array(), "{text}");
                continue;
            };
            assert_eq!(count, tree.as_array().unwrap().len(), "{text}");
            for (entry, value) in entries.iter().zip(tree.as_array().unwrap()) {
                let all = [
                    &entry.imr,
                    &entry.event_type,
                    &entry.digest,
                    &entry.event,
                    &entry.event_payload,
                    &entry.version,
                    &entry.preimage,
                ];
                for (name, member) in members.iter().zip(all) {
                    let wanted = value.get(name);
                    assert_eq!(member.to_string(), wanted.unwrap_or(&Value::Null).to_string(), "{text} {name}");
                    assert_eq!(matches!(member, Member::Missing), wanted.is_none(), "{text} {name}");
                    assert_eq!(member.number("").ok(), wanted.and_then(Value::as_u64), "{text} {name}");
                    assert_eq!(member.text("").ok(), wanted.and_then(Value::as_str), "{text} {name}");
                }
            }
        }
        assert_eq!(read("[1,2,3]", 2).unwrap().map(|(entries, count)| (entries.len(), count)), Some((2, 3)));
    }
}
