//! The rules about a genuine document, each as one line of the verdict. Pure.

use super::AwsFamily;
use super::claims::NitroClaims;
use super::document::NitroDocument;
use super::policy::{NitroReference, PcrSet};
use super::registers::Registers;
use crate::attest::binding::{Binding, public_key};
use crate::attest::family::Question;
use crate::attest::hash::hex;
use crate::attest::lines::{Lines, UNBOUND, one_of};
use crate::status::Status;
use crate::verdict::CheckId;

pub const CHAIN: CheckId = CheckId::new("chain");
pub const SIGNATURE: CheckId = CheckId::new("signature");
pub const TIMESTAMP: CheckId = CheckId::new("timestamp");
pub const PUBLIC_KEY: CheckId = CheckId::new("public_key");
pub const DEBUG: CheckId = CheckId::new("debug");
pub const MODULE_ID: CheckId = CheckId::new("module_id");

/// How far the clock of the machine's host may be ahead.
const AHEAD_S: u64 = 60;

fn pcr_id(number: u8) -> CheckId {
    CheckId::about("pcr", number.to_string())
}

/// Whether a pin of that register counts: a debug enclave's image is not measured.
fn counts(number: u8, document: &NitroDocument, rules: &NitroReference) -> bool {
    number > 2 || !(rules.allow_debug && document.is_debug())
}

fn holds((number, values): &(u8, Vec<[u8; 48]>), document: &NitroDocument, rules: &NitroReference) -> bool {
    !counts(*number, document, rules) || document.pcr(*number).is_some_and(|found| values.contains(found))
}

/// The set that holds whole, or else the one that comes nearest.
fn nearest<'a>(rules: &'a NitroReference, document: &NitroDocument) -> Option<&'a PcrSet> {
    let misses = |set: &&PcrSet| set.iter().filter(|pin| !holds(pin, document, rules)).count();
    rules.pcr_sets.iter().min_by_key(misses)
}

/// The pins without which nothing is trusted.
pub fn further<R: Registers>(of: &Question<'_, AwsFamily<R>>) -> Vec<CheckId> {
    let set = nearest(of.member, of.evidence).into_iter().flatten();
    set.filter(|(number, _)| counts(*number, of.evidence, of.member)).map(|(number, _)| pcr_id(*number)).collect()
}

pub fn bound<R: Registers>(lines: &mut Lines, claims: &NitroClaims, of: &Question<'_, AwsFamily<R>>) {
    timestamp(lines, claims, of);
    lines.report_data(of.binding, R::TEE, claims.document.report_data());
    match (&claims.document.public_key[..], of.binding) {
        ([], _) => lines.skip(PUBLIC_KEY, "the document has none; what it holds of the session covers the key"),
        (_, Binding::Skip) => lines.skip(PUBLIC_KEY, UNBOUND),
        (found, binding) => {
            let expected = binding.leaf().map_or_else(|| Err("no certificate was shown".into()), public_key);
            let ok = expected.as_ref().is_ok_and(|key| key[..] == *found);
            let expected = expected.map_or_else(|why| why, |key| hex(&key));
            lines.judge(PUBLIC_KEY, ok, Status::BindingMismatch, expected, hex(found));
        }
    }
}

fn timestamp<R: Registers>(lines: &mut Lines, claims: &NitroClaims, of: &Question<'_, AwsFamily<R>>) {
    let (made, age) = (claims.document.timestamp, of.member.max_age_s);
    let came = of.received;
    let (latest, earliest) = (came.saturating_add(AHEAD_S), came.saturating_sub(age));
    // Milliseconds on both sides: a fraction of a second does not count as another second.
    let ok = made >= earliest.saturating_mul(1000) && made <= latest.saturating_mul(1000);
    let expected = format!("made within {age} s before {came}, and not {AHEAD_S} s after");
    lines.judge(TIMESTAMP, ok, Status::BindingMismatch, expected, format!("{}.{:03}", made / 1000, made % 1000));
}

fn debug(lines: &mut Lines, document: &NitroDocument, rules: &NitroReference) {
    let is_debug = document.is_debug();
    let expected = match rules.allow_debug {
        true => "measured, or a debug enclave (allow_debug)",
        false => "measured: registers 0, 1 and 2 not all zero",
    };
    let actual = if is_debug { "a debug enclave: all of them are zero" } else { "it is" };
    lines.judge(DEBUG, !is_debug || rules.allow_debug, Status::MeasurementMismatch, expected, actual);
}

pub fn appraise<R: Registers>(lines: &mut Lines, claims: &NitroClaims, of: &Question<'_, AwsFamily<R>>) {
    let (rules, document) = (of.member, &claims.document);
    if R::HAS_DEBUG {
        debug(lines, document, rules);
    }
    for (number, values) in nearest(rules, document).into_iter().flatten() {
        let id = pcr_id(*number);
        if !counts(*number, document, rules) {
            lines.skip(id, "a debug enclave has no measurements, and the policy says \"allow_debug\": true");
            continue;
        }
        let found = document.pcr(*number);
        let ok = found.is_some_and(|found| values.contains(found));
        let actual = found.map_or_else(|| "none".into(), |found| hex(found));
        lines.judge(id, ok, Status::MeasurementMismatch, one_of(values), actual);
    }
    if let Some(allowed) = &rules.module_id {
        let ok = allowed.contains(&document.module_id);
        lines.judge(MODULE_ID, ok, Status::MeasurementMismatch, allowed.join(" or "), &document.module_id);
    }
}
