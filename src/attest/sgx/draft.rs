//! A draft of a policy about an enclave. Pure.

use serde_json::{Map, Value, json};

use super::policy::{EINITTOKEN_KEY, PROVISION_KEY};
use crate::attest::draft::{members, only, tcb_status};
use crate::attest::hash::{hex, unhex};
use crate::verdict::Verdict;

/// All that a policy can name of an enclave: its code, its signer and what that one calls it, and its attributes, but for keys that tell platforms apart or launch
/// others: only a policy's owner can allow those.
pub fn draft(verdict: &Verdict) -> Option<Map<String, Value>> {
    let measured = &verdict.claims.as_ref()?.measurements;
    let mut attributes = unhex(measured["attributes"].as_str()?)?;
    *attributes.first_mut()? &= !(PROVISION_KEY | EINITTOKEN_KEY);
    Some(members([
        ("mr_enclave", only(&measured["mr_enclave"])),
        ("mr_signer", only(&measured["mr_signer"])),
        ("isv_prod_id", only(&measured["isv_prod_id"])),
        ("min_isv_svn", measured["isv_svn"].clone()),
        ("isv_ext_prod_id", only(&measured["isv_ext_prod_id"])),
        ("isv_family_id", only(&measured["isv_family_id"])),
        ("config_id", only(&measured["config_id"])),
        ("attributes", json!({"mask": "ff".repeat(attributes.len()), "value": hex(&attributes)})),
        ("allowed_tcb_status", tcb_status(verdict)),
    ]))
}
