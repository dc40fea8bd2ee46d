//! Boot logs: whatever they are, they are read or refused; and one that has other digests than the guest's never leads to its registers.
#![no_main]

use std::sync::OnceLock;

use atls::attest::ccel::BootLog;
use simtee::ccel::Log;

/// The input is XORed over a true log, so that mutations are near what is valid.
static TRUE: OnceLock<(Vec<u8>, BootLog)> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    drop(BootLog::parse(data));
    let (raw, whole) = TRUE.get_or_init(|| {
        let mut log = Log::booted();
        log.padding.truncate(64);
        (log.bytes(), BootLog::parse(&log.bytes()).unwrap())
    });
    let [low, high, edits @ ..] = data else { return };
    let mut bent = raw.clone();
    let at = usize::from(u16::from_le_bytes([*low, *high])) % bent.len();
    bent[at..].iter_mut().zip(edits).for_each(|(byte, edit)| *byte ^= edit);
    let Ok(read) = BootLog::parse(&bent) else { return };
    let same = (0..4).all(|register| read.replayed(register) == whole.replayed(register));
    assert_eq!(same, read == *whole);
});
