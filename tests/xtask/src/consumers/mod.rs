//! Those who use the installed library, each with a suite of its own that runs against an install tree.

mod c;
mod configure;
mod cpp;
mod go;
mod http2;
mod installed;
mod machine;
pub mod packages;
mod pages;
mod proxy;
mod python;
mod tool;

use std::path::{Path, PathBuf};
use std::process::Stdio;

pub use go::{GO, program as go};

use crate::shell::{Done, command, root, run, step};
use crate::simulator::Simulator;
use crate::{build, peers};

/// Gets the simulator, the servers of others beside it, and the prefix that the library is installed under.
type Suite = fn(&Simulator, &Path) -> Done;

const SUITES: &[(&str, Suite)] = &[
    ("c", c::suite),
    ("configure", configure::suite),
    ("cpp", cpp::suite),
    ("go", go::suite),
    ("http2", http2::suite),
    ("python", python::suite),
    ("pages", pages::suite),
    ("proxy", proxy::suite),
    ("tool", tool::suite),
    ("packages", packages::suite),
];

pub fn run_all(simulator: &Simulator) -> Done {
    let prefix = install()?;
    for (name, suite) in SUITES {
        step(&format!("users of the installed library: {name}"));
        suite(simulator, &prefix)?;
    }
    Ok(())
}

/// One suite alone, with all that it needs.
pub fn run_one(wanted: &str) -> Done {
    let Some((_, suite)) = SUITES.iter().find(|(name, _)| *name == wanted) else {
        let names: Vec<_> = SUITES.iter().map(|(name, _)| *name).collect();
        return Err(format!("no suite is called {wanted}; there are {}", names.join(", ")));
    };
    crate::packages::ensure(crate::packages::TEST)?;
    build::cmake("plain", &[])?;
    let mut simulator = Simulator::start_hostile()?;
    let servers = peers::Servers::start(&simulator)?;
    simulator.peers = Some(servers.file.clone());
    suite(&simulator, &install()?)
}

/// An install tree that was moved: it must work as well as one in its place.
pub fn install() -> Result<PathBuf, String> {
    let prefix = root().join("target/install");
    let _ = std::fs::remove_dir_all(&prefix);
    let mut install = command("cmake");
    install.arg("--install").arg(build::tree("plain")).arg("--prefix").arg(&prefix);
    run(install.stdout(Stdio::null()))?;
    let moved = root().join("target/install-moved");
    let _ = std::fs::remove_dir_all(&moved);
    std::fs::rename(&prefix, &moved).map_err(|error| error.to_string())?;
    Ok(moved)
}
