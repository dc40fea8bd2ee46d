//! What a genuine document says, for the rules about it and for readers of the verdict. Pure.

use serde_json::{Map, Value};

use super::document::NitroDocument;
use super::genuine::Signer;
use super::registers::Registers;
use crate::attest::hash::hex;
use crate::attest::json::object;
use crate::verdict::ClaimsReport;

/// Authentic claims of an enclave or an instance.
#[derive(Clone, Debug)]
pub struct NitroClaims {
    pub document: NitroDocument,
    pub signer: Signer,
}

impl NitroClaims {
    pub fn to_report<R: Registers>(&self) -> ClaimsReport {
        let NitroClaims { document, signer } = self;
        let pcrs = document.pcrs.iter().map(|(number, value)| (number.to_string(), Value::from(hex(value))));
        let data = |data: &[u8]| if data.is_empty() { Value::Null } else { hex(data).into() };
        let mut platform = object!({"module_id": &*document.module_id, "timestamp_ms": document.timestamp});
        if R::HAS_DEBUG {
            platform["debug"] = document.is_debug().into();
        }
        ClaimsReport {
            tcb_status: String::new(),
            advisory_ids: Vec::new(),
            measurements: object!({
                "pcrs": pcrs.collect::<Map<_, _>>(), "nonce": data(&document.nonce),
                "user_data": data(&document.user_data), "public_key": data(&document.public_key),
            }),
            platform,
            collateral: object!({"leaf_not_before": signer.not_before, "leaf_not_after": signer.not_after}),
        }
    }
}
