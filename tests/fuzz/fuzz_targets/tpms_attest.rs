//! Quotes of a TPM, judged in full: nothing that is made up is trusted.
#![no_main]

#[path = "world/azure.rs"]
mod azure_world;

use atls::attest::tpm::TpmAttest;
use azure_world::{bend, world};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // Whatever it is.
    drop(TpmAttest::read(data));
    let world = world();
    let genuine = [&world.message[..], &world.signature].concat();
    let bent = bend(&genuine, data);
    let (message, signature) = bent.split_at(world.message.len());
    let trusted = world.trusts(&world.hcl, message, signature);
    assert!((trusted == Some(true)) == (bent == genuine));
});
