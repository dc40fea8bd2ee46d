//! Simulated virtual machines of Azure, told the truth about, with every part of their evidence free to be bent before it is signed.

use serde_json::{Value, json};
use simtee::azure::{self, Attest, Certificate, Microsoft, Vm};
use simtee::collateral::Issue;
use simtee::snp::{Amd, Product, REPORT};
use simtee::{Guest, SimTee, hex};

use super::azure::Question;
use super::offline::now;
use super::snp_guest::{binder_of, floor, server};

/// What protects the machine's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hardware {
    Tdx,
    Snp,
}

pub const BOTH: [Hardware; 2] = [Hardware::Tdx, Hardware::Snp];

impl Hardware {
    pub fn name(self) -> &'static str {
        match self {
            Hardware::Tdx => "azure_tdx_vtpm",
            Hardware::Snp => "azure_snp_vtpm",
        }
    }

    pub fn code(self) -> [u8; 2] {
        match self {
            Hardware::Tdx => [0, 0x11],
            Hardware::Snp => [0, 0x12],
        }
    }
}

/// What the evidence is made of.
pub struct Parts {
    /// Whose TPM signs.
    pub vm: &'static Vm,
    pub runtime: Value,
    /// In place of the digest of the runtime data.
    pub report_data: Option<[u8; 64]>,
    pub attest: Attest,
    pub pcrs: Value,
    pub microsoft: &'static Microsoft,
    pub certificate: Certificate,
    /// Whose key the certificate is of.
    pub certified: &'static Vm,
    pub td: Guest,
    /// In place of the TDREPORT that the quote was made of.
    pub td_report: Option<Vec<u8>>,
    /// Before its digest is put in, and it is signed.
    pub report: [u8; REPORT],
}

pub fn tee() -> &'static SimTee {
    static TEE: std::sync::OnceLock<SimTee> = std::sync::OnceLock::new();
    TEE.get_or_init(SimTee::new)
}

fn amd() -> &'static Amd {
    Amd::of(Product::Genoa)
}

impl Parts {
    /// The truth.
    pub fn new(binder: &[u8; 64]) -> Parts {
        let (vm, now) = (Vm::get(), now());
        let mut td = Guest::booted(1);
        td.events.clear();
        Parts {
            vm,
            runtime: vm.runtime(binder),
            report_data: None,
            attest: vm.attest(&azure::nonce(binder)),
            pcrs: vm.pcrs_json(),
            microsoft: Microsoft::get(),
            certificate: vm.certificate((now - 3600, now + 3600)),
            certified: vm,
            td,
            td_report: None,
            report: amd().report(3, &[0; 64]),
        }
    }

    pub fn make(self, hardware: Hardware, tee: &SimTee) -> Question {
        let runtime = self.runtime.to_string().into_bytes();
        let data = self.report_data.unwrap_or_else(|| azure::report_data(&runtime));
        let (kind, body, quote, leaf) = match hardware {
            Hardware::Tdx => {
                let quote = self.td.quote(tee, &data);
                (azure::TDX, self.td_report.unwrap_or_else(|| azure::td_report(&quote)), Some(quote), None)
            }
            Hardware::Snp => {
                let mut report = self.report;
                report[0x50..0x90].copy_from_slice(&data);
                amd().sign(&mut report);
                let leaf = amd().leaf(&amd().vcek(&report));
                (azure::SNP, report.to_vec(), None, Some(leaf))
            }
        };
        let message = self.attest.message();
        Question {
            tee: hardware.name(),
            hcl: azure::hcl(kind, &body, &runtime),
            signature: self.vm.sign(&message),
            message,
            pcrs: self.pcrs,
            ak: self.microsoft.certify(self.certified, &self.certificate),
            quote,
            leaf,
            collateral: Some(collateral(hardware, tee)),
            policy: policy(hardware),
            roots: vec![
                ("microsoft", Microsoft::get().root_pem.clone()),
                ("intel", tee.root_pem.clone()),
                ("amd", amd().roots_pem()),
            ],
            session: Some(server().to_vec()),
            now: now(),
        }
    }
}

fn collateral(hardware: Hardware, tee: &SimTee) -> String {
    match hardware {
        Hardware::Tdx => tee.collateral_json(&Issue::default()),
        Hardware::Snp => {
            let list = amd().list(&amd().clean(now()));
            let object = json!({"name": "amd/crl/Genoa/vcek", "body": hex(&list), "chain": "", "fetched": 1});
            json!({"atls_collateral_bundle": 1, "objects": [object]}).to_string()
        }
    }
}

/// That the machine satisfies.
pub fn policy(hardware: Hardware) -> Value {
    let pcrs = json!({"4": ["05".repeat(32)], "7": ["08".repeat(32)]});
    let mut policy = json!({"type": hardware.name(), "pcrs": pcrs, "allow_simulated": true});
    if hardware == Hardware::Snp {
        policy["snp"] = json!({"products": ["Genoa"], "min_tcb": {"Genoa": floor(Product::Genoa)}});
    }
    policy
}

/// Of the paravisor, as the hardware has measured it.
pub fn measurement(hardware: Hardware) -> String {
    match hardware {
        Hardware::Tdx => "11".repeat(48),
        Hardware::Snp => "5a".repeat(48),
    }
}

/// About evidence that `change` has bent before it was signed.
pub fn question(hardware: Hardware, change: impl FnOnce(&mut Parts)) -> Question {
    let mut parts = Parts::new(&binder_of(hardware.code()));
    change(&mut parts);
    parts.make(hardware, tee())
}

pub fn honest(hardware: Hardware) -> Question {
    question(hardware, |_| ())
}
