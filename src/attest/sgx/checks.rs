//! The rules about an enclave, each as one line of the verdict. Pure.

use super::policy::SgxReference;
use super::report::EnclaveReport;
use crate::attest::hash::hex;
use crate::attest::lines::{Lines, one_of};
use crate::status::Status;
use crate::verdict::CheckId;

pub const DEBUG: CheckId = CheckId::new("debug");
pub const ATTRIBUTES: CheckId = CheckId::new("attributes");
pub const MR_ENCLAVE: CheckId = CheckId::new("mr_enclave");
pub const MR_SIGNER: CheckId = CheckId::new("mr_signer");
pub const ISV_PROD_ID: CheckId = CheckId::new("isv_prod_id");
pub const ISV_SVN: CheckId = CheckId::new("isv_svn");
pub const CONFIG_ID: CheckId = CheckId::new("config_id");
pub const ISV_FAMILY_ID: CheckId = CheckId::new("isv_family_id");
pub const ISV_EXT_PROD_ID: CheckId = CheckId::new("isv_ext_prod_id");

const UNNAMED: &str = "the policy names none";

/// The rules of one member, as they are applied to one enclave.
pub struct EnclaveChecks<'a> {
    pub lines: &'a mut Lines,
    pub member: &'a SgxReference,
}

impl EnclaveChecks<'_> {
    pub fn all(&mut self, enclave: &EnclaveReport) {
        let member = self.member;
        self.debug(enclave);
        self.attributes(enclave);
        self.listed(MR_ENCLAVE, member.mr_enclave.as_deref(), enclave.mr_enclave);
        self.listed(MR_SIGNER, member.mr_signer.as_deref(), enclave.mr_signer);
        self.product(enclave);
        self.version(enclave);
        self.listed(CONFIG_ID, member.config_id.as_deref(), enclave.config_id);
        self.listed(ISV_FAMILY_ID, member.isv_family_id.as_deref(), enclave.isv_family_id);
        self.listed(ISV_EXT_PROD_ID, member.isv_ext_prod_id.as_deref(), enclave.isv_ext_prod_id);
    }

    fn debug(&mut self, enclave: &EnclaveReport) {
        let (allowed, found) = (self.member.allow_debug, enclave.is_debug());
        let expected = if allowed { "either, by allow_debug" } else { "false" };
        self.lines.judge(DEBUG, allowed || !found, Status::MeasurementMismatch, expected, found.to_string());
    }

    fn attributes(&mut self, enclave: &EnclaveReport) {
        let rule = &self.member.attributes;
        let expected = format!("{} under mask {}", hex(&rule.value), hex(&rule.mask));
        let ok = rule.fits(&enclave.attributes);
        self.lines.judge(ATTRIBUTES, ok, Status::MeasurementMismatch, expected, hex(&enclave.attributes));
    }

    fn listed<const N: usize>(&mut self, id: CheckId, allowed: Option<&[[u8; N]]>, actual: [u8; N]) {
        match allowed {
            None => self.lines.skip(id, UNNAMED),
            Some(allowed) => {
                let ok = allowed.contains(&actual);
                self.lines.judge(id, ok, Status::MeasurementMismatch, one_of(allowed), hex(&actual));
            }
        }
    }

    fn product(&mut self, enclave: &EnclaveReport) {
        let Some(allowed) = &self.member.isv_prod_id else { return self.lines.skip(ISV_PROD_ID, UNNAMED) };
        let expected: Vec<_> = allowed.iter().map(u16::to_string).collect();
        let (ok, actual) = (allowed.contains(&enclave.isv_prod_id), enclave.isv_prod_id.to_string());
        self.lines.judge(ISV_PROD_ID, ok, Status::MeasurementMismatch, expected.join(" or "), actual);
    }

    fn version(&mut self, enclave: &EnclaveReport) {
        let Some(least) = self.member.min_isv_svn else { return self.lines.skip(ISV_SVN, UNNAMED) };
        let (ok, actual) = (enclave.isv_svn >= least, enclave.isv_svn.to_string());
        self.lines.judge(ISV_SVN, ok, Status::MeasurementMismatch, format!("at least {least}"), actual);
    }
}
