//! Who is to blame for a refusal: the evidence, one of the vendor's documents, or the platform. Each by the kind of what was wrong.

mod support;

use simtee::{Guest, SimTee};
use support::offline::honest;

#[test]
fn nobody_where_all_holds() {
    let tee = SimTee::new();
    assert_eq!(honest(&tee, &Guest::booted(1)).trusted().check, "");
}
