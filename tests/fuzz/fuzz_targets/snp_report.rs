//! Reports of SEV-SNP guests and dstack's configuration documents, judged in full against a simulated AMD: nothing that is made up is trusted.
#![no_main]

#[path = "world/snp.rs"]
#[allow(dead_code)]
mod world;

use atls::attest::dstack::config_document::ConfigDocument;
use atls::attest::snp::Report;
use world::{bend, judge, world};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    drop(ConfigDocument::parse(&String::from_utf8_lossy(data)));
    let Some(report) = bend(&world().report, data).and_then(|report| report.try_into().ok()) else { return };
    drop(Report::read(&report));
    judge(report, &world().leaf, world().list.clone());
});
