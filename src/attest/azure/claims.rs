//! What a genuine virtual machine says, for readers of the verdict. Pure.

use serde_json::Value;

use super::checks::Key;
use super::evidence::Vtpm;
use crate::attest::hash::hex;
use crate::attest::json::object;
use crate::verdict::ClaimsReport;

/// `hardware` is what the report inside says, `measurement` what it says of the paravisor.
pub fn report(vtpm: &Vtpm, key: &Key, (hardware, measurement): (ClaimsReport, [u8; 48])) -> ClaimsReport {
    let (attest, runtime) = (&vtpm.attest, &vtpm.report.runtime);
    let measurements = object!({
        "paravisor": hex(&measurement), "pcrs": vtpm.pcrs.to_json(), "tpm_nonce": hex(&attest.extra_data),
        "user_data": runtime.user_data.map(|data| hex(&data)), "hardware": hardware.measurements.clone(),
    });
    let tpm = object!({
        "clock": attest.clock.milliseconds, "reset_count": attest.clock.resets,
        "restart_count": attest.clock.restarts, "safe": attest.clock.is_safe,
        "firmware": format!("{:016x}", attest.firmware),
    });
    let mut platform = hardware.platform;
    add(&mut platform, "vm_configuration", runtime.configuration.clone());
    add(&mut platform, "tpm", tpm);
    let mut collateral = hardware.collateral;
    add(&mut collateral, "ak_not_before", key.certificate.map(|dates| dates.not_before).into());
    add(&mut collateral, "ak_not_after", key.certificate.map(|dates| dates.not_after).into());
    ClaimsReport { measurements, platform, collateral, ..hardware }
}

fn add(object: &mut Value, member: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(member.to_owned(), value);
    }
}
