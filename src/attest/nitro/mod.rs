//! AWS Nitro enclaves, the policy type `nitro`, and instances with a NitroTPM, the type `nitro_tpm`: who made a document, and whether the machine is
//! acceptable. The documents are the same but for their registers. Pure.

pub mod cbor;
pub mod checks;
mod claims;
mod document;
mod draft;
mod genuine;
mod policy;
mod registers;

use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::rc::Rc;

use serde_json::{Map, Value};

use super::Result;
use super::anchors::{TrustAnchors, Vendor};
use super::family::{Family, Need, Question};
use super::lines::{Lines, REPORT_DATA};
use super::policy::policy_fields::PolicyFields;
use super::policy::{Policy, SourceRules};
use super::tee::Tee;
use crate::status::Status;
use crate::verdict::{CheckId, ClaimsReport, Verdict};
use checks::{CHAIN, SIGNATURE};

pub use claims::NitroClaims;
pub use document::NitroDocument;
pub use genuine::AWS_NITRO_ROOT_DER;
use genuine::Signer;
pub use policy::NitroReference;
pub use registers::{Enclave, Registers, TpmInstance};

/// A machine that AWS signs documents of.
pub struct AwsFamily<R>(PhantomData<R>);

/// An enclave of AWS Nitro.
pub type Nitro = AwsFamily<Enclave>;
/// An instance with a NitroTPM.
pub type NitroTpm = AwsFamily<TpmInstance>;

/// Who signed, or why that is nobody whom AWS vouches for; and whether the signature is good.
struct Found(std::result::Result<Signer, String>, bool);

/// No member has a say in it.
fn find<R: Registers>(of: &Question<'_, AwsFamily<R>>) -> Rc<Found> {
    of.findings.once("", || {
        let root = of.anchors.root(Vendor::Aws, of.policy).map_err(|fault| fault.message);
        let signer = root.and_then(|(root, _)| Signer::of(of.evidence, root, of.now));
        let is_signed = signer.as_ref().is_ok_and(|signer| signer.has_signed(of.evidence));
        Found(signer, is_signed)
    })
}

impl<R: Registers> Family for AwsFamily<R> {
    const TEE: Tee = R::TEE;
    const TYPE: &'static str = R::TYPE;
    const MANDATORY: &'static [CheckId] = R::MANDATORY;
    const BOUND: &'static [CheckId] = &[REPORT_DATA];
    type Evidence = NitroDocument;
    type Reference = NitroReference;
    type Claims = NitroClaims;

    fn read(object: &Value) -> std::result::Result<NitroDocument, String> {
        NitroDocument::from_json(object, R::MEMBER)
    }

    fn policy(fields: PolicyFields) -> Result<NitroReference> {
        NitroReference::read::<R>(fields)
    }

    fn sources(_: &NitroReference) -> Option<SourceRules> {
        None
    }

    fn anchor(_: &NitroDocument, anchors: &TrustAnchors, policy: &Policy) -> Result<&'static str> {
        anchors.root(Vendor::Aws, policy).map(|(_, name)| name)
    }

    /// AWS has no documents beside the certificates in the evidence.
    fn needs(of: &Question<'_, AwsFamily<R>>) -> Option<Vec<Need>> {
        find(of).1.then(Vec::new)
    }

    fn glance(lines: &mut Lines, of: &Question<'_, AwsFamily<R>>) {
        lines.report_data(of.binding, R::TEE, of.evidence.report_data());
    }

    fn verify(lines: &mut Lines, of: &Question<'_, AwsFamily<R>>) -> Option<NitroClaims> {
        let found = find(of);
        let Found(signer, is_signed) = &*found;
        let (ok, actual) = (signer.is_ok(), signer.as_ref().err().map_or("it does", |why| why));
        lines.judge(CHAIN, ok, Status::QuoteInvalid, "a certificate that leads to AWS's root now", actual);
        let signer = signer.as_ref().ok()?;
        lines.passes_until(signer.chain_until);
        let actual = if *is_signed { "it is" } else { "it is not" };
        lines.judge(SIGNATURE, *is_signed, Status::QuoteInvalid, "signed by the certificate's key", actual);
        is_signed.then(|| NitroClaims { document: of.evidence.clone(), signer: signer.clone() })
    }

    fn bound(lines: &mut Lines, claims: &NitroClaims, of: &Question<'_, AwsFamily<R>>) -> ControlFlow<()> {
        checks::bound(lines, claims, of);
        ControlFlow::Continue(())
    }

    fn appraise(lines: &mut Lines, claims: &NitroClaims, of: &Question<'_, AwsFamily<R>>) {
        checks::appraise(lines, claims, of);
    }

    fn further(of: &Question<'_, AwsFamily<R>>) -> Vec<CheckId> {
        checks::further(of)
    }

    /// The hypervisor has no debug mode for instances.
    fn is_exposed(claims: &NitroClaims) -> Option<bool> {
        Some(R::HAS_DEBUG && claims.document.is_debug())
    }

    fn draft(verdict: &Verdict) -> Option<Map<String, Value>> {
        draft::draft::<R>(verdict)
    }

    fn report(claims: &NitroClaims) -> ClaimsReport {
        claims.to_report::<R>()
    }
}
