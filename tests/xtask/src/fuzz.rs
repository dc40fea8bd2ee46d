//! `cargo xtask fuzz`: every target of tests/fuzz in turn. A crash is a failure, and its input stays in tests/fuzz/artifacts.

use crate::shell::{Done, cargo, output, root, run, step};

pub fn run_all(seconds: Option<String>) -> Done {
    let seconds: u32 = seconds.unwrap_or_else(|| "60".into()).parse().map_err(|_| "SECONDS is a number")?;
    if output(cargo().args(["fuzz", "--version"])).is_err() {
        return Err("cargo-fuzz is missing; run: cargo install cargo-fuzz --locked".into());
    }
    for target in targets()? {
        step(&format!("fuzzing {target} for {seconds} s"));
        let mut fuzz = cargo();
        fuzz.args(["+nightly", "fuzz", "run", "--fuzz-dir", "tests/fuzz", &target, "--"]);
        run(fuzz.arg(format!("-max_total_time={seconds}")).args(["-max_len=4096", "-print_final_stats=1"]))?;
    }
    Ok(())
}

/// The targets that the manifest names, in its order.
fn targets() -> Result<Vec<String>, String> {
    let manifest = std::fs::read_to_string(root().join("tests/fuzz/Cargo.toml")).map_err(|error| error.to_string())?;
    let paths = manifest.lines().filter_map(|line| line.strip_prefix("path = \"fuzz_targets/")?.strip_suffix(".rs\""));
    Ok(paths.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing else reads this manifest: it is not of the workspace.
    #[test]
    fn the_manifest_names_each_target_once() {
        let manifest = std::fs::read_to_string(root().join("tests/fuzz/Cargo.toml")).unwrap();
        let mut named = targets().unwrap();
        named.sort();
        let entries = std::fs::read_dir(root().join("tests/fuzz/fuzz_targets")).unwrap().flatten();
        let mut files: Vec<String> =
            entries.filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned)).collect();
        files.sort();
        assert_eq!(named, files);
        let sections: Vec<&str> = manifest.split("[[bin]]").skip(1).collect();
        assert_eq!(sections.len(), named.len());
        for section in sections {
            assert_eq!(section.lines().filter(|line| line.contains('=')).count(), 5, "{section}");
        }
    }
}
