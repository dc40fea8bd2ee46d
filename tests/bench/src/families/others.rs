//! Reports of SEV-SNP, documents of AWS, and a GPU beside such a document.

use atls::attest::Documents;
use atls::collateral::documents_from_json;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use simtee::hex;
use simtee::nitro::{Aws, Enclave};
use simtee::nvidia::Nvidia;
use simtee::snp::{Amd, Product};

use super::{Case, Question, report_data};

const NOW: u64 = 1_790_000_000;

/// What AMD publishes, as a bundle.
pub fn list(amd: &Amd, now: u64) -> Documents {
    let list =
        json!({"name": "amd/crl/Genoa/vcek", "body": hex(&amd.list(&amd.clean(now))), "chain": "", "fetched": 1});
    documents_from_json(json!({"atls_collateral_bundle": 1, "objects": [list]}).to_string().as_bytes()).unwrap()
}

pub fn floor() -> Value {
    json!({"products": ["Genoa"], "min_tcb": {"Genoa": {"bootloader": 4, "tee": 2, "snp": 24, "microcode": 219}}})
}

/// Each stranger is another chip. Its product's authorities and their list are the vendor's, and known.
pub fn snp(count: usize) -> Case {
    let amd = Amd::of(Product::Genoa);
    let known = amd.leaf(&amd.vcek(&amd.report(5, &[0; 64])));
    let mut policy = floor();
    policy["type"] = "snp".into();
    policy["measurement"] = json!(["5a".repeat(48)]);
    policy["allow_simulated"] = true.into();
    let list = list(amd, NOW);
    let question = |n: usize, is_known: bool| {
        let mut report = amd.report(5, &report_data(n));
        amd.sign(&mut report);
        let leaf = if is_known { known.clone() } else { amd.leaf(&amd.vcek(&report)) };
        let evidence =
            json!({"tee": "snp", "evidence": {"report": STANDARD.encode(report), "leaf": STANDARD.encode(leaf)}});
        Question::new(evidence, list.clone(), &policy, &[("amd", &amd.roots_pem())], NOW)
    };
    let strangers = (0..count / 4).map(|n| question(n, false)).collect();
    Case { name: "snp", strangers, known: (count..2 * count).map(|n| question(n, true)).collect() }
}

fn document(enclave: &Enclave, n: usize) -> Value {
    let document = enclave.sign(&enclave.document(NOW, &report_data(n)));
    json!({"tee": "nitro", "evidence": {"document": STANDARD.encode(document)}})
}

fn pins() -> Value {
    json!({"type": "nitro", "pcrs": {"0": ["01".repeat(48)]}, "allow_simulated": true})
}

/// Each stranger is of another AWS.
pub fn nitro(count: usize) -> Case {
    let question = |aws: &Aws, enclave: &Enclave, n| {
        Question::new(document(enclave, n), Documents::none(), &pins(), &[("aws", &aws.root_pem)], NOW)
    };
    let lives = (NOW - 3, NOW + 10800);
    let stranger = |_| {
        let aws = Aws::new(3);
        question(&aws, &aws.enclave(lives.0, lives.1), 0)
    };
    let aws = Aws::get();
    let enclave = aws.enclave(lives.0, lives.1);
    let strangers = (0..count / 4).map(stranger).collect();
    Case { name: "nitro", strangers, known: (0..count).map(|n| question(aws, &enclave, n)).collect() }
}

/// A GPU beside an enclave that is known in any case; each stranger is of another NVIDIA.
pub fn nvidia(count: usize) -> Case {
    let aws = Aws::get();
    let enclave = aws.enclave(NOW - 3, NOW + 10800);
    let mut policy = pins();
    policy["gpu"] = json!({"required": 1, "measurements": [{"values": {"1": "01".repeat(48), "64": "40".repeat(48)}}]});
    let question = |nvidia: &Nvidia, device: Value, n| {
        let mut evidence = document(&enclave, n);
        evidence["attached"] = json!([{"tee": "nvidia", "evidence": [device]}]);
        let roots = [("aws", &*aws.root_pem), ("nvidia", &*nvidia.root_pem)];
        Question::new(evidence, Documents::none(), &policy, &roots, NOW)
    };
    let nonce = |n: usize| *report_data(n).first_chunk::<32>().unwrap();
    let stranger = |n| {
        let nvidia = Nvidia::of("GH100", simtee::nvidia::FWID_HOPPER);
        question(&nvidia, nvidia.gpu("1").honest(&nonce(n)), n)
    };
    let strangers = (0..count / 4).map(stranger).collect();
    let gpu = Nvidia::get().gpu("1");
    let known = (count..2 * count).map(|n| question(Nvidia::get(), gpu.honest(&nonce(n)), n)).collect();
    Case { name: "nitro+gpu", strangers, known }
}
