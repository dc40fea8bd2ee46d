//! The Debian packages: made by CPack of the release tree, clean under lintian, installed into a fresh Debian 12, used there by a program of each language
//! (installed.rs), and removed without a trace. Swift's is run by `cargo xtask swift`: Debian 12 does not have it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::installed;
use super::machine::Machine;
use crate::shell::{Done, cargo, command, output, root, run};
use crate::simulator::Simulator;
use crate::{build, packages};

const NEEDED: &[(&str, &str)] =
    &[("lintian", "lintian"), ("debootstrap", "debootstrap"), ("dpkg-shlibdeps", "dpkg-dev")];

pub fn suite(simulator: &Simulator, _prefix: &Path) -> Done {
    packages::ensure(NEEDED)?;
    notices()?;
    let debs = make()?;
    lint(&debs)?;
    println!("a fresh Debian 12");
    let machine = Machine::fresh()?;
    machine.copy_files(&simulator.folder)?;
    let before = machine.files()?;
    machine.install(&debs)?;
    installed::each_language(simulator, &machine)?;
    println!("removing all");
    machine.purge(&names(&debs))?;
    let left: Vec<_> = machine.files()?.difference(&before).cloned().collect();
    if left.is_empty() { Ok(()) } else { Err(format!("files are left after the packages were purged: {left:?}")) }
}

/// A build tree for Debian's layout, with the library that is already there; CPack makes the packages.
pub fn make() -> Result<Vec<PathBuf>, String> {
    println!("cpack");
    build::cmake("deb", &["-DATLS_DEBIAN=ON", "-DCMAKE_INSTALL_PREFIX=/usr", "-DATLS_BUILD_TESTS=OFF"])?;
    let folder = build::tree("deb");
    for old in debs_in(&folder)? {
        std::fs::remove_file(&old).map_err(|error| format!("{}: {error}", old.display()))?;
    }
    output(command("cpack").current_dir(&folder))?;
    let debs = debs_in(&folder)?;
    let names = names(&debs);
    for wanted in ["libatls0.1", "libatls-dev", "atls-tools"] {
        if !names.iter().any(|name| name == wanted) {
            return Err(format!("cpack made no package {wanted}, but {names:?}"));
        }
    }
    Ok(debs)
}

fn debs_in(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut debs: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    debs.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
    debs.sort();
    Ok(debs)
}

/// The names of packages, which their files begin with.
pub fn names(debs: &[PathBuf]) -> Vec<String> {
    let name = |path: &PathBuf| path.file_name()?.to_str()?.split_once('_').map(|(name, _)| name.to_owned());
    debs.iter().filter_map(name).collect()
}

fn lint(debs: &[PathBuf]) -> Done {
    println!("lintian");
    run(command("lintian").args(["--allow-root", "--fail-on", "error,warning"]).args(debs))
}

/// The notices name each package that is inside the library, in the version that is.
fn notices() -> Done {
    println!("notices of others' work");
    let mut tree = cargo();
    tree.args(["tree", "--locked", "--package", "atls", "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
    let listing = output(&mut tree)?;
    let inside = |line: &str| -> Option<String> {
        let mut words = line.split_whitespace();
        let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
        // A procedural macro runs in the compiler; nothing of it is in the library.
        let is_ours = name == "atls" || line.contains("(proc-macro)");
        (!is_ours).then(|| format!("{name} {version}"))
    };
    let inside: BTreeSet<String> = listing.lines().filter_map(inside).collect();
    let text = |path: &str| std::fs::read_to_string(root().join(path)).map_err(|error| format!("{path}: {error}"));
    let (notices, copyright) = (text("src/packaging/third-party.txt")?, text("src/packaging/debian/copyright")?);
    for package in &inside {
        let is_in_notices = notices.lines().any(|line| line.trim_start().starts_with(&format!("{package} ")));
        if !is_in_notices || !copyright.contains(&format!(" {}/*", package.replace(' ', "-"))) {
            return Err(format!("no notice names {package}; src/packaging/notices.sh writes them"));
        }
    }
    if inside.len() > 50 { Ok(()) } else { Err(format!("cargo tree names only {inside:?}")) }
}
