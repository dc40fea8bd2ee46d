//! The command `atls` as it is installed: its man pages and completions, and tests/tool but for the proxy, with a Python of their own in target/tool-tests; once more under
//! ASan and UBSan, and under valgrind.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::build;
use crate::packages;
use crate::shell::{Done, command, output, root, run};
use crate::simulator::Simulator;

const PYTEST: &str = "pytest==9.2.0";
const TESTS: [&str; 7] = [
    "test_texts.py",
    "test_measure.py",
    "test_transfer.py",
    "test_bodies.py",
    "test_files.py",
    "test_signals.py",
    "test_offline.py",
];

/// What valgrind and the sanitizers see: each subcommand's way once, and errors.
const ONCE: &str = "test_each_kind or a_guest_of_dstack or stored_evidence or good_evidence or kept_and_used or test_get or test_post_of \
                    or redirects or verbose or refused or usage_errors or invalid or cut or overview \
                    or read_once or fields or early_answer or secret or is_named or not_made or thread_of_the_library";

pub fn suite(simulator: &Simulator, prefix: &Path) -> Done {
    packages::ensure(&[("groff", "groff-base"), ("mandoc", "mandoc"), ("zsh", "zsh"), ("fish", "fish")])?;
    run(&mut cargo_simtee())?;
    let python = packages::python("tool-tests", &[PYTEST])?;
    let program = prefix.join("bin/atls");
    installed(prefix, &program)?;
    println!("tests/tool");
    run(&mut pytest(simulator, &python, &program, &[]))?;
    println!("tests/tool, under ASan and UBSan");
    let sanitized = sanitized(prefix)?;
    let mut tests = pytest(simulator, &python, &sanitized, &["-k", ONCE]);
    // A reference that the library's own threads still hold at the end is no leak of the tool's.
    run(tests.env("ASAN_OPTIONS", "detect_leaks=1").env("UBSAN_OPTIONS", "halt_on_error=1"))?;
    println!("tests/tool, under valgrind");
    let suppressions = root().join("tests/c/valgrind.supp");
    let wrap = format!(
        "valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --show-leak-kinds=definite \
         --fair-sched=try --suppressions={}",
        suppressions.display()
    );
    let few = "a_guest_of_dstack or good_evidence or test_get";
    run(pytest(simulator, &python, &program, &["-k", few]).env("ATLS_WRAP", wrap))
}

fn cargo_simtee() -> Command {
    let mut cargo = crate::shell::cargo();
    cargo.args(["build", "--quiet", "--locked", "--package", "simtee"]);
    cargo
}

/// A page for each command, and the three completions, are where shells and man look for them.
fn installed(prefix: &Path, program: &Path) -> Done {
    let names = output(command(program).arg("--commands"))?;
    let mut files: Vec<_> = names.lines().map(|name| format!("share/man/man1/atls-{name}.1")).collect();
    files.push("share/man/man1/atls.1".into());
    files.push("share/bash-completion/completions/atls".into());
    files.push("share/zsh/vendor-completions/_atls".into());
    files.push("share/fish/vendor_completions.d/atls.fish".into());
    match files.iter().find(|file| !prefix.join(file).is_file()) {
        Some(file) => Err(format!("{file} was not installed")),
        None => Ok(()),
    }
}

fn pytest(simulator: &Simulator, python: &Path, program: &Path, arguments: &[&str]) -> Command {
    let mut tests = command(python);
    tests.current_dir(root().join("tests/tool")).env("PYTHONDONTWRITEBYTECODE", "1");
    tests.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short"]).args(TESTS).args(arguments);
    simulator.introduce(&mut tests);
    tests
        .env("ATLS_TOOL", program)
        .env("ATLS_ROOT", root())
        .env("ATLS_EXAMPLES", build::tree("plain").join("examples-c"))
        .env("ATLS_SIMTEE", root().join("target/debug/simtee"));
    tests
}

fn sanitized(prefix: &Path) -> Result<PathBuf, String> {
    let program = root().join("target/consumers/atls-sanitized");
    let folder = program.parent().ok_or("no folder")?;
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let entries = std::fs::read_dir(root().join("examples-c/atls")).map_err(|error| error.to_string())?;
    let sources =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "c"));
    let mut cc = command("cc");
    cc.args([
        "-std=gnu11",
        "-D_GNU_SOURCE",
        "-g",
        "-O1",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=undefined",
    ]);
    cc.arg("-I").arg(prefix.join("include")).args(sources).arg("-o").arg(&program);
    cc.arg("-L")
        .arg(prefix.join("lib"))
        .args(["-latls", "-lpthread"])
        .arg(format!("-Wl,-rpath,{}", prefix.join("lib").display()));
    run(&mut cc)?;
    Ok(program)
}
