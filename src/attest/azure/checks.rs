//! The rules about the TPM and the virtual machine, whatever the hardware is, each as one line of the verdict. Pure.

use super::ak::{self, AkDates};
use super::evidence::Vtpm;
use super::policy::{PcrSet, VtpmRules};
use super::runtime_data::{CONSOLES, SECURE_BOOT, holds};
use crate::attest::anchors::{SIMULATED, TrustAnchors, Vendor};
use crate::attest::binding::Binding;
use crate::attest::family::{Family, Question};
use crate::attest::findings::Findings;
use crate::attest::hash::{hex, sha256};
use crate::attest::lines::{Lines, UNBOUND, one_of};
use crate::attest::policy::Policy;
use crate::attest::{Result, tpm};
use crate::status::Status;
use crate::verdict::CheckId;

pub const TD_REPORT: CheckId = CheckId::new("td_report");
pub const RUNTIME_DATA: CheckId = CheckId::new("runtime_data");
pub const AK_CERTIFICATE: CheckId = CheckId::new("ak_certificate");
pub const TPM_QUOTE: CheckId = CheckId::new("tpm_quote");
pub const PCR_DIGEST: CheckId = CheckId::new("pcr_digest");
pub const TPM_NONCE: CheckId = CheckId::new("tpm_nonce");
pub const USER_DATA: CheckId = CheckId::new("user_data");
pub const PARAVISOR: CheckId = CheckId::new("paravisor");
pub const VM_CONFIGURATION: CheckId = CheckId::new("vm_configuration");

fn pcr_id(number: u8) -> CheckId {
    CheckId::about("pcr", number.to_string())
}

/// What verdicts call the roots, Microsoft's and the hardware's, that evidence must lead to; `both` if neither is a simulator's.
pub fn anchor(anchors: &TrustAnchors, policy: &Policy, hardware: Vendor, both: &'static str) -> Result<&'static str> {
    let names = [anchors.root(Vendor::Microsoft, policy)?.1, anchors.root(hardware, policy)?.1];
    let simulated = names.into_iter().zip([Vendor::Microsoft, hardware]).find(|(name, vendor)| *name != vendor.name());
    Ok(simulated.map_or(both, |(name, _)| name))
}

/// The same for one member: without a certificate of the TPM's key nothing leads to Microsoft's.
pub fn anchor_for(rules: &VtpmRules, of: &'static str, hardware: Vendor) -> &'static str {
    let is_hardware_alone = !rules.require_certificate && of != SIMULATED;
    if is_hardware_alone { hardware.name() } else { of }
}

/// The rules of one member, as they are applied to one TPM.
pub struct VtpmChecks<'a> {
    pub lines: &'a mut Lines,
    pub vtpm: &'a Vtpm,
    pub rules: &'a VtpmRules,
}

/// What the certificate of the TPM's key says, if it holds. No member has a say in this and the next.
struct Certified(std::result::Result<AkDates, String>);
/// Whether the TPM's key signed the quote.
struct Signed(bool);

/// What is known of the TPM's key besides that the paravisor vouches for it.
pub struct Key {
    /// Of its certificate, if the policy requires one.
    pub certificate: Option<AkDates>,
}

impl VtpmChecks<'_> {
    /// Everything from the hardware's report, which holds `report_data`, to the registers. It takes no vendor's documents.
    pub fn authentic<F: Family>(&mut self, of: &Question<'_, F>, report_data: &[[u8; 64]]) -> Option<Key> {
        self.runtime_data(report_data)?;
        let roots = of.anchors.root(Vendor::Microsoft, of.policy).ok()?.0;
        let certificate = self.ak_certificate(roots, of)?;
        self.tpm_quote(of.findings)?;
        self.pcr_digest()?;
        Some(Key { certificate })
    }

    /// The hardware has signed the runtime data's digest.
    fn runtime_data(&mut self, report_data: &[[u8; 64]]) -> Option<()> {
        let mut expected = [0; 64];
        expected[..32].copy_from_slice(&sha256(&self.vtpm.report.data));
        let other = report_data.iter().find(|found| **found != expected);
        let actual = other.map_or_else(|| hex(&expected), |found| hex(found));
        let ok = other.is_none() && !report_data.is_empty();
        self.lines.judge(RUNTIME_DATA, ok, Status::QuoteInvalid, hex(&expected), actual);
        ok.then_some(())
    }

    fn ak_certificate<F: Family>(&mut self, roots: &[u8], of: &Question<'_, F>) -> Option<Option<AkDates>> {
        const EXPECTED: &str = "of the TPM's key in a confidential virtual machine, and leads to Microsoft's root now";
        if !self.rules.require_certificate {
            self.lines.skip(AK_CERTIFICATE, "the policy says \"ak_certificate\": \"off\", and names the paravisor");
            return Some(None);
        }
        let (chain, modulus) = (&self.vtpm.ak_certificates, &self.vtpm.report.runtime.modulus);
        let status = if chain.is_empty() { Status::EvidenceInvalid } else { Status::QuoteInvalid };
        let certified = of.findings.once("", || Certified(ak::check(chain, modulus, (roots, of.now))));
        let dates = &certified.0;
        let actual = dates.as_ref().err().map_or("it is, and does", |why| why);
        self.lines.judge(AK_CERTIFICATE, dates.is_ok(), status, EXPECTED, actual);
        let dates = dates.as_ref().ok()?;
        self.lines.passes_until(dates.chain_until);
        Some(Some(*dates))
    }

    fn tpm_quote(&mut self, findings: &Findings) -> Option<()> {
        let Vtpm { report, message, signature, .. } = self.vtpm;
        let ok = findings.once("", || Signed(tpm::has_signed(&report.runtime.modulus, message, signature))).0;
        let actual = if ok { "it is" } else { "it is not" };
        self.lines.judge(TPM_QUOTE, ok, Status::QuoteInvalid, "signed by the key in the runtime data", actual);
        ok.then_some(())
    }

    fn pcr_digest(&mut self) -> Option<()> {
        let (attest, pcrs) = (&self.vtpm.attest, &self.vtpm.pcrs);
        let (selected, came) = (attest.selected.clone(), pcrs.numbers().collect::<Vec<_>>());
        let ok = selected == came && attest.digest == pcrs.digest();
        let shown = |digest: &[u8; 32], numbers: &[u8]| format!("{} of registers {numbers:?}", hex(digest));
        let (expected, actual) = (shown(&attest.digest, &selected), shown(&pcrs.digest(), &came));
        self.lines.judge(PCR_DIGEST, ok, Status::QuoteInvalid, expected, actual);
        ok.then_some(())
    }

    /// Whether the quote belongs to the session.
    pub fn nonce<F: Family>(&mut self, of: &Question<'_, F>) {
        match of.binding.report_data(F::TEE) {
            None => self.lines.skip(TPM_NONCE, UNBOUND),
            Some(Ok(binder)) => {
                let (expected, found) = (tpm::nonce(&binder), &self.vtpm.attest.extra_data);
                let ok = found[..] == expected;
                self.lines.judge(TPM_NONCE, ok, Status::BindingMismatch, hex(&expected), hex(found));
            }
            Some(Err(why)) => self.lines.judge(TPM_NONCE, false, Status::BindingMismatch, "a binding", why),
        }
    }

    /// Whether the hardware's report was made for the session too, if the policy asks for that.
    pub fn user_data<F: Family>(&mut self, of: &Question<'_, F>) {
        if !self.rules.fresh_report {
            return self.lines.skip(USER_DATA, "the policy does not say \"fresh_report\": true");
        }
        match of.binding.report_data(F::TEE) {
            None => self.lines.skip(USER_DATA, UNBOUND),
            Some(Ok(binder)) => {
                let found = self.vtpm.report.runtime.user_data;
                let actual = found.map_or_else(|| "none".into(), |data| hex(&data));
                self.lines.judge(USER_DATA, found == Some(binder), Status::BindingMismatch, hex(&binder), actual);
            }
            Some(Err(why)) => self.lines.judge(USER_DATA, false, Status::BindingMismatch, "a binding", why),
        }
    }

    /// What runs: the paravisor, which the hardware has measured as `measurement`, and the guest.
    pub fn appraise(&mut self, measurement: [u8; 48]) {
        if let Some(allowed) = &self.rules.paravisor {
            let ok = allowed.contains(&measurement);
            self.lines.judge(PARAVISOR, ok, Status::MeasurementMismatch, one_of(allowed), hex(&measurement));
        }
        for (number, values) in nearest(self.rules, self.vtpm).into_iter().flatten() {
            let found = self.vtpm.pcrs.get(*number);
            let ok = found.is_some_and(|found| values.contains(found));
            let actual = found.map_or_else(|| "not in the quote".into(), |found| hex(found));
            self.lines.judge(pcr_id(*number), ok, Status::MeasurementMismatch, one_of(values), actual);
        }
        self.vm_configuration();
    }

    fn vm_configuration(&mut self) {
        let (rules, configuration) = (self.rules, &self.vtpm.report.runtime.configuration);
        let secure_boot = rules.secure_boot.then_some((SECURE_BOOT, true));
        let consoles = CONSOLES.map(|name| (name, false));
        let consoles = consoles.into_iter().filter(|_| !rules.allow_console);
        let asked: Vec<_> = secure_boot.into_iter().chain(consoles).collect();
        if asked.is_empty() {
            return;
        }
        let wrong = asked.iter().find(|(name, wanted)| !holds(configuration, name, *wanted));
        let said = |name: &str| configuration.get(name).map_or_else(|| "absent".into(), |value| value.to_string());
        let expected: Vec<_> = asked.iter().map(|(name, wanted)| format!("{name} {wanted}")).collect();
        let actual = wrong.map_or_else(|| "it is".into(), |(name, _)| format!("{name} {}", said(name)));
        self.lines.judge(VM_CONFIGURATION, wrong.is_none(), Status::MeasurementMismatch, expected.join(", "), actual);
    }
}

/// The set that holds whole, or else the one that comes nearest.
fn nearest<'a>(rules: &'a VtpmRules, vtpm: &Vtpm) -> Option<&'a PcrSet> {
    let holds = |(number, values): &(u8, Vec<_>)| vtpm.pcrs.get(*number).is_some_and(|found| values.contains(found));
    rules.pcr_sets.iter().min_by_key(|set| set.iter().filter(|pin| !holds(pin)).count())
}

/// The checks without which nothing is trusted, besides the constant ones.
pub fn further(rules: &VtpmRules, vtpm: &Vtpm, binding: &Binding) -> Vec<CheckId> {
    let recognised = if rules.require_certificate { AK_CERTIFICATE } else { PARAVISOR };
    let fresh = (rules.fresh_report && !matches!(binding, Binding::Skip)).then_some(USER_DATA);
    let pins = nearest(rules, vtpm).into_iter().flatten().map(|(number, _)| pcr_id(*number));
    std::iter::once(recognised).chain(fresh).chain(pins).collect()
}
