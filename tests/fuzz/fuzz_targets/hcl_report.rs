//! Reports of Azure's paravisor with the hardware's inside, judged in full: nothing that is made up is trusted.
#![no_main]

#[path = "world/azure.rs"]
mod azure_world;

use atls::attest::azure::{HclReport, ReportType};
use azure_world::{bend, world};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // Whatever it is.
    drop(HclReport::read(data, ReportType::Tdx));
    let world = world();
    let bent = bend(&world.hcl, data);
    let trusted = world.trusts(&bent, &world.message, &world.signature);
    assert!((trusted == Some(true)) == (bent == world.hcl));
});
