//! Reference values for a dstack guest in a TDX trust domain: the policy type `dstack_tdx`. Pure.

use serde_json::Value;

use super::app_compose::{ComposeHash, candidates};
use super::event_rules::EventRule;
use super::key_provider::KeyProvider;
use crate::attest::Result;
use crate::attest::policy::policy_fields::PolicyFields;
use crate::attest::tdx::policy::TdxRules;

/// What a guest must be: one member of a policy.
#[derive(Clone, Debug)]
pub struct GuestReference {
    /// Acceptable boot measurements; empty only with `disable_runtime_verification`.
    pub bootchains: Vec<Bootchain>,
    /// Acceptable applications; empty only with `disable_runtime_verification`.
    pub applications: Vec<ComposeHash>,
    pub os_image_hash: Option<[u8; 32]>,
    pub app_id: Option<Vec<[u8; 20]>>,
    pub key_provider: Option<KeyProvider>,
    pub require_mr_config_id: bool,
    pub events: Vec<EventRule>,
    pub tdx: TdxRules,
}

#[derive(Clone, Debug)]
pub struct Bootchain {
    pub label: String,
    pub mrtd: [u8; 48],
    pub rtmr: [[u8; 48]; 3],
}

impl GuestReference {
    pub fn read(mut fields: PolicyFields) -> Result<GuestReference> {
        let disabled = fields.bool("disable_runtime_verification")?.unwrap_or(false);
        let member = GuestReference {
            bootchains: read_bootchains(&mut fields)?,
            applications: read_applications(&mut fields)?,
            os_image_hash: fields.hex("os_image_hash")?,
            app_id: fields.hexes("app_id")?,
            key_provider: read_key_provider(&mut fields)?,
            require_mr_config_id: fields.bool("require_mr_config_id")?.unwrap_or(false),
            events: EventRule::read(&mut fields)?,
            tdx: TdxRules::read(&mut fields)?,
        };
        if !disabled {
            member.require_reference_values(&fields)?;
        }
        fields.finish()?;
        Ok(member)
    }

    /// The reference's document needs all three; with `bootchains`, where rtmr1 and rtmr2 measure the image already,
    /// `os_image_hash` may be left out, because guests without a key management service never record it.
    fn require_reference_values(&self, fields: &PolicyFields) -> Result<()> {
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

fn read_bootchains(fields: &mut PolicyFields) -> Result<Vec<Bootchain>> {
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
    fn read(mut fields: PolicyFields, default_label: &str) -> Result<Bootchain> {
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

fn read_applications(fields: &mut PolicyFields) -> Result<Vec<ComposeHash>> {
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

pub fn read_key_provider(fields: &mut PolicyFields) -> Result<Option<KeyProvider>> {
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
