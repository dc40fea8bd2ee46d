//! Programs of others that tests and benchmarks work with: a Python with its packages, in target/peers, and servers.

mod servers;

use std::path::PathBuf;
use std::process::Stdio;

pub use servers::{Servers, free_port};

use crate::packages;
use crate::shell::{Done, command, root, run};

const PACKAGES: [&str; 9] = [
    "h11==0.16.0",
    "httptools==0.9.0",
    "tornado==6.6.1",
    "brotli",
    "zstandard",
    "httpx",
    "aiohttp",
    "websockets",
    "pyopenssl",
];

/// A Python that has the packages; makes it the first time.
pub fn python() -> Result<PathBuf, String> {
    let folder = root().join("target/peers");
    let python = folder.join("bin/python");
    let works = |program: &PathBuf, line: &str| {
        let mut python = command(program);
        python.args(["-c", line]).stdout(Stdio::null()).stderr(Stdio::null());
        python.status().is_ok_and(|status| status.success())
    };
    if works(&python, "import h11, httptools, tornado, brotli, zstandard, httpx, aiohttp, websockets, OpenSSL") {
        return Ok(python);
    }
    if !works(&PathBuf::from("python3"), "import ensurepip, venv") {
        packages::install(&["python3-venv"])?;
    }
    make(&folder, &python)?;
    Ok(python)
}

fn make(folder: &PathBuf, python: &PathBuf) -> Done {
    run(command("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
    run(command(python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES))
}
