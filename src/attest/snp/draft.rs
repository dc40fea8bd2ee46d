//! A draft of a policy about an SEV-SNP guest. Pure.

use serde_json::{Map, Value, json};

use super::product::SigningKey;
use crate::attest::draft::{members, only};
use crate::verdict::{ClaimsReport, Verdict};

/// It pins the guest's code and what its host has given it, besides what [`rules`] pin.
pub fn draft(verdict: &Verdict) -> Option<Map<String, Value>> {
    let report = verdict.claims.as_ref()?;
    let measured = &report.measurements;
    let mut draft = members([
        ("measurement", only(&measured["measurement"])),
        ("vmpl", only(&measured["vmpl"])),
        ("host_data", only(&measured["host_data"])),
    ]);
    draft.extend(rules(measured, report)?);
    Some(draft)
}

/// What all policies about reports share. They pin the names and digests that the guest was launched with, the least of its firmware that cannot be taken back, and
/// the bits that make guest and platform safer than a policy asks by default. They ask for less than the default only as far as this evidence needs it: an older
/// report, memory that was not checked for aliases, a chip that does not say which it is, no revocation list. They allow no migration, no CXL and no trusted devices.
pub fn rules(measured: &Value, report: &ClaimsReport) -> Option<Map<String, Value>> {
    let platform = &report.platform;
    let is_vlek = platform["signing_key"] == SigningKey::Vlek.name();
    let is_masked = !is_vlek && platform["chip_id"].as_str().is_some_and(|id| id.bytes().all(|digit| digit == b'0'));
    let product = platform["product"].as_str()?;
    Some(members([
        ("products", json!([product])),
        ("min_tcb", json!({product: floor(&platform["reported_tcb"], &platform["committed_tcb"])?})),
        ("signing_key", only(&platform["signing_key"])),
        ("csp_id", only(&platform["csp_id"])),
        ("guest_policy", guest_policy(report)),
        ("platform", platform_rules(report)),
        ("id_key_digest", only(&measured["id_key_digest"])),
        ("author_key_digest", only(&measured["author_key_digest"])),
        ("family_id", only(&measured["family_id"])),
        ("image_id", only(&measured["image_id"])),
        ("min_guest_svn", measured["guest_svn"].clone()),
        ("min_report_version", platform["report_version"].clone()),
        ("allow_masked_chip_id", if is_masked { true.into() } else { Value::Null }),
        ("crl", if report.collateral["crl_number"].is_null() { "if_available".into() } else { Value::Null }),
    ]))
}

/// The lower of both, each component.
fn floor(reported: &Value, committed: &Value) -> Option<Value> {
    let least = |(name, value): (&String, &Value)| {
        let lower = value.as_u64()?.min(committed[name].as_u64()?);
        Some((name.clone(), lower.into()))
    };
    reported.as_object()?.iter().map(least).collect::<Option<Map<_, _>>>().map(Value::Object)
}

/// Each switch for whose bit `is_on` has the value that it asks for.
fn switches<const N: usize>(bits: &Value, known: [(&str, &str, bool); N]) -> Map<String, Value> {
    let fitting = known.into_iter().filter(|(_, bit, wanted)| bits[*bit] == *wanted);
    fitting.map(|(switch, ..)| (switch.to_owned(), true.into())).collect()
}

fn guest_policy(report: &ClaimsReport) -> Value {
    let known = [
        ("forbid_smt", "smt_allowed", false),
        ("require_single_socket", "single_socket", true),
        ("require_aes_256_xts", "aes_256_xts", true),
        ("require_rapl_off", "rapl_off", true),
        ("require_ciphertext_hiding", "ciphertext_hiding", true),
        ("require_page_swap_disabled", "page_swap_disabled", true),
    ];
    switches(&report.platform["policy_bits"], known).into()
}

fn platform_rules(report: &ClaimsReport) -> Value {
    let bits = &report.platform["platform_bits"];
    let known = [
        ("forbid_smt", "smt", false),
        ("require_ecc", "ecc", true),
        ("require_tsme", "tsme", true),
        ("require_rapl_off", "rapl_off", true),
        ("require_ciphertext_hiding", "ciphertext_hiding", true),
        ("require_iommu_write_safe", "iommu_write_safe", true),
    ];
    let mut rules = switches(bits, known);
    if bits["alias_check"] == false {
        rules.insert("require_alias_check".into(), false.into());
    }
    rules.into()
}
