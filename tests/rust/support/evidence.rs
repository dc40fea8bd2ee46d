//! The folder of real evidence, which is no part of the project: it is found through ATLS_FIXTURES, else at ../shared/fixtures.

use std::path::PathBuf;

use atls::attest::{Documents, dcap};
use serde_json::Value;

/// The folder, if it is there.
pub fn folder() -> Option<PathBuf> {
    let path = std::env::var_os("ATLS_FIXTURES")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures"), PathBuf::from);
    if path.join("expected-families.json").exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "no fixtures at {}", path.display());
    println!("skipped: no fixtures at {}", path.display());
    None
}

pub fn read(path: &str) -> Vec<u8> {
    std::fs::read(folder().unwrap().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The YAML fixture is a flat map of plain, quoted and block scalars; that much is read here.
pub fn yaml_to_json(text: &str) -> Value {
    let mut map = serde_json::Map::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        let mut text: String = serde_json::from_str(value).unwrap_or_default();
        if value.starts_with(['|', '>']) {
            let end = if value.starts_with('|') { "\n" } else { "" };
            while let Some(block) = lines.next_if(|next| next.starts_with("  ") || next.is_empty()) {
                text.push_str(block.trim_start());
                text.push_str(end);
            }
        }
        map.insert(key.into(), text.into());
    }
    Value::Object(map)
}

/// Documents of the vendor, in JSON or YAML.
pub fn collateral(path: &str) -> Documents {
    let bytes = read(path);
    if path.ends_with(".yaml") {
        let value = yaml_to_json(std::str::from_utf8(&bytes).unwrap());
        return dcap::documents::from_json(value.to_string().as_bytes()).unwrap();
    }
    dcap::documents::from_json(&bytes).unwrap()
}
