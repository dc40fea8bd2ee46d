//! What quotes of trust domains and of enclaves have in common: the header, and the signatures under the body.

use std::collections::HashMap;
use std::sync::Mutex;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{EcdsaKeyPair, KeyPair};

use crate::pki::{CPU_SVN, sign};

/// The header and the body, which is what is signed.
pub enum QuoteBody {
    Domain(Vec<u8>),
    Enclave(Vec<u8>),
}

pub fn header(version: u16, tee_type: u32) -> Vec<u8> {
    const QE_VENDOR: [u8; 16] =
        [0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07];
    let mut out = Vec::new();
    out.extend_from_slice(&version.to_le_bytes());
    out.extend_from_slice(&2u16.to_le_bytes());
    out.extend_from_slice(&tee_type.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&QE_VENDOR);
    out.extend_from_slice(&[0; 20]);
    out
}

/// The whole quote. `chain` is PEM, the platform's certificate first.
pub fn sealed(body: QuoteBody, attestation: &EcdsaKeyPair, pck: &EcdsaKeyPair, chain: &str) -> Vec<u8> {
    let (mut quote, qe_product, is_nested) = match body {
        QuoteBody::Domain(signed) => (signed, 2, true),
        QuoteBody::Enclave(signed) => (signed, 1, false),
    };
    let signature = sign(attestation, &quote);
    let public = &attestation.public_key().as_ref()[1..];
    let auth_data = [7u8; 32];
    let qe_report = qe_report(qe_product, digest(&SHA256, &[public, &auth_data].concat()).as_ref());
    let mut inner = qe_report.to_vec();
    inner.extend_from_slice(&qe_signature(pck, &qe_report));
    inner.extend_from_slice(&32u16.to_le_bytes());
    inner.extend_from_slice(&auth_data);
    inner.extend_from_slice(&5u16.to_le_bytes());
    inner.extend_from_slice(&(chain.len() as u32 + 1).to_le_bytes());
    inner.extend_from_slice(chain.as_bytes());
    inner.push(0);
    let mut auth = [&signature[..], public].concat();
    if is_nested {
        auth.extend_from_slice(&6u16.to_le_bytes());
        auth.extend_from_slice(&(inner.len() as u32).to_le_bytes());
    }
    auth.extend_from_slice(&inner);
    quote.extend_from_slice(&(auth.len() as u32).to_le_bytes());
    quote.extend_from_slice(&auth);
    quote
}

/// A quoting enclave is vouched for once, not for each quote; so the same report has the same signature here.
fn qe_signature(pck: &EcdsaKeyPair, report: &[u8; 384]) -> [u8; 64] {
    static KNOWN: Mutex<Option<HashMap<Vec<u8>, [u8; 64]>>> = Mutex::new(None);
    let key = [pck.public_key().as_ref(), report].concat();
    let mut known = KNOWN.lock().expect("known");
    *known.get_or_insert_default().entry(key).or_insert_with(|| sign(pck, report))
}

fn qe_report(product: u16, report_data: &[u8]) -> [u8; 384] {
    let mut report = [0; 384];
    report[..16].copy_from_slice(&CPU_SVN);
    report[48] = 0x11;
    report[64..96].fill(0x44);
    report[128..160].fill(0x55);
    report[256..258].copy_from_slice(&product.to_le_bytes());
    report[258..260].copy_from_slice(&8u16.to_le_bytes());
    report[320..352].copy_from_slice(report_data);
    report
}
