//! Export and import of a verifier's documents as one JSON object, for machines without a way to the vendor.

use serde_json::{Value, json};

use super::object::{Key, Object};
use super::{Verifier, lock};
use crate::attest::hash::{hex, unhex};
use crate::error::{Error, Phase, Result, Status};

impl Verifier {
    /// `{"atls_collateral_bundle":1,"objects":[{"name","body" (hex),"chain","fetched"}]}` of everything kept.
    pub fn export(&self) -> String {
        let shelves: Vec<_> = lock(&self.shelves).iter().map(|(key, shelf)| (key.name(), shelf.clone())).collect();
        let mut objects: Vec<Value> = Vec::new();
        for (name, shelf) in shelves {
            if let Some(object) = &lock(&shelf.state).object {
                objects.push(object_json(&name, object));
            }
        }
        objects.sort_by_key(|object| object["name"].as_str().map(str::to_owned));
        json!({"atls_collateral_bundle": 1, "objects": objects}).to_string()
    }

    /// Takes the documents of a bundle that are newer than those kept. All or nothing: a bundle with one bad entry changes nothing.
    /// Signatures are checked when a document is used, as with any source.
    pub fn import(&self, text: &[u8]) -> Result<usize> {
        let invalid = |why: String| {
            Error::new(Status::CollateralInvalid, format!("collateral bundle: {why}")).phase(Phase::Collateral)
        };
        let document: Value = serde_json::from_slice(text).map_err(|error| invalid(error.to_string()))?;
        if document["atls_collateral_bundle"] != 1 {
            return Err(invalid("atls_collateral_bundle is not 1".into()));
        }
        let entries = document["objects"].as_array().ok_or_else(|| invalid("objects is not a list".into()))?;
        let mut read = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            read.push(read_entry(entry).map_err(|why| invalid(format!("objects[{index}]: {why}")))?);
        }
        let mut taken = 0;
        for (key, object) in read {
            let shelf = self.shelf(&key);
            let mut state = lock(&shelf.state);
            let known = state.object.as_ref().map(|kept| kept.window).or(state.seen);
            let newer =
                known.is_none_or(|kept| object.window.issued > kept.issued && object.window.number >= kept.number);
            if newer {
                state.object = Some(object);
                state.confirmed = false;
                taken += 1;
            }
        }
        Ok(taken)
    }
}

pub(super) fn object_json(name: &str, object: &Object) -> Value {
    json!({"name": name, "body": hex(&object.body), "chain": object.chain, "fetched": object.fetched})
}

pub(super) fn read_entry(entry: &Value) -> std::result::Result<(Key, Object), String> {
    let text = |field: &str| entry[field].as_str().ok_or_else(|| format!("{field} is not a string"));
    let name = text("name")?;
    let key = Key::from_name(name).ok_or_else(|| format!("name {name:?} is unknown"))?;
    let body = unhex(text("body")?).ok_or("body is not hex")?;
    let object = key.object(body, text("chain")?.to_owned(), entry["fetched"].as_u64().unwrap_or(0))?;
    Ok((key, object))
}
