//! The trustworthiness vector: which claim of AR4SI each check speaks to, and what its value is (draft-ietf-rats-ar4si, section 2.3). Pure.

use serde_json::{Map, Value};

use crate::status::Status;
use crate::verdict::{Check, ClaimsReport, Outcome, Verdict};

/// The claims that this library makes; of the rest (`file-system`, `storage-opaque`, `sourced-data`) evidence shows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aspect {
    /// Which machine it is, and that it is the one at the other end of the session.
    Instance,
    Configuration,
    /// What was measured. These checks pin it against the policy.
    Executables,
    /// As before; but they only hold parts of the evidence against each other, so that passing them affirms nothing.
    Consistency,
    Hardware,
    /// Whether the host can look into it.
    Runtime,
}

/// What the rule of this name is about; `None` for one that is not in the table, whose failure still makes the result contraindicated.
pub fn aspect(rule: &str) -> Option<Aspect> {
    let table = TABLE.iter().find(|(_, rules)| rules.contains(&rule));
    table.map(|(aspect, _)| *aspect)
}

const TABLE: [(Aspect, &[&str]); 6] = [
    (
        Aspect::Instance,
        &[
            "report_data",
            "ra_tls",
            "certificate_age",
            "spki",
            "certificate_event",
            "public_key",
            "timestamp",
            "chip_id",
            "csp_id",
            "hardware_ppid",
            "hardware_denied",
            "hardware_instance",
            "module_id",
            "tpm_nonce",
            "user_data",
            "nonce",
        ],
    ),
    (
        Aspect::Configuration,
        &[
            "service_td",
            "td_attributes",
            "xfam",
            "mr_owner",
            "td_mr_config_id",
            "mr_config_id",
            "key_provider",
            "guest_policy",
            "vmpl",
            "host_data",
            "id_key_digest",
            "author_key_digest",
            "family_id",
            "image_id",
            "mr_config",
            "gpu_policy_hash",
            "init_script_hashes",
            "smt",
            "cached_keys",
            "dynamic_platform",
            "platform_info",
            "vm_configuration",
            "attached",
            "gpu_count",
            "gpu_distinct",
            "attributes",
            "config_id",
        ],
    ),
    (
        Aspect::Executables,
        &[
            "measured",
            "measurement",
            "bootchain",
            "app_compose",
            "app_id",
            "os_image_hash",
            "paravisor",
            "pcr",
            "event",
            "guest_svn",
            "mr_enclave",
            "mr_signer",
            "isv_prod_id",
            "isv_svn",
            "isv_family_id",
            "isv_ext_prod_id",
            "measurements",
        ],
    ),
    (
        Aspect::Consistency,
        &[
            "event_log",
            "event_order",
            "rtmr0",
            "rtmr1",
            "rtmr2",
            "rtmr3",
            "ccel",
            "ccel_rtmr0",
            "ccel_rtmr1",
            "ccel_rtmr2",
            "ccel_rtmr3",
            "ccel_digests",
            "open_measurements",
        ],
    ),
    (
        Aspect::Hardware,
        &[
            "tee",
            "quote",
            "report",
            "document",
            "products",
            "signing_key",
            "leaf",
            "chain",
            "crl",
            "signature",
            "leaf_tcb",
            "tcb_status",
            "tcb_grace_period",
            "qe_grace_period",
            "tcb_evaluation",
            "tcb_advisories",
            "tcb_minimum",
            "tcb_order",
            "launch_tcb",
            "abi",
            "mitigations",
            "mr_seam",
            "td_report",
            "runtime_data",
            "ak_certificate",
            "tpm_quote",
            "pcr_digest",
            "fwid",
            "arch",
            "firmware",
        ],
    ),
    (Aspect::Runtime, &["debug"]),
];

/// Ordered: later ones are worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    Affirming,
    Warning,
    Contraindicated,
}

impl Tier {
    pub fn name(self) -> &'static str {
        match self {
            Tier::Affirming => "affirming",
            Tier::Warning => "warning",
            Tier::Contraindicated => "contraindicated",
        }
    }

    fn of(value: i8) -> Tier {
        match value {
            2..=31 => Tier::Affirming,
            32..=95 => Tier::Warning,
            _ => Tier::Contraindicated,
        }
    }
}

/// Values of AR4SI.
mod value {
    pub const RECOGNIZED_INSTANCE: i8 = 2;
    pub const UNTRUSTWORTHY_INSTANCE: i8 = 96;
    pub const UNRECOGNIZED_INSTANCE: i8 = 97;
    pub const APPROVED_CONFIGURATION: i8 = 2;
    pub const UNSUPPORTABLE_CONFIGURATION: i8 = 96;
    /// Of those loaded at boot: what a guest loads later is its own affair, unless it measures that too.
    pub const APPROVED_AT_BOOT: i8 = 3;
    pub const CONTRAINDICATED_EXECUTABLES: i8 = 96;
    pub const GENUINE_HARDWARE: i8 = 2;
    pub const UNSAFE_HARDWARE: i8 = 32;
    pub const CONTRAINDICATED_HARDWARE: i8 = 96;
    pub const UNRECOGNIZED_HARDWARE: i8 = 97;
    pub const NOT_AUTHENTIC: i8 = 99;
    pub const ENCRYPTED_MEMORY: i8 = 2;
    pub const VISIBLE_MEMORY: i8 = 96;
}

/// One part of the evidence: the machine's own, or a device beside it.
pub struct Part<'a> {
    /// As in `Check::part`.
    pub which: Option<(&'static str, usize)>,
    pub trust_anchor: &'a str,
    pub claims: Option<&'a ClaimsReport>,
    pub is_exposed: Option<bool>,
    /// The verdict is on all parts together.
    pub verdict: &'a Verdict,
}

impl<'a> Part<'a> {
    /// All of them, the machine's own first.
    pub fn of(verdict: &'a Verdict) -> Vec<Part<'a>> {
        let (claims, is_exposed) = (verdict.claims.as_ref(), verdict.is_exposed);
        // That a device is a simulator's says nothing of the machine; but the verdict has one name for both, so the machine is not affirmed either.
        let main = Part { which: None, trust_anchor: verdict.trust_anchor, claims, is_exposed, verdict };
        let beside = verdict.attached.iter().enumerate().map(|(index, device)| {
            let earlier = verdict.attached[..index].iter().filter(|other| other.tee == device.tee).count();
            let which = Some((device.tee, earlier));
            Part { which, trust_anchor: device.trust_anchor, claims: device.claims.as_ref(), is_exposed: None, verdict }
        });
        [main].into_iter().chain(beside).collect()
    }

    /// `tdx`, `nvidia[0]`.
    pub fn name(&self) -> String {
        self.which.map_or(self.verdict.tee.into(), |(kind, number)| format!("{kind}[{number}]"))
    }

    fn is_trusted(&self) -> bool {
        self.verdict.trusted
    }
}

/// The claims that are made; `None` is no claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vector {
    instance: Option<i8>,
    configuration: Option<i8>,
    executables: Option<i8>,
    hardware: Option<i8>,
    runtime: Option<i8>,
}

impl Vector {
    pub fn of(part: &Part<'_>) -> Vector {
        Vector {
            instance: instance(part),
            configuration: configuration(part),
            executables: executables(part),
            hardware: Some(hardware(part)),
            runtime: runtime(part),
        }
    }

    fn named(&self) -> [(&'static str, Option<i8>); 5] {
        [
            ("instance-identity", self.instance),
            ("configuration", self.configuration),
            ("executables", self.executables),
            ("hardware", self.hardware),
            ("runtime-opaque", self.runtime),
        ]
    }

    /// The worst of all claims, and never better than the verdict deserves: evidence of no session may be anybody's, and a policy that pins nothing of what
    /// runs says nothing about it.
    pub fn tier(&self, part: &Part<'_>) -> Tier {
        let of_claims = self.named().into_iter().filter_map(|(_, value)| value).map(Tier::of).max();
        let at_best = match part.is_trusted() {
            false => Tier::Contraindicated,
            true if self.instance.is_none() || self.executables.is_none() => Tier::Warning,
            true => Tier::Affirming,
        };
        of_claims.unwrap_or(Tier::Contraindicated).max(at_best)
    }

    pub fn to_json(self) -> Value {
        let claimed = self.named().into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
        Value::Object(claimed.collect::<Map<_, _>>())
    }
}

fn about<'a>(part: &Part<'a>, wanted: Aspect, outcome: Outcome) -> impl Iterator<Item = &'a Check> + use<'a> {
    let which = part.which;
    let is_about = move |check: &&Check| {
        check.part == which && check.outcome == outcome && aspect(check.id.rule()) == Some(wanted)
    };
    part.verdict.checks.iter().filter(is_about)
}

fn failed(part: &Part<'_>, wanted: Aspect) -> bool {
    about(part, wanted, Outcome::Fail).next().is_some()
}

fn passed(part: &Part<'_>, wanted: Aspect) -> bool {
    about(part, wanted, Outcome::Pass).next().is_some()
}

fn is_simulated(part: &Part<'_>) -> bool {
    part.trust_anchor == "simulated"
}

fn instance(part: &Part<'_>) -> Option<i8> {
    let mut failures = about(part, Aspect::Instance, Outcome::Fail);
    match failures.next() {
        Some(check) if check.id.rule() == "hardware_denied" => Some(value::UNTRUSTWORTHY_INSTANCE),
        Some(_) => Some(value::UNRECOGNIZED_INSTANCE),
        None => (part.is_trusted() && part.verdict.bound_to_session).then_some(value::RECOGNIZED_INSTANCE),
    }
}

fn configuration(part: &Part<'_>) -> Option<i8> {
    match failed(part, Aspect::Configuration) {
        true => Some(value::UNSUPPORTABLE_CONFIGURATION),
        false => (part.is_trusted() && passed(part, Aspect::Configuration)).then_some(value::APPROVED_CONFIGURATION),
    }
}

fn executables(part: &Part<'_>) -> Option<i8> {
    match failed(part, Aspect::Executables) || failed(part, Aspect::Consistency) {
        true => Some(value::CONTRAINDICATED_EXECUTABLES),
        false => (part.is_trusted() && is_pinned_from_the_start(part)).then_some(value::APPROVED_AT_BOOT),
    }
}

/// Whether the policy pins what starts first. What an application is follows from what the system beneath it has said: under another system that is worth nothing.
fn is_pinned_from_the_start(part: &Part<'_>) -> bool {
    const FIRST: [&str; 6] = ["measurement", "bootchain", "mr_enclave", "mr_signer", "pcr", "measurements"];
    /// What a policy may leave open, which is said as a skipped check. Of a trust domain: the kernel and what it is given. Of a GPU, any of its firmware: only all of
    /// its measurements together tell it from one under debug.
    const OPEN: [&str; 3] = ["rtmr1", "rtmr2", "open_measurements"];
    let is_open = about(part, Aspect::Consistency, Outcome::Skipped).any(|check| OPEN.contains(&check.id.rule()));
    !is_open && about(part, Aspect::Executables, Outcome::Pass).any(|check| FIRST.contains(&check.id.rule()))
}

fn hardware(part: &Part<'_>) -> i8 {
    let Some(claims) = part.claims else {
        let is_forged = about(part, Aspect::Hardware, Outcome::Fail).any(|check| check.status == Status::QuoteInvalid);
        return if is_forged { value::NOT_AUTHENTIC } else { value::UNRECOGNIZED_HARDWARE };
    };
    if is_simulated(part) {
        value::UNRECOGNIZED_HARDWARE
    } else if failed(part, Aspect::Hardware) {
        value::CONTRAINDICATED_HARDWARE
    } else if !matches!(claims.tcb_status.as_str(), "" | "UpToDate") || !claims.advisory_ids.is_empty() {
        value::UNSAFE_HARDWARE
    } else {
        value::GENUINE_HARDWARE
    }
}

/// A policy may put up with a host that can look inside; whoever reads the result has not.
fn runtime(part: &Part<'_>) -> Option<i8> {
    match part.is_exposed {
        _ if failed(part, Aspect::Runtime) => Some(value::VISIBLE_MEMORY),
        Some(true) => Some(value::VISIBLE_MEMORY),
        Some(false) if !is_simulated(part) => Some(value::ENCRYPTED_MEMORY),
        _ => None,
    }
}
