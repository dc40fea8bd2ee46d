//! Boot logs of confidential guests (CCEL, a table of ACPI): what firmware and boot loader extended into the registers of a trust domain, event by event, in the
//! crypto-agile form of the TCG's PC Client specification. Pure.
//!
//! The log comes unsigned. What makes its digests true is that they lead, one extended after another, to the registers of a signed quote. Of most events the
//! data are bound to nothing, and so no data are looked at: policies compare digests.

mod reader;

use crate::attest::hash::sha384;
use reader::Reader;

/// Registers for measurements, RTMR0 to RTMR3.
pub const REGISTERS: usize = 4;
/// A digest of SHA-384.
pub type Digest = [u8; 48];

const MAX_BYTES: usize = 1 << 20;
const MAX_EVENTS: usize = 4096;
const MAX_ALGORITHMS: usize = 8;
/// EV_NO_ACTION: for readers of the log, and extended into nothing.
const NO_ACTION: u32 = 3;
const SHA_384: u16 = 0x000c;
const SIGNATURE: &[u8; 16] = b"Spec ID Event03\0";

/// A log that was read, by register. It still proves nothing until its replay equals a quote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootLog {
    /// What was extended into each register, in order.
    pub extended: [Vec<Digest>; REGISTERS],
}

impl BootLog {
    /// Errors name the event by its index; the first entry, which says what the log is, is none.
    pub fn parse(raw: &[u8]) -> Result<BootLog, String> {
        read(raw).map(|(log, _)| log)
    }

    /// Bytes of a log without what pads it.
    pub fn length(raw: &[u8]) -> Result<usize, String> {
        read(raw).map(|(_, length)| length)
    }

    /// The value of a register into which that was extended.
    pub fn replayed(&self, register: usize) -> Digest {
        let extended = self.extended.get(register).into_iter().flatten();
        extended.fold([0; 48], |value, digest| sha384(&[value, *digest].concat()))
    }

    fn add(&mut self, reader: &mut Reader<'_>, algorithms: &[(u16, usize)]) -> Result<(), String> {
        let (register, event_type) = (reader.u32()?, reader.u32()?);
        // The numbers are those of measurement registers: 0 is MRTD, which only the module extends, before the guest runs.
        let into = usize::try_from(register).ok().and_then(|number| number.checked_sub(1));
        let into = into.and_then(|index| self.extended.get_mut(index));
        let into = into.ok_or_else(|| format!("register {register}, expected 1 to 4"))?;
        let digest = read_digests(reader, algorithms)?;
        let size = reader.u32()?;
        reader.bytes(size as usize)?;
        if event_type != NO_ACTION {
            into.push(digest);
        }
        Ok(())
    }
}

/// The log, and where it ends.
fn read(raw: &[u8]) -> Result<(BootLog, usize), String> {
    if raw.len() > MAX_BYTES {
        return Err(format!("boot log of {} bytes, at most {MAX_BYTES} are read", raw.len()));
    }
    let mut reader = Reader::new(raw);
    let algorithms = read_header(&mut reader).map_err(|why| format!("the log's header: {why}"))?;
    let mut log = BootLog::default();
    for index in 0.. {
        if is_padding(reader.rest()) {
            return Ok((log, raw.len() - reader.rest().len()));
        }
        if index == MAX_EVENTS {
            break;
        }
        log.add(&mut reader, &algorithms).map_err(|why| format!("event {index}: {why}"))?;
    }
    Err(format!("more than {MAX_EVENTS} events"))
}

/// The first entry, in the older form: it says how long the digests of each algorithm are.
fn read_header(reader: &mut Reader<'_>) -> Result<Vec<(u16, usize)>, String> {
    let (register, event_type) = (reader.u32()?, reader.u32()?);
    if register > 1 || event_type != NO_ACTION {
        return Err(format!("register {register} and type {event_type}, expected 0 or 1, and {NO_ACTION}"));
    }
    if reader.bytes(20)? != [0; 20] {
        return Err("a digest that is not zero".into());
    }
    let size = reader.u32()? as usize;
    let mut inner = Reader::new(reader.bytes(size)?);
    if inner.bytes(SIGNATURE.len())? != SIGNATURE {
        return Err("no signature of a crypto-agile log".into());
    }
    // Platform class, version, errata, and size of a machine word.
    inner.bytes(8)?;
    let count = inner.u32()? as usize;
    if count > MAX_ALGORITHMS {
        return Err(format!("{count} algorithms, at most {MAX_ALGORITHMS}"));
    }
    let mut algorithms: Vec<(u16, usize)> = Vec::new();
    for _ in 0..count {
        let (algorithm, size) = (inner.u16()?, usize::from(inner.u16()?));
        if algorithms.iter().any(|(known, _)| *known == algorithm) {
            return Err(format!("algorithm {algorithm:#06x} is duplicated"));
        }
        algorithms.push((algorithm, size));
    }
    if !algorithms.contains(&(SHA_384, 48)) {
        return Err("no digests of SHA-384, by which registers are extended".into());
    }
    let vendor = inner.u8()?;
    inner.bytes(vendor.into())?;
    match inner.rest() {
        [] => Ok(algorithms),
        rest => Err(format!("{} bytes after its end", rest.len())),
    }
}

/// The one of SHA-384 among the digests of an event.
fn read_digests(reader: &mut Reader<'_>, algorithms: &[(u16, usize)]) -> Result<Digest, String> {
    let count = reader.u32()? as usize;
    if count > algorithms.len() {
        return Err(format!("{count} digests, the log has {} algorithms", algorithms.len()));
    }
    let mut found = None;
    for _ in 0..count {
        let algorithm = reader.u16()?;
        let known = algorithms.iter().find(|(known, _)| *known == algorithm);
        let (_, size) =
            known.ok_or_else(|| format!("a digest of algorithm {algorithm:#06x}, which the header has not"))?;
        let digest = reader.bytes(*size)?;
        if algorithm == SHA_384 {
            let digest = digest.try_into().map_err(|_| "a digest of SHA-384 of another length")?;
            if found.replace(digest).is_some() {
                return Err("two digests of SHA-384".into());
            }
        }
    }
    found.ok_or_else(|| "no digest of SHA-384".into())
}

/// Tables have a fixed size, so that one value, ff or 00, may follow the last event up to the end.
fn is_padding(rest: &[u8]) -> bool {
    match rest {
        [] => true,
        [first @ (0 | 0xff), ..] => rest.iter().all(|byte| byte == first),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub use tests::sample;
