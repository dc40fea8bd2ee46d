//! The Debian packages: made by CPack of the release tree, clean under lintian, installed into a fresh Debian 12, used there, and removed without a trace.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::machine::Machine;
use crate::shell::{Done, cargo, command, output, root, run};
use crate::simulator::Simulator;
use crate::{build, packages};

const NEEDED: &[(&str, &str)] =
    &[("lintian", "lintian"), ("debootstrap", "debootstrap"), ("dpkg-shlibdeps", "dpkg-dev")];
const HELLO: &str = "/usr/share/doc/libatls-dev/examples";

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
    c_programs(simulator, &machine)?;
    go_program(simulator, &machine)?;
    tool(simulator, &machine)?;
    println!("removing all");
    machine.purge(&names(&debs))?;
    let left: Vec<_> = machine.files()?.difference(&before).cloned().collect();
    if left.is_empty() { Ok(()) } else { Err(format!("files are left after the packages were purged: {left:?}")) }
}

/// A build tree for Debian's layout, with the library that is already there; CPack makes the packages.
fn make() -> Result<Vec<PathBuf>, String> {
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
fn names(debs: &[PathBuf]) -> Vec<String> {
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

/// An example, linked in the three ways that there are, judges the simulated TEE and gets a page from it.
fn c_programs(simulator: &Simulator, machine: &Machine) -> Done {
    let (port, policy) = (simulator.port("HTTP")?, simulator.file("policy.json"));
    let ways = [
        ("shared", "-o /tmp/get get.c $(pkg-config --cflags --libs atls)"),
        (
            "archive",
            "-o /tmp/get get.c -Wl,-Bstatic $(pkg-config --cflags --libs atls) -Wl,-Bdynamic $(pkg-config --static --libs-only-l atls)",
        ),
        ("static", "-static -o /tmp/get get.c $(pkg-config --static --cflags --libs atls)"),
    ];
    for (way, arguments) in ways {
        println!("C, {way}");
        run(machine.shell(&format!("cd {HELLO} && gcc {arguments}")).stderr(Stdio::null()))?;
        let mut get = machine.command("/tmp/get");
        get.args(["localhost", &port]).arg(&policy).arg("/early");
        if !output(simulator.introduce(&mut get))?.contains("body") {
            return Err(format!("the program linked as {way} printed no body"));
        }
        let mut refused = machine.command("/tmp/get");
        refused.args(["localhost", &port]).arg(simulator.file("wrong-policy.json")).arg("/early");
        if output(simulator.introduce(&mut refused)).is_ok() {
            return Err(format!("the program linked as {way} accepted a server that its policy does not allow"));
        }
    }
    let needed = output(&mut machine.shell("rm /tmp/get; readelf -d /usr/lib/*/libatls.so.0.1"))?;
    if !needed.contains("Library soname: [libatls.so.0.1]") {
        return Err(format!("the installed library has another SONAME:\n{needed}"));
    }
    Ok(())
}

/// Built by the Go of this machine against the files of that one, where it runs.
fn go_program(simulator: &Simulator, machine: &Machine) -> Done {
    println!("Go");
    let libraries = machine.libraries()?;
    let flags = format!("-L{} -latls", libraries.display());
    let mut build = command("go");
    build.current_dir(root().join("tests/consumers/go")).args(["build", "-o"]).arg(machine.path("/tmp/smoke_go"));
    build.arg(".").env("PKG_CONFIG_LIBDIR", libraries.join("pkgconfig")).env("CGO_LDFLAGS", flags);
    build.env("GOFLAGS", "-mod=mod").env("CGO_ENABLED", "1").env("GOCACHE", root().join("target/gocache"));
    run(&mut build)?;
    run(simulator.introduce(&mut machine.command("/tmp/smoke_go")))?;
    std::fs::remove_file(machine.path("/tmp/smoke_go")).map_err(|error| error.to_string())
}

/// The command gets a page under a policy, and nothing under one that the server does not meet.
fn tool(simulator: &Simulator, machine: &Machine) -> Done {
    println!("atls");
    let url = format!("https://localhost:{}/small", simulator.port("HTTP")?);
    let get = |policy: &str| {
        let mut atls = machine.command("atls");
        atls.args(["get", &url, "--cacert"]).arg(simulator.file("web-ca.pem"));
        atls.arg("--test-root")
            .arg(format!("intel={}", simulator.file("root.der").display()))
            .arg("--policy")
            .arg(simulator.file(policy));
        output(simulator.introduce(&mut atls))
    };
    let body = get("policy.json")?;
    if body != "x".repeat(100) {
        return Err(format!("atls get printed {body:?}"));
    }
    match get("wrong-policy.json") {
        Err(why) if why.contains("bootchain") => Ok(()),
        other => Err(format!("atls get under a policy that the server does not meet: {other:?}")),
    }
}
