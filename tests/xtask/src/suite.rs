//! `cargo xtask test`: everything that must hold.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::PathBuf;

use crate::shell::{Done, cargo, command, output, root, run, step};
use crate::simulator::Simulator;
use crate::{build, consumers, demo, docs, h1, packages, peers, server};

pub fn run_all(only: Option<String>) -> Done {
    if let Some(suite) = only {
        return consumers::run_one(&suite);
    }
    packages::ensure(packages::TEST)?;
    step("Rust tests");
    run(cargo().args(["test", "--workspace", "--locked", "--quiet"]))?;
    step("the documents as HTML");
    docs::build()?;
    step("the sans-I/O connection beside h11");
    h1::oracle()?;
    step("the shipped library, examples and C tests");
    build::cmake("plain", &[])?;
    cases()?;
    symbols()?;
    static_libs()?;
    let mut simulator = Simulator::start_hostile()?;
    let servers = peers::Servers::start(&simulator)?;
    simulator.peers = Some(servers.file.clone());
    ctest("plain", &simulator)?;
    step("C tests under ASan and UBSan");
    build::cmake("sanitized", &["-DATLS_SANITIZE=ON"])?;
    ctest("sanitized", &simulator)?;
    step("C tests under valgrind");
    valgrind(&simulator)?;
    step("examples");
    demo::verify_sample()?;
    demo::examples(&simulator)?;
    h1::examples()?;
    server::examples(&simulator)?;
    consumers::run_all(&simulator)
}

fn ctest(variant: &str, simulator: &Simulator) -> Done {
    let mut ctest = command("ctest");
    ctest.arg("--test-dir").arg(build::tree(variant)).args(["--output-on-failure", "--no-tests=error"]);
    run(simulator.introduce(&mut ctest))
}

/// The C test programs of a build tree.
fn programs(variant: &str) -> Result<Vec<PathBuf>, String> {
    let folder = build::tree(variant).join("tests/c");
    let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let is_program = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with("test_") && !name.contains('.') && path.is_file()
    };
    let mut found: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_program).collect();
    found.sort();
    if found.is_empty() { Err(format!("no C tests in {}", folder.display())) } else { Ok(found) }
}

/// What CMake has read in the sources is what the programs say: no case is left out.
fn cases() -> Done {
    let listing = output(command("ctest").arg("--test-dir").arg(build::tree("plain")).arg("-N"))?;
    let registered: BTreeSet<_> = listing.lines().filter_map(|line| line.split_once(": ")?.1.split_once('.')).collect();
    let mut listed = BTreeSet::new();
    let programs = programs("plain")?;
    let cases: Result<Vec<_>, _> = programs.iter().map(|path| output(command(path).arg("--list"))).collect();
    let cases = cases?;
    for (path, cases) in programs.iter().zip(&cases) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        listed.extend(cases.lines().map(|case| (name.trim_start_matches("test_"), case)));
    }
    match registered.symmetric_difference(&listed).next() {
        None => Ok(()),
        Some((program, case)) => Err(format!("ctest and test_{program} do not agree about {program}.{case}")),
    }
}

/// All cases of a program in one process: a process of its own for each would take most of its time to start. Not the test of copies, which valgrind
/// makes in its own way.
fn valgrind(simulator: &Simulator) -> Done {
    for program in programs("plain")?.into_iter().filter(|program| !program.ends_with("test_copies")) {
        println!("valgrind {}", program.file_name().unwrap_or_default().display());
        let mut tool = command("valgrind");
        tool.args([
            "--quiet",
            "--error-exitcode=9",
            "--leak-check=full",
            "--errors-for-leak-kinds=definite",
            "--show-leak-kinds=definite",
        ]);
        tool.arg(format!("--suppressions={}", root().join("tests/c/valgrind.supp").display()));
        // Threads take turns under valgrind; the fair scheduler keeps one from starving the others.
        tool.args(["--child-silent-after-fork=yes", "--fair-sched=try"]).arg(program).env("ATLS_TEST_SLOW", "1");
        run(simulator.introduce(&mut tool))?;
    }
    Ok(())
}

/// The shared library exports what tests/symbols.txt lists, and the header declares each of it.
fn symbols() -> Done {
    let library = root().join("target/release/libatls.so");
    let listing = output(command("nm").args(["-D", "--defined-only"]).arg(library))?;
    let mut exported: Vec<_> = listing.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    exported.sort_unstable();
    let path = root().join("tests/symbols.txt");
    if std::env::var_os("ATLS_WRITE_SYMBOLS").is_some() {
        std::fs::write(&path, exported.join("\n") + "\n").map_err(|error| error.to_string())?;
    }
    let committed = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let committed: Vec<_> = committed.lines().collect();
    if exported != committed {
        return Err(
            "exported symbols differ from tests/symbols.txt (ATLS_WRITE_SYMBOLS=1 cargo xtask test writes it)".into()
        );
    }
    let header = std::fs::read_to_string(root().join("include/atls.h")).map_err(|error| error.to_string())?;
    match exported.iter().find(|symbol| !header.contains(&format!("{symbol}("))) {
        None => Ok(()),
        Some(symbol) => Err(format!("{symbol} is exported, but not in include/atls.h")),
    }
}

/// What a static link needs is what CMakeLists.txt says.
fn static_libs() -> Done {
    let mut rustc = cargo();
    rustc.args(["rustc", "--lib", "--release", "--locked", "--crate-type", "cdylib,staticlib"]);
    let printed = rustc.args(["--", "--print", "native-static-libs"]).output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&printed.stderr).into_owned();
    let found = text.lines().find_map(|line| line.split_once("native-static-libs: "));
    let Some((_, needed)) = found else {
        return Err(format!("rustc printed no native-static-libs:\n{text}"));
    };
    let cmake = std::fs::read_to_string(root().join("CMakeLists.txt")).map_err(|error| error.to_string())?;
    // The C compiler adds the unwinder by itself, in the form that fits.
    match needed.split_whitespace().filter(|lib| *lib != "-lgcc_s").find(|lib| !cmake.contains(*lib)) {
        None => Ok(()),
        Some(lib) => Err(format!("a static link needs {lib}, which ATLS_STATIC_LIBS in CMakeLists.txt lacks")),
    }
}

/// The simulator and the servers, until standard input ends: for running one test by hand.
pub fn serve() -> Done {
    packages::ensure(packages::TEST)?;
    let simulator = Simulator::start_hostile()?;
    let servers = peers::Servers::start(&simulator)?;
    println!("export ATLS_SIM={} ATLS_PEERS={}", simulator.folder.display(), servers.file.display());
    std::io::stdin().read_to_end(&mut Vec::new()).map(drop).map_err(|error| error.to_string())
}
