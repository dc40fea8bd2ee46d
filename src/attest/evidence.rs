//! Evidence of any kind, decoded but not judged.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::family::{Family, reader};
use super::json;
use super::tdx::TdxEvidence;
use super::tee::Tee;

/// Evidence of one kind. What is in it, only the families of that kind know.
#[derive(Clone)]
pub struct Evidence {
    tee: Tee,
    value: Arc<dyn Any + Send + Sync>,
}

impl Evidence {
    pub fn of<F: Family>(value: F::Evidence) -> Evidence {
        Evidence { tee: F::TEE, value: Arc::new(value) }
    }

    /// Reads an evidence object of that kind, as protocol exporter-v1 carries it.
    pub fn read(tee: Tee, object: &Value) -> Result<Evidence, String> {
        match reader(tee) {
            Some(family) => family.read(object),
            None => Err(format!("evidence of kind {:?} is not judged by this version", tee.name())),
        }
    }

    /// Reads evidence as it is stored: `{"tee":..,"evidence":{..}}`, or without a kind, as evidence of TDX guests was stored before there were others.
    pub fn from_json(text: &[u8]) -> Result<Evidence, String> {
        let document = json::parse(text)?;
        let Some(kind) = document.get("tee") else { return TdxEvidence::from_json(text).map(Evidence::from) };
        let kind = kind.as_str().ok_or("tee is not a string")?;
        let tee = Tee::from_name(kind).ok_or_else(|| format!("evidence of kind {kind:?} is not known"))?;
        Evidence::read(tee, document.get("evidence").ok_or("evidence is missing")?)
    }

    pub fn tee(&self) -> Tee {
        self.tee
    }

    /// As one family has it; `None` if it is another's.
    pub fn get<F: Family>(&self) -> Option<&F::Evidence> {
        self.value.downcast_ref()
    }
}

impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Evidence({})", self.tee.name())
    }
}
