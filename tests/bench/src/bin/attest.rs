//! Quote verification: dcap-qvl alone against the library's, for a platform seen for the first time and for a known one.
//!
//! attest N: prints one JSON line per case, CPU per verification in microseconds.

use std::sync::Arc;

use atls::attest::{dcap, tdx};
use bench::Meter;
use dcap_qvl::config::{Config, CryptoProvider};
use dcap_qvl::verify::QuoteVerifier;
use simtee::collateral::Issue;
use simtee::{Guest, SimTee};

/// dcap-qvl on the same crypto library, without a memory.
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
        atls::attest::hash::sha256(data)
    }

    fn sha384(data: &[u8]) -> [u8; 48] {
        atls::attest::hash::sha384(data)
    }
}

fn main() {
    let count: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(300);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let guest = Guest::booted(1);
    let world = |tee: &SimTee| {
        let text = tee.collateral_json(&Issue::default());
        let quotes: Vec<_> = (0..4u8).map(|n| guest.quote(tee, &[n; 64])).collect();
        (text, quotes, tee.root_der.clone())
    };
    let tee = Arc::new(SimTee::new());
    let (text, quotes, root) = world(&tee);
    let set: dcap_qvl::QuoteCollateralV3 = serde_json::from_str(&text).unwrap();
    let policy = dcap_qvl::QuotePolicy::claims_only(now);
    print!("dcap-qvl ");
    let meter = Meter::start();
    for n in 0..count {
        let verifier = QuoteVerifier::<Plain>::new_with_config(root.clone());
        verifier.verify_with_policy(&quotes[n % quotes.len()], &set, now, &policy).unwrap();
    }
    meter.finish(count as u64, 0);

    // Each platform is met once: nothing is remembered of it.
    let strangers: Vec<_> = (0..count / 4).map(|_| world(&SimTee::new())).collect();
    let parsed: Vec<_> =
        strangers.iter().map(|(text, _, _)| dcap::documents::from_json(text.as_bytes()).unwrap()).collect();
    print!("cold ");
    let meter = Meter::start();
    for ((_, quotes, root), collateral) in strangers.iter().zip(&parsed) {
        tdx::verify_quote(&quotes[0], (collateral, "standard"), root, now).unwrap();
    }
    meter.finish(strangers.len() as u64, 0);

    // A known platform: each quote is new, all else was seen.
    let another = |n: usize| {
        let mut report = [0; 64];
        report[..8].copy_from_slice(&(n as u64 + 99).to_le_bytes());
        guest.quote(&tee, &report)
    };
    let fresh: Vec<_> = (0..count).map(another).collect();
    let collateral = dcap::documents::from_json(text.as_bytes()).unwrap();
    tdx::verify_quote(&quotes[0], (&collateral, "standard"), &root, now).unwrap();
    print!("known ");
    let meter = Meter::start();
    for quote in &fresh {
        tdx::verify_quote(quote, (&collateral, "standard"), &root, now).unwrap();
    }
    meter.finish(fresh.len() as u64, 0);
}
