//! Building the shipped library, the examples and the header.

use std::path::PathBuf;

use crate::shell::{Done, cargo, command, root, run};

/// CMake's build tree; `variant` keeps sanitized builds apart. Cargo's output is shared.
pub fn tree(variant: &str) -> PathBuf {
    root().join("target/cmake").join(variant)
}

/// Configures and builds a tree.
pub fn cmake(variant: &str, options: &[&str]) -> Done {
    let tree = tree(variant);
    let target = format!("-DATLS_CARGO_TARGET_DIR={}", root().join("target").display());
    run(command("cmake")
        .args(["-S", ".", "-B"])
        .arg(&tree)
        .arg(target)
        .arg("-DCMAKE_BUILD_TYPE=RelWithDebInfo")
        .args(options)
        .stdout(std::process::Stdio::null()))?;
    run(command("cmake").arg("--build").arg(&tree).args(["--parallel", "2"]).stdout(std::process::Stdio::null()))
}

pub fn header() -> Done {
    run(cargo().args(["test", "--quiet", "--test", "header"]).env("ATLS_WRITE_HEADER", "1"))
}
