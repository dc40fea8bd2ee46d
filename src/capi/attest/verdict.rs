//! `atls_verdict`: what an appraisal found, line by line.

use std::ffi::CString;
use std::sync::Arc;

use crate::attest::draft;
use crate::capi::base::arguments::{Counted, Out, Owned, require};
use crate::capi::base::bytes::{atls_buf, atls_str, c_string};
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::{guard, guard_free, guard_value};
use crate::capi::base::handle::{Handle, add_ref, borrow, release};
use crate::capi::base::status::{ATLS_OK, atls_status};
use crate::verdict::{Outcome, Verdict};

/// The result of judging evidence. Immutable and reference-counted; safe to share between threads.
pub struct atls_verdict {
    pub(crate) verdict: Arc<Verdict>,
    json: CString,
    tee: CString,
    tcb_status: CString,
    trust_anchor: CString,
    advisories: Vec<CString>,
    checks: Vec<CheckText>,
    claims: Vec<(CString, CString)>,
}

impl Handle for atls_verdict {
    type Owner = Arc<atls_verdict>;
}

struct CheckText {
    name: CString,
    expected: CString,
    actual: CString,
}

impl atls_verdict {
    pub(crate) fn new(verdict: Arc<Verdict>) -> atls_verdict {
        let texts = |check: &crate::verdict::Check| CheckText {
            name: c_string(&check.name()),
            expected: c_string(&check.expected),
            actual: c_string(&check.actual),
        };
        atls_verdict {
            json: c_string(&verdict.to_json()),
            tee: c_string(verdict.tee),
            tcb_status: c_string(verdict.tcb_status()),
            trust_anchor: c_string(verdict.trust_anchor),
            advisories: verdict.advisory_ids().iter().map(|id| c_string(id)).collect(),
            checks: verdict.checks.iter().map(texts).collect(),
            claims: verdict.claims_list().iter().map(|(name, value)| (c_string(name), c_string(value))).collect(),
            verdict,
        }
    }

    pub(crate) fn into_raw(verdict: Arc<Verdict>) -> *mut atls_verdict {
        Arc::into_raw(Arc::new(atls_verdict::new(verdict))).cast_mut()
    }
}

/// The outcome of a check.
pub type atls_check = u32;

/// The evidence satisfies the check.
pub const ATLS_CHECK_PASS: atls_check = 0;
/// The evidence does not satisfy the check.
pub const ATLS_CHECK_FAIL: atls_check = 1;
/// Not judged: the policy does not require it, or an earlier failure left nothing to judge. atls_verdict_check_actual says which.
pub const ATLS_CHECK_SKIPPED: atls_check = 2;

/// Returns whether all mandatory checks ran and every check that ran passed; false for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verdict_trusted(verdict: Option<&atls_verdict>) -> bool {
    guard_value(false, || borrow(verdict, "verdict").is_ok_and(|v| v.verdict.trusted))
}

/// Returns OK if the evidence is trusted, else the status of the first check that failed; NULL_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verdict_status(verdict: Option<&atls_verdict>) -> atls_status {
    guard_value(crate::capi::base::status::ATLS_NULL_ARGUMENT, || match borrow(verdict, "verdict") {
        Ok(v) => v.verdict.error().map_or(ATLS_OK, |error| error.status as atls_status),
        Err(error) => error.status as atls_status,
    })
}

/// Returns the kind of TEE that the evidence is about, by its name on the wire, for example "tdx" or "snp". Valid as long as the verdict.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verdict_tee_type(verdict: Option<&atls_verdict>) -> atls_str {
    guard_value(atls_str::empty(), || {
        borrow(verdict, "verdict").map_or(atls_str::empty(), |v| atls_str::from_cstring(&v.tee))
    })
}

/// Status of the platform's TCB, for example "UpToDate"; "" if the quote is not valid. Valid as long as the verdict.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verdict_tcb_status(verdict: Option<&atls_verdict>) -> atls_str {
    guard_value(atls_str::empty(), || {
        borrow(verdict, "verdict").map_or(atls_str::empty(), |v| atls_str::from_cstring(&v.tcb_status))
    })
}

/// Returns which root the evidence must lead to: "intel", "amd" and so on, or "simulated" in tests. Valid as long as the verdict.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verdict_trust_anchor(verdict: Option<&atls_verdict>) -> atls_str {
    guard_value(atls_str::empty(), || {
        borrow(verdict, "verdict").map_or(atls_str::empty(), |v| atls_str::from_cstring(&v.trust_anchor))
    })
}

/// Returns whether the evidence was checked to belong to a TLS session; false if that check was skipped on
/// request, or if the evidence came in a certificate (RA-TLS), which ties it to a key only.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verdict_bound_to_session(verdict: Option<&atls_verdict>) -> bool {
    guard_value(false, || borrow(verdict, "verdict").is_ok_and(|v| v.verdict.bound_to_session))
}

/// Number of security advisories that apply to the platform.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verdict_advisory_count(verdict: Option<&atls_verdict>) -> usize {
    guard_value(0, || borrow(verdict, "verdict").map_or(0, |v| v.advisories.len()))
}

/// The advisory at `index`, for example "INTEL-SA-00960"; "" past the end. Valid as long as the verdict.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verdict_advisory(verdict: Option<&atls_verdict>, index: usize) -> atls_str {
    guard_value(atls_str::empty(), || {
        let id = borrow(verdict, "verdict").ok().and_then(|v| v.advisories.get(index));
        id.map_or(atls_str::empty(), atls_str::from_cstring)
    })
}

/// Number of checks.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verdict_check_count(verdict: Option<&atls_verdict>) -> usize {
    guard_value(0, || borrow(verdict, "verdict").map_or(0, |v| v.checks.len()))
}

/// Stable name of the check at `index`, for example "report_data"; "" past the end. Valid as long as the verdict.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verdict_check_name(verdict: Option<&atls_verdict>, index: usize) -> atls_str {
    check_text(verdict, index, |check| &check.name)
}

/// Returns what the policy or the session requires. Valid as long as the verdict.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verdict_check_expected(verdict: Option<&atls_verdict>, index: usize) -> atls_str {
    check_text(verdict, index, |check| &check.expected)
}

/// Returns what the evidence shows. Valid as long as the verdict.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verdict_check_actual(verdict: Option<&atls_verdict>, index: usize) -> atls_str {
    check_text(verdict, index, |check| &check.actual)
}

/// Returns the outcome of the check at `index`; FAIL past the end.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verdict_check_outcome(verdict: Option<&atls_verdict>, index: usize) -> atls_check {
    guard_value(ATLS_CHECK_FAIL, || {
        let check = borrow(verdict, "verdict").ok().and_then(|v| v.verdict.checks.get(index));
        match check.map(|check| check.outcome) {
            Some(Outcome::Pass) => ATLS_CHECK_PASS,
            Some(Outcome::Skipped) => ATLS_CHECK_SKIPPED,
            Some(Outcome::Fail) | None => ATLS_CHECK_FAIL,
        }
    })
}

/// Number of claims: what authentic evidence says of the machine and of what runs there, acceptable or not; 0 if it is not authentic.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verdict_claim_count(verdict: Option<&atls_verdict>) -> usize {
    guard_value(0, || borrow(verdict, "verdict").map_or(0, |v| v.claims.len()))
}

/// Name of the claim at `index`: its path in the JSON of the verdict (docs/verdict.md), for example "measurements.rtmr1", "application.app-id" or
/// "platform.fmspc"; "" past the end. Valid as long as the verdict.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verdict_claim_name(verdict: Option<&atls_verdict>, index: usize) -> atls_str {
    claim_text(verdict, index, |claim| &claim.0)
}

/// Returns what the claim at `index` says, as text: hex in lower case, numbers, "true" or "false"; "" past the end. Text may be the machine's own: escape it
/// before you show it. Valid as long as the verdict.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verdict_claim_value(verdict: Option<&atls_verdict>, index: usize) -> atls_str {
    claim_text(verdict, index, |claim| &claim.1)
}

/// Returns the whole verdict as one JSON object, whose `version` is 1: docs/verdict.md explains each member, docs/verdict.schema.json is its schema.
/// Valid as long as the verdict.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verdict_json(verdict: Option<&atls_verdict>) -> atls_str {
    guard_value(atls_str::empty(), || {
        borrow(verdict, "verdict").map_or(atls_str::empty(), |v| atls_str::from_cstring(&v.json))
    })
}

/// Drafts a policy from what was seen, trusted or refused (atls_error_verdict), and writes it to a new buffer, as JSON that atls_policy_new takes. It pins
/// all that was measured: the same evidence satisfies it, and evidence with another measurement does not; docs/policy.md says for each type what it pins. It is a
/// draft. What was seen is not what ought to run, and the draft is only as good as the moment at which it was seen: compare it with values of your own
/// computation before you use it. A status other than UpToDate (atls_verdict_tcb_status) is in its allowed_tcb_status: tell whoever is to use it.
/// Statuses: NULL_ARGUMENT; INVALID_STATE (the evidence, or that of a device beside it, is not authentic, its host can look into it, its platform is Revoked,
/// it shows too little, or the verdict has found wrong what came with it, such as a dstack event log that is not the quote's);
/// UNSUPPORTED (no drafts for this kind).
#[unsafe(no_mangle)]
pub extern "C" fn atls_verdict_draft_policy(
    verdict: Option<&atls_verdict>,
    json: Out<*mut atls_buf>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let json = require(json, "json")?;
        let draft = draft(&borrow(verdict, "verdict")?.verdict)?;
        json.write(atls_buf::into_raw(format!("{draft:#}\n").into()));
        Ok(())
    })
}

/// Adds a reference and returns `verdict`; NULL for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verdict_ref(verdict: Counted<atls_verdict>) -> *mut atls_verdict {
    add_ref(verdict)
}

/// Drops a reference.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verdict_free(verdict: Owned<atls_verdict>) {
    guard_free(|| release(verdict));
}

fn claim_text(
    verdict: Option<&atls_verdict>,
    index: usize,
    part: impl Fn(&(CString, CString)) -> &CString,
) -> atls_str {
    guard_value(atls_str::empty(), || {
        let claim = borrow(verdict, "verdict").ok().and_then(|v| v.claims.get(index));
        claim.map_or(atls_str::empty(), |claim| atls_str::from_cstring(part(claim)))
    })
}

fn check_text(verdict: Option<&atls_verdict>, index: usize, field: impl Fn(&CheckText) -> &CString) -> atls_str {
    guard_value(atls_str::empty(), || {
        let check = borrow(verdict, "verdict").ok().and_then(|v| v.checks.get(index));
        check.map_or(atls_str::empty(), |check| atls_str::from_cstring(field(check)))
    })
}
