//! The firmware's boot log, as Linux hands out the table of ACPI that it is in. Waits for the disk. Touches a file of the kernel.

use std::fs;
use std::path::Path;

use crate::attest::ccel::BootLog;

/// Where Linux has it, in guests of TDX.
pub const TABLE: &str = "/sys/firmware/acpi/tables/data/CCEL";

/// The log, without what pads the table. `None` if there is none, or none that a verifier could read: evidence without a log is worth more than with a bad one.
pub fn read(table: &Path) -> Option<Vec<u8>> {
    let mut raw = fs::read(table).ok()?;
    let length = BootLog::length(&raw).ok()?;
    raw.truncate(length);
    Some(raw)
}
