//! The rules about a genuine report, each as one line of the verdict: its firmware, its platform, and the guest that it is about.

use super::Snp;
use super::bits::{platform_bit, policy_bit};
use super::claims::SnpClaims;
use super::layout::{Report, TcbOf};
use super::policy::{Bits, ConfigRules, CrlRule, SnpReference};
use super::product::SigningKey;
use crate::attest::dstack::config_document::{ConfigDocument, digest};
use crate::attest::dstack::key_provider::KeyProvider;
use crate::attest::family::Question;
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
pub const MEASUREMENT: CheckId = CheckId::new("measurement");
pub const HOST_DATA: CheckId = CheckId::new("host_data");
pub const ID_KEY_DIGEST: CheckId = CheckId::new("id_key_digest");
pub const AUTHOR_KEY_DIGEST: CheckId = CheckId::new("author_key_digest");
pub const FAMILY_ID: CheckId = CheckId::new("family_id");
pub const IMAGE_ID: CheckId = CheckId::new("image_id");
pub const GUEST_SVN: CheckId = CheckId::new("guest_svn");
pub const MR_CONFIG: CheckId = CheckId::new("mr_config");
pub const APP_COMPOSE: CheckId = CheckId::new("app_compose");
pub const APP_ID: CheckId = CheckId::new("app_id");
pub const KEY_PROVIDER: CheckId = CheckId::new("key_provider");
pub const GPU_POLICY_HASH: CheckId = CheckId::new("gpu_policy_hash");
pub const INIT_SCRIPT_HASHES: CheckId = CheckId::new("init_script_hashes");

/// The rules of one member, as they are applied to one guest.
pub struct SnpChecks<'a> {
    lines: &'a mut Lines,
    rules: &'a SnpReference,
    claims: &'a SnpClaims,
    /// dstack's configuration document, as it came with the evidence.
    document: Option<&'a str>,
}

impl<'a> SnpChecks<'a> {
    pub fn new(lines: &'a mut Lines, of: &Question<'a, Snp>, claims: &'a SnpClaims) -> SnpChecks<'a> {
        SnpChecks { lines, rules: of.member, claims, document: of.evidence.mr_config.as_deref() }
    }

    /// All of them.
    pub fn all(&mut self) {
        self.tcb();
        self.firmware();
        self.platform();
        self.provider();
        self.chip();
        self.guest();
        self.identity();
        self.config();
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

    fn guest(&mut self) {
        let report = &self.claims.report;
        let (rules, found) = (self.rules.guest_policy, report.policy());
        let names = &policy_bit::NAMES;
        self.bits(GUEST_POLICY, Status::MeasurementMismatch, (rules, found, names));
        let levels = &self.rules.vmpl;
        let expected = levels.iter().map(u32::to_string).collect::<Vec<_>>().join(" or ");
        let (ok, actual) = (levels.contains(&report.vmpl()), report.vmpl().to_string());
        self.lines.judge(VMPL, ok, Status::MeasurementMismatch, expected, actual);
    }

    fn identity(&mut self) {
        let (rules, report) = (self.rules, &self.claims.report);
        let author = report.author_key_digest();
        self.pinned(MEASUREMENT, Some(&rules.measurement), Some(report.measurement()));
        self.pinned(HOST_DATA, rules.host_data.as_deref(), Some(report.host_data()));
        self.pinned(ID_KEY_DIGEST, rules.id_key_digest.as_deref(), Some(report.id_key_digest()));
        self.pinned(AUTHOR_KEY_DIGEST, rules.author_key_digest.as_deref(), author);
        self.pinned(FAMILY_ID, rules.family_id.as_deref(), Some(report.family_id()));
        self.pinned(IMAGE_ID, rules.image_id.as_deref(), Some(report.image_id()));
        if let Some(least) = rules.min_guest_svn {
            let svn = report.guest_svn();
            let (ok, expected) = (u64::from(svn) >= least, format!("at least {least}"));
            self.lines.judge(GUEST_SVN, ok, Status::MeasurementMismatch, expected, svn.to_string());
        }
    }

    /// The document and what it says, if the policy asks for it; else its identity is shown, if the hardware vouches for it.
    fn config(&mut self) {
        let host_data = self.claims.report.host_data();
        let Some(rules) = &self.rules.mr_config else {
            let document = self.document.filter(|text| digest(text) == host_data);
            let document = document.and_then(|text| ConfigDocument::parse(text).ok());
            self.lines.application = document.as_ref().map(identity).unwrap_or_default();
            return;
        };
        let expected = format!("a document of digest {} (HOST_DATA)", hex(&host_data));
        let read = match self.document {
            None => Err("none came with the evidence".to_owned()),
            Some(text) if digest(text) != host_data => Err(format!("one of digest {}", hex(&digest(text)))),
            Some(text) => ConfigDocument::parse(text),
        };
        let actual = read.as_ref().err().map_or("it is", |why| why);
        self.lines.judge(MR_CONFIG, read.is_ok(), Status::MeasurementMismatch, expected, actual);
        if let Ok(document) = read {
            self.lines.application = identity(&document);
            self.application(rules, &document);
        }
    }

    fn application(&mut self, rules: &ConfigRules, document: &ConfigDocument) {
        const NONE: &str = "none";
        self.pinned(APP_COMPOSE, rules.app_compose_hash.as_deref(), Some(document.compose_hash));
        let app_id = document.app_id.as_deref().and_then(|id| <[u8; 20]>::try_from(id).ok());
        self.pinned(APP_ID, rules.app_id.as_deref(), app_id);
        self.pinned(GPU_POLICY_HASH, rules.gpu_policy_hash.as_deref(), document.gpu_policy_hash);
        if let Some(wanted) = &rules.key_provider {
            let shown = |provider: &KeyProvider| match &provider.id {
                Some(id) => format!("{} {id}", provider.name),
                None => provider.name.clone(),
            };
            let ok = document.key_provider.as_ref().is_some_and(|found| {
                found.name == wanted.name && wanted.id.as_ref().is_none_or(|id| found.id.as_ref() == Some(id))
            });
            let actual = document.key_provider.as_ref().map_or_else(|| NONE.into(), shown);
            self.lines.judge(KEY_PROVIDER, ok, Status::MeasurementMismatch, shown(wanted), actual);
        }
        if let Some(lists) = &rules.init_script_hashes {
            let found = &document.init_script_hashes;
            let shown = |list: &Vec<[u8; 32]>| list.iter().map(|hash| hex(hash)).collect::<Vec<_>>().join(", ");
            let expected = lists.iter().map(|list| format!("[{}]", shown(list))).collect::<Vec<_>>().join(" or ");
            let (ok, actual) = (lists.contains(found), format!("[{}]", shown(found)));
            self.lines.judge(INIT_SCRIPT_HASHES, ok, Status::MeasurementMismatch, expected, actual);
        }
    }

    fn pinned<const N: usize>(&mut self, id: CheckId, allowed: Option<&[[u8; N]]>, actual: Option<[u8; N]>) {
        let Some(allowed) = allowed else { return };
        let ok = actual.is_some_and(|actual| allowed.contains(&actual));
        let actual = actual.map_or_else(|| "none".into(), |actual| hex(&actual));
        self.lines.judge(id, ok, Status::MeasurementMismatch, one_of(allowed), actual);
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

/// For readers of the verdict.
fn identity(document: &ConfigDocument) -> Vec<(String, String)> {
    let mut shown = vec![("compose-hash".to_owned(), hex(&document.compose_hash))];
    for (name, value) in [("app-id", &document.app_id), ("instance-id", &document.instance_id)] {
        shown.extend(value.as_ref().map(|value| (name.to_owned(), hex(value))));
    }
    shown.extend(document.key_provider.as_ref().map(|provider| ("key-provider".to_owned(), provider.name.clone())));
    shown
}

/// Checks that the policy makes mandatory besides the constant ones.
pub fn further(of: &Question<'_, Snp>) -> Vec<CheckId> {
    let by_crl = (of.member.crl == CrlRule::Require).then_some(CRL);
    let key = Report::read(&of.evidence.report).map(|report| report.signing_key);
    let by_key = match key {
        Ok(SigningKey::Vlek) => CSP_ID,
        Ok(SigningKey::Vcek) | Err(_) => CHIP_ID,
    };
    let by_config = of.member.mr_config.is_some().then_some(MR_CONFIG);
    by_crl.into_iter().chain([by_key]).chain(by_config).collect()
}
