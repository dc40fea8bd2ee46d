//! Reading a JSON object field by field, so that what was not read can be refused and errors carry the whole path. Pure.

use serde_json::{Map, Value};

use crate::attest::hash::{hex, unhex};
use crate::attest::{Fault, Result};
use crate::status::Status;

#[inline(never)]
pub fn invalid(path: &str, why: String) -> Fault {
    Fault::of_policy(Status::PolicyInvalid, format!("{path}: {why}"))
}

/// The members of one object that have not been read yet. `null` counts as absent everywhere.
/// What reads them is not inlined: hundreds of fields are read.
pub struct PolicyFields {
    path: String,
    members: Map<String, Value>,
    /// What was asked for so far: in the end, every field that this object may have.
    known: Vec<String>,
}

impl PolicyFields {
    pub fn new(path: &str, value: Value) -> Result<PolicyFields> {
        match value {
            Value::Object(members) => Ok(PolicyFields { path: path.into(), members, known: Vec::new() }),
            other => Err(invalid(path, format!("{} is not an object", shown(&other)))),
        }
    }

    #[inline(never)]
    pub fn invalid(&self, field: &str, why: String) -> Fault {
        invalid(&format!("{}.{field}", self.path), why)
    }

    pub fn unsupported(&self, field: &str, why: &str) -> Fault {
        Fault::of_policy(Status::Unsupported, format!("{}.{field} {why}", self.path))
    }

    pub fn take(&mut self, field: &str) -> Option<Value> {
        self.take_nullable(field).filter(|value| !value.is_null())
    }

    /// As `take`, but tells a member that is `null` from one that is not there.
    #[inline(never)]
    pub fn take_nullable(&mut self, field: &str) -> Option<Value> {
        self.known.push(field.into());
        self.members.shift_remove(field)
    }

    /// Refuses what nobody asked for, and says what there could be instead.
    #[inline(never)]
    pub fn finish(self) -> Result<()> {
        match self.members.keys().next() {
            None => Ok(()),
            Some(field) => Err(self.invalid(field, format!("unknown field, known are {}", self.known.join(", ")))),
        }
    }

    #[inline(never)]
    pub fn bool(&mut self, field: &str) -> Result<Option<bool>> {
        self.typed(field, "true or false", Value::as_bool)
    }

    #[inline(never)]
    pub fn u64(&mut self, field: &str) -> Result<Option<u64>> {
        self.typed(field, "a whole number, zero or more", Value::as_u64)
    }

    #[inline(never)]
    pub fn string(&mut self, field: &str) -> Result<Option<String>> {
        self.typed(field, "a string", |value| value.as_str().map(str::to_owned))
    }

    fn typed<T>(&mut self, field: &str, what: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.take(field) else { return Ok(None) };
        match read(&value) {
            Some(read) => Ok(Some(read)),
            None => Err(self.invalid(field, format!("{} is not {what}", shown(&value)))),
        }
    }

    #[inline(never)]
    pub fn object(&mut self, field: &str) -> Result<Option<PolicyFields>> {
        let path = format!("{}.{field}", self.path);
        self.take(field).map(|value| PolicyFields::new(&path, value)).transpose()
    }

    #[inline(never)]
    fn array(&mut self, field: &str) -> Result<Option<Vec<Value>>> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::Array(items)) if items.is_empty() => {
                Err(self.invalid(field, "is an empty list, which nothing can satisfy".into()))
            }
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(self.invalid(field, format!("{} is not a list", shown(&other)))),
        }
    }

    #[inline(never)]
    pub fn objects(&mut self, field: &str) -> Result<Option<Vec<PolicyFields>>> {
        let Some(items) = self.array(field)? else { return Ok(None) };
        let read = |(index, item)| PolicyFields::new(&format!("{}.{field}[{index}]", self.path), item);
        items.into_iter().enumerate().map(read).collect::<Result<_>>().map(Some)
    }

    #[inline(never)]
    pub fn strings(&mut self, field: &str) -> Result<Option<Vec<String>>> {
        let Some(items) = self.array(field)? else { return Ok(None) };
        let read = |(index, item): (usize, Value)| match item {
            Value::String(text) => Ok(text),
            other => Err(self.invalid(&format!("{field}[{index}]"), format!("{} is not a string", shown(&other)))),
        };
        items.into_iter().enumerate().map(read).collect::<Result<_>>().map(Some)
    }

    /// Lower-case hex of exactly `N` bytes.
    #[inline(never)]
    pub fn hex<const N: usize>(&mut self, field: &str) -> Result<Option<[u8; N]>> {
        let Some(text) = self.string(field)? else { return Ok(None) };
        exact(&text).map(Some).map_err(|why| self.invalid(field, why))
    }

    #[inline(never)]
    pub fn hexes<const N: usize>(&mut self, field: &str) -> Result<Option<Vec<[u8; N]>>> {
        let Some(texts) = self.strings(field)? else { return Ok(None) };
        let read = |(index, text): (usize, &String)| {
            exact(text).map_err(|why| self.invalid(&format!("{field}[{index}]"), why))
        };
        texts.iter().enumerate().map(read).collect::<Result<_>>().map(Some)
    }

    /// One text as `hex` reads it, or a list as `hexes` does.
    pub fn one_or_more_hexes<const N: usize>(&mut self, field: &str) -> Result<Option<Vec<[u8; N]>>> {
        match self.members.get(field) {
            Some(Value::String(_)) => Ok(self.hex(field)?.map(|one| vec![one])),
            _ => self.hexes(field),
        }
    }

    /// SHA-256 digests, with or without the prefix `sha256:`.
    #[inline(never)]
    pub fn digests(&mut self, field: &str) -> Result<Option<Vec<[u8; 32]>>> {
        let Some(texts) = self.strings(field)? else { return Ok(None) };
        let read = |(index, text): (usize, &String)| {
            let digits = text.strip_prefix("sha256:").unwrap_or(text);
            exact(digits).map_err(|why| self.invalid(&format!("{field}[{index}]"), why))
        };
        texts.iter().enumerate().map(read).collect::<Result<_>>().map(Some)
    }
}

fn exact<const N: usize>(text: &str) -> std::result::Result<[u8; N], String> {
    unhex(text)
        .filter(|bytes| hex(bytes) == text)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| format!("{text:?} must be a lowercase hex string of {} digits", 2 * N))
}

/// A value for an error message, cut so that a large one does not flood it.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}
