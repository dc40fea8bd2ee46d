//! AMD's revocation lists, as they are and near a genuine one: a report is trusted beside the genuine one alone.
#![no_main]

#[path = "world/snp.rs"]
#[allow(dead_code)]
mod world;

use atls::attest::snp::{Crl, CrlDates};
use world::{bend, judge, world};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    drop(CrlDates::read(data));
    drop(Crl::read(data, &world().ark));
    let Some(list) = bend(&world().list, data) else { return };
    judge(world().report, &world().leaf, list);
});
