//! Reference values and rules about trust domains, as the policy types for TDX share them. Pure.

use crate::attest::Result;
use crate::attest::dcap::policy::DcapRules;
pub use crate::attest::dcap::policy::MaskedValue;
use crate::attest::policy::policy_fields::PolicyFields;

/// The rules of one member about the quote and its platform.
#[derive(Clone, Debug)]
pub struct TdxRules {
    pub td: Td,
    pub dcap: DcapRules,
}

#[derive(Clone, Debug, Default)]
pub struct Td {
    pub attributes: Option<MaskedValue<8>>,
    pub xfam: Option<MaskedValue<8>>,
    pub mr_seam: Option<Vec<[u8; 48]>>,
    pub mr_config_id: Option<Vec<[u8; 48]>>,
    pub mr_owner: Option<Vec<[u8; 48]>>,
    pub allow_debug: bool,
    pub allow_service_td: bool,
}

impl TdxRules {
    /// The fields that policies about TDX have in common.
    pub fn read(fields: &mut PolicyFields) -> Result<TdxRules> {
        let mut td = fields.object("td")?;
        let dcap = DcapRules::read(fields)?;
        let rules = TdxRules { dcap, td: td.as_mut().map(Td::read).transpose()?.unwrap_or_default() };
        if let Some(td) = td {
            td.finish()?;
        }
        Ok(rules)
    }
}

impl Td {
    fn read(td: &mut PolicyFields) -> Result<Td> {
        Ok(Td {
            attributes: MaskedValue::read(td, "attributes")?,
            xfam: MaskedValue::read(td, "xfam")?,
            mr_seam: td.hexes("mr_seam")?,
            mr_config_id: td.hexes("mr_config_id")?,
            mr_owner: td.hexes("mr_owner")?,
            allow_debug: td.bool("allow_debug")?.unwrap_or(false),
            allow_service_td: td.bool("allow_service_td")?.unwrap_or(false),
        })
    }
}
