//! Each case of expected-families.json, which records what real evidence is, is asked about through `atls_verify` by a test of its family.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Families with the file that asks about each of their cases. A case of the first three is found by its family, one of the others by its evidence.
const ASKED: [(&str, &str); 5] = [
    ("snp", "snp.rs"),
    ("nitro", "nitro.rs"),
    ("nvidia", "nvidia.rs"),
    ("azure_snp_vtpm", "azure.rs"),
    ("azure_tdx_vtpm", "azure.rs"),
];

fn source(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rust").join(file)).unwrap()
}

fn recorded() -> Option<Value> {
    let folder = std::env::var_os("ATLS_FIXTURES")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures"), PathBuf::from);
    let Ok(text) = std::fs::read_to_string(folder.join("expected-families.json")) else {
        assert!(std::env::var_os("CI").is_none(), "no fixtures at {}", folder.display());
        println!("skipped: no fixtures at {}", folder.display());
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

#[test]
fn each_recorded_case_has_a_test() {
    let Some(recorded) = recorded() else { return };
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for case in recorded["cases"].as_array().unwrap() {
        let (name, family) = (case["name"].as_str().unwrap(), case["family"].as_str().unwrap());
        let found = ASKED.iter().find(|(known, _)| *known == family);
        let (_, file) = found.unwrap_or_else(|| panic!("{name}: no test asks about family {family}"));
        let source = source(file);
        let walks = source.contains(&format!("filter(|case| case[\"family\"] == \"{family}\")"));
        let path = case["evidence"].as_str().map(|path| format!("\"{path}\""));
        let sources = [source, self::source("support/azure_real.rs")];
        let names = path.is_some_and(|path| sources.iter().any(|source| source.contains(&path)));
        assert!(walks || names, "{name}: tests/rust/{file} does not ask about it");
        *counts.entry(family).or_default() += 1;
    }
    let counts: Vec<_> = counts.into_iter().collect();
    let expected = [("azure_snp_vtpm", 1), ("azure_tdx_vtpm", 2), ("nitro", 3), ("nvidia", 1), ("snp", 9)];
    assert_eq!(counts, expected, "a case that is new wants its outcome looked at");
}

/// The tests walk over what they find, and ask through the C ABI.
#[test]
fn those_tests_ask_through_the_abi() {
    for (_, file) in ASKED {
        let source = source(file);
        assert!(source.contains("fn outcomes_that_are_recorded()"), "{file}");
    }
    // GPUs are asked about as the enclave beside them, and enclaves as reports of SEV-SNP are.
    for (support, call) in [
        ("snp.rs", "atls_verify("),
        ("azure.rs", "atls_verify("),
        ("nitro.rs", "rest.ask_with("),
        ("nvidia.rs", "rest.ask_beside("),
    ] {
        assert!(source(&format!("support/{support}")).contains(call), "{support}");
    }
}
