//! System packages that the chores need, installed where we may and named where we may not.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::shell::{Done, command, output, root, run};

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
    ("h2load", "nghttp2-client"),
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

/// The Python of a folder of target/ that has these packages, each with its version; makes it if it is not there or has others.
pub fn python(folder: &str, wanted: &[&str]) -> Result<PathBuf, String> {
    let folder = root().join("target").join(folder);
    let (python, list) = (folder.join("bin/python"), folder.join("packages"));
    let wanted_text = wanted.join("\n");
    if std::fs::read_to_string(&list).is_ok_and(|there| there == wanted_text) && python.exists() {
        return Ok(python);
    }
    let mut venv = command("python3");
    venv.args(["-c", "import ensurepip, venv"]).stdout(Stdio::null()).stderr(Stdio::null());
    if !venv.status().is_ok_and(|status| status.success()) {
        install(&["python3-venv"])?;
    }
    run(command("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    run(command(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(wanted))?;
    std::fs::write(&list, wanted_text).map_err(|error| format!("{}: {error}", list.display()))?;
    Ok(python)
}

fn found(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Servers are where not everybody's path leads.
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.into_iter().any(|folder| folder.join(program).is_file())
}
