//! Azure's virtual machines.

use atls::attest::Documents;
use atls::collateral::documents_from_json;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use simtee::azure::{self, Microsoft, Vm};
use simtee::collateral::Issue;
use simtee::snp::{Amd, Product};
use simtee::{Guest, SimTee};

use super::others::{floor, list};
use super::{Case, Question, clock, report_data};

/// The paravisor's report around the hardware's, and a quote of the TPM. The key has a certificate.
fn evidence(n: usize, kind: u32, hardware: impl FnOnce(&[u8; 64]) -> Vec<u8>) -> Value {
    let (vm, now) = (Vm::get(), clock());
    let runtime = vm.runtime(&report_data(n)).to_string().into_bytes();
    let message = vm.attest(&azure::nonce(&report_data(n))).message();
    let ak = Microsoft::get().certify(vm, &vm.certificate((now - 3600, now + 3600)));
    json!({
        "hcl_report": STANDARD.encode(azure::hcl(kind, &hardware(&azure::report_data(&runtime)), &runtime)),
        "tpm_quote": {
            "message": STANDARD.encode(&message), "signature": STANDARD.encode(vm.sign(&message)),
            "pcrs": vm.pcrs_json(),
        },
        "ak_certificates": ak.iter().map(|der| STANDARD.encode(der)).collect::<Vec<_>>(),
    })
}

fn question(
    kind: &str,
    mut evidence: Value,
    (member, value): (&str, &[u8]),
    documents: Documents,
    roots: &[(&str, &str)],
) -> Question {
    evidence[member] = STANDARD.encode(value).into();
    let pcrs = json!({"4": ["05".repeat(32)], "7": ["08".repeat(32)]});
    let mut policy = json!({"type": kind, "pcrs": pcrs, "allow_simulated": true});
    if member == "leaf" {
        policy["snp"] = floor();
    }
    let roots = [roots, &[("microsoft", &*Microsoft::get().root_pem)]].concat();
    Question::new(json!({"tee": kind, "evidence": evidence}), documents, &policy, &roots, clock())
}

/// Each stranger is another platform; Microsoft is known. The certificate of the TPM's key is new each time.
pub fn tdx(count: usize) -> Case {
    let ask = |tee: &SimTee, n| {
        let mut guest = Guest::booted(1);
        guest.events.clear();
        let mut quote = Vec::new();
        let evidence = evidence(n, azure::TDX, |data| {
            quote = guest.quote(tee, data);
            azure::td_report(&quote)
        });
        let documents = documents_from_json(tee.collateral_json(&Issue::default()).as_bytes()).unwrap();
        question("azure_tdx_vtpm", evidence, ("td_quote", &quote), documents, &[("intel", &tee.root_pem)])
    };
    let strangers = (0..count / 4).map(|n| ask(&SimTee::new(), n)).collect();
    let tee = SimTee::new();
    Case { name: "azure-tdx", strangers, known: (count..2 * count).map(|n| ask(&tee, n)).collect() }
}

/// Each stranger is another chip.
pub fn snp(count: usize) -> Case {
    let amd = Amd::of(Product::Genoa);
    let leaf = amd.leaf(&amd.vcek(&amd.report(3, &[0; 64])));
    let list = list(amd, clock());
    let ask = |n, is_known: bool| {
        let mut report = amd.report(3, &[0; 64]);
        let evidence = evidence(n, azure::SNP, |data| {
            report[0x50..0x90].copy_from_slice(data);
            amd.sign(&mut report);
            report.to_vec()
        });
        let leaf = if is_known { leaf.clone() } else { amd.leaf(&amd.vcek(&report)) };
        question("azure_snp_vtpm", evidence, ("leaf", &leaf), list.clone(), &[("amd", &amd.roots_pem())])
    };
    let strangers = (0..count / 4).map(|n| ask(n, false)).collect();
    Case { name: "azure-snp", strangers, known: (count..2 * count).map(|n| ask(n, true)).collect() }
}
