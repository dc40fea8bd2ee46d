//! Reference values and rules for an SEV-SNP guest: the policy type `snp`. Pure.

use serde_json::Value;

use super::policy::{SnpRules, missing};
use crate::attest::Result;
use crate::attest::dstack::key_provider::KeyProvider;
use crate::attest::dstack::policy::read_key_provider;
use crate::attest::hash::{hex, unhex_array};
use crate::attest::policy::policy_fields::PolicyFields;

/// More of them than any fleet runs at a time.
const MAX_MEASUREMENTS: usize = 64;

/// What a guest must be: one member of a policy.
#[derive(Clone, Debug)]
pub struct SnpReference {
    pub rules: SnpRules,
    pub measurement: Vec<[u8; 48]>,
    pub vmpl: Vec<u32>,
    pub host_data: Option<Vec<[u8; 32]>>,
    pub mr_config: Option<ConfigRules>,
}

/// What dstack's configuration document must say.
#[derive(Clone, Debug)]
pub struct ConfigRules {
    pub app_compose_hash: Option<Vec<[u8; 32]>>,
    pub app_id: Option<Vec<[u8; 20]>>,
    pub key_provider: Option<KeyProvider>,
    pub gpu_policy_hash: Option<Vec<[u8; 32]>>,
    /// Whole lists.
    pub init_script_hashes: Option<Vec<Vec<[u8; 32]>>>,
}

impl SnpReference {
    pub fn read(mut fields: PolicyFields) -> Result<SnpReference> {
        let rules = SnpRules::read(&mut fields)?;
        let reference = SnpReference {
            rules,
            measurement: read_measurement(&mut fields)?,
            vmpl: read_vmpl(&mut fields)?,
            host_data: fields.hexes("host_data")?,
            mr_config: read_config(&mut fields)?,
        };
        fields.finish()?;
        Ok(reference)
    }
}

fn read_measurement(fields: &mut PolicyFields) -> Result<Vec<[u8; 48]>> {
    let values = fields.hexes("measurement")?.ok_or_else(|| missing(fields, "measurement"))?;
    if values.len() > MAX_MEASUREMENTS {
        return Err(fields.invalid("measurement", format!("{} of them, at most {MAX_MEASUREMENTS}", values.len())));
    }
    Ok(values)
}

fn read_vmpl(fields: &mut PolicyFields) -> Result<Vec<u32>> {
    let levels = match fields.take("vmpl") {
        None => return Ok(vec![0]),
        Some(Value::Array(levels)) if !levels.is_empty() => levels,
        Some(other) => return Err(fields.invalid("vmpl", format!("{other} is not a list of levels"))),
    };
    let read = |(index, level): (usize, &Value)| match level.as_u64() {
        Some(level @ 0..=3) => Ok(level as u32),
        _ => Err(fields.invalid(&format!("vmpl[{index}]"), format!("{level} is not within 0..3"))),
    };
    levels.iter().enumerate().map(read).collect()
}

fn read_config(fields: &mut PolicyFields) -> Result<Option<ConfigRules>> {
    let Some(mut object) = fields.object("mr_config")? else { return Ok(None) };
    let rules = ConfigRules {
        app_compose_hash: object.digests("app_compose_hash")?,
        app_id: object.hexes("app_id")?,
        key_provider: read_key_provider(&mut object)?,
        gpu_policy_hash: object.digests("gpu_policy_hash")?,
        init_script_hashes: read_scripts(&mut object)?,
    };
    let asks_nothing = rules.app_compose_hash.is_none()
        && rules.app_id.is_none()
        && rules.key_provider.is_none()
        && rules.gpu_policy_hash.is_none()
        && rules.init_script_hashes.is_none();
    if asks_nothing {
        return Err(fields.invalid("mr_config", "is empty, which asks for nothing".into()));
    }
    object.finish()?;
    Ok(Some(rules))
}

/// Alternatives, each of which is a whole list of hashes; an empty one is a guest without such scripts.
fn read_scripts(object: &mut PolicyFields) -> Result<Option<Vec<Vec<[u8; 32]>>>> {
    const FIELD: &str = "init_script_hashes";
    let lists = match object.take(FIELD) {
        None => return Ok(None),
        Some(Value::Array(lists)) if !lists.is_empty() => lists,
        Some(other) => return Err(object.invalid(FIELD, format!("{other} is not a list of lists"))),
    };
    let hash = |value: &Value| {
        let text = value.as_str()?;
        unhex_array::<32>(text).filter(|bytes| hex(bytes) == text)
    };
    let read = |(index, list): (usize, &Value)| {
        let hashes = list.as_array().and_then(|list| list.iter().map(hash).collect::<Option<Vec<_>>>());
        hashes.ok_or_else(|| object.invalid(&format!("{FIELD}[{index}]"), format!("{list} is not a list of hashes")))
    };
    lists.iter().enumerate().map(read).collect::<Result<_>>().map(Some)
}
