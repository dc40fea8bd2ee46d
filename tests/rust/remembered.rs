//! Signatures that were found good are remembered. Nothing else is: evidence that is known to be genuine is refused as any other once a byte of it, a date or a list has changed.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use simtee::snp::Product;
use support::nitro;
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
