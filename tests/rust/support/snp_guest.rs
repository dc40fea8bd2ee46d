//! A simulated SEV-SNP guest, told the truth about, with every byte of its report and every field of its certificate free to be bent before it is signed.

use std::sync::OnceLock;

use serde_json::{Value, json};
use simtee::SimTee;
use simtee::exporter::Binder;
use simtee::snp::{Amd, Leaf, Product, REPORT};

use super::offline::{EXPORTER, NONCE};
use super::snp::Question;

pub const NOW: u64 = 1_790_000_000;
pub const PRODUCTS: [Product; 3] = [Product::Milan, Product::Genoa, Product::Turin];

/// The server's certificate.
pub fn server() -> &'static [u8] {
    static SERVER: OnceLock<Vec<u8>> = OnceLock::new();
    SERVER.get_or_init(|| SimTee::new().web_certificate(&["localhost"], -1, 1).0)
}

pub fn binder() -> [u8; 64] {
    binder_of([0, 2])
}

/// What a kind's evidence must hold in the session.
pub fn binder_of(code: [u8; 2]) -> [u8; 64] {
    let binder = Binder {
        role: b'C',
        nonce: NONCE.to_vec(),
        exporter: EXPORTER,
        attester: None,
        verifier: Some(server().to_vec()),
        server_name: "localhost".into(),
    };
    binder.report_data_of(code)
}

/// A guest before its report is signed.
pub struct Machine {
    pub amd: &'static Amd,
    pub report: [u8; REPORT],
}

impl Machine {
    pub fn new(product: Product, version: u8) -> Machine {
        let amd = Amd::of(product);
        Machine { amd, report: amd.report(version, &binder()) }
    }

    pub fn with(mut self, at: usize, bytes: &[u8]) -> Machine {
        self.report[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Signed, with a leaf that fits and `change` has bent.
    pub fn question(&self, change: impl FnOnce(&mut Leaf)) -> Question {
        let mut report = self.report;
        self.amd.sign(&mut report);
        let mut leaf = match report[0x48] >> 2 & 7 {
            1 => self.amd.vlek(&report, PROVIDER),
            _ => self.amd.vcek(&report),
        };
        change(&mut leaf);
        let product = self.amd.product.name();
        let crl = self.amd.list(&self.amd.clean(NOW));
        let key = if report[0x48] >> 2 & 7 == 1 { "vlek" } else { "vcek" };
        Question {
            report: report.to_vec(),
            leaf: Some(self.amd.leaf(&leaf)),
            mr_config: None,
            bundle: Some(vec![(format!("amd/crl/{product}/{key}"), crl)]),
            policy: json!({
                "type": "snp", "products": [product], "measurement": ["5a".repeat(48)],
                "min_tcb": {product: floor(self.amd.product)}, "allow_simulated": true, "min_report_version": 2,
            }),
            vendor: "amd",
            roots: Some(self.amd.roots_pem()),
            session: Some(server().to_vec()),
            client: Vec::new(),
            now: NOW,
        }
    }

    pub fn honest(&self) -> Question {
        self.question(|_| ())
    }

    /// With a revocation list of these bytes.
    pub fn with_list(&self, list: Vec<u8>) -> Question {
        let mut question = self.honest();
        question.bundle.as_mut().unwrap()[0].1 = list;
        question
    }
}

pub const PROVIDER: &str = "CN=cc-example.test";

pub fn floor(product: Product) -> Value {
    match product {
        Product::Turin => json!({"fmc": 1, "bootloader": 3, "tee": 2, "snp": 4, "microcode": 81}),
        _ => json!({"bootloader": 4, "tee": 2, "snp": 24, "microcode": 219}),
    }
}

/// Where a TCB version has its components.
pub fn components(product: Product) -> &'static [(&'static str, usize)] {
    match product {
        Product::Turin => &[("fmc", 0), ("bootloader", 1), ("tee", 2), ("snp", 3), ("microcode", 7)],
        _ => &[("bootloader", 0), ("tee", 1), ("snp", 6), ("microcode", 7)],
    }
}

pub fn with_vlek(mut question: Question) -> Question {
    question.policy["signing_key"] = json!(["vlek"]);
    question.policy["csp_id"] = json!([PROVIDER]);
    question
}
