//! Looking at a machine before there is a policy for it: evidence is judged by the draft of a policy that it gives itself, so the verdict says all that a
//! verdict says, and what it says is never that the machine is trusted. Pure.

use serde_json::{Value, json};

use super::appraise::AppraisalRequest;
use super::attached::{ATTACHING, Block};
use super::draft::{draft, objection};
use super::family::family;
use super::lines::Lines;
use super::policy::Policy;
use super::policy::policy_fields::{PolicyFields, invalid};
use super::{Fault, Protocol, Result, json};
use crate::status::Status;
use crate::verdict::{CheckId, Verdict};

/// The line that such a verdict never passes.
pub const MEASURED: CheckId = CheckId::new("measured");

/// What may be said beside the members, which are the library's own.
const SETTINGS: [&str; 6] = ["version", "binding", "identity", "collateral", "ra_tls", "allow_simulated"];

/// A policy that nothing satisfies. Errors: PolicyInvalid, Unsupported.
pub fn policy(settings: &[u8]) -> Result<Policy> {
    let given = if settings.is_empty() { json!({}) } else { read(settings)? };
    let Value::Object(mut document) = given else { return Err(invalid("settings", "is not an object".into())) };
    if let Some(other) = document.keys().find(|name| !SETTINGS.contains(&name.as_str())) {
        return Err(invalid(&format!("settings.{other}"), format!("unknown field, known are {}", SETTINGS.join(", "))));
    }
    if !document.get("identity").is_none_or(|identity| identity["require_key_event"].is_null()) {
        let why = "a policy that only measures says itself whether the event is there, and takes no demand";
        return Err(invalid("settings.identity.require_key_event", why.into()));
    }
    let binding = document.entry("binding").or_insert(Value::Null);
    if binding.is_null() {
        *binding = json!({});
    }
    if let Some(binding) = binding.as_object_mut().filter(|binding| binding.get("protocols").is_none_or(Value::is_null))
    {
        let protocols = [Protocol::ExporterV1, Protocol::AtlasV1].map(Protocol::name);
        binding.insert("protocols".into(), json!(protocols));
    }
    let mut members = members();
    members.retain(|member| is_carried(member, &document["binding"]["protocols"]));
    document.insert("any_of".into(), members.into());
    let mut policy = Policy::from_json(Value::Object(document).to_string().as_bytes())?;
    policy.only_measures = true;
    if policy.protocols.iter().any(|protocol| protocol.carries_attached()) {
        policy.attached = devices()?;
    }
    Ok(policy)
}

/// Whether one of the protocols brings evidence of this type. Names that are none are left to the policy to refuse.
fn is_carried(member: &Value, protocols: &Value) -> bool {
    let names = || protocols.as_array().into_iter().flatten().map(|name| name.as_str().and_then(Protocol::from_name));
    let family = member["type"].as_str().and_then(family);
    let carries = |protocol: Protocol| family.is_some_and(|family| family.is_carried_by(protocol));
    names().all(|protocol| protocol.is_none()) || names().flatten().any(carries)
}

fn read(settings: &[u8]) -> Result<Value> {
    json::parse(settings).map_err(|why| invalid("settings", why))
}

/// One of each type, about nothing that exists: they make the library ask, fetch and look. A guest of dstack is looked at last of those in trust domains,
/// because its log says the most.
fn members() -> Vec<Value> {
    let text =
        MEMBERS.replace("{48}", &"11".repeat(48)).replace("{32}", &"11".repeat(32)).replace("{firmware}", FIRMWARE);
    // A test reads them; a policy without members is refused.
    serde_json::from_str(&text).unwrap_or_default()
}

const MEMBERS: &str = r#"[
    {"type": "tdx", "measurements": [{"mrtd": "{48}", "rtmr1": "{48}", "rtmr2": "{48}"}], "cache_collateral": true},
    {"type": "dstack_tdx", "disable_runtime_verification": true, "cache_collateral": true},
    {"type": "snp", "measurement": ["{48}"], {firmware}},
    {"type": "nitro", "pcrs": {"0": ["{48}"]}},
    {"type": "nitro_tpm", "pcrs": {"4": ["{48}"], "7": ["{48}"], "12": ["{48}"]}},
    {"type": "sgx", "mr_enclave": ["{32}"], "cache_collateral": true},
    {"type": "azure_tdx_vtpm", "pcrs": {"4": ["{32}"]}, "cache_collateral": true},
    {"type": "azure_snp_vtpm", "pcrs": {"4": ["{32}"]}, "snp": {{firmware}}}
]"#;

const FIRMWARE: &str = r#""products": ["Milan", "Genoa", "Turin"], "min_tcb": {
        "Milan": {"bootloader": 0, "tee": 0, "snp": 0, "microcode": 0},
        "Genoa": {"bootloader": 0, "tee": 0, "snp": 0, "microcode": 0},
        "Turin": {"fmc": 0, "bootloader": 0, "tee": 0, "snp": 0, "microcode": 0}
    }, "signing_key": ["vcek", "vlek"], "csp_id": ["none"], "min_report_version": 2"#;

/// Devices are asked for, and looked at if they are there.
fn devices() -> Result<Vec<Block>> {
    let any = || PolicyFields::new("gpu", json!({"required": 1, "unmeasured": true}));
    ATTACHING.iter().map(|family| Block::read(*family, any()?)).collect()
}

/// `by_rules` judges by a policy as it stands. Errors: its own.
pub fn measure(
    request: &AppraisalRequest<'_>,
    by_rules: impl Fn(&AppraisalRequest<'_>) -> Result<Verdict>,
) -> Result<Verdict> {
    let seen = by_rules(request)?;
    let found = match draft(&seen) {
        Ok(document) => by_draft(request, &document, by_rules)?,
        Err(_) if seen.claims.is_none() => seen,
        Err(why) => undrafted(seen, &why),
    };
    Ok(match found.trusted {
        true => with_line(found, Status::OnlyMeasured, "a policy that only measures"),
        false => found,
    })
}

/// The evidence satisfies the draft unless something is wrong with it, whatever runs there: its binding, its age, its documents.
fn by_draft(
    request: &AppraisalRequest<'_>,
    document: &Value,
    by_rules: impl Fn(&AppraisalRequest<'_>) -> Result<Verdict>,
) -> Result<Verdict> {
    let ask = |document: &Value, attached: Option<Vec<Block>>| {
        let drafted = Policy::from_json(document.to_string().as_bytes())?;
        let policy = Policy {
            any_of: drafted.any_of,
            attached: attached.unwrap_or(drafted.attached),
            require_key_event: drafted.require_key_event,
            ..request.policy.clone()
        };
        by_rules(&AppraisalRequest { policy: &policy, ..*request })
    };
    if request.evidence.attached().is_empty() {
        return ask(document, Some(Vec::new()));
    }
    // Devices are looked at only beside a machine that is accepted.
    let verdict = ask(document, Some(request.policy.attached.clone()))?;
    if !verdict.trusted {
        return Ok(verdict);
    }
    match draft(&verdict) {
        Ok(document) => ask(&document, None),
        Err(why) => Ok(undrafted(verdict, &why)),
    }
}

/// A verdict on authentic evidence of which no policy can be drafted.
fn undrafted(verdict: Verdict, why: &Fault) -> Verdict {
    let status = objection(&verdict).map_or(Status::MeasurementMismatch, |(status, _)| status);
    with_line(verdict, status, &why.message)
}

/// Refused, whatever it was: the line comes first, unless it is the only one that fails.
fn with_line(verdict: Verdict, status: Status, actual: &str) -> Verdict {
    let mut lines = Lines::default();
    lines.judge(MEASURED, false, status, "a policy that says what may run", actual);
    let (first, last) = if verdict.trusted { (Vec::new(), lines.checks) } else { (lines.checks, Vec::new()) };
    let checks = first.into_iter().chain(verdict.checks).chain(last).collect();
    Verdict { trusted: false, accepted_member: None, checks, ..verdict }
}
