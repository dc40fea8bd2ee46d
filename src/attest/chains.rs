//! Certificate chains that were found to lead to a root, with what was found out on the way: by every byte of every certificate, and within the dates of all
//! of them. Any other byte, and any other time, is looked at anew. Revocation is no part of it. Pure, but for the memories.

use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::remembering::{Memory, fingerprint};

/// Most chains of one family.
const CHAINS: usize = 512;

/// The chains of one family. `T` is what a walk finds out.
#[derive(Debug)]
pub struct Chains<T>(Memory<(T, Dates), CHAINS>);

impl<T: Clone> Chains<T> {
    pub const fn new() -> Chains<T> {
        Chains(Memory::new())
    }

    /// What `walk` finds out at `now`, or has found out before. `certificates` (DER) are all that it reads, the root among them; `beside` is everything else
    /// that its answer depends on, in as many parts each time.
    pub fn find<const N: usize>(
        &self,
        certificates: &[&[u8]],
        beside: [&[u8]; N],
        now: u64,
        walk: impl FnOnce() -> Result<T, String>,
    ) -> Result<T, String> {
        let key = fingerprint(&[&beside, certificates].concat());
        if let Some((found, _)) = self.0.get(&key).filter(|(_, dates)| dates.include(now)) {
            return Ok(found);
        }
        let found = walk()?;
        if let Some(dates) = Dates::of(certificates) {
            self.0.remember(key, (found.clone(), dates));
        }
        Ok(found)
    }
}

/// Unix seconds: the first and the last at which certificates hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dates {
    pub from: u64,
    pub until: u64,
}

impl Dates {
    /// Those of all certificates (DER) together. `None` if one cannot be read.
    pub fn of(certificates: &[&[u8]]) -> Option<Dates> {
        let mut dates = Dates { from: 0, until: u64::MAX };
        for der in certificates {
            let read = Certificate::from_der(der).ok()?;
            let validity = read.tbs_certificate().validity();
            dates.from = dates.from.max(validity.not_before.to_unix_duration().as_secs());
            dates.until = dates.until.min(validity.not_after.to_unix_duration().as_secs());
        }
        Some(dates)
    }

    pub fn include(&self, now: u64) -> bool {
        (self.from..=self.until).contains(&now)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use simtee::SimTee;

    use super::*;

    const FROM: u64 = 1_700_000_000;
    const TO: u64 = FROM + 1000;

    fn certificates() -> [Vec<u8>; 2] {
        let tee = SimTee::new();
        let (leaf, _) = tee.certificate_with((FROM, 1000), |_| Vec::new());
        let (shorter, _) = tee.certificate_with((FROM + 10, 100), |_| Vec::new());
        [leaf, shorter]
    }

    #[test]
    fn the_dates_of_all_certificates_bound_what_is_known() {
        let [one, other] = certificates();
        assert_eq!(Dates::of(&[&one]), Some(Dates { from: FROM, until: TO }));
        assert_eq!(Dates::of(&[&one, &other]), Some(Dates { from: FROM + 10, until: FROM + 110 }));
        assert_eq!(Dates::of(&[&one, b"no certificate"]), None);
        let (chains, walks) = (Chains::new(), Cell::new(0));
        let walk = |now, is_good: bool| {
            chains.find(&[&one, &other], [], now, || {
                walks.set(walks.get() + 1);
                if is_good { Ok(walks.get()) } else { Err("no".to_owned()) }
            })
        };
        // What is bad is not remembered.
        assert_eq!((walk(FROM + 10, false), walk(FROM + 10, false)), (Err("no".into()), Err("no".into())));
        assert_eq!((walk(FROM + 10, true), walk(FROM + 10, false), walk(FROM + 110, false)), (Ok(3), Ok(3), Ok(3)));
        for outside in [0, FROM + 9, FROM + 111, u64::MAX] {
            assert_eq!(walk(outside, false), Err("no".into()), "{outside}");
        }
    }

    #[test]
    fn any_other_byte_is_another_chain() {
        let [one, other] = certificates();
        let chains = Chains::new();
        let known = |one: &[u8], other: &[u8], beside: &[u8]| {
            chains.find(&[one, other], [beside], FROM + 10, || Err("walked".to_owned())) == Ok(())
        };
        assert!(!known(&one, &other, b"key"));
        chains.find(&[&one, &other], [b"key"], FROM + 10, || Ok(())).unwrap();
        assert!(known(&one, &other, b"key"));
        assert!(!known(&one, &other, b"kez") && !known(&other, &one, b"key") && !known(&one, &other, b""));
        for at in 0..one.len() {
            let mut bent = one.clone();
            bent[at] ^= 1;
            assert!(!known(&bent, &other, b"key"), "{at}");
        }
        for at in 0..other.len() {
            let mut bent = other.clone();
            bent[at] ^= 0x80;
            assert!(!known(&one, &bent, b"key"), "{at}");
        }
    }

    #[test]
    fn a_chain_whose_dates_cannot_be_read_is_walked_each_time() {
        let (chains, walks) = (Chains::new(), Cell::new(0));
        for _ in 0..3 {
            let walk = || {
                walks.set(walks.get() + 1);
                Ok(())
            };
            chains.find(&[b"0"], [], FROM, walk).unwrap();
        }
        assert_eq!(walks.get(), 3);
    }
}
