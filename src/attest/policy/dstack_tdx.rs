//! Reference values for a dstack guest in a TDX trust domain: the policy type `dstack_tdx`.

use serde_json::Value;

use super::events::EventRule;
use super::fields::Fields;
use super::outside::base_url;
use super::{DEFAULT_PCCS, INTEL_PCS};
use crate::attest::Result;
use crate::attest::dstack::app_compose::{ComposeHash, candidates};
use crate::attest::dstack::key_provider::KeyProvider;

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

#[derive(Clone, Debug)]
pub struct DstackTdx {
    /// Acceptable boot measurements; empty only with `disable_runtime_verification`.
    pub bootchains: Vec<Bootchain>,
    /// Acceptable applications; empty only with `disable_runtime_verification`.
    pub applications: Vec<ComposeHash>,
    pub os_image_hash: Option<[u8; 32]>,
    pub app_id: Option<Vec<[u8; 20]>>,
    pub key_provider: Option<KeyProvider>,
    pub require_mr_config_id: bool,
    pub events: Vec<EventRule>,
    pub td: Td,
    pub tcb: Tcb,
    pub hardware: Hardware,
    pub(super) pccs_url: String,
    /// Whether the document itself names the service.
    pub(super) pccs_named: bool,
    pub(super) cache_collateral: bool,
    pub(super) evaluation_set: String,
}

#[derive(Clone, Debug)]
pub struct Bootchain {
    pub label: String,
    pub mrtd: [u8; 48],
    pub rtmr: [[u8; 48]; 3],
}

#[derive(Clone, Copy, Debug)]
pub struct MaskedValue {
    pub mask: [u8; 8],
    pub value: [u8; 8],
}

#[derive(Clone, Debug, Default)]
pub struct Td {
    pub attributes: Option<MaskedValue>,
    pub xfam: Option<MaskedValue>,
    pub mr_seam: Option<Vec<[u8; 48]>>,
    pub mr_config_id: Option<Vec<[u8; 48]>>,
    pub mr_owner: Option<Vec<[u8; 48]>>,
    pub allow_debug: bool,
    pub allow_service_td: bool,
}

#[derive(Clone, Debug)]
pub struct Tcb {
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

impl DstackTdx {
    pub(super) fn read(mut fields: Fields) -> Result<DstackTdx> {
        match fields.string("type")?.as_deref() {
            Some("dstack_tdx") => {}
            Some(known @ ("snp" | "azure_tdx_vtpm" | "azure_snp_vtpm" | "gcp_tdx" | "nitro" | "sgx")) => {
                return Err(fields.unsupported("type", &format!("{known:?} is not supported by this version")));
            }
            Some(other) => {
                return Err(fields.invalid("type", format!("unknown variant `{other}`, expected `dstack_tdx`")));
            }
            None => return Err(fields.invalid("type", "missing field `type`".into())),
        }
        let disabled = fields.bool("disable_runtime_verification")?.unwrap_or(false);
        let pccs = fields.take_nullable("pccs_url");
        let mut td = fields.object("td")?;
        let mut tcb = fields.object("tcb")?;
        let member = DstackTdx {
            bootchains: read_bootchains(&mut fields)?,
            applications: read_applications(&mut fields)?,
            os_image_hash: fields.hex("os_image_hash")?,
            app_id: fields.hexes("app_id")?,
            key_provider: read_key_provider(&mut fields)?,
            require_mr_config_id: fields.bool("require_mr_config_id")?.unwrap_or(false),
            events: EventRule::read(&mut fields)?,
            pccs_named: pccs.is_some(),
            pccs_url: read_pccs(&fields, pccs)?,
            cache_collateral: fields.bool("cache_collateral")?.unwrap_or(false),
            evaluation_set: read_evaluation_set(tcb.as_mut())?,
            tcb: Tcb::read(&mut fields, tcb)?,
            td: td.as_mut().map(Td::read).transpose()?.unwrap_or_default(),
            hardware: Hardware::read(&mut fields)?,
        };
        if let Some(td) = td {
            td.finish()?;
        }
        if !disabled {
            member.require_reference_values(&fields)?;
        }
        fields.finish()?;
        Ok(member)
    }

    /// The reference's document needs all three; with `bootchains`, where rtmr1 and rtmr2 measure the image already,
    /// `os_image_hash` may be left out, because guests without a key management service never record it.
    fn require_reference_values(&self, fields: &Fields) -> Result<()> {
        let single = self.bootchains.iter().any(|chain| chain.label == "expected_bootchain");
        if self.bootchains.is_empty() || (single && self.os_image_hash.is_none()) {
            let why = "expected_bootchain and os_image_hash must be provided together (or bootchains)";
            return Err(fields.invalid("expected_bootchain", why.into()));
        }
        if self.applications.is_empty() {
            return Err(fields.invalid("app_compose", "app_compose must be provided (or app_compose_hash)".into()));
        }
        Ok(())
    }
}

fn read_bootchains(fields: &mut Fields) -> Result<Vec<Bootchain>> {
    let mut chains = Vec::new();
    if let Some(chain) = fields.object("expected_bootchain")? {
        chains.push(Bootchain::read(chain, "expected_bootchain")?);
    }
    for (index, chain) in fields.objects("bootchains")?.unwrap_or_default().into_iter().enumerate() {
        chains.push(Bootchain::read(chain, &format!("bootchains[{index}]"))?);
    }
    Ok(chains)
}

impl Bootchain {
    fn read(mut fields: Fields, default_label: &str) -> Result<Bootchain> {
        let mut register = |name: &str| -> Result<[u8; 48]> {
            fields.hex(name)?.ok_or_else(|| fields.invalid(name, format!("missing field `{name}`")))
        };
        let mrtd = register("mrtd")?;
        let rtmr = [register("rtmr0")?, register("rtmr1")?, register("rtmr2")?];
        let label = fields.string("label")?.unwrap_or_else(|| default_label.into());
        fields.finish()?;
        Ok(Bootchain { label, mrtd, rtmr })
    }
}

fn read_applications(fields: &mut Fields) -> Result<Vec<ComposeHash>> {
    let mut found = match fields.take("app_compose") {
        None => Vec::new(),
        Some(Value::String(text)) if text.trim().is_empty() => {
            return Err(fields.invalid("app_compose", "is an empty text, which no application has".into()));
        }
        Some(Value::Object(members)) if members.is_empty() => {
            return Err(fields.invalid("app_compose", "is an empty manifest, which no application has".into()));
        }
        Some(manifest @ (Value::String(_) | Value::Object(_))) => candidates(&manifest),
        Some(other) => return Err(fields.invalid("app_compose", format!("{other} is neither a manifest nor its text"))),
    };
    let given = fields.digests("app_compose_hash")?.unwrap_or_default();
    found.extend(given.into_iter().map(|hash| ComposeHash { hash, origin: "app_compose_hash" }));
    Ok(found)
}

fn read_key_provider(fields: &mut Fields) -> Result<Option<KeyProvider>> {
    let Some(mut provider) = fields.object("key_provider")? else { return Ok(None) };
    let Some(name) = provider.string("name")? else {
        return Err(provider.invalid("name", "missing field `name`".into()));
    };
    if name.is_empty() {
        return Err(provider.invalid("name", "is empty, which no key provider's is".into()));
    }
    let id = provider.string("id")?;
    provider.finish()?;
    Ok(Some(KeyProvider { name, id }))
}

fn read_pccs(fields: &Fields, value: Option<Value>) -> Result<String> {
    match value {
        None => Ok(DEFAULT_PCCS.into()),
        Some(Value::Null) => Ok(INTEL_PCS.into()),
        Some(Value::String(url)) => base_url(&url).map_err(|why| fields.invalid("pccs_url", why)),
        Some(other) => Err(fields.invalid("pccs_url", format!("{other} is not a string"))),
    }
}

fn read_evaluation_set(tcb: Option<&mut Fields>) -> Result<String> {
    let Some(tcb) = tcb else { return Ok("standard".into()) };
    match tcb.string("evaluation_set")?.as_deref() {
        None | Some("standard") => Ok("standard".into()),
        Some("early") => Ok("early".into()),
        Some(other) => Err(tcb.invalid("evaluation_set", format!("{other:?} is neither \"standard\" nor \"early\""))),
    }
}

impl Tcb {
    fn read(fields: &mut Fields, tcb: Option<Fields>) -> Result<Tcb> {
        let allowed = fields.strings("allowed_tcb_status")?.unwrap_or_else(|| vec!["UpToDate".into()]);
        for status in &allowed {
            if !TCB_STATUSES.contains(&status.as_str()) {
                let why = format!("invalid TCB status '{status}', valid values are: {TCB_STATUSES:?}");
                return Err(fields.invalid("allowed_tcb_status", why));
            }
        }
        let grace_period = fields.u64("grace_period")?;
        let out_of_date = allowed.iter().any(|status| crate::attest::tdx::is_out_of_date(status));
        if grace_period.is_some() && !out_of_date {
            let why = "grace_period requires allowed_tcb_status to include OutOfDate";
            return Err(fields.invalid("grace_period", why.into()));
        }
        let mut out = Tcb {
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

impl Td {
    fn read(td: &mut Fields) -> Result<Td> {
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

impl MaskedValue {
    fn read(fields: &mut Fields, name: &str) -> Result<Option<MaskedValue>> {
        let Some(mut object) = fields.object(name)? else { return Ok(None) };
        let mut part = |part: &str| -> Result<[u8; 8]> {
            object.hex(part)?.ok_or_else(|| object.invalid(part, format!("missing field `{part}`")))
        };
        let masked = MaskedValue { mask: part("mask")?, value: part("value")? };
        if masked.mask == [0; 8] {
            return Err(object.invalid("mask", "is zero, which compares nothing".into()));
        }
        if masked.value.iter().zip(masked.mask).any(|(value, mask)| value & !mask != 0) {
            return Err(object.invalid("value", "has bits outside the mask, which are not compared".into()));
        }
        object.finish()?;
        Ok(Some(masked))
    }
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Hardware {
    fn read(fields: &mut Fields) -> Result<Hardware> {
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
