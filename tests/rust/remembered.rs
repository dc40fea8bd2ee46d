//! Signatures and chains that were found good are remembered, and lists that a certificate is not on. Evidence that is known to be genuine is refused as any
//! other once a byte of it, a date, a root or a list has changed.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use simtee::nvidia::Nvidia;
use simtee::snp::Product;
use support::azure_machine::{BOTH, Parts, honest, question, tee};
use support::nitro;
use support::nvidia::Composite;
use support::offline::now;
use support::snp_guest::{Machine as Snp, NOW, PRODUCTS};

/// Any bit of the certificate and of the report, after both were found good.
#[test]
fn one_other_bit_of_a_report_or_its_certificate() {
    let honest = Snp::new(Product::Genoa, 5).honest();
    honest.trusted();
    for at in 0..honest.leaf.as_ref().unwrap().len() {
        let mut bent = honest.clone();
        bent.leaf.as_mut().unwrap()[at] ^= 1 << (at % 8);
        assert_ne!(bent.ask().status, "OK", "leaf {at}");
    }
    for at in 0..honest.report.len() {
        let mut bent = honest.clone();
        bent.report[at] ^= 1 << (at % 8);
        assert_ne!(bent.ask().status, "OK", "report {at}");
    }
    let list = &honest.bundle.as_ref().unwrap()[0].1;
    for at in 0..list.len() {
        let mut bent = honest.clone();
        bent.bundle.as_mut().unwrap()[0].1[at] ^= 1 << (at % 8);
        assert_ne!(bent.ask().status, "OK", "list {at}");
    }
    honest.trusted();
}

#[test]
fn dates_count_each_time() {
    for product in PRODUCTS {
        let mut question = Snp::new(product, 5).honest();
        question.trusted();
        question.now += 20 * 365 * 86400;
        question.refused("QUOTE_INVALID", "chain");
        question.now = 1;
        question.refused("QUOTE_INVALID", "chain");
        question.now = NOW;
        question.trusted();
        // A list whose last second is over.
        question.now += 400 * 86400;
        let found = question.ask();
        assert!(["crl", "chain"].contains(&found.check.as_str()), "{found:?}");
    }
    let machine = nitro::Machine::new();
    let mut question = machine.honest();
    question.rest.policy["max_age_s"] = 10800.into();
    question.trusted();
    question.rest.now = NOW + 10801;
    question.refused("QUOTE_INVALID", "chain");
    question.rest.now = NOW - 4;
    question.refused("QUOTE_INVALID", "chain");
    question.rest.now = NOW;
    question.trusted();
}

/// Any bit of a document, whose certificates were all found good.
#[test]
fn one_other_bit_of_a_document() {
    let honest = nitro::Machine::new().honest();
    honest.trusted();
    for at in (0..honest.document.len()).step_by(3) {
        let mut bent = honest.clone();
        bent.document[at] ^= 1 << (at % 8);
        assert_ne!(bent.ask().status, "OK", "{at}");
    }
    honest.trusted();
}

fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()
}

/// Any bit of the certificates of a GPU and of its report, after all were found good.
#[test]
fn one_other_bit_of_a_gpu() {
    let honest = Composite::honest();
    honest.trusted();
    for member in ["certificate", "evidence"] {
        let read = |question: &Composite| {
            let text = question.attached[0]["evidence"][0][member].as_str().unwrap();
            STANDARD.decode(text).unwrap()
        };
        let whole = read(&honest);
        for at in (0..whole.len()).step_by(5) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            // Between certificates, and at the ends of lines, PEM has bytes that say nothing.
            if member == "certificate" && certificates(&bytes) == certificates(&whole) {
                continue;
            }
            let mut bent = honest.clone();
            bent.device(0)[member] = STANDARD.encode(bytes).into();
            assert_ne!(bent.ask().status, "OK", "{member} {at}");
        }
    }
    honest.trusted();
}

#[test]
fn dates_of_a_gpu_count_each_time() {
    let gpu = Nvidia::get().gpu_with("1", |leaf| leaf.holds = Some((NOW - 1, NOW + 1)));
    let short = Composite::with_gpu(&gpu);
    short.trusted();
    let at = |now: u64| {
        let mut question = short.clone();
        question.machine.rest.now = now;
        question
    };
    for outside in [NOW - 2, NOW + 2] {
        at(outside).refused("QUOTE_INVALID", "nvidia[0].chain");
        at(NOW - 1).trusted();
        at(NOW + 1).trusted();
    }
    let other = Composite { root: Some(Nvidia::weak().root_pem.clone()), ..short.clone() };
    other.refused("QUOTE_INVALID", "nvidia[0].chain");
}

/// Of a TPM's key: any bit of its certificates, the seconds around the time in which they hold, the key itself, and whose root it is.
#[test]
fn certificates_of_a_tpm_count_each_time() {
    for hardware in BOTH {
        let (from, until) = (now() - 60, now() + 60);
        let short = |parts: &mut Parts| parts.certificate.dates = (from, until);
        let known = question(hardware, short);
        known.trusted();
        for (number, der) in known.ak.iter().enumerate() {
            for at in (0..der.len()).step_by(7) {
                known.bent("QUOTE_INVALID", "ak_certificate", |bent| bent.ak[number][at] ^= 1 << (at % 8));
            }
        }
        for outside in [from - 1, until + 1] {
            known.bent("QUOTE_INVALID", "ak_certificate", |bent| bent.now = outside);
            known.trusted();
        }
        for inside in [from, until] {
            let mut question = known.clone();
            question.now = inside;
            question.trusted();
        }
        known.bent("QUOTE_INVALID", "ak_certificate", |bent| bent.roots[0].1 = tee().web_ca_pem.clone());
        known.trusted();
        honest(hardware).trusted();
    }
}

/// What members find out together is about the evidence; whether it will do, each says by its own rules.
#[test]
fn members_share_no_leniency() {
    let mut question = Snp::new(Product::Genoa, 3).honest();
    let member = |name: &str, value: Value| {
        let mut member = question.policy.clone();
        member.as_object_mut().unwrap().remove("allow_simulated");
        member[name] = value;
        member
    };
    let lists = [member("crl", "require".into()), member("crl", "off".into())];
    let versions = [member("min_report_version", 4.into()), member("min_report_version", 3.into())];
    let any_of = |members: [&Value; 2]| json!({"any_of": members, "allow_simulated": true});
    let listed = question.bundle.take();
    for ([strict, lax], list, check) in [(&lists, None, "any_of[0].crl"), (&versions, listed, "any_of[0].report")] {
        question.bundle = list;
        question.policy = any_of([strict, lax]);
        assert_eq!(question.trusted().verdict["accepted_member"], 1);
        question.policy = any_of([lax, strict]);
        assert_eq!(question.trusted().verdict["accepted_member"], 0);
        question.policy = any_of([strict, strict]);
        assert_eq!(question.ask().check, check);
    }
}

/// What one root vouches for, another does not.
#[test]
fn roots_count_each_time() {
    let mut question = Snp::new(Product::Milan, 3).honest();
    question.trusted();
    question.roots = Snp::new(Product::Genoa, 3).honest().roots;
    assert_ne!(question.ask().status, "OK");
    let machine = nitro::Machine::new();
    let mut question = machine.honest();
    question.trusted();
    question.rest.roots = Some(simtee::nitro::Aws::new(3).root_pem);
    question.refused("QUOTE_INVALID", "chain");
}
