//! System packages that the chores need, installed where we may and named where we may not.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::shell::{Done, output, run};

/// A program and the Debian package that has it.
pub const BUILD: &[(&str, &str)] = &[("cmake", "cmake"), ("make", "make"), ("cc", "gcc")];
pub const DOCS: &[(&str, &str)] = &[("doxygen", "doxygen")];
pub const TEST: &[(&str, &str)] = &[
    ("cmake", "cmake"),
    ("make", "make"),
    ("cc", "gcc"),
    ("c++", "g++"),
    ("pkg-config", "pkg-config"),
    ("swtpm", "swtpm"),
    ("valgrind", "valgrind"),
    ("nm", "binutils"),
    ("go", "golang-go"),
    ("openssl", "openssl"),
    ("curl", "curl"),
    ("python3", "python3"),
    ("tinyproxy", "tinyproxy-bin"),
    ("nginx", "nginx-light"),
    ("squid", "squid"),
    ("microsocks", "microsocks"),
    ("doxygen", "doxygen"),
    ("clang", "clang"),
];

pub fn ensure(wanted: &[(&str, &str)]) -> Done {
    let missing: Vec<_> = wanted.iter().filter(|(program, _)| !found(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    install(&missing)
}

/// Installs Debian packages, or says which are missing.
pub fn install(missing: &[&str]) -> Done {
    let list = missing.join(" ");
    let am_root = output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !am_root || !found("apt-get") {
        return Err(format!("missing programs; run: sudo apt-get install {list}"));
    }
    println!("installing {list}");
    run(Command::new("apt-get").args(["update", "-q"]).stdout(Stdio::null()))?;
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "-q", "--no-install-recommends"]).args(missing);
    run(install.env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null()))
}

fn found(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Servers are where not everybody's path leads.
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.into_iter().any(|folder| folder.join(program).is_file())
}
