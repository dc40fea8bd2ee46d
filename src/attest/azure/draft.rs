//! Drafts of policies about Azure's virtual machines: what they have in common, whatever the hardware is. Pure.

use serde_json::{Map, Value, json};

use super::checks::{AK_CERTIFICATE, USER_DATA};
use super::runtime_data::{CONSOLES, SECURE_BOOT, holds};
use crate::attest::draft::{failed, has_passed, members, only};
use crate::status::Status;
use crate::verdict::{ClaimsReport, Verdict};

/// All registers, the paravisor, and what it says of Secure Boot and consoles if that is safer than a policy asks by default. The certificate of the TPM's key is
/// left out only if none was looked at ([`objection`]).
pub fn common(verdict: &Verdict, report: &ClaimsReport) -> Option<Map<String, Value>> {
    let pcrs = report.measurements["pcrs"].as_object()?.iter();
    let pcrs: Map<_, _> = pcrs.map(|(number, value)| (number.clone(), json!([value]))).collect();
    let configuration = &report.platform["vm_configuration"];
    let only_if = |asked: bool, value: Value| if asked { value } else { Value::Null };
    let has_consoles = !CONSOLES.iter().all(|name| holds(configuration, name, false));
    Some(members([
        ("pcrs", pcrs.into()),
        ("paravisor", only(&report.measurements["paravisor"])),
        ("ak_certificate", only_if(!has_passed(verdict, AK_CERTIFICATE.rule()), "off".into())),
        ("fresh_report", only_if(has_passed(verdict, USER_DATA.rule()), true.into())),
        ("secure_boot", only_if(holds(configuration, SECURE_BOOT, true), true.into())),
        ("allow_console", only_if(!has_consoles, false.into())),
    ]))
}

/// A certificate that was asked for and does not hold: a draft that asks for none would pass over it.
pub fn objection(verdict: &Verdict) -> Option<(Status, String)> {
    let rules = [AK_CERTIFICATE.rule()];
    let check = failed(verdict, &rules).next()?;
    Some((check.status, format!("the certificate of the TPM's key does not hold: {}", check.actual)))
}
