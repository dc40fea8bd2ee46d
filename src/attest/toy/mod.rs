//! A family for tests only, of a machine that does not exist. It proves the seam: outside this folder it has its line in `family::FAMILIES` and its arms
//! in `Tee`, and nothing else. Its "signature" is a digest that anybody can make. Pure.

mod tests;

use std::ops::ControlFlow;

use serde_json::{Value, json};

use super::anchors::TrustAnchors;
use super::family::{Family, Need, Question};
use super::hash::{hex, sha256, unhex_array};
use super::lines::{Lines, REPORT_DATA, one_of};
use super::policy::policy_fields::PolicyFields;
use super::policy::{Policy, SourceRules};
use super::tee::Tee;
use super::{Fault, Result};
use crate::status::Status;
use crate::verdict::{CheckId, ClaimsReport};

const SEAL: CheckId = CheckId::new("toy_seal");
const COLOUR: CheckId = CheckId::new("toy_colour");

/// Colours of toys that leave a check out.
pub const SHY: &str = "shy";
pub const HIDDEN: &str = "hidden";

pub struct Toy;

/// What a toy says of itself.
#[derive(Clone, Debug)]
pub struct ToyEvidence {
    pub colour: String,
    pub report_data: [u8; 64],
    /// SHA-256 of both, in that order.
    pub seal: [u8; 32],
}

impl ToyEvidence {
    pub fn sealed(colour: &str, report_data: [u8; 64]) -> ToyEvidence {
        let seal = sha256(&[colour.as_bytes(), &report_data].concat());
        ToyEvidence { colour: colour.into(), report_data, seal }
    }

    pub fn to_json(&self) -> Value {
        json!({"colour": self.colour, "report_data": hex(&self.report_data), "seal": hex(&self.seal)})
    }

    fn is_genuine(&self) -> bool {
        self.seal == ToyEvidence::sealed(&self.colour, self.report_data).seal
    }
}

impl Family for Toy {
    const TEE: Tee = Tee::Toy;
    const TYPE: &'static str = "toy";
    const MANDATORY: &'static [CheckId] = &[SEAL, COLOUR];
    const BOUND: &'static [CheckId] = &[REPORT_DATA];
    type Evidence = ToyEvidence;
    type Reference = Vec<String>;
    type Claims = ToyEvidence;

    fn read(object: &Value) -> std::result::Result<ToyEvidence, String> {
        let text = |member: &str| object[member].as_str().ok_or_else(|| format!("{member} is not a string"));
        let (report_data, seal) = (unhex_array(text("report_data")?), unhex_array(text("seal")?));
        let (report_data, seal) = (report_data.ok_or("report_data is not hex")?, seal.ok_or("seal is not hex")?);
        Ok(ToyEvidence { colour: text("colour")?.to_owned(), report_data, seal })
    }

    fn policy(mut fields: PolicyFields) -> Result<Vec<String>> {
        let colours = fields.strings("colours")?;
        let colours = colours.ok_or_else(|| fields.invalid("colours", "missing field `colours`".into()))?;
        fields.finish()?;
        Ok(colours)
    }

    fn sources(_: &Vec<String>) -> Option<SourceRules> {
        None
    }

    fn anchor(evidence: &ToyEvidence, _: &TrustAnchors, _: &Policy) -> Result<&'static str> {
        match evidence.colour.as_str() {
            "invisible" => Err(Fault::of_question(Status::Unsupported, "an invisible toy")),
            _ => Ok("toymaker"),
        }
    }

    fn needs(of: &Question<'_, Toy>) -> Option<Vec<Need>> {
        of.evidence.is_genuine().then(Vec::new)
    }

    fn glance(lines: &mut Lines, of: &Question<'_, Toy>) {
        lines.report_data(of.binding, Tee::Toy, Some(of.evidence.report_data));
    }

    fn verify(lines: &mut Lines, of: &Question<'_, Toy>) -> Option<ToyEvidence> {
        let (is_genuine, seal) = (of.evidence.is_genuine(), hex(&of.evidence.seal));
        lines.judge(SEAL, is_genuine, Status::QuoteInvalid, "the digest of the rest", seal);
        is_genuine.then(|| of.evidence.clone())
    }

    fn bound(lines: &mut Lines, claims: &ToyEvidence, of: &Question<'_, Toy>) -> ControlFlow<()> {
        match claims.colour.as_str() {
            HIDDEN => lines.skip(REPORT_DATA, "a hidden toy"),
            _ => lines.report_data(of.binding, Tee::Toy, Some(claims.report_data)),
        }
        ControlFlow::Continue(())
    }

    fn appraise(lines: &mut Lines, claims: &ToyEvidence, of: &Question<'_, Toy>) {
        if claims.colour == SHY {
            return lines.skip(COLOUR, "a shy toy");
        }
        let ok = of.member.contains(&claims.colour);
        lines.judge(COLOUR, ok, Status::MeasurementMismatch, of.member.join(" or "), &claims.colour);
        lines.application.push(("colour".into(), claims.colour.clone()));
    }

    fn is_exposed(_: &ToyEvidence) -> Option<bool> {
        None
    }

    fn report(claims: &ToyEvidence) -> ClaimsReport {
        ClaimsReport {
            tcb_status: String::new(),
            advisory_ids: Vec::new(),
            measurements: json!({"colour": claims.colour, "report_data": one_of(&[claims.report_data])}),
            platform: Value::Null,
            collateral: Value::Null,
        }
    }
}
