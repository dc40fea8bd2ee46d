//! `cargo xtask fuzz`: every target of tests/fuzz in turn. A crash is a failure, and its input stays in tests/fuzz/artifacts.

use crate::shell::{Done, cargo, output, root, run, step};

pub fn run_all(seconds: Option<String>) -> Done {
    let seconds: u32 = seconds.unwrap_or_else(|| "60".into()).parse().map_err(|_| "SECONDS is a number")?;
    if output(cargo().args(["fuzz", "--version"])).is_err() {
        return Err("cargo-fuzz is missing; run: cargo install cargo-fuzz --locked".into());
    }
    let manifest = std::fs::read_to_string(root().join("tests/fuzz/Cargo.toml")).map_err(|error| error.to_string())?;
    for target in manifest.lines().filter_map(|line| line.strip_prefix("path = \"fuzz_targets/")?.strip_suffix(".rs\""))
    {
        step(&format!("fuzzing {target} for {seconds} s"));
        let mut fuzz = cargo();
        fuzz.args(["+nightly", "fuzz", "run", "--fuzz-dir", "tests/fuzz", target, "--"]);
        run(fuzz.arg(format!("-max_total_time={seconds}")).args(["-max_len=4096", "-print_final_stats=1"]))?;
    }
    Ok(())
}
