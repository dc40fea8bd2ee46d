//! Evidence of any kind, decoded but not judged.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::family::{Family, reader};
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
