//! The rules about a quote of a trust domain, each as one line of the verdict. They are the same for all policies about TDX quotes. Pure.

use super::policy::{MaskedValue, TdxRules};
use super::{TdxClaims, verify_quote};
use crate::attest::dcap::checks::PlatformChecks;
pub use crate::attest::dcap::checks::{QUOTE, TCB_STATUS, TD_ATTRIBUTES};
use crate::attest::dcap::{self, Unverified};
use crate::attest::documents::Documents;
use crate::attest::findings::Findings;
use crate::attest::hash::hex;
use crate::attest::lines::{Lines, one_of};
use crate::status::Status;
use crate::verdict::CheckId;

pub const DEBUG: CheckId = CheckId::new("debug");
pub const SERVICE_TD: CheckId = CheckId::new("service_td");
pub const XFAM: CheckId = CheckId::new("xfam");
pub const MR_SEAM: CheckId = CheckId::new("mr_seam");
pub const MR_OWNER: CheckId = CheckId::new("mr_owner");
pub const TD_MR_CONFIG_ID: CheckId = CheckId::new("td_mr_config_id");

/// What a quote of a trust domain claims, or why it does not hold.
struct Verified(Result<TdxClaims, Unverified>);

/// The rules of one member, as they are applied to one quote.
pub struct QuoteChecks<'a> {
    pub lines: &'a mut Lines,
    pub rules: &'a TdxRules,
    /// Unix seconds.
    pub now: u64,
}

impl QuoteChecks<'_> {
    /// The claims, if the quote holds: signed by a genuine platform, whose root is `root` (DER). Members differ in the evaluation set.
    pub fn quote(
        &mut self,
        quote: &[u8],
        (documents, findings): (&Documents, &Findings),
        (root, limit): (&[u8], usize),
    ) -> Option<TdxClaims> {
        let set = &*self.rules.dcap.sources.evaluation_set;
        let verify = || Verified(verify_quote(quote, (documents, set), root, self.now));
        dcap::checks::quote(self.lines, (quote.len(), limit), || findings.once(set, verify).0.clone())
    }

    /// Every rule about a quote that holds.
    pub fn all(&mut self, claims: &TdxClaims) {
        self.isolation(claims);
        PlatformChecks { lines: self.lines, rules: &self.rules.dcap, now: self.now }.all(&claims.platform);
        self.td(claims);
    }

    /// A TD that its host or another TD can interfere with.
    fn isolation(&mut self, claims: &TdxClaims) {
        let td = &self.rules.td;
        for (id, field, allowed, found) in [
            (DEBUG, "td.allow_debug", td.allow_debug, claims.debug),
            (SERVICE_TD, "td.allow_service_td", td.allow_service_td, claims.service_td),
        ] {
            let expected = if allowed { format!("either, by {field}") } else { "false".into() };
            self.lines.judge(id, allowed || !found, Status::MeasurementMismatch, expected, found.to_string());
        }
    }

    fn td(&mut self, claims: &TdxClaims) {
        let td = &self.rules.td;
        self.masked(TD_ATTRIBUTES, td.attributes, claims.td_attributes);
        self.masked(XFAM, td.xfam, claims.xfam);
        for (id, allowed, actual) in [
            (MR_SEAM, &td.mr_seam, claims.mr_seam),
            (MR_OWNER, &td.mr_owner, claims.mr_owner),
            (TD_MR_CONFIG_ID, &td.mr_config_id, claims.mr_config_id),
        ] {
            if let Some(allowed) = allowed {
                self.lines.judge(
                    id,
                    allowed.contains(&actual),
                    Status::MeasurementMismatch,
                    one_of(allowed),
                    hex(&actual),
                );
            }
        }
    }

    fn masked(&mut self, id: CheckId, rule: Option<MaskedValue<8>>, actual: [u8; 8]) {
        let Some(rule) = rule else { return };
        let expected = format!("{} under mask {}", hex(&rule.value), hex(&rule.mask));
        self.lines.judge(id, rule.fits(&actual), Status::MeasurementMismatch, expected, hex(&actual));
    }
}
