//! The C++ header: by gcc and clang, in each standard and both of its modes, and its tests in tests/cpp plain and under ASan and UBSan.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::packages;
use crate::shell::{Done, command, output, root};
use crate::simulator::Simulator;

const COMPILERS: [&str; 2] = ["g++", "clang++"];
const WARNINGS: [&str; 6] = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"];

pub fn suite(simulator: &Simulator, prefix: &Path) -> Done {
    let folder = root().join("target/consumers/cpp");
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    every_handle(&folder, prefix)?;
    alone(&folder, prefix)?;
    no_macros(&folder, prefix)?;
    sanitizers_of_clang(&folder)?;
    for (name, compiler, standard, sanitize) in [
        ("gcc", "g++", "17", "OFF"),
        ("clang", "clang++", "20", "OFF"),
        ("gcc-sanitized", "g++", "20", "ON"),
        ("clang-sanitized", "clang++", "17", "ON"),
    ] {
        println!("tests/cpp: {name}, C++{standard}");
        let tree = folder.join(name);
        let mut configure = command("cmake");
        configure.args(["-S", "tests/cpp", "-B"]).arg(&tree).arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()));
        configure.arg(format!("-DCMAKE_CXX_COMPILER={compiler}")).arg(format!("-DCMAKE_CXX_STANDARD={standard}"));
        output(configure.arg(format!("-DATLS_SANITIZE={sanitize}")))?;
        output(command("cmake").arg("--build").arg(&tree).args(["--parallel", "2"]))?;
        let mut ctest = command("ctest");
        ctest.arg("--test-dir").arg(&tree).args(["--output-on-failure", "--no-tests=error", "--parallel", "2"]);
        output(simulator.introduce(&mut ctest))?;
        chat(simulator, &tree.join("chat"))?;
    }
    Ok(())
}

/// Each handle of atls.h that has a `_free` is owned by a class, which cannot be copied.
fn every_handle(folder: &Path, prefix: &Path) -> Done {
    let header = std::fs::read_to_string(prefix.join("include/atls.h")).map_err(|error| error.to_string())?;
    let freed = |line: &str| Some(line.strip_prefix("void atls_")?.split_once("_free(")?.0.to_owned());
    let handles: Vec<_> = header.lines().filter_map(freed).collect();
    if handles.len() < 25 {
        return Err(format!("only {} functions of atls.h free something: is its form another?", handles.len()));
    }
    let mut text = String::from("#include <atls.hpp>\n#include <type_traits>\n");
    for name in &handles {
        let _ = writeln!(text, "static_assert(!std::is_copy_constructible_v<atls::handle<atls_{name}>>);");
        let _ = writeln!(
            text,
            "void own_{name}(atls_{name} *it); void own_{name}(atls_{name} *it) {{ atls::handle<atls_{name}> own(it); }}"
        );
    }
    check(folder, prefix, "handles", &text, "g++", &["-std=c++17"])
}

/// The header is whole by itself, without a warning, whichever way it is compiled.
fn alone(folder: &Path, prefix: &Path) -> Done {
    let text = "#include <atls.hpp>\n#include <atls.hpp>\nint main() { return 0; }\n";
    for compiler in COMPILERS {
        for standard in ["-std=c++17", "-std=c++20", "-std=c++2b"] {
            check(folder, prefix, "alone", text, compiler, &[standard])?;
            let results = [standard, "-DATLS_NO_EXCEPTIONS", "-fno-exceptions", "-fno-rtti"];
            check(folder, prefix, "alone", text, compiler, &results)?;
            check(folder, prefix, "alone", text, compiler, &[standard, "-fno-rtti"])?;
        }
        let why = check(folder, prefix, "alone", text, compiler, &["-std=c++17", "-fno-exceptions"]);
        if !why.is_err_and(|why| why.contains("define ATLS_NO_EXCEPTIONS")) {
            return Err(format!("{compiler} -fno-exceptions is not told to define ATLS_NO_EXCEPTIONS"));
        }
    }
    Ok(())
}

/// Of its own macros only include guards are left, and ATLS_NO_EXCEPTIONS is the program's.
fn no_macros(folder: &Path, prefix: &Path) -> Done {
    let macros = |header: &str| -> Result<Vec<String>, String> {
        let file = source(folder, "macros", &format!("#include <{header}>\n"))?;
        let mut compiler = command("g++");
        compiler.arg("-I").arg(prefix.join("include")).args(["-std=c++17", "-dM", "-E"]).arg(file);
        let name = |line: &str| line.strip_prefix("#define ")?.split([' ', '(']).next().map(str::to_owned);
        Ok(output(&mut compiler)?.lines().filter_map(name).filter(|name| name.contains("ATLS")).collect())
    };
    let before = macros("atls.h")?;
    match macros("atls.hpp")?.iter().find(|name| !before.contains(name) && !name.ends_with("_HPP")) {
        None => Ok(()),
        Some(name) => Err(format!("atls.hpp leaves the macro {name}")),
    }
}

fn source(folder: &Path, name: &str, text: &str) -> Result<PathBuf, String> {
    let file = folder.join(format!("{name}.cc"));
    std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(file)
}

/// Compiles a text without making anything of it.
fn check(folder: &Path, prefix: &Path, name: &str, text: &str, compiler: &str, options: &[&str]) -> Done {
    let file = source(folder, name, text)?;
    let mut tool = command(compiler);
    tool.arg("-I").arg(prefix.join("include")).args(WARNINGS).args(options).arg("-fsyntax-only").arg(file);
    output(&mut tool).map(drop)
}

/// Debian has them in a package of their own, which only recommends lead to.
fn sanitizers_of_clang(folder: &Path) -> Done {
    let file = source(folder, "sanitized", "int main() { return 0; }\n")?;
    let links = || {
        let mut tool = command("clang++");
        output(tool.args(["-fsanitize=address,undefined", "-o"]).arg(folder.join("sanitized")).arg(&file)).is_ok()
    };
    if links() {
        return Ok(());
    }
    let version = output(command("clang++").arg("-dumpversion"))?;
    let major = version.split('.').next().unwrap_or_default();
    packages::install(&[&format!("libclang-rt-{major}-dev")])?;
    if links() { Ok(()) } else { Err("clang++ does not link with -fsanitize=address,undefined".into()) }
}

/// The README's lines: the verdict, tokens as they come, and a stop in the middle; nothing for a server that is refused.
fn chat(simulator: &Simulator, program: &Path) -> Done {
    let talk = |port: &str, policy: &str, count: &str| {
        let url = format!("https://localhost:{port}");
        let mut chat = command(program);
        simulator
            .introduce(chat.args([&url, policy, "Is this private?", count]))
            .output()
            .map_err(|error| error.to_string())
    };
    let http = simulator.port("HTTP")?;
    let whole = talk(&http, "policy.json", "100")?;
    let text = String::from_utf8_lossy(&whole.stdout).into_owned();
    if !whole.status.success()
        || !text.contains("pass  report_data\n")
        || !text.contains("private? ")
        || !text.contains("data: [DONE]")
    {
        return Err(format!("chat.cc: {}: {text}", whole.status));
    }
    let stopped = talk(&http, "policy.json", "2")?;
    let tokens = String::from_utf8_lossy(&stopped.stdout).matches("data: ").count();
    if stopped.status.code() != Some(3) || tokens != 2 {
        return Err(format!("chat.cc that stops after two tokens: {}, {tokens} tokens", stopped.status));
    }
    let refused = talk(&http, "wrong-policy.json", "100")?;
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    if refused.status.code() != Some(1) || !refused.stdout.is_empty() || !why.contains("MEASUREMENT_MISMATCH") {
        return Err(format!("chat.cc under a wrong policy: {}: {why}", refused.status));
    }
    Ok(())
}
