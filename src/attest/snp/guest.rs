//! The rules about the guest of a genuine report that was shown on its own, each as one line of the verdict: what runs in it, and what dstack's
//! configuration document says of that. Pure.

use super::Snp;
use super::checks::{ReportChecks, VMPL, further as further_of_report, pinned};
use super::claims::SnpClaims;
use super::reference::{ConfigRules, SnpReference};
use crate::attest::dstack::config_document::{ConfigDocument, digest};
use crate::attest::dstack::key_provider::KeyProvider;
use crate::attest::family::Question;
use crate::attest::hash::hex;
use crate::attest::lines::Lines;
use crate::status::Status;
use crate::verdict::CheckId;

pub const MEASUREMENT: CheckId = CheckId::new("measurement");
pub const HOST_DATA: CheckId = CheckId::new("host_data");
pub const MR_CONFIG: CheckId = CheckId::new("mr_config");
pub const APP_COMPOSE: CheckId = CheckId::new("app_compose");
pub const APP_ID: CheckId = CheckId::new("app_id");
pub const KEY_PROVIDER: CheckId = CheckId::new("key_provider");
pub const GPU_POLICY_HASH: CheckId = CheckId::new("gpu_policy_hash");
pub const INIT_SCRIPT_HASHES: CheckId = CheckId::new("init_script_hashes");

/// The rules of one member, as they are applied to one guest.
pub struct GuestChecks<'a> {
    lines: &'a mut Lines,
    reference: &'a SnpReference,
    claims: &'a SnpClaims,
    /// dstack's configuration document, as it came with the evidence.
    document: Option<&'a str>,
}

impl<'a> GuestChecks<'a> {
    pub fn new(lines: &'a mut Lines, of: &Question<'a, Snp>, claims: &'a SnpClaims) -> GuestChecks<'a> {
        GuestChecks { lines, reference: of.member, claims, document: of.evidence.mr_config.as_deref() }
    }

    /// All of them, and those about the report.
    pub fn all(&mut self) {
        self.of_report().machine();
        self.image();
        self.of_report().identity();
        self.config();
    }

    fn of_report(&mut self) -> ReportChecks<'_> {
        ReportChecks { lines: self.lines, rules: &self.reference.rules, claims: self.claims }
    }

    fn image(&mut self) {
        let (reference, report) = (self.reference, &self.claims.report);
        let levels = &reference.vmpl;
        let expected = levels.iter().map(u32::to_string).collect::<Vec<_>>().join(" or ");
        let (ok, actual) = (levels.contains(&report.vmpl()), report.vmpl().to_string());
        self.lines.judge(VMPL, ok, Status::MeasurementMismatch, expected, actual);
        pinned(self.lines, MEASUREMENT, Some(&reference.measurement), Some(report.measurement()));
        pinned(self.lines, HOST_DATA, reference.host_data.as_deref(), Some(report.host_data()));
    }

    /// The document and what it says, if the policy asks for it; else its identity is shown, if the hardware vouches for it.
    fn config(&mut self) {
        let host_data = self.claims.report.host_data();
        let Some(rules) = &self.reference.mr_config else {
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
        pinned(self.lines, APP_COMPOSE, rules.app_compose_hash.as_deref(), Some(document.compose_hash));
        let app_id = document.app_id.as_deref().and_then(|id| <[u8; 20]>::try_from(id).ok());
        pinned(self.lines, APP_ID, rules.app_id.as_deref(), app_id);
        pinned(self.lines, GPU_POLICY_HASH, rules.gpu_policy_hash.as_deref(), document.gpu_policy_hash);
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
    let by_config = of.member.mr_config.is_some().then_some(MR_CONFIG);
    further_of_report(&of.member.rules, &of.evidence.report).into_iter().chain(by_config).collect()
}
