//! A simulated virtual machine of Azure with SEV-SNP, and a policy that it satisfies, for the targets about its evidence.

use std::sync::OnceLock;

use atls::attest::azure::{AzureSnp, AzureSnpEvidence, HclReport, ReportType, Vtpm};
use atls::attest::snp::Leaf;
use atls::attest::tpm::{Pcrs, TpmAttest};
use atls::attest::{AppraisalRequest, Binding, Documents, Evidence, Policy, TrustAnchors, Vendor, appraise, needs};
use simtee::azure::{self, Microsoft, Vm};
use simtee::snp::{Amd, Product};

const NOW: u64 = 1_790_000_000;

pub struct World {
    pub hcl: Vec<u8>,
    pub message: Vec<u8>,
    pub signature: Vec<u8>,
    leaf: Leaf,
    certificates: Vec<Vec<u8>>,
    pcrs: Pcrs,
    policy: Policy,
    anchors: TrustAnchors,
}

pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let (amd, vm) = (Amd::of(Product::Genoa), Vm::get());
        let runtime = vm.runtime(&[7; 64]).to_string().into_bytes();
        let mut report = amd.report(3, &azure::report_data(&runtime));
        amd.sign(&mut report);
        let message = vm.attest(&azure::nonce(&[7; 64])).message();
        let policy = format!(
            r#"{{"type":"azure_snp_vtpm","pcrs":{{"4":["{}"]}},"allow_simulated":true,"snp":{{"products":["Genoa"],"crl":"off",
                "min_tcb":{{"Genoa":{{"bootloader":0,"tee":0,"snp":0,"microcode":0}}}}}}}}"#,
            "05".repeat(32)
        );
        let mut anchors = TrustAnchors::simulated(Vendor::Amd, amd.certificates.concat());
        anchors.add_simulated(Vendor::Microsoft, Microsoft::get().root_der.clone());
        World {
            hcl: azure::hcl(azure::SNP, &report, &runtime),
            signature: vm.sign(&message),
            message,
            leaf: Leaf::read(&amd.leaf(&amd.vcek(&report))).unwrap(),
            certificates: Microsoft::get().certify(vm, &vm.certificate((NOW - 60, NOW + 60))),
            pcrs: Pcrs::from_json(&vm.pcrs_json()).unwrap(),
            policy: Policy::from_json(policy.as_bytes()).unwrap(),
            anchors,
        }
    })
}

impl World {
    /// Whether evidence with these parts is trusted; `None` if it cannot be read.
    pub fn trusts(&self, hcl: &[u8], message: &[u8], signature: &[u8]) -> Option<bool> {
        let vtpm = Vtpm {
            report: HclReport::read(hcl, ReportType::Snp).ok()?,
            attest: TpmAttest::read(message).ok()?,
            message: message.to_vec(),
            signature: signature.try_into().ok()?,
            pcrs: self.pcrs.clone(),
            ak_certificates: self.certificates.clone(),
        };
        let evidence = Evidence::of::<AzureSnp>(AzureSnpEvidence { vtpm, leaf: Some(self.leaf.clone()) });
        let (documents, binding) = (&Documents::none(), &Binding::Skip);
        let World { policy, anchors, .. } = self;
        let request = AppraisalRequest { evidence: &evidence, documents, policy, anchors, binding, received: NOW, now: NOW };
        drop(needs(&request));
        Some(appraise(&request).is_ok_and(|verdict| verdict.trusted))
    }
}

/// The genuine bytes with the input XORed over them, so that mutations are near what is valid.
pub fn bend(genuine: &[u8], data: &[u8]) -> Vec<u8> {
    let mut bent = genuine.to_vec();
    let [low, high, edits @ ..] = data else { return bent };
    let at = usize::from(u16::from_le_bytes([*low, *high])) % bent.len();
    bent[at..].iter_mut().zip(edits).for_each(|(byte, edit)| *byte ^= edit);
    bent
}
