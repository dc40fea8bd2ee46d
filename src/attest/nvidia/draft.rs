//! A draft of the block `gpu` of a policy. Pure.

use serde_json::{Map, Value, json};

use crate::attest::draft::{AS_SEEN, members};
use crate::verdict::ClaimsReport;

/// As many GPUs as there were, each with driver, VBIOS and all the measurements of one of them.
pub fn draft(devices: &[&ClaimsReport]) -> Map<String, Value> {
    let (mut archs, mut sets) = (Vec::new(), Vec::new());
    for device in devices {
        let platform = &device.platform;
        let set = json!({
            "label": AS_SEEN, "driver_version": platform["driver_version"], "vbios_version": platform["vbios_version"],
            "values": device.measurements,
        });
        add(&mut archs, platform["arch"].clone());
        add(&mut sets, set);
    }
    members([("required", devices.len().into()), ("arch", archs.into()), ("measurements", sets.into())])
}

fn add(list: &mut Vec<Value>, value: Value) {
    if !value.is_null() && !list.contains(&value) {
        list.push(value);
    }
}
