//! The report of an enclave, which is the body of its quote (Intel SGX, `sgx_report_body_t`): 384 bytes, numbers little-endian. Pure.

use crate::attest::hash::hex;

pub const LENGTH: usize = 384;
/// Bytes that no enclave fills: they must be zero, so that one report has one form.
const RESERVED: [(usize, usize); 4] = [(20, 32), (96, 128), (160, 192), (262, 304)];

/// What a report says, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnclaveReport {
    pub cpu_svn: [u8; 16],
    pub misc_select: [u8; 4],
    pub isv_ext_prod_id: [u8; 16],
    /// Flags, then XFRM.
    pub attributes: [u8; 16],
    pub mr_enclave: [u8; 32],
    pub mr_signer: [u8; 32],
    pub config_id: [u8; 64],
    pub isv_prod_id: u16,
    pub isv_svn: u16,
    pub config_svn: u16,
    pub isv_family_id: [u8; 16],
    pub report_data: [u8; 64],
}

impl EnclaveReport {
    /// Whether the host can read the enclave's memory.
    pub fn is_debug(&self) -> bool {
        self.attributes[0] & super::policy::DEBUG != 0
    }

    pub fn read(raw: &[u8]) -> Result<EnclaveReport, String> {
        if raw.len() != LENGTH {
            return Err(format!("an enclave's report of {} bytes, not {LENGTH}", raw.len()));
        }
        for (from, to) in RESERVED {
            let bytes = raw.get(from..to).unwrap_or_default();
            if bytes.iter().any(|byte| *byte != 0) {
                return Err(format!("bytes {from} to {to} of the enclave's report are not zero: {}", hex(bytes)));
            }
        }
        Ok(EnclaveReport {
            cpu_svn: at(raw, 0)?,
            misc_select: at(raw, 16)?,
            isv_ext_prod_id: at(raw, 32)?,
            attributes: at(raw, 48)?,
            mr_enclave: at(raw, 64)?,
            mr_signer: at(raw, 128)?,
            config_id: at(raw, 192)?,
            isv_prod_id: u16::from_le_bytes(at(raw, 256)?),
            isv_svn: u16::from_le_bytes(at(raw, 258)?),
            config_svn: u16::from_le_bytes(at(raw, 260)?),
            isv_family_id: at(raw, 304)?,
            report_data: at(raw, 320)?,
        })
    }
}

fn at<const N: usize>(raw: &[u8], from: usize) -> Result<[u8; N], String> {
    let bytes = raw.get(from..).and_then(|rest| rest.first_chunk::<N>());
    bytes.copied().ok_or_else(|| "an enclave's report is cut short".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_a_fields_or_zero() {
        let mut raw = [0; LENGTH];
        let whole = EnclaveReport::read(&raw).unwrap();
        for index in 0..LENGTH {
            raw[index] = 1;
            let is_reserved = RESERVED.iter().any(|(from, to)| (*from..*to).contains(&index));
            match EnclaveReport::read(&raw) {
                Ok(read) => assert!(!is_reserved && read != whole, "{index}"),
                Err(why) => assert!(is_reserved && why.contains("not zero"), "{index}: {why}"),
            }
            raw[index] = 0;
        }
        for length in [0, LENGTH - 1, LENGTH + 1] {
            assert!(EnclaveReport::read(&vec![0; length]).is_err());
        }
    }
}
