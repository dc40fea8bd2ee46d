//! What judging evidence costs beside the verifiers that others use.
//!
//! peers N: a line for each case, its name and then CPU for a piece of evidence as the other programs of the bench print it. Real evidence is found through
//! ATLS_FIXTURES, else in ../shared/fixtures; without it there are no lines about the verifiers that know no other.
//! `peers once WHAT` judges one piece of real evidence in a process that has seen nothing, which the first form asks for several times.
#![allow(unsafe_code)] // A clock for the peer that knows no other.

mod clock;
mod real;

use std::time::Instant;

use atls::attest::hash::{sha256, sha384};
use bench::Meter;
use bench::families::{Intel, cases, quotes};
use dcap_qvl::config::{Config, CryptoProvider};
use dcap_qvl::verify::QuoteVerifier;
use simtee::collateral::Issue;
use simtee::sgx::Enclave;
use simtee::SimTee;

/// dcap-qvl on the same crypto library.
struct Plain;

impl Config for Plain {
    type X509 = dcap_qvl::x509::X509CertBackend;
    type SigEncoder = dcap_qvl::signature::DerSigEncoder;
    type Crypto = Plain;
}

impl CryptoProvider for Plain {
    fn sig_algo() -> &'static dyn rustls_pki_types::SignatureVerificationAlgorithm {
        webpki::aws_lc_rs::ECDSA_P256_SHA256
    }

    fn sha256(data: &[u8]) -> [u8; 32] {
        sha256(data)
    }

    fn sha384(data: &[u8]) -> [u8; 48] {
        sha384(data)
    }
}

/// How many processes judge a first piece.
const FIRST: usize = 11;

fn measure(name: &str, count: usize, work: impl FnMut(usize)) {
    print!("{name} ");
    let meter = Meter::start();
    (0..count).for_each(work);
    meter.finish(count as u64, 0);
}

/// Wall, because one judgement is shorter than what the clock of CPU time counts: the median of several processes.
fn measure_first(name: &str, what: &str) {
    let sample = |_| {
        let program = std::env::current_exe().unwrap();
        let out = std::process::Command::new(program).args(["once", what]).output().unwrap();
        assert!(out.status.success(), "{what}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim().parse::<f64>().unwrap()
    };
    let mut samples: Vec<_> = (0..FIRST).map(sample).collect();
    samples.sort_by(f64::total_cmp);
    println!("{name} {{\"ops\":1,\"cpu\":{}}}", samples[FIRST / 2]);
}

fn judge_once(name: &str) {
    real::warm_up();
    let job = real::job(name);
    let start = Instant::now();
    job();
    println!("{}", start.elapsed().as_secs_f64());
}

fn with_dcap_qvl(name: &str, of: &Intel, count: usize) {
    let set: dcap_qvl::QuoteCollateralV3 = serde_json::from_str(&of.collateral).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let policy = dcap_qvl::QuotePolicy::claims_only(now);
    measure(name, count, |n| {
        let verifier = QuoteVerifier::<Plain>::new_with_config(of.root.clone());
        verifier.verify_with_policy(&of.quotes[n % of.quotes.len()], &set, now, &policy).unwrap();
    });
}

fn enclave_quotes(tee: &SimTee, count: usize) -> Intel {
    let enclave = Enclave::new();
    let quotes = (0..count).map(|n| enclave.quote(tee, &bench::families::report_data(n))).collect();
    Intel { quotes, collateral: tee.sgx_collateral_json(&Issue::default()), root: tee.root_der.clone() }
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [mode, name] = &arguments[..] {
        assert_eq!(mode, "once", "usage: peers [N] | peers once WHAT");
        return judge_once(name);
    }
    let count: usize = arguments.first().and_then(|n| n.parse().ok()).unwrap_or(200);
    for case in cases(count).filter(|case| ["snp", "nitro", "tdx", "sgx"].contains(&case.name)) {
        measure(&format!("{}-cold", case.name), case.strangers.len(), |n| case.strangers[n].judge());
        case.known[0].judge();
        measure(&format!("{}-known", case.name), case.known.len() - 1, |n| case.known[n + 1].judge());
    }
    let tee = SimTee::new();
    with_dcap_qvl("dcap-qvl", &quotes(&tee, 20), count);
    with_dcap_qvl("dcap-qvl-sgx", &enclave_quotes(&tee, 20), count);
    if !real::is_there() {
        return eprintln!("ATLS_FIXTURES names no folder of real evidence");
    }
    for (name, what) in
        [("sev", "sev"), ("sev-report-alone", "sev-known"), ("nitro-peer", "attestation-doc-validation")]
    {
        let job = real::job(what);
        measure(name, count, |_| job());
    }
    for what in ["snp", "nitro"] {
        measure_first(&format!("{what}-first"), what);
    }
    measure_first("sev-first", "sev");
    measure_first("nitro-peer-first", "attestation-doc-validation");
}
