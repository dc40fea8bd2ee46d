//! One line of a verdict, and which check it is of. Decisions go by [`CheckId`]; its text is for readers, and stable.

use std::fmt;

use crate::status::Status;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Pass,
    Fail,
    /// Not judged, because the policy does not ask for it or an earlier failure left nothing to judge.
    Skipped,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Fail => "fail",
            Outcome::Skipped => "skipped",
        }
    }
}

/// Which rule was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckId {
    Quote,
    Debug,
    ServiceTd,
    TcbStatus,
    TcbGracePeriod,
    QeGracePeriod,
    TcbEvaluation,
    TcbAdvisories,
    Smt,
    CachedKeys,
    DynamicPlatform,
    HardwarePpid,
    HardwareDenied,
    HardwareInstance,
    TdAttributes,
    Xfam,
    MrSeam,
    MrOwner,
    TdMrConfigId,
    ReportData,
    EventLog,
    /// A runtime measurement register, 0 to 3.
    Rtmr(usize),
    EventOrder,
    CertificateEvent,
    Spki,
    Bootchain,
    AppCompose,
    AppId,
    OsImageHash,
    KeyProvider,
    MrConfigId,
    /// A rule of the policy's `events`, by the event's name.
    Event(String),
}

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CheckId::Quote => "quote",
            CheckId::Debug => "debug",
            CheckId::ServiceTd => "service_td",
            CheckId::TcbStatus => "tcb_status",
            CheckId::TcbGracePeriod => "tcb_grace_period",
            CheckId::QeGracePeriod => "qe_grace_period",
            CheckId::TcbEvaluation => "tcb_evaluation",
            CheckId::TcbAdvisories => "tcb_advisories",
            CheckId::Smt => "smt",
            CheckId::CachedKeys => "cached_keys",
            CheckId::DynamicPlatform => "dynamic_platform",
            CheckId::HardwarePpid => "hardware_ppid",
            CheckId::HardwareDenied => "hardware_denied",
            CheckId::HardwareInstance => "hardware_instance",
            CheckId::TdAttributes => "td_attributes",
            CheckId::Xfam => "xfam",
            CheckId::MrSeam => "mr_seam",
            CheckId::MrOwner => "mr_owner",
            CheckId::TdMrConfigId => "td_mr_config_id",
            CheckId::ReportData => "report_data",
            CheckId::EventLog => "event_log",
            CheckId::Rtmr(register) => return write!(f, "rtmr{register}"),
            CheckId::EventOrder => "event_order",
            CheckId::CertificateEvent => "certificate_event",
            CheckId::Spki => "spki",
            CheckId::Bootchain => "bootchain",
            CheckId::AppCompose => "app_compose",
            CheckId::AppId => "app_id",
            CheckId::OsImageHash => "os_image_hash",
            CheckId::KeyProvider => "key_provider",
            CheckId::MrConfigId => "mr_config_id",
            CheckId::Event(name) => return write!(f, "event:{name}"),
        })
    }
}

/// One line of a verdict.
#[derive(Clone, Debug)]
pub struct Check {
    pub id: CheckId,
    /// Index in the policy's `any_of`; `None` where there is one member, or where one has accepted.
    pub member: Option<usize>,
    pub outcome: Outcome,
    pub expected: String,
    pub actual: String,
    /// What a failure of this check is reported as.
    pub status: Status,
}

impl Check {
    /// As verdicts show it: `any_of[1].tcb_status`.
    pub fn name(&self) -> String {
        match self.member {
            Some(index) => format!("any_of[{index}].{}", self.id),
            None => self.id.to_string(),
        }
    }
}
