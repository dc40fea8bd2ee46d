//! The attestation report of SEV-SNP firmware (SEV-SNP firmware ABI specification, ATTESTATION_REPORT), versions 2 to 5. Little-endian. Everything that
//! must be zero or fixed is checked here, also what the signature does not cover. Pure.

use super::bits::policy_bit;
use super::product::{Product, SigningKey};
use super::tcb::Tcb;

/// Bytes of a report.
pub const LENGTH: usize = 0x4a0;
/// The signature covers what is before it.
pub const SIGNED: usize = 0x2a0;

/// `VMPL` of a report that the host asked for, not the guest.
const BY_THE_HOST: u32 = u32::MAX;
/// ECDSA P-384 with SHA-384.
const ALGORITHM: u32 = 1;
/// Bytes of `r`, and of `s`; the first 48 of them are the number.
const NUMBER: usize = 72;

/// A report, read but not judged: who signed it, its signature alone tells.
#[derive(Clone, Debug)]
pub struct Report {
    raw: [u8; LENGTH],
    pub version: u32,
    pub signing_key: SigningKey,
    /// By the CPUID bytes in it, which version 2 does not have.
    pub product: Option<Product>,
}

/// Which of the TCB versions in a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcbOf {
    /// The newest firmware that runs.
    Current,
    /// The one that the signing key is derived from.
    Reported,
    /// Below which the processor does not let itself be taken back.
    Committed,
    /// When the guest was launched.
    Launch,
}

/// Version and build of the firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Firmware {
    pub major: u8,
    pub minor: u8,
    pub build: u8,
}

impl std::fmt::Display for Firmware {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.build)
    }
}

impl Report {
    /// The error is a sentence: what makes it no report that a guest's owner may rely on.
    pub fn read(raw: &[u8; LENGTH]) -> Result<Report, String> {
        let mut report = Report { raw: *raw, version: 0, signing_key: SigningKey::Vcek, product: None };
        report.version = u32::from_le_bytes(report.bytes(0x000));
        if !(2..=5).contains(&report.version) {
            return Err(format!("report version {}, known are 2 to 5", report.version));
        }
        report.signing_key = report.read_key()?;
        report.read_fixed()?;
        report.read_zeros()?;
        report.product = report.read_product()?;
        Ok(report)
    }

    fn read_key(&self) -> Result<SigningKey, String> {
        let info = self.key_info();
        if info >> 5 != 0 {
            return Err(format!("key_info {info:08x} has bits that are not known"));
        }
        if info & 2 != 0 {
            return Err("not signed: the host has masked the chip's key".into());
        }
        match info >> 2 & 7 {
            0 => Ok(SigningKey::Vcek),
            1 => Ok(SigningKey::Vlek),
            7 => Err("not signed: no key was asked for".into()),
            other => Err(format!("signed by key {other}, known are 0 (VCEK) and 1 (VLEK)")),
        }
    }

    fn read_fixed(&self) -> Result<(), String> {
        match self.vmpl() {
            0..=3 => {}
            BY_THE_HOST => return Err("the host asked for it, not the guest".into()),
            other => return Err(format!("VMPL {other}, there are 0 to 3")),
        }
        let algorithm = u32::from_le_bytes(self.bytes(0x034));
        if algorithm != ALGORITHM {
            return Err(format!("signature algorithm {algorithm}, known is {ALGORITHM}"));
        }
        let policy = self.policy();
        if policy >> 26 != 0 || policy & policy_bit::ALWAYS == 0 {
            return Err(format!("guest policy {policy:016x} has reserved bits that are not as they must be"));
        }
        Ok(())
    }

    fn read_zeros(&self) -> Result<(), String> {
        // Version 2 has no CPUID; the mitigation vectors came with version 5, and some firmware has them in version 4.
        let cpuid = if self.version == 2 { 0x188 } else { 0x18b };
        let mitigations = if self.version < 4 { 0x1f8 } else { 0x208 };
        let number = |at: usize| at + 48..at + NUMBER;
        for range in [
            0x04c..0x050,
            cpuid..0x1a0,
            0x1eb..0x1ec,
            0x1ef..0x1f0,
            mitigations..SIGNED,
            number(SIGNED),
            number(SIGNED + NUMBER),
            SIGNED + 2 * NUMBER..LENGTH,
        ] {
            let start = range.start;
            if let Some(at) = self.raw[range].iter().position(|byte| *byte != 0) {
                return Err(format!("byte {:#x} is not zero", start + at));
            }
        }
        Ok(())
    }

    fn read_product(&self) -> Result<Option<Product>, String> {
        if self.version == 2 {
            return Ok(None);
        }
        let [family, model, stepping] = self.bytes(0x188);
        match Product::of_cpu(family, model) {
            Some(product) => Ok(Some(product)),
            None => Err(format!("processor {family:02x}{model:02x}{stepping:02x} is not known")),
        }
    }

    /// What the signature covers.
    pub fn signed(&self) -> &[u8] {
        &self.raw[..SIGNED]
    }

    /// `r || s`, big-endian.
    pub fn signature(&self) -> [u8; 96] {
        let mut out = [0; 96];
        for (index, at) in [SIGNED, SIGNED + NUMBER].into_iter().enumerate() {
            let mut number: [u8; 48] = self.bytes(at);
            number.reverse();
            out[index * 48..][..48].copy_from_slice(&number);
        }
        out
    }

    pub fn guest_svn(&self) -> u32 {
        u32::from_le_bytes(self.bytes(0x004))
    }

    pub fn policy(&self) -> u64 {
        u64::from_le_bytes(self.bytes(0x008))
    }

    pub fn family_id(&self) -> [u8; 16] {
        self.bytes(0x010)
    }

    pub fn image_id(&self) -> [u8; 16] {
        self.bytes(0x020)
    }

    pub fn vmpl(&self) -> u32 {
        u32::from_le_bytes(self.bytes(0x030))
    }

    pub fn platform_info(&self) -> u64 {
        u64::from_le_bytes(self.bytes(0x040))
    }

    fn key_info(&self) -> u32 {
        u32::from_le_bytes(self.bytes(0x048))
    }

    pub fn report_data(&self) -> [u8; 64] {
        self.bytes(0x050)
    }

    pub fn measurement(&self) -> [u8; 48] {
        self.bytes(0x090)
    }

    pub fn host_data(&self) -> [u8; 32] {
        self.bytes(0x0c0)
    }

    pub fn id_key_digest(&self) -> [u8; 48] {
        self.bytes(0x0e0)
    }

    /// `None` if no author's key was given at launch: the digest then says nothing.
    pub fn author_key_digest(&self) -> Option<[u8; 48]> {
        (self.key_info() & 1 != 0).then(|| self.bytes(0x110))
    }

    pub fn report_id(&self) -> [u8; 32] {
        self.bytes(0x140)
    }

    /// Of version 3 and later.
    pub fn cpuid(&self) -> Option<[u8; 3]> {
        (self.version > 2).then(|| self.bytes(0x188))
    }

    pub fn chip_id(&self) -> [u8; 64] {
        self.bytes(0x1a0)
    }

    pub fn tcb(&self, of: TcbOf, product: Product) -> Tcb {
        let at = match of {
            TcbOf::Current => 0x038,
            TcbOf::Reported => 0x180,
            TcbOf::Committed => 0x1e0,
            TcbOf::Launch => 0x1f0,
        };
        Tcb::read(self.bytes(at), product)
    }

    /// The reported TCB version as it is in the report.
    pub fn reported_tcb(&self) -> [u8; 8] {
        self.bytes(0x180)
    }

    pub fn current_firmware(&self) -> Firmware {
        self.firmware(0x1e8)
    }

    pub fn committed_firmware(&self) -> Firmware {
        self.firmware(0x1ec)
    }

    fn firmware(&self, at: usize) -> Firmware {
        let [build, minor, major] = self.bytes(at);
        Firmware { major, minor, build }
    }

    /// At launch and now; of version 5.
    pub fn mitigations(&self) -> Option<[u64; 2]> {
        (self.version >= 5).then(|| [u64::from_le_bytes(self.bytes(0x1f8)), u64::from_le_bytes(self.bytes(0x200))])
    }

    fn bytes<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut out = [0; N];
        out.copy_from_slice(&self.raw[at..at + N]);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report that has the right form.
    pub fn plain(version: u8) -> [u8; LENGTH] {
        let mut raw = [0; LENGTH];
        raw[0] = version;
        raw[0x00a] = 2;
        raw[0x034] = 1;
        if version > 2 {
            raw[0x188..0x18b].copy_from_slice(&[0x19, 0x11, 1]);
        }
        raw
    }

    fn refusal(raw: &[u8; LENGTH]) -> String {
        Report::read(raw).map(|report| report.version).unwrap_err()
    }

    #[test]
    fn versions() {
        for version in 2..=5 {
            let report = Report::read(&plain(version)).unwrap();
            assert_eq!(report.version, u32::from(version));
            assert_eq!(report.product, (version > 2).then_some(Product::Genoa));
            assert_eq!(report.mitigations().is_some(), version == 5);
        }
        for version in [0, 1, 6, 255] {
            assert!(refusal(&plain(version)).contains("report version"));
        }
        let mut high = plain(3);
        high[1] = 1;
        assert!(refusal(&high).contains("report version 259"));
    }

    #[test]
    fn whatever_must_be_zero_is() {
        for version in 2..=5 {
            let cpuid = if version == 2 { 0x188 } else { 0x18b };
            let mitigations = if version < 4 { 0x1f8 } else { 0x208 };
            let zero = (0x4c..0x50)
                .chain(cpuid..0x1a0)
                .chain([0x1eb, 0x1ef])
                .chain(mitigations..0x2a0)
                .chain(0x2d0..0x2e8)
                .chain(0x318..LENGTH);
            for at in zero {
                for bit in [1, 0x80] {
                    let mut raw = plain(version);
                    raw[at] = bit;
                    assert!(refusal(&raw).contains(&format!("byte {at:#x} is not zero")), "{version} {at:x}");
                }
            }
        }
    }

    #[test]
    fn a_report_that_nobody_signed_or_the_host_asked_for() {
        for (at, value, why) in [
            (0x48, 2, "masked"),
            (0x48, 7 << 2, "no key was asked for"),
            (0x48, 2 << 2, "signed by key 2"),
            (0x48, 0x20, "bits that are not known"),
            (0x4b, 0x80, "bits that are not known"),
            (0x30, 4, "VMPL 4"),
            (0x34, 2, "signature algorithm 2"),
            (0x0a, 0, "reserved bits"),
            (0x0b, 4, "reserved bits"),
            (0x0f, 0x80, "reserved bits"),
            (0x188, 0x18, "processor 181101"),
        ] {
            let mut raw = plain(3);
            raw[at] = value;
            assert!(refusal(&raw).contains(why), "{at:x}: {}", refusal(&raw));
        }
        let mut raw = plain(3);
        raw[0x30..0x34].fill(0xff);
        assert!(refusal(&raw).contains("the host asked"));
    }

    #[test]
    fn fields_are_where_they_are() {
        let mut raw = plain(5);
        raw[0x48] = 1 << 2 | 1;
        raw[0x1e8..0x1eb].copy_from_slice(&[40, 55, 1]);
        raw[0x1ec..0x1ef].copy_from_slice(&[39, 54, 1]);
        raw[0x1f8] = 3;
        raw[0x200] = 5;
        raw[0x2a0] = 9;
        raw[0x2e8 + 47] = 8;
        raw[0x110] = 7;
        let report = Report::read(&raw).unwrap();
        assert_eq!(report.signing_key, SigningKey::Vlek);
        assert_eq!(report.current_firmware().to_string(), "1.55.40");
        assert!(report.committed_firmware() < report.current_firmware());
        assert_eq!(report.mitigations(), Some([3, 5]));
        let signature = report.signature();
        assert_eq!((signature[47], signature[48]), (9, 8));
        assert_eq!(report.author_key_digest().map(|digest| digest[0]), Some(7));
        raw[0x48] = 0;
        assert_eq!(Report::read(&raw).unwrap().author_key_digest(), None);
    }
}
