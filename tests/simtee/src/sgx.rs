//! An SGX enclave on the simulated platform, and its quotes.

use serde_json::{Value, json};

use crate::hex;
use crate::pki::{CPU_SVN, SimTee};
use crate::quote::{self, QuoteBody};

/// What the report of an enclave says. Bytes of `raw` go over all the rest, to make reports that no enclave has.
#[derive(Clone, Debug)]
pub struct Enclave {
    pub attributes: [u8; 16],
    pub mr_enclave: [u8; 32],
    pub mr_signer: [u8; 32],
    pub isv_prod_id: u16,
    pub isv_svn: u16,
    pub config_id: [u8; 64],
    pub isv_family_id: [u8; 16],
    pub isv_ext_prod_id: [u8; 16],
    /// Offset in the report, and value.
    pub raw: Vec<(usize, u8)>,
    /// In the header.
    pub version: u16,
    pub tee_type: u32,
}

impl Default for Enclave {
    fn default() -> Self {
        Enclave::new()
    }
}

impl Enclave {
    /// 64 bits, with key separation and sharing, in production.
    pub fn new() -> Enclave {
        let mut attributes = [0; 16];
        (attributes[0], attributes[8]) = (0x85, 0xe7);
        Enclave {
            attributes,
            mr_enclave: [0xe1; 32],
            mr_signer: [0x51; 32],
            isv_prod_id: 7,
            isv_svn: 3,
            config_id: [0xc1; 64],
            isv_family_id: [0xf1; 16],
            isv_ext_prod_id: [0xe9; 16],
            raw: Vec::new(),
            version: 3,
            tee_type: 0,
        }
    }

    pub fn report(&self, report_data: &[u8; 64]) -> [u8; 384] {
        let mut report = [0; 384];
        let mut put = |at: usize, value: &[u8]| report[at..at + value.len()].copy_from_slice(value);
        put(0, &CPU_SVN);
        put(32, &self.isv_ext_prod_id);
        put(48, &self.attributes);
        put(64, &self.mr_enclave);
        put(128, &self.mr_signer);
        put(192, &self.config_id);
        put(256, &self.isv_prod_id.to_le_bytes());
        put(258, &self.isv_svn.to_le_bytes());
        put(304, &self.isv_family_id);
        put(320, report_data);
        for (at, value) in &self.raw {
            report[*at] = *value;
        }
        report
    }

    pub fn quote(&self, tee: &SimTee, report_data: &[u8; 64]) -> Vec<u8> {
        let chain = format!("{}{}{}", tee.pck_pem, tee.pck_ca_pem, tee.root_pem);
        let signed = [&quote::header(self.version, self.tee_type)[..], &self.report(report_data)].concat();
        quote::sealed(QuoteBody::Enclave(signed), &tee.attestation_key, &tee.pck_key, &chain)
    }

    /// A policy that this enclave satisfies by its code, pointing at `pccs`.
    pub fn policy(&self, pccs: &str) -> Value {
        json!({
            "type": "sgx", "mr_enclave": [hex(&self.mr_enclave)],
            "pccs_url": pccs, "cache_collateral": true, "allow_simulated": true,
        })
    }
}
