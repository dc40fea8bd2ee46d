//! Judging evidence of SEV-SNP guests and Nitro enclaves: whole appraisals, of machines met for the first time and of known ones, beside one P-384 verification,
//! which is the least that a new report or document takes.
//!
//! families N: prints one JSON line per case, CPU per verification in microseconds.

use atls::attest::{AppraisalRequest, Binding, Documents, Evidence, Policy, TrustAnchors, appraise};
use atls::collateral::documents_from_json;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bench::Meter;
use serde_json::{Value, json};
use simtee::hex;
use simtee::nitro::{Aws, Enclave};
use simtee::snp::{Amd, Product};

const NOW: u64 = 1_790_000_000;

/// All that a judgement takes.
struct Question {
    evidence: Evidence,
    documents: Documents,
    policy: Policy,
    anchors: TrustAnchors,
}

impl Question {
    fn new(evidence: Value, documents: Documents, policy: &Value, (vendor, root): (&str, &str)) -> Question {
        let mut anchors = TrustAnchors::default();
        anchors.read_simulated(vendor, root.as_bytes()).unwrap();
        Question {
            evidence: Evidence::from_json(evidence.to_string().as_bytes()).unwrap(),
            documents,
            policy: Policy::from_json(policy.to_string().as_bytes()).unwrap(),
            anchors,
        }
    }

    fn judge(&self) {
        let verdict = appraise(&AppraisalRequest {
            evidence: &self.evidence,
            documents: &self.documents,
            policy: &self.policy,
            anchors: &self.anchors,
            binding: &Binding::Skip,
            now: NOW,
        });
        assert!(verdict.unwrap().trusted);
    }
}

fn measure(name: &str, questions: &[Question]) {
    print!("{name} ");
    let meter = Meter::start();
    questions.iter().for_each(Question::judge);
    meter.finish(questions.len() as u64, 0);
}

fn report_data(n: usize) -> [u8; 64] {
    let mut data = [0; 64];
    data[..8].copy_from_slice(&(n as u64).to_le_bytes());
    data
}

/// A report over other data each time; `chip` says whether it is of another chip each time too.
fn snp(amd: &Amd, count: usize, chip: bool) -> Vec<Question> {
    let list = amd.list(&amd.clean(NOW));
    let known = amd.leaf(&amd.vcek(&amd.report(5, &[0; 64])));
    let policy = json!({
        "type": "snp", "products": ["Genoa"], "measurement": ["5a".repeat(48)], "allow_simulated": true,
        "min_tcb": {"Genoa": {"bootloader": 4, "tee": 2, "snp": 24, "microcode": 219}},
    });
    let question = |n| {
        let mut report = amd.report(5, &report_data(n));
        amd.sign(&mut report);
        let leaf = if chip { amd.leaf(&amd.vcek(&report)) } else { known.clone() };
        let evidence =
            json!({"tee": "snp", "evidence": {"report": STANDARD.encode(report), "leaf": STANDARD.encode(leaf)}});
        let list = json!({"name": "amd/crl/Genoa/vcek", "body": hex(&list), "chain": "", "fetched": 1});
        let bundle = json!({"atls_collateral_bundle": 1, "objects": [list]});
        let documents = documents_from_json(bundle.to_string().as_bytes()).unwrap();
        Question::new(evidence, documents, &policy, ("amd", &amd.roots_pem()))
    };
    (0..count).map(question).collect()
}

fn nitro(aws: &Aws, enclave: &Enclave, n: usize) -> Question {
    let document = enclave.sign(&enclave.document(NOW, &report_data(n)));
    let policy = json!({"type": "nitro", "pcrs": {"0": ["01".repeat(48)]}, "allow_simulated": true});
    let evidence = json!({"tee": "nitro", "evidence": {"document": STANDARD.encode(document)}});
    Question::new(evidence, Documents::none(), &policy, ("aws", &aws.root_pem))
}

fn main() {
    let count: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(300);
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let signature = pair.sign(&SystemRandom::new(), &[7; 672]).unwrap();
    let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, pair.public_key().as_ref());
    print!("p384 ");
    let meter = Meter::start();
    (0..count).for_each(|_| key.verify(&[7; 672], signature.as_ref()).unwrap());
    meter.finish(count as u64, 0);

    let amd = Amd::of(Product::Genoa);
    let (strangers, known) = (snp(amd, count / 4, true), snp(amd, count, false));
    measure("snp-cold", &strangers);
    known[0].judge();
    measure("snp-known", &known[1..]);

    // Each of them is of another AWS: nothing of its chain was seen.
    let strangers: Vec<_> = (0..count / 4).map(|_| Aws::new(3)).collect();
    let strangers: Vec<_> = strangers.iter().map(|aws| nitro(aws, &aws.enclave(NOW - 3, NOW + 10800), 0)).collect();
    measure("nitro-cold", &strangers);
    let aws = Aws::get();
    let enclave = aws.enclave(NOW - 3, NOW + 10800);
    let known: Vec<_> = (0..count).map(|n| nitro(aws, &enclave, n)).collect();
    known[0].judge();
    measure("nitro-known", &known[1..]);
}
