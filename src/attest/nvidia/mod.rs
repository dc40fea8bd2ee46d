//! NVIDIA GPUs beside a confidential guest: the block `gpu` of a policy. Who made a report, and whether the GPU is acceptable. Pure.
//!
//! Nothing in a report ties a GPU to the machine that it is in. What does is the guest, which alone can speak in the session and has to check its own device:
//! a verdict on a GPU is worth as much as what the policy pins of the guest.

mod checks;
mod claims;
mod draft;
mod evidence;
mod genuine;
mod policy;
mod report;

use std::ops::ControlFlow;

use serde_json::{Map, Value};

use super::Result;
use super::anchors::{TrustAnchors, Vendor};
use super::attached::AttachedFamily;
use super::family::{Family, Need, Question};
use super::lines::Lines;
use super::policy::policy_fields::PolicyFields;
use super::policy::{Policy, SourceRules};
use super::tee::Tee;
use crate::verdict::{CheckId, ClaimsReport};
use checks::{ARCH, CHAIN, FWID, GPU_COUNT, GPU_DISTINCT, NONCE, SIGNATURE};

pub use claims::GpuClaims;
pub use evidence::GpuEvidence;
pub use genuine::NVIDIA_ROOT_DER;
pub use policy::GpuRules;
pub use report::Report;

/// A GPU of NVIDIA in confidential mode.
pub struct Nvidia;

impl Family for Nvidia {
    const TEE: Tee = Tee::Nvidia;
    const TYPE: &'static str = "gpu";
    const MANDATORY: &'static [CheckId] = &[CHAIN, SIGNATURE, FWID, ARCH];
    const BOUND: &'static [CheckId] = &[NONCE];
    type Evidence = GpuEvidence;
    type Reference = GpuRules;
    type Claims = GpuClaims;

    fn read(object: &Value) -> std::result::Result<GpuEvidence, String> {
        GpuEvidence::from_json(object)
    }

    fn policy(fields: PolicyFields) -> Result<GpuRules> {
        GpuRules::read(fields)
    }

    fn sources(_: &GpuRules) -> Option<SourceRules> {
        None
    }

    fn anchor(_: &GpuEvidence, anchors: &TrustAnchors, policy: &Policy) -> Result<&'static str> {
        anchors.root(Vendor::Nvidia, policy).map(|(_, name)| name)
    }

    /// The certificates are in the evidence; nobody is asked whether one was revoked (docs/policy.md).
    fn needs(_: &Question<'_, Nvidia>) -> Option<Vec<Need>> {
        Some(Vec::new())
    }

    fn glance(lines: &mut Lines, of: &Question<'_, Nvidia>) {
        checks::nonce(lines, of);
    }

    fn verify(lines: &mut Lines, of: &Question<'_, Nvidia>) -> Option<GpuClaims> {
        checks::verify(lines, of)
    }

    fn bound(lines: &mut Lines, _: &GpuClaims, of: &Question<'_, Nvidia>) -> ControlFlow<()> {
        checks::nonce(lines, of);
        ControlFlow::Continue(())
    }

    fn appraise(lines: &mut Lines, claims: &GpuClaims, of: &Question<'_, Nvidia>) {
        checks::appraise(lines, claims, of);
    }

    fn further(of: &Question<'_, Nvidia>) -> Vec<CheckId> {
        checks::further(of)
    }

    /// Reports have no bit for that.
    fn is_exposed(_: &GpuClaims) -> Option<bool> {
        None
    }

    fn report(claims: &GpuClaims) -> ClaimsReport {
        claims.to_report()
    }
}

impl AttachedFamily for Nvidia {
    const PURPOSE: &'static str = "gpu";
    const TOGETHER: &'static [CheckId] = &[GPU_COUNT, GPU_DISTINCT];

    fn together(lines: &mut Lines, devices: &[Option<GpuClaims>], rules: &GpuRules) {
        checks::together(lines, devices, rules);
    }

    fn draft_block(devices: &[&ClaimsReport]) -> Map<String, Value> {
        draft::draft(devices)
    }
}
