//! The certificate of a Turin's key: the layout of which there is no report to try.
//!
//! The evidence is no part of the project: it is found through ATLS_FIXTURES, else at ../shared/fixtures.

use std::path::PathBuf;

use atls::attest::hash::unhex;
use atls::attest::snp::{AMD_ROOTS_DER, Leaf, Product, Roots, SigningKey, Tcb};

fn certificate() -> Option<Vec<u8>> {
    let folder = std::env::var_os("ATLS_FIXTURES")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures"), PathBuf::from);
    let read = std::fs::read(folder.join("snp/virtee/vcek_turin.der"));
    assert!(read.is_ok() || std::env::var_os("CI").is_none(), "no fixtures at {}", folder.display());
    if read.is_err() {
        println!("skipped: no fixtures at {}", folder.display());
    }
    read.ok()
}

#[test]
fn a_certificate_of_a_turin() {
    let Some(der) = certificate() else { return };
    let now = 1_780_000_000;
    let leaf = Leaf::read(&der).unwrap();
    assert_eq!(leaf.issuer, Some((Product::Turin, SigningKey::Vcek)));
    let roots = |product| Roots::of(AMD_ROOTS_DER, product).unwrap();
    let turin = roots(Product::Turin);
    assert_eq!(leaf.leads_to(&turin, SigningKey::Vcek, now), Ok(()));
    assert!(leaf.leads_to(&turin, SigningKey::Vlek, now).is_err());
    assert!(
        [Product::Milan, Product::Genoa]
            .iter()
            .all(|other| leaf.leads_to(&roots(*other), SigningKey::Vcek, now).is_err())
    );
    for (at, holds) in
        [(leaf.not_before - 1, false), (leaf.not_before, true), (leaf.not_after, true), (leaf.not_after + 1, false)]
    {
        assert_eq!(leaf.leads_to(&turin, SigningKey::Vcek, at).is_ok(), holds, "{at}");
    }
    let facts = leaf.facts.as_ref().unwrap();
    assert!(facts.is_of(Product::Turin) && !facts.is_of(Product::Genoa));
    // Its version has a fifth component; that of its microcode stands last.
    assert_eq!(facts.tcb, Tcb::read([0, 0, 0, 0, 0, 0, 0, 9], Product::Turin));
    assert_eq!(facts.tcb.fmc, Some(0));
    // Its chip is known by eight bytes, with nothing behind them.
    let mut chip = [0; 64];
    chip[..8].copy_from_slice(&unhex("1e550a8ee5cf9f4d").unwrap());
    assert!(facts.is_of_chip(&chip, Product::Turin) && !facts.is_of_chip(&chip, Product::Genoa));
    for at in [0, 7, 8, 63] {
        let mut other = chip;
        other[at] ^= 1;
        assert!(!facts.is_of_chip(&other, Product::Turin), "{at}");
    }
    // One bit of any byte that is signed.
    for at in (0..der.len() - 512).step_by(7) {
        let mut bent = der.clone();
        bent[at] ^= 1;
        let holds = Leaf::read(&bent).is_ok_and(|leaf| leaf.leads_to(&turin, SigningKey::Vcek, now).is_ok());
        assert!(!holds, "{at}");
    }
}
