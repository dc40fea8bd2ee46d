//! The report that the paravisor keeps in the memory of the TPM: the hardware's report, and the runtime data whose digest is in that. Little-endian. Nothing
//! but these two is signed, so all the rest has one value. Pure.

use super::runtime_data::RuntimeData;
use crate::attest::hash::sha256;

/// Of the hardware's report, or where it may be.
const HARDWARE: usize = 1184;
const HARDWARE_AT: usize = 32;
/// Of the runtime data.
const DATA_AT: usize = 1236;
/// The memory that holds it today has room for so many bytes of runtime data.
const MAX_DATA: usize = 1364;
/// The largest that a TPM's memory of this kind can be.
const MAX_BYTES: usize = 4096;
/// Bytes before the runtime data that its own size field counts.
const DATA_HEADER: usize = 20;
/// `HCLA`.
const MAGIC: [u8; 4] = *b"HCLA";
const ATTESTATION: u32 = 2;
const SHA256: u32 = 1;

/// What hardware made the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportType {
    Snp,
    Tdx,
}

impl ReportType {
    fn number(self) -> u32 {
        match self {
            ReportType::Snp => 2,
            ReportType::Tdx => 4,
        }
    }
}

/// A report, read but not judged.
#[derive(Clone, Debug)]
pub struct HclReport {
    /// SEV-SNP: its whole report. TDX: a TDREPORT, and zeros.
    pub hardware: [u8; HARDWARE],
    /// As its digest is made.
    pub data: Vec<u8>,
    pub runtime: RuntimeData,
}

impl HclReport {
    pub fn read(raw: &[u8], kind: ReportType) -> Result<HclReport, String> {
        if raw.len() > MAX_BYTES {
            return Err(format!("{} bytes, at most {MAX_BYTES}", raw.len()));
        }
        let (header, rest) = raw.split_at_checked(DATA_AT).ok_or_else(|| format!("{} bytes, too few", raw.len()))?;
        let size = u32_at(header, 1232) as usize;
        if size > MAX_DATA {
            return Err(format!("{size} bytes of runtime data, at most {MAX_DATA}"));
        }
        let (data, padding) = rest.split_at_checked(size).ok_or("its runtime data is cut short")?;
        fixed(header, size, kind)?;
        zero(padding, DATA_AT + size)?;
        let hardware: &[u8; HARDWARE] = header[HARDWARE_AT..].first_chunk().ok_or("no hardware's report")?;
        Ok(HclReport { hardware: *hardware, data: data.to_vec(), runtime: RuntimeData::read(data)? })
    }

    /// Whether the hardware's report has the digest of the runtime data. Not so if the two are of different reports, one of which took the other's place
    /// while it was read.
    pub fn is_whole(&self, kind: ReportType) -> bool {
        let at = match kind {
            ReportType::Snp => 80,
            ReportType::Tdx => 128,
        };
        self.hardware[at..at + 32] == sha256(&self.data)
    }
}

/// Everything before the runtime data but the hardware's report.
fn fixed(header: &[u8], size: usize, kind: ReportType) -> Result<(), String> {
    if header[..4] != MAGIC {
        return Err("does not begin with HCLA".into());
    }
    let version = u32_at(header, 4);
    if !(1..=2).contains(&version) {
        return Err(format!("version {version}, known are 1 and 2"));
    }
    for (at, expected, what) in [
        (8, (DATA_AT + size) as u32, "size"),
        (12, ATTESTATION, "request type"),
        (16, 0, "status"),
        (1216, (DATA_HEADER + size) as u32, "size of the runtime data"),
        (1220, 1, "version of the runtime data"),
        (1224, kind.number(), "report type"),
        (1228, SHA256, "hash type"),
    ] {
        let found = u32_at(header, at);
        if found != expected {
            return Err(format!("{what} {found}, must be {expected}"));
        }
    }
    zero(&header[20..HARDWARE_AT], 20)
}

fn zero(bytes: &[u8], at: usize) -> Result<(), String> {
    match bytes.iter().position(|byte| *byte != 0) {
        Some(index) => Err(format!("byte {} is not zero", at + index)),
        None => Ok(()),
    }
}

/// Zero where there is nothing.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().map_or(0, u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::super::runtime_data::tests::plain as data;
    use super::*;

    fn plain(kind: ReportType) -> Vec<u8> {
        let data = data();
        let mut raw = vec![0; DATA_AT];
        raw[..4].copy_from_slice(&MAGIC);
        for (at, value) in [
            (4, 2),
            (8, DATA_AT + data.len()),
            (12, 2),
            (1216, DATA_HEADER + data.len()),
            (1220, 1),
            (1224, kind.number() as usize),
            (1228, 1),
            (1232, data.len()),
        ] {
            raw[at..at + 4].copy_from_slice(&(value as u32).to_le_bytes());
        }
        raw[HARDWARE_AT] = 9;
        raw.extend(data);
        raw
    }

    #[test]
    fn what_is_in_it_and_how_long_it_may_be() {
        for kind in [ReportType::Snp, ReportType::Tdx] {
            let mut raw = plain(kind);
            let read = HclReport::read(&raw, kind).unwrap();
            assert_eq!((read.hardware[0], &read.data), (9, &data()));
            for length in 0..raw.len() {
                assert!(HclReport::read(&raw[..length], kind).is_err(), "{length}");
            }
            raw.resize(MAX_BYTES, 0);
            HclReport::read(&raw, kind).unwrap();
            raw.push(0);
            assert!(HclReport::read(&raw, kind).unwrap_err().contains("4097 bytes"));
        }
    }

    #[test]
    fn everything_that_nobody_signed_has_one_value() {
        let mut raw = plain(ReportType::Tdx);
        raw.resize(2600, 0);
        let unsigned = (0..HARDWARE_AT).chain(HARDWARE_AT + HARDWARE..DATA_AT).chain(DATA_AT + data().len()..2600);
        for at in unsigned {
            let mut bent = raw.clone();
            bent[at] ^= if at == 4 { 4 } else { 1 };
            assert!(HclReport::read(&bent, ReportType::Tdx).is_err(), "{at}");
        }
        assert!(HclReport::read(&raw, ReportType::Snp).unwrap_err().contains("report type 4, must be 2"));
        let mut large = raw.clone();
        large[1233] = 0xff;
        assert!(HclReport::read(&large, ReportType::Tdx).unwrap_err().contains("at most 1364"));
    }
}
