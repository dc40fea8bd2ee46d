//! What a genuine report says, for the rules about it and for readers of the verdict. Pure.

use serde_json::{Map, Value};

use super::genuine::Device;
use super::report::Report;
use crate::attest::hash::{hex, sha256};
use crate::attest::json::object;
use crate::verdict::ClaimsReport;

/// Authentic claims of a GPU.
#[derive(Clone, Debug)]
pub struct GpuClaims {
    pub report: Report,
    pub device: Device,
}

impl GpuClaims {
    pub fn to_report(&self) -> ClaimsReport {
        let GpuClaims { report, device } = self;
        let firmware = &report.firmware;
        let values = report.measurements.iter().map(|(index, value)| (index.to_string(), Value::from(hex(value))));
        ClaimsReport {
            tcb_status: String::new(),
            advisory_ids: Vec::new(),
            measurements: values.collect::<Map<_, _>>().into(),
            platform: object!({
                "arch": device.arch.map(|arch| arch.name()), "driver_version": firmware.driver_version.clone(),
                "vbios_version": firmware.vbios_version.clone(), "nvdec0_off": firmware.is_nvdec0_off,
                "chip_sku": firmware.chip_sku.clone(), "project": firmware.project.clone(), "project_sku": firmware.project_sku.clone(),
                "fwid": firmware.fwid.map(|fwid| hex(&fwid)), "key_sha256": hex(&sha256(&device.key)),
                "nonce": hex(&report.nonce),
            }),
            collateral: Value::Null,
        }
    }
}
