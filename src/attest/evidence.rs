//! Evidence of any kind, decoded but not judged: that of the machine, and of devices beside it. Pure.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::attached;
use super::binding::derived_nonce;
use super::family::{Family, reader};
use super::json;
use super::tdx::TdxEvidence;
use super::tee::Tee;

/// Entries of a list of attached evidence.
pub const MAX_ATTACHED: usize = 8;
/// Devices in all of them together: each takes several signatures to judge.
pub const MAX_DEVICES: usize = 16;

/// Evidence of one kind. What is in it, only the families of that kind know.
#[derive(Clone)]
pub struct Part {
    tee: Tee,
    value: Arc<dyn Any + Send + Sync>,
}

impl Part {
    pub fn of<F: Family>(value: F::Evidence) -> Part {
        Part { tee: F::TEE, value: Arc::new(value) }
    }

    pub fn tee(&self) -> Tee {
        self.tee
    }

    /// As one family has it; `None` if it is another's.
    pub fn get<F: Family>(&self) -> Option<&F::Evidence> {
        self.value.downcast_ref()
    }
}

/// Evidence of a machine, which is the main part, and of devices that are attached to it.
#[derive(Clone)]
pub struct Evidence {
    main: Part,
    attached: Vec<Part>,
}

impl Evidence {
    pub fn of<F: Family>(value: F::Evidence) -> Evidence {
        Evidence { main: Part::of::<F>(value), attached: Vec::new() }
    }

    /// Reads an evidence object of that kind, as protocol exporter-v1 carries it.
    pub fn read(tee: Tee, object: &Value) -> Result<Evidence, String> {
        match reader(tee) {
            Some(family) => family.read(object),
            None if tee.attaches() => Err(format!("evidence of kind {:?} does not stand alone", tee.name())),
            None => Err(format!("evidence of kind {:?} is not judged by this version", tee.name())),
        }
    }

    /// Reads evidence as it is stored: `{"tee":..,"evidence":{..},"attached":[..]}`, or without a kind, as evidence of TDX guests was stored before there
    /// were others.
    pub fn from_json(text: &[u8]) -> Result<Evidence, String> {
        let document = json::parse(text)?;
        let Some(kind) = document.get("tee") else { return TdxEvidence::from_json(text).map(Evidence::from) };
        let kind = kind.as_str().ok_or("tee is not a string")?;
        let tee = Tee::from_name(kind).ok_or_else(|| format!("evidence of kind {kind:?} is not known"))?;
        Evidence::read(tee, document.get("evidence").ok_or("evidence is missing")?)?
            .beside(document.get("attached"), |_| true)
    }

    /// With what is attached, as answers and stored evidence have it; nothing if there is no such member. Nothing is read of any entry if there is one of a
    /// kind that is not asked for.
    pub fn beside(mut self, list: Option<&Value>, is_asked: impl Fn(Tee) -> bool) -> Result<Evidence, String> {
        let Some(list) = list else { return Ok(self) };
        let entries = list.as_array().ok_or("attached is not a list")?;
        if entries.is_empty() || entries.len() > MAX_ATTACHED {
            return Err(format!("attached has {} entries, and must have 1 to {MAX_ATTACHED}", entries.len()));
        }
        let broken = |index: usize, why: String| format!("attached[{index}]: {why}");
        let reader = |(index, entry): (usize, &Value)| {
            let kind = entry["tee"].as_str().ok_or_else(|| broken(index, "tee is not a string".into()))?;
            let family = Tee::from_name(kind).and_then(attached::reader);
            let family = family.ok_or_else(|| broken(index, format!("evidence of kind {kind:?} does not attach")))?;
            match is_asked(family.tee()) {
                true => Ok(family),
                false => Err(format!("attached has evidence of kind {kind:?}, which was not asked for")),
            }
        };
        let readers = entries.iter().enumerate().map(reader).collect::<Result<Vec<_>, String>>()?;
        for (index, (entry, family)) in entries.iter().zip(readers).enumerate() {
            self.attached.extend(family.read(&entry["evidence"]).map_err(|why| broken(index, why))?);
            if self.attached.len() > MAX_DEVICES {
                return Err(broken(index, format!("more than {MAX_DEVICES} devices")));
            }
        }
        Ok(self)
    }

    /// What devices of that kind must hold, beside evidence that is bound to `binder`.
    pub fn device_nonce(tee: Tee, binder: &[u8; 64]) -> [u8; 32] {
        derived_nonce(binder, attached::reader(tee).map_or("", |family| family.purpose()))
    }

    /// Whether a list is evidence of devices of that kind.
    pub fn check_devices(tee: Tee, list: &Value) -> Result<(), String> {
        attached::reader(tee).ok_or("this kind does not attach")?.read(list).map(|_| ())
    }

    /// The kind of the main part.
    pub fn tee(&self) -> Tee {
        self.main.tee
    }

    /// The main part as one family has it; `None` if it is another's.
    pub fn get<F: Family>(&self) -> Option<&F::Evidence> {
        self.main.get::<F>()
    }

    pub fn attached(&self) -> &[Part] {
        &self.attached
    }
}

impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Evidence({}", self.main.tee.name())?;
        self.attached.iter().try_for_each(|part| write!(f, ", {}", part.tee.name()))?;
        f.write_str(")")
    }
}
