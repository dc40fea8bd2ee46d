//! Judging GPUs beside a machine, offline, through the C ABI. The machine is a simulated Nitro enclave: any kind would do.

use serde_json::{Value, json};
use simtee::nvidia::{Gpu, Nvidia, Report, nonce};

use super::nitro::{Machine, Question};
use super::snp::Found;
use super::snp_guest::binder_of;

/// A machine with what is attached to it.
#[derive(Clone, Debug)]
pub struct Composite {
    pub machine: Question,
    /// As stored evidence has it; null for no such member.
    pub attached: Value,
    /// PEM of the simulated root of GPUs; none for the one that is built in.
    pub root: Option<String>,
}

/// What GPUs must hold in the session of `Machine`.
pub fn session_nonce() -> [u8; 32] {
    nonce(&binder_of([0, 4]))
}

impl Composite {
    /// With these devices, under a policy that wants as many.
    pub fn of(devices: Vec<Value>) -> Composite {
        let mut machine = Machine::new().honest();
        machine.rest.policy["gpu"] = json!({
            "required": devices.len().max(1), "arch": ["HOPPER"],
            "measurements": [{
                "label": "550.90.07", "driver_version": "550.90.07", "vbios_version": "96.00.9f.00.01",
                "values": {"1": "01".repeat(48), "2": "02".repeat(48), "64": "40".repeat(48)},
            }],
        });
        let attached = json!([{"tee": "nvidia", "evidence": devices}]);
        Composite { machine, attached, root: Some(Nvidia::get().root_pem.clone()) }
    }

    pub fn honest() -> Composite {
        Composite::of(vec![Nvidia::get().gpu("1").honest(&session_nonce())])
    }

    /// About a report that `change` has bent before it was signed.
    pub fn bent(change: impl FnOnce(&mut Report)) -> Composite {
        let gpu = Nvidia::get().gpu("1");
        let mut report = gpu.report(&session_nonce());
        change(&mut report);
        let shown: [u8; 32] = report.nonce.clone().try_into().unwrap_or_else(|_| session_nonce());
        Composite::of(vec![gpu.entry(&gpu.sign(&report), &shown)])
    }

    pub fn with_gpu(gpu: &Gpu) -> Composite {
        Composite::of(vec![gpu.honest(&session_nonce())])
    }

    pub fn gpu(&mut self) -> &mut Value {
        &mut self.machine.rest.policy["gpu"]
    }

    pub fn device(&mut self, number: usize) -> &mut Value {
        &mut self.attached[0]["evidence"][number]
    }

    pub fn evidence(&self) -> Value {
        let mut evidence = self.machine.evidence();
        if !self.attached.is_null() {
            evidence["attached"] = self.attached.clone();
        }
        evidence
    }

    pub fn ask(&self) -> Found {
        let more: Vec<_> = self.root.iter().map(|root| ("nvidia", root.as_str())).collect();
        self.machine.rest.ask_beside(&self.evidence().to_string(), &more)
    }

    #[track_caller]
    pub fn trusted(&self) -> Found {
        let found = self.ask();
        assert_eq!((found.status.as_str(), &found.verdict["trusted"]), ("OK", &json!(true)), "{found:?}");
        found
    }

    /// Refused with this status, by this check; by none if it cannot be read.
    #[track_caller]
    pub fn refused(&self, status: &str, check: &str) -> Found {
        let found = self.ask();
        assert_eq!((found.status.as_str(), found.check.as_str()), (status, check), "{found:?}");
        assert_ne!(found.verdict["trusted"], json!(true));
        found
    }
}

/// Outcome of the line of that name.
pub fn outcome(found: &Found, name: &str) -> String {
    let checks = found.verdict["checks"].as_array().unwrap();
    let line = checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name}: {found:?}"));
    line["outcome"].as_str().unwrap().to_owned()
}

/// A report that cannot be read, whoever signed it.
#[track_caller]
pub fn unreadable(change: impl FnOnce(&mut Report), why: &str) {
    let found = Composite::bent(change).refused("EVIDENCE_INVALID", "");
    assert!(found.message.contains(why), "{found:?}");
}

/// A list that cannot be read, whatever is in its reports.
#[track_caller]
pub fn unreadable_list(change: impl FnOnce(&mut Composite), why: &str) {
    let mut question = Composite::honest();
    change(&mut question);
    let found = question.refused("EVIDENCE_INVALID", "");
    assert!(found.message.contains(why), "{found:?}");
}
