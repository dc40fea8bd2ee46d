//! `cargo xtask demo`: the main job, on this machine, in one go.

use std::path::PathBuf;

use crate::shell::{Done, cargo, command, output, root, run, step};
use crate::{build, packages};

pub fn run_demo() -> Done {
    packages::ensure(packages::BUILD)?;
    step("building the library and the examples (a few minutes the first time)");
    build::cmake("plain", &[])?;
    step("a real quote, signed by Intel, verified offline");
    verify_sample()
}

/// Judges the TDX quote that the dcap-qvl crate carries as a sample, at a time when its collateral was valid.
pub fn verify_sample() -> Done {
    let sample = sample_folder()?;
    let policy = root().join("target/demo-policy.json");
    let document = r#"{"type":"dstack_tdx","disable_runtime_verification":true,"td":{"attributes":{"mask":"0100000000000000","value":"0000000000000000"}}}"#;
    std::fs::write(&policy, document).map_err(|error| error.to_string())?;
    let mut verify = command(build::tree("plain").join("examples-c/verify"));
    verify.arg(sample.join("tdx_quote")).arg(sample.join("tdx_quote_collateral.json")).arg(&policy);
    println!("verify tdx_quote tdx_quote_collateral.json policy.json 1752919234");
    run(verify.arg("1752919234"))
}

/// Where cargo unpacked the crate's samples.
fn sample_folder() -> Result<PathBuf, String> {
    let metadata = output(cargo().args(["metadata", "--format-version", "1", "--locked"]))?;
    let found = metadata.find("dcap-qvl-0.7.1/Cargo.toml").ok_or("cargo metadata does not name dcap-qvl 0.7.1")?;
    let end = found + "dcap-qvl-0.7.1".len();
    let start = metadata[..end].rfind('"').map_or(0, |quote| quote + 1);
    Ok(PathBuf::from(&metadata[start..end]).join("sample"))
}
