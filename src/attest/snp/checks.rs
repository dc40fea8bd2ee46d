//! The rules about a genuine report, whatever evidence it was found in, each as one line of the verdict: its firmware, its platform, and the guest's launch.
//! Pure.

use super::bits::{platform_bit, policy_bit};
use super::claims::SnpClaims;
use super::layout::{LENGTH, Report, TcbOf};
use super::policy::{Bits, CrlRule, SnpRules};
use super::product::SigningKey;
use crate::attest::hash::hex;
use crate::attest::lines::{Lines, one_of};
use crate::status::Status;
use crate::verdict::CheckId;

pub const REPORT: CheckId = CheckId::new("report");
pub const PRODUCTS: CheckId = CheckId::new("products");
pub const SIGNING_KEY: CheckId = CheckId::new("signing_key");
pub const LEAF: CheckId = CheckId::new("leaf");
pub const CHAIN: CheckId = CheckId::new("chain");
pub const CRL: CheckId = CheckId::new("crl");
pub const SIGNATURE: CheckId = CheckId::new("signature");
pub const LEAF_TCB: CheckId = CheckId::new("leaf_tcb");
pub const CHIP_ID: CheckId = CheckId::new("chip_id");
pub const TCB_MINIMUM: CheckId = CheckId::new("tcb_minimum");
pub const TCB_ORDER: CheckId = CheckId::new("tcb_order");
pub const LAUNCH_TCB: CheckId = CheckId::new("launch_tcb");
pub const ABI: CheckId = CheckId::new("abi");
pub const PLATFORM_INFO: CheckId = CheckId::new("platform_info");
pub const MITIGATIONS: CheckId = CheckId::new("mitigations");
pub const CSP_ID: CheckId = CheckId::new("csp_id");
pub const HARDWARE_INSTANCE: CheckId = CheckId::new("hardware_instance");
pub const GUEST_POLICY: CheckId = CheckId::new("guest_policy");
pub const VMPL: CheckId = CheckId::new("vmpl");
pub const ID_KEY_DIGEST: CheckId = CheckId::new("id_key_digest");
pub const AUTHOR_KEY_DIGEST: CheckId = CheckId::new("author_key_digest");
pub const FAMILY_ID: CheckId = CheckId::new("family_id");
pub const IMAGE_ID: CheckId = CheckId::new("image_id");
pub const GUEST_SVN: CheckId = CheckId::new("guest_svn");

/// Rules about a report, as they are applied to one.
pub struct ReportChecks<'a> {
    pub lines: &'a mut Lines,
    pub rules: &'a SnpRules,
    pub claims: &'a SnpClaims,
}

impl ReportChecks<'_> {
    /// The machine, its firmware, and what its host may do to the guest.
    pub fn machine(&mut self) {
        self.tcb();
        self.firmware();
        self.platform();
        self.provider();
        self.chip();
        let names = &policy_bit::NAMES;
        let (rules, found) = (self.rules.guest_policy, self.claims.report.policy());
        self.bits(GUEST_POLICY, Status::MeasurementMismatch, (rules, found, names));
    }

    fn tcb(&mut self) {
        let (current, reported) = (self.claims.tcb(TcbOf::Current), self.claims.tcb(TcbOf::Reported));
        let committed = self.claims.tcb(TcbOf::Committed);
        // What is not committed can be taken back after the evidence was shown.
        let floor = self.rules.floor(self.claims.product);
        let ok = floor.is_some_and(|floor| reported.is_at_least(floor) && committed.is_at_least(floor));
        let expected = floor.map_or_else(|| "a floor for the product".into(), |floor| format!("at least {floor}"));
        let actual = format!("reported {reported}; committed {committed}");
        self.lines.judge(TCB_MINIMUM, ok, Status::TcbRejected, expected, actual);

        let report = &self.claims.report;
        let (now, least) = (report.current_firmware(), report.committed_firmware());
        let ordered = current.is_at_least(&reported) && current.is_at_least(&committed) && now >= least;
        let equal = current == reported && current == committed && now == least;
        let (ok, expected) = match self.rules.allow_provisional {
            true => (ordered, "reported and committed not above current"),
            false => (ordered && equal, "reported, committed and current equal (allow_provisional is false)"),
        };
        let actual =
            format!("current {current}, firmware {now}; reported {reported}; committed {committed}, firmware {least}");
        self.lines.judge(TCB_ORDER, ok, Status::TcbRejected, expected, actual);

        if let Some(floor) = self.rules.launch_floor(self.claims.product) {
            let launch = self.claims.tcb(TcbOf::Launch);
            let ok = launch.is_at_least(floor);
            self.lines.judge(LAUNCH_TCB, ok, Status::TcbRejected, format!("at least {floor}"), launch.to_string());
        }
    }

    fn firmware(&mut self) {
        let report = &self.claims.report;
        if let Some(least) = self.rules.min_abi {
            let (committed, current) = (report.committed_firmware(), report.current_firmware());
            let ok = committed >= least && current >= least;
            let actual = format!("committed {committed}, current {current}");
            self.lines.judge(ABI, ok, Status::TcbRejected, format!("at least {least}"), actual);
        }
        if let Some(required) = self.rules.required_mitigations {
            let vectors = report.mitigations();
            let ok = vectors.is_some_and(|vectors| vectors.iter().all(|vector| vector & required == required));
            let actual = match vectors {
                Some([launch, current]) => format!("{launch:016x} at launch, {current:016x} now"),
                None => format!("a report of version {} has none", report.version),
            };
            self.lines.judge(MITIGATIONS, ok, Status::TcbRejected, format!("bits {required:016x}"), actual);
        }
    }

    fn platform(&mut self) {
        let (rules, found) = (self.rules.platform, self.claims.report.platform_info());
        let names = &platform_bit::NAMES;
        self.bits(PLATFORM_INFO, Status::TcbRejected, (rules, found, names));
    }

    fn provider(&mut self) {
        match self.claims.provider() {
            Some(provider) => {
                let (allowed, status) = (&self.rules.csp_id, Status::MeasurementMismatch);
                let ok = allowed.iter().any(|known| known == provider);
                self.lines.judge(CSP_ID, ok, status, allowed.join(" or "), provider);
            }
            None if self.rules.csp_id.is_empty() => {}
            None => self.lines.skip(CSP_ID, "a chip's own key is of no provider"),
        }
    }

    fn chip(&mut self) {
        let chip_id = self.claims.report.chip_id();
        let (allowed, denied) = (self.rules.allowed_chip_id.as_deref(), &self.rules.denied_chip_id);
        if allowed.is_none() && denied.is_empty() {
            return;
        }
        let named = chip_id != [0; 64];
        let is_allowed = allowed.is_none_or(|allowed| named && allowed.contains(&chip_id));
        // A chip that does not say which it is may be any.
        let is_denied = !denied.is_empty() && (!named || denied.contains(&chip_id));
        let expected = match (allowed.is_some(), denied.is_empty()) {
            (true, true) => "one of allowed_chip_id",
            (true, false) => "one of allowed_chip_id and none of denied_chip_id",
            (false, _) => "none of denied_chip_id",
        };
        let ok = is_allowed && !is_denied;
        self.lines.judge(HARDWARE_INSTANCE, ok, Status::MeasurementMismatch, expected, hex(&chip_id));
    }

    /// What the guest was launched as, but for its measurement.
    pub fn identity(&mut self) {
        let (rules, report) = (self.rules, &self.claims.report);
        let author = report.author_key_digest();
        pinned(self.lines, ID_KEY_DIGEST, rules.id_key_digest.as_deref(), Some(report.id_key_digest()));
        pinned(self.lines, AUTHOR_KEY_DIGEST, rules.author_key_digest.as_deref(), author);
        pinned(self.lines, FAMILY_ID, rules.family_id.as_deref(), Some(report.family_id()));
        pinned(self.lines, IMAGE_ID, rules.image_id.as_deref(), Some(report.image_id()));
        if let Some(least) = rules.min_guest_svn {
            let svn = report.guest_svn();
            let (ok, expected) = (u64::from(svn) >= least, format!("at least {least}"));
            self.lines.judge(GUEST_SVN, ok, Status::MeasurementMismatch, expected, svn.to_string());
        }
    }

    fn bits(&mut self, id: CheckId, status: Status, (rules, found, names): (Bits, u64, &[(&str, u64)])) {
        let (missing, surplus) = (rules.required & !found, rules.forbidden & found);
        let expected = states(rules.required, rules.forbidden, names);
        let wrong = states(surplus, missing, names);
        let ok = missing == 0 && surplus == 0;
        let actual = if ok { format!("{found:016x}") } else { format!("{found:016x}: {wrong}") };
        let expected = if expected.is_empty() { "anything".into() } else { expected };
        self.lines.judge(id, ok, status, expected, actual);
    }
}

/// One of the values that a policy names, if it names any.
pub fn pinned<const N: usize>(lines: &mut Lines, id: CheckId, allowed: Option<&[[u8; N]]>, actual: Option<[u8; N]>) {
    let Some(allowed) = allowed else { return };
    let ok = actual.is_some_and(|actual| allowed.contains(&actual));
    let actual = actual.map_or_else(|| "none".into(), |actual| hex(&actual));
    lines.judge(id, ok, Status::MeasurementMismatch, one_of(allowed), actual);
}

/// `debug off, migration off`, for example.
fn states(on: u64, off: u64, names: &[(&str, u64)]) -> String {
    let on = named(on, names).map(|name| format!("{name} on"));
    let off = named(off, names).map(|name| format!("{name} off"));
    on.chain(off).collect::<Vec<_>>().join(", ")
}

/// Names of the bits that are set; of those that have none, one for all.
fn named<'n>(bits: u64, names: &'n [(&str, u64)]) -> impl Iterator<Item = String> + use<'n> {
    let known = names.iter().fold(0, |all, (_, bit)| all | bit);
    let unknown = (bits & !known != 0).then(|| "unknown bits".to_owned());
    names.iter().filter(move |(_, bit)| bits & bit != 0).map(|(name, _)| (*name).to_owned()).chain(unknown)
}

/// Checks that the rules make mandatory besides the constant ones.
pub fn further(rules: &SnpRules, report: &[u8; LENGTH]) -> Vec<CheckId> {
    let by_crl = (rules.crl == CrlRule::Require).then_some(CRL);
    let key = Report::read(report).map(|report| report.signing_key);
    let by_key = match key {
        Ok(SigningKey::Vlek) => CSP_ID,
        Ok(SigningKey::Vcek) | Err(_) => CHIP_ID,
    };
    by_crl.into_iter().chain([by_key]).collect()
}
