//! Rules about quotes and their platforms, as the policy types for quotes share them. Pure.

use serde_json::Value;

use super::is_out_of_date;
use crate::attest::Result;
use crate::attest::policy::outside::base_url;
use crate::attest::policy::policy_fields::PolicyFields;
use crate::attest::policy::{DEFAULT_PCCS, INTEL_PCS, SourceRules};

const TCB_STATUSES: [&str; 9] = [
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
    "TDRelaunchAdvised",
    "TDRelaunchAdvisedConfigurationNeeded",
    "Revoked",
];

/// The rules of one member about the platform that made a quote.
#[derive(Clone, Debug)]
pub struct DcapRules {
    pub tcb: TcbRules,
    pub hardware: Hardware,
    pub sources: SourceRules,
}

/// Bits of a report that must have a value.
#[derive(Clone, Copy, Debug)]
pub struct MaskedValue<const N: usize> {
    pub mask: [u8; N],
    pub value: [u8; N],
}

#[derive(Clone, Debug)]
pub struct TcbRules {
    pub allowed: Vec<String>,
    pub grace_period: Option<u64>,
    pub qe_grace_period: Option<u64>,
    pub min_evaluation_number: Option<u64>,
    pub rejected_advisories: Vec<String>,
    pub allow_smt: bool,
    pub allow_cached_keys: bool,
    pub allow_dynamic_platform: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Hardware {
    pub allowed_ppid: Option<Vec<[u8; 16]>>,
    pub denied_ppid: Vec<[u8; 16]>,
    pub allowed_platform_instance: Option<Vec<[u8; 16]>>,
}

impl DcapRules {
    /// The fields that policies about quotes have in common.
    pub fn read(fields: &mut PolicyFields) -> Result<DcapRules> {
        let pccs = fields.take_nullable("pccs_url");
        let mut tcb = fields.object("tcb")?;
        let sources = SourceRules {
            is_named: pccs.is_some(),
            base: read_pccs(fields, pccs)?,
            cache: fields.bool("cache_collateral")?.unwrap_or(false),
            evaluation_set: read_evaluation_set(tcb.as_mut())?,
        };
        Ok(DcapRules { sources, tcb: TcbRules::read(fields, tcb)?, hardware: Hardware::read(fields)? })
    }
}

fn read_pccs(fields: &PolicyFields, value: Option<Value>) -> Result<String> {
    match value {
        None => Ok(DEFAULT_PCCS.into()),
        Some(Value::Null) => Ok(INTEL_PCS.into()),
        Some(Value::String(url)) => base_url(&url).map_err(|why| fields.invalid("pccs_url", why)),
        Some(other) => Err(fields.invalid("pccs_url", format!("{other} is not a string"))),
    }
}

fn read_evaluation_set(tcb: Option<&mut PolicyFields>) -> Result<String> {
    let Some(tcb) = tcb else { return Ok("standard".into()) };
    match tcb.string("evaluation_set")?.as_deref() {
        None | Some("standard") => Ok("standard".into()),
        Some("early") => Ok("early".into()),
        Some(other) => Err(tcb.invalid("evaluation_set", format!("{other:?} is neither \"standard\" nor \"early\""))),
    }
}

impl TcbRules {
    fn read(fields: &mut PolicyFields, tcb: Option<PolicyFields>) -> Result<TcbRules> {
        let allowed = fields.strings("allowed_tcb_status")?.unwrap_or_else(|| vec!["UpToDate".into()]);
        for status in &allowed {
            if !TCB_STATUSES.contains(&status.as_str()) {
                let why = format!("invalid TCB status '{status}', valid values are: {TCB_STATUSES:?}");
                return Err(fields.invalid("allowed_tcb_status", why));
            }
        }
        let grace_period = fields.u64("grace_period")?;
        let out_of_date = allowed.iter().any(|status| is_out_of_date(status));
        if grace_period.is_some() && !out_of_date {
            let why = "grace_period requires allowed_tcb_status to include OutOfDate";
            return Err(fields.invalid("grace_period", why.into()));
        }
        let mut out = TcbRules {
            allowed,
            grace_period,
            qe_grace_period: None,
            min_evaluation_number: None,
            rejected_advisories: Vec::new(),
            allow_smt: true,
            allow_cached_keys: true,
            allow_dynamic_platform: true,
        };
        let Some(mut tcb) = tcb else { return Ok(out) };
        out.qe_grace_period = tcb.u64("qe_grace_period")?;
        if out.qe_grace_period.is_some() && !out_of_date {
            let why = "qe_grace_period requires allowed_tcb_status to include OutOfDate";
            return Err(tcb.invalid("qe_grace_period", why.into()));
        }
        out.min_evaluation_number = tcb.u64("min_evaluation_number")?;
        out.rejected_advisories = tcb.strings("rejected_advisories")?.unwrap_or_default();
        for (index, id) in out.rejected_advisories.iter().enumerate() {
            // A misspelled identifier would never match, and so reject nothing.
            if !id.strip_prefix("INTEL-SA-").is_some_and(|number| number.len() == 5 && is_number(number)) {
                let why = format!("{id:?} is not an advisory as the vendor writes them, INTEL-SA-00000");
                return Err(tcb.invalid(&format!("rejected_advisories[{index}]"), why));
            }
        }
        out.allow_smt = tcb.bool("allow_smt")?.unwrap_or(true);
        out.allow_cached_keys = tcb.bool("allow_cached_keys")?.unwrap_or(true);
        out.allow_dynamic_platform = tcb.bool("allow_dynamic_platform")?.unwrap_or(true);
        tcb.finish()?;
        Ok(out)
    }
}

impl<const N: usize> MaskedValue<N> {
    pub fn read(fields: &mut PolicyFields, name: &str) -> Result<Option<MaskedValue<N>>> {
        let Some(mut object) = fields.object(name)? else { return Ok(None) };
        let mut part = |part: &str| -> Result<[u8; N]> {
            object.hex(part)?.ok_or_else(|| object.invalid(part, format!("missing field `{part}`")))
        };
        let masked = MaskedValue { mask: part("mask")?, value: part("value")? };
        if masked.mask == [0; N] {
            return Err(object.invalid("mask", "is zero, which compares nothing".into()));
        }
        if masked.value.iter().zip(masked.mask).any(|(value, mask)| value & !mask != 0) {
            return Err(object.invalid("value", "has bits outside the mask, which are not compared".into()));
        }
        object.finish()?;
        Ok(Some(masked))
    }

    /// Whether `actual` is as it must be.
    pub fn fits(&self, actual: &[u8; N]) -> bool {
        (0..N).all(|i| actual[i] & self.mask[i] == self.value[i] & self.mask[i])
    }
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Hardware {
    fn read(fields: &mut PolicyFields) -> Result<Hardware> {
        let Some(mut hardware) = fields.object("hardware")? else { return Ok(Hardware::default()) };
        let out = Hardware {
            allowed_ppid: hardware.hexes("allowed_ppid")?,
            denied_ppid: hardware.hexes("denied_ppid")?.unwrap_or_default(),
            allowed_platform_instance: hardware.hexes("allowed_platform_instance")?,
        };
        hardware.finish()?;
        Ok(out)
    }
}
