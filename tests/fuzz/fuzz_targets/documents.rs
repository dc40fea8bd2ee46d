//! Every JSON document that comes from outside: policy, evidence, event log, collateral.
#![no_main]

use atls::attest::dstack::event_log::EventLog;
use atls::attest::tdx::TdxEvidence;
use atls::attest::{Policy, dcap};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let [kind, text @ ..] = data else { return };
    match kind % 4 {
        0 => drop(Policy::from_json(text)),
        1 => drop(TdxEvidence::from_json(text)),
        2 => drop(EventLog::parse(&String::from_utf8_lossy(text))),
        _ => drop(dcap::documents::from_json(text)),
    }
});
