//! Reference values for an enclave: the policy type `sgx`. Pure.

use serde_json::Value;

use crate::attest::Result;
use crate::attest::dcap::policy::{DcapRules, MaskedValue};
use crate::attest::policy::policy_fields::PolicyFields;

/// The enclave runs; the hardware sets it, and a report without it is of nothing.
pub const INIT: u8 = 0x01;
/// Of the first byte of ATTRIBUTES: the enclave may be inspected by its host.
pub const DEBUG: u8 = 0x02;
/// It has the keys by which platforms are told apart, or by which others are launched: nobody's application is made so.
pub const PROVISION_KEY: u8 = 0x10;
pub const EINITTOKEN_KEY: u8 = 0x20;

/// What an enclave must be: one member of a policy.
#[derive(Clone, Debug)]
pub struct SgxReference {
    /// `None` only if signer, product and version are there.
    pub mr_enclave: Option<Vec<[u8; 32]>>,
    pub mr_signer: Option<Vec<[u8; 32]>>,
    pub isv_prod_id: Option<Vec<u16>>,
    pub min_isv_svn: Option<u16>,
    pub config_id: Option<Vec<[u8; 64]>>,
    pub isv_family_id: Option<Vec<[u8; 16]>>,
    pub isv_ext_prod_id: Option<Vec<[u8; 16]>>,
    /// What the policy says, on top of what is always asked for.
    pub attributes: MaskedValue<16>,
    pub allow_debug: bool,
    pub dcap: DcapRules,
}

impl SgxReference {
    pub fn read(mut fields: PolicyFields) -> Result<SgxReference> {
        let reference = SgxReference {
            mr_enclave: fields.hexes("mr_enclave")?,
            mr_signer: fields.hexes("mr_signer")?,
            isv_prod_id: read_products(&mut fields)?,
            min_isv_svn: read_version(&mut fields)?,
            config_id: fields.hexes("config_id")?,
            isv_family_id: fields.hexes("isv_family_id")?,
            isv_ext_prod_id: fields.hexes("isv_ext_prod_id")?,
            attributes: attributes(MaskedValue::read(&mut fields, "attributes")?),
            allow_debug: fields.bool("allow_debug")?.unwrap_or(false),
            dcap: DcapRules::read(&mut fields)?,
        };
        reference.identifies(&fields)?;
        fields.finish()?;
        Ok(reference)
    }

    /// A signer has signed old enclaves too, and others: it says what runs only together with a product and its lowest version.
    fn identifies(&self, fields: &PolicyFields) -> Result<()> {
        if let (Some([_, _, ..]), Some([_, _, ..])) = (self.mr_signer.as_deref(), self.isv_prod_id.as_deref()) {
            let why =
                "several, beside several signers: products of one would count as another's. Write a member for each";
            return Err(fields.invalid("isv_prod_id", why.into()));
        }
        if self.mr_enclave.is_some() {
            return Ok(());
        }
        if self.mr_signer.is_none() {
            return Err(fields.invalid("mr_enclave", "missing field `mr_enclave`, or `mr_signer`".into()));
        }
        let parts = [("isv_prod_id", self.isv_prod_id.is_some()), ("min_isv_svn", self.min_isv_svn.is_some())];
        match parts.into_iter().find(|(_, is_there)| !is_there) {
            None => Ok(()),
            Some((name, _)) => {
                let why = format!("missing field `{name}`, without which any enclave of the signer would do");
                Err(fields.invalid(name, why))
            }
        }
    }
}

/// With what a policy says nothing of: the enclave runs, and has no keys of the platform.
fn attributes(said: Option<MaskedValue<16>>) -> MaskedValue<16> {
    let mut rule = said.unwrap_or(MaskedValue { mask: [0; 16], value: [0; 16] });
    rule.mask[0] |= INIT | PROVISION_KEY | EINITTOKEN_KEY;
    rule.value[0] |= INIT;
    rule
}

fn read_products(fields: &mut PolicyFields) -> Result<Option<Vec<u16>>> {
    let products = match fields.take("isv_prod_id") {
        None => return Ok(None),
        Some(Value::Array(products)) if !products.is_empty() => products,
        Some(other) => return Err(fields.invalid("isv_prod_id", format!("{other} is not a list of numbers"))),
    };
    let read = |(index, product): (usize, &Value)| {
        let number = product.as_u64().and_then(|number| u16::try_from(number).ok());
        let why = || fields.invalid(&format!("isv_prod_id[{index}]"), format!("{product} is not within 0..65535"));
        number.ok_or_else(why)
    };
    products.iter().enumerate().map(read).collect::<Result<_>>().map(Some)
}

fn read_version(fields: &mut PolicyFields) -> Result<Option<u16>> {
    let Some(version) = fields.u64("min_isv_svn")? else { return Ok(None) };
    let why = |_| fields.invalid("min_isv_svn", format!("{version} is not within 0..65535"));
    u16::try_from(version).map(Some).map_err(why)
}
