//! Certificates of the keys that sign reports of SEV-SNP guests, as they are and near a genuine one: a report is trusted under the genuine one alone.
#![no_main]

#[path = "world/snp.rs"]
#[allow(dead_code)]
mod world;

use atls::attest::snp::Leaf;
use world::{bend, judge, world};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    drop(Leaf::read(data));
    let Some(leaf) = bend(&world().leaf, data) else { return };
    judge(world().report, &leaf, world().list.clone());
});
