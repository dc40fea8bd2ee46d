//! Export and import of a store's documents as one JSON object, for machines without a way to the vendor. No I/O.

use std::sync::Arc;

use serde_json::{Value, json};

use super::kept_document::{Derived, DocumentSource, KeptDocument};
use super::store::Store;
use super::vendor::{from_name, module};
use crate::attest::hash::{hex, unhex};
use crate::attest::{DocumentId, Documents, dcap};
use crate::error::{Error, Phase, Result, Status};

impl Store {
    /// `{"atls_collateral_bundle":1,"objects":[{"name","body" (hex),"chain","fetched"}]}` of the newest that is kept.
    pub fn export(&self) -> String {
        let newest = |id: DocumentId| Some(object_json(&id, &*self.newest(&id)?));
        let mut objects: Vec<Value> = self.ids().into_iter().filter_map(newest).collect();
        objects.sort_by_key(|object| object["name"].as_str().map(str::to_owned));
        json!({"atls_collateral_bundle": 1, "objects": objects}).to_string()
    }

    /// Takes the documents of a bundle that are newer than those kept. All or nothing: a bundle with one bad entry changes nothing. Waits for the disk.
    pub fn import(&self, text: &[u8]) -> Result<usize> {
        let invalid = |why: String| {
            Error::new(Status::CollateralInvalid, format!("collateral bundle: {why}")).phase(Phase::Collateral)
        };
        let document: Value = serde_json::from_slice(text).map_err(|error| invalid(error.to_string()))?;
        let mut read = Vec::new();
        for (index, entry) in entries(&document).map_err(invalid)?.iter().enumerate() {
            let checked = read_entry(entry, DocumentSource::Bundle).and_then(|(id, object)| {
                let by = self.authority(id.vendor);
                module(id.vendor).authenticate(&id, &object, by, object.window.issued)?;
                Ok((id, object))
            });
            read.push(checked.map_err(|why| invalid(format!("objects[{index}]: {why}")))?);
        }
        let mut taken = 0;
        for (id, object) in read {
            let is_news = self
                .newest(&id)
                .is_none_or(|kept| !object.window.is_older_than(&kept.window) && object.window != kept.window);
            let (place, object) = (self.place(&id, &DocumentSource::Bundle), Arc::new(object));
            if is_news && place.keep(&object) {
                taken += 1;
                self.write_to_disk(&id, &place, &object);
            }
        }
        Ok(taken)
    }

    fn newest(&self, id: &DocumentId) -> Option<Arc<KeptDocument>> {
        let objects = self.places(id).into_iter().filter_map(|place| place.newest());
        objects.max_by_key(|object| (object.window.number, object.window.issued))
    }
}

/// Documents for an appraisal without a store, not judged: a bundle, or one set for a TDX platform as dcap-qvl has it.
pub fn documents(text: &[u8]) -> std::result::Result<Documents, String> {
    let bundle: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if bundle.get("atls_collateral_bundle").is_none() {
        return dcap::documents::from_json(text);
    }
    let mut documents = Documents::none();
    for (index, entry) in entries(&bundle)?.iter().enumerate() {
        let read = read_entry(entry, DocumentSource::Bundle);
        let read = read.and_then(|(id, object)| Ok((module(id.vendor).document(&id, &object)?, id)));
        let (document, id) = read.map_err(|why| format!("objects[{index}]: {why}"))?;
        documents.add(id, document);
    }
    Ok(documents)
}

fn entries(bundle: &Value) -> std::result::Result<&Vec<Value>, String> {
    if bundle["atls_collateral_bundle"] != 1 {
        return Err("atls_collateral_bundle is not 1".into());
    }
    bundle["objects"].as_array().ok_or_else(|| "objects is not a list".into())
}

pub(super) fn object_json(id: &DocumentId, object: &KeptDocument) -> Value {
    json!({"name": id.to_string(), "body": hex(&object.body), "chain": object.chain, "fetched": object.fetched})
}

pub(super) fn read_entry(
    entry: &Value,
    source: DocumentSource,
) -> std::result::Result<(DocumentId, KeptDocument), String> {
    let text = |field: &str| entry[field].as_str().ok_or_else(|| format!("{field} is not a string"));
    let name = text("name")?;
    let id = from_name(name).ok_or_else(|| format!("name {name:?} is unknown"))?;
    let body = unhex(text("body")?).ok_or("body is not hex")?;
    let fetched = entry["fetched"].as_u64().ok_or("fetched is not a time")?;
    let chain = text("chain")?.to_owned();
    let (body, window) = module(id.vendor).read(&id, body, &chain)?;
    Ok((id, KeptDocument { body, chain, window, fetched, source, derived: Derived::default() }))
}
