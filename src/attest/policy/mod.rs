//! Policies: reference values and rules as one JSON document; docs/policy.md has every field. Pure.
//!
//! A policy that says less than it seems to is the worst kind, so an unknown field, an empty list, a wrong length or a member
//! given twice is an error that names it, and what this version cannot enforce is UNSUPPORTED rather than ignored.

pub(in crate::attest) mod outside;
pub(in crate::attest) mod policy_fields;
mod reattest;

use super::anchors::Vendor;
use super::attached::{ATTACHING, Block};
use super::family::{Member, family, known_types};
use super::ra_tls::RaTlsRules;
use super::tee::Tee;
use super::{Protocol, json};
use crate::attest::{Fault, Result};
use crate::status::Status;
use outside::{base_url, roots};
use policy_fields::PolicyFields;
pub use reattest::Reattest;

/// Default collateral service of `dstack_tdx` policies that name none.
pub const DEFAULT_PCCS: &str = "https://pccs.phala.network";
/// Where `pccs_url` of `null` or `""` points.
pub const INTEL_PCS: &str = "https://api.trustedservices.intel.com";
/// AMD's key distribution service.
pub const AMD_KDS: &str = "https://kdsintf.amd.com";

/// A validated policy. Immutable, so that one can serve any number of connections.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Alternatives; evidence must satisfy one of them whole.
    pub any_of: Vec<Member>,
    /// What must hold of devices beside the machine, by kind.
    pub attached: Vec<Block>,
    /// How evidence may be asked for, best first.
    pub protocols: Vec<Protocol>,
    /// The log must name the certificate that the other side has shown.
    pub require_key_event: bool,
    pub max_evidence_bytes: usize,
    pub evidence_timeout_ms: u64,
    /// PEM certificates accepted as roots for the server's chain, besides those of the connection.
    pub extra_roots_pem: Vec<String>,
    /// SHA-256 of acceptable SubjectPublicKeyInfo; empty for any.
    pub spki_sha256: Vec<[u8; 32]>,
    /// Collateral services in the order to ask them, without the path of the API.
    pub collateral_sources: Vec<String>,
    /// The document itself names them.
    pub names_sources: bool,
    /// AMD's key distribution service, or mirrors of it, in the order to ask them.
    pub amd_sources: Vec<String>,
    /// The document itself names them.
    pub names_amd_sources: bool,
    /// Use what the verifier already holds and ask nobody.
    pub collateral_offline: bool,
    /// Keep what was fetched for the verifier's other connections.
    pub cache_collateral: bool,
    /// Refuse collateral fetched longer ago than this.
    pub collateral_max_age_s: Option<u64>,
    pub reattest: Reattest,
    pub allow_simulated: bool,
    /// What certificates with evidence in them must be; there if `protocols` has ra-tls.
    pub ra_tls: Option<RaTlsRules>,
    /// Nothing satisfies it: evidence is looked at, and always refused (`attest::measure`).
    pub only_measures: bool,
}

/// What a member says of its vendor's documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRules {
    /// Base URL of the service.
    pub base: String,
    /// Whether the document itself names it.
    pub is_named: bool,
    pub cache: bool,
    /// Which of the vendor's sets of TCB levels counts: `standard` or `early`.
    pub evaluation_set: String,
}

impl Policy {
    /// Parses and validates; `PolicyInvalid` or `Unsupported`, with the path of the field and the bad value.
    pub fn from_json(text: &[u8]) -> Result<Policy> {
        let document = json::parse(text).map_err(|why| policy_fields::invalid("policy", why))?;
        let mut top = PolicyFields::new("policy", document)?;
        if let Some(version) = top.u64("version")?
            && version != 1
        {
            return Err(top.invalid("version", format!("{version} is unknown, this is version 1")));
        }
        let mut policy = Policy::defaults();
        let names_protocols = policy.read_binding(&mut top)?;
        let key_event = policy.read_identity(&mut top)?;
        policy.read_collateral(&mut top)?;
        policy.reattest = Reattest::read(&mut top)?;
        policy.ra_tls = top.object("ra_tls")?.map(RaTlsRules::read).transpose()?;
        policy.allow_simulated = top.bool("allow_simulated")?.unwrap_or(false);
        policy.read_attached(&mut top)?;
        if top.take("client_evidence").is_some() {
            return Err(top.unsupported("client_evidence", "is not enforced by this version"));
        }
        policy.read_members(top)?;
        policy.settle_protocols(names_protocols)?;
        policy.reattest.check(&policy.protocols)?;
        policy.settle_key_event(key_event)?;
        policy.settle_collateral()?;
        Ok(policy)
    }

    fn defaults() -> Policy {
        Policy {
            any_of: Vec::new(),
            attached: Vec::new(),
            protocols: vec![Protocol::AtlasV1],
            require_key_event: true,
            max_evidence_bytes: 1 << 20,
            evidence_timeout_ms: 30_000,
            extra_roots_pem: Vec::new(),
            spki_sha256: Vec::new(),
            collateral_sources: Vec::new(),
            names_sources: false,
            amd_sources: vec![AMD_KDS.into()],
            names_amd_sources: false,
            collateral_offline: false,
            cache_collateral: false,
            collateral_max_age_s: None,
            reattest: Reattest::default(),
            allow_simulated: false,
            ra_tls: None,
            only_measures: false,
        }
    }

    fn read_attached(&mut self, top: &mut PolicyFields) -> Result<()> {
        for family in ATTACHING {
            if let Some(fields) = top.object(family.block())? {
                self.attached.push(Block::read(*family, fields)?);
            }
        }
        Ok(())
    }

    fn read_members(&mut self, mut top: PolicyFields) -> Result<()> {
        let Some(members) = top.objects("any_of")? else {
            self.any_of = vec![read_member(top)?];
            return Ok(());
        };
        top.finish()?;
        self.any_of = members.into_iter().map(read_member).collect::<Result<_>>()?;
        Ok(())
    }

    /// Whether evidence of this kind cannot be judged without documents of its vendor.
    pub fn takes_collateral(&self, kind: Tee) -> bool {
        let mut members = self.any_of.iter().filter(|member| member.family.tee() == kind);
        members.any(|member| member.family.sources(member).is_some())
    }

    /// Services that have the vendor's documents, in the order to ask them, without the path of the API.
    pub fn sources(&self, vendor: Vendor) -> &[String] {
        match vendor {
            Vendor::Intel => &self.collateral_sources,
            Vendor::Amd => &self.amd_sources,
            Vendor::Aws | Vendor::Microsoft | Vendor::Nvidia => &[],
        }
    }

    /// Whether the document itself names them.
    pub fn names_sources(&self, vendor: Vendor) -> bool {
        match vendor {
            Vendor::Intel => self.names_sources,
            Vendor::Amd => self.names_amd_sources,
            Vendor::Aws | Vendor::Microsoft | Vendor::Nvidia => false,
        }
    }

    /// The kinds of evidence that some member is about, in the order of preference.
    pub fn kinds(&self) -> Vec<Tee> {
        let mut kinds = Vec::new();
        for kind in self.any_of.iter().map(|member| member.family.tee()) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds
    }

    /// Whether some member wants evidence that is made for the challenge throughout.
    pub fn wants_fresh(&self) -> bool {
        self.any_of.iter().any(|member| member.family.wants_fresh(member))
    }

    /// The kinds of evidence to ask for: those of `kinds`, and then those that it wants beside them.
    pub fn asks_for(&self) -> Vec<Tee> {
        self.kinds().into_iter().chain(self.attached.iter().map(|block| block.family.tee())).collect()
    }

    /// Whether it names protocols.
    fn read_binding(&mut self, top: &mut PolicyFields) -> Result<bool> {
        let Some(mut binding) = top.object("binding")? else { return Ok(false) };
        let protocols = binding.strings("protocols")?;
        let names_protocols = protocols.is_some();
        if let Some(protocols) = protocols {
            self.protocols.clear();
            for name in &protocols {
                match Protocol::from_name(name) {
                    None => return Err(binding.invalid("protocols", format!("{name:?} is unknown"))),
                    Some(known) if self.protocols.contains(&known) => {
                        return Err(binding.invalid("protocols", format!("{name:?} is duplicated")));
                    }
                    Some(known) => self.protocols.push(known),
                }
            }
        }
        if let Some(bytes) = binding.u64("max_evidence_bytes")? {
            if !(1024..=16 << 20).contains(&bytes) {
                return Err(binding.invalid("max_evidence_bytes", format!("{bytes} is not within 1024..16777216")));
            }
            self.max_evidence_bytes = bytes as usize;
        }
        if let Some(timeout) = binding.u64("timeout_ms")? {
            if timeout == 0 {
                return Err(binding.invalid("timeout_ms", "0 leaves no time".into()));
            }
            self.evidence_timeout_ms = timeout;
        }
        binding.finish()?;
        Ok(names_protocols)
    }

    /// Answers `require_key_event`, if it is there: what it may say depends on the members.
    fn read_identity(&mut self, top: &mut PolicyFields) -> Result<Option<bool>> {
        let Some(mut identity) = top.object("identity")? else { return Ok(None) };
        if identity.bool("webpki")? == Some(false) {
            return Err(identity.unsupported("webpki", "false: the certificate chain and name are always checked"));
        }
        let key_event = identity.bool("require_key_event")?;
        self.extra_roots_pem = identity.strings("extra_roots_pem")?.unwrap_or_default();
        for (index, pem) in self.extra_roots_pem.iter().enumerate() {
            roots(pem).map_err(|why| identity.invalid(&format!("extra_roots_pem[{index}]"), why))?;
        }
        self.spki_sha256 = identity.digests("spki_sha256")?.unwrap_or_default();
        identity.finish()?;
        Ok(key_event)
    }

    fn read_collateral(&mut self, top: &mut PolicyFields) -> Result<()> {
        let Some(mut collateral) = top.object("collateral")? else { return Ok(()) };
        for (index, source) in collateral.strings("sources")?.unwrap_or_default().iter().enumerate() {
            let base = base_url(source).map_err(|why| collateral.invalid(&format!("sources[{index}]"), why))?;
            self.collateral_sources.push(base);
        }
        if let Some(sources) = collateral.strings("amd_sources")? {
            let read = |(index, source): (usize, &String)| {
                base_url(source).map_err(|why| collateral.invalid(&format!("amd_sources[{index}]"), why))
            };
            self.amd_sources = sources.iter().enumerate().map(read).collect::<Result<_>>()?;
            self.names_amd_sources = true;
        }
        self.collateral_offline = collateral.bool("offline")?.unwrap_or(false);
        self.collateral_max_age_s = collateral.u64("max_age_s")?;
        for field in ["bundle", "disk_cache"] {
            if collateral.take(field).is_some() {
                return Err(
                    collateral.unsupported(field, "belongs to the verifier handle, which the caller configures")
                );
            }
        }
        collateral.finish()
    }

    /// The first member whose evidence atlas-v1 does not carry.
    fn beyond_atlas_v1(&self) -> Option<&Member> {
        self.any_of.iter().find(|member| !member.family.is_carried_by(Protocol::AtlasV1))
    }

    /// atlas-v1 is what a policy about dstack guests alone means if it names no protocol. Protocols that cannot carry what the policy asks for are dropped,
    /// and at least one must be left for each member.
    fn settle_protocols(&mut self, are_named: bool) -> Result<()> {
        const FIELD: &str = "policy.binding.protocols";
        let invalid = |why: String| Err(policy_fields::invalid(FIELD, why));
        match (self.protocols.contains(&Protocol::RaTls), &self.ra_tls) {
            (true, None) => return invalid("ra-tls is there, and `ra_tls` is not, which says what it may be".into()),
            (false, Some(_)) => return invalid("ra-tls is not there, and `ra_tls` is".into()),
            _ => {}
        }
        if !are_named && (self.beyond_atlas_v1().is_some() || !self.attached.is_empty()) {
            self.protocols = vec![Protocol::ExporterV1];
        }
        let names = |protocols: &[Protocol]| protocols.iter().map(|one| one.name()).collect::<Vec<_>>().join(", ");
        if let Some(block) = self.attached.first() {
            let named = names(&self.protocols);
            self.protocols.retain(|protocol| protocol.carries_attached());
            if self.protocols.is_empty() {
                let block = block.family.block();
                return invalid(format!("{named} carries no evidence beside the machine's, which `{block}` asks for"));
            }
        }
        let carried = |protocol: &Protocol, member: &Member| member.family.is_carried_by(*protocol);
        for member in &self.any_of {
            if !self.protocols.iter().any(|protocol| carried(protocol, member)) {
                let (named, kind) = (names(&self.protocols), member.family.kind());
                return invalid(format!("{named} does not carry evidence of type {kind}"));
            }
        }
        let members = &self.any_of;
        self.protocols.retain(|protocol| members.iter().any(|member| carried(protocol, member)));
        if !self.protocols.contains(&Protocol::RaTls) {
            // What is not asked for is not accepted either, whoever shows it.
            self.ra_tls = None;
        }
        Ok(())
    }

    /// Only evidence that atlas-v1 carries has a log with a certificate event; and atlas-v1 needs that event.
    fn settle_key_event(&mut self, named: Option<bool>) -> Result<()> {
        const FIELD: &str = "policy.identity.require_key_event";
        if let (Some(true), Some(other)) = (named, self.beyond_atlas_v1()) {
            let why = format!("true: there is no event log in evidence of type {}", other.family.kind());
            return Err(policy_fields::invalid(FIELD, why));
        }
        if named == Some(true) && self.protocols.contains(&Protocol::RaTls) {
            let why = "true: a certificate with evidence in it is named by no event, and the policy allows ra-tls";
            return Err(policy_fields::invalid(FIELD, why.into()));
        }
        if named == Some(false) && self.protocols.contains(&Protocol::AtlasV1) {
            let why = "false: atlas-v1 needs the certificate event, and the policy allows atlas-v1";
            return Err(policy_fields::invalid(FIELD, why.into()));
        }
        self.require_key_event = named.unwrap_or(true);
        Ok(())
    }

    /// Folds the per-member collateral fields of the reference's own documents into the policy's.
    fn settle_collateral(&mut self) -> Result<()> {
        let of_members: Vec<_> = self.any_of.iter().filter_map(|member| member.family.sources(member)).collect();
        self.cache_collateral = of_members.iter().any(|rules| rules.cache);
        if of_members.windows(2).any(|pair| pair[0].evaluation_set != pair[1].evaluation_set) {
            return Err(Fault::of_policy(
                Status::Unsupported,
                "policy.any_of: members with different tcb.evaluation_set are not supported",
            ));
        }
        let is_named = of_members.iter().any(|rules| rules.is_named);
        self.names_sources = is_named || !self.collateral_sources.is_empty();
        for rules in of_members {
            let counts = self.collateral_sources.is_empty() || rules.is_named;
            if counts && !self.collateral_sources.contains(&rules.base) {
                self.collateral_sources.push(rules.base);
            }
        }
        Ok(())
    }
}

/// Types of evidence that other versions judge.
const LATER: [&str; 1] = ["gcp_tdx"];

fn read_member(mut fields: PolicyFields) -> Result<Member> {
    let Some(kind) = fields.string("type")? else {
        return Err(fields.invalid("type", "missing field `type`".into()));
    };
    match family(&kind) {
        Some(family) => family.policy(fields),
        None if LATER.contains(&kind.as_str()) => {
            Err(fields.unsupported("type", &format!("{kind:?} is not supported by this version")))
        }
        None => Err(fields.invalid("type", format!("unknown variant `{kind}`, expected {}", known_types()))),
    }
}

#[cfg(test)]
mod tests;
