//! The smallest real users of the library: CMake from the build tree, the install tree and as a subdirectory, pkg-config, C++ and cgo.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::build;
use crate::shell::{Done, command, output, root, run};
use crate::simulator::Simulator;

pub fn suite(simulator: &Simulator, prefix: &Path) -> Done {
    let source = root().join("tests/consumers/cmake");
    let build_tree = format!("-Datls_DIR={}", build::tree("plain").join("cmake").display());
    let install_tree = format!("-DCMAKE_PREFIX_PATH={}", prefix.display());
    let cargo_target = format!("-DATLS_CARGO_TARGET_DIR={}", root().join("target").display());
    let subdirectory = format!("-DATLS_SOURCE={}", root().display());
    cmake(simulator, &source, "build-tree", &[&build_tree])?;
    cmake(simulator, &source, "install-tree", &[&install_tree])?;
    cmake(simulator, &source, "subdirectory", &[&subdirectory, &cargo_target])?;
    let wrong_version = cmake(simulator, &source, "wrong-version", &[&install_tree, "-DATLS_WANTED=9.0"]);
    if wrong_version.is_ok() {
        return Err("find_package accepted a version that is not there".into());
    }
    cmake(simulator, &root().join("examples-c"), "examples", &[&install_tree])?;
    pkg_config(simulator, prefix)?;
    module_map(prefix)?;
    documents(prefix)?;
    go(simulator, prefix)
}

fn cmake(simulator: &Simulator, source: &Path, name: &str, options: &[&str]) -> Done {
    println!("cmake consumer: {name}");
    let tree = root().join("target/consumers").join(name);
    let _ = std::fs::remove_dir_all(&tree);
    output(command("cmake").arg("-S").arg(source).arg("-B").arg(&tree).args(options))?;
    output(command("cmake").arg("--build").arg(&tree).args(["--parallel", "2"]))?;
    for program in ["smoke_shared", "smoke_static", "smoke_cpp"] {
        let path = tree.join(program);
        if path.exists() {
            run(simulator.introduce(&mut command(path)))?;
        } else if source.ends_with("cmake") {
            return Err(format!("{} was not built", path.display()));
        }
    }
    Ok(())
}

fn pkg_config(simulator: &Simulator, prefix: &Path) -> Done {
    println!("pkg-config consumer");
    let source = root().join("tests/consumers/cmake/smoke.c");
    let program = root().join("target/consumers/smoke_pkg_config");
    let flags = |extra: &[&str]| -> Result<Vec<String>, String> {
        let mut tool = command("pkg-config");
        tool.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).args(["--cflags", "--libs"]).args(extra).arg("atls");
        Ok(output(&mut tool)?.split_whitespace().map(str::to_owned).collect())
    };
    run(command("cc").arg(&source).arg("-o").arg(&program).args(flags(&[])?))?;
    let mut smoke = command(&program);
    smoke.env("LD_LIBRARY_PATH", prefix.join("lib"));
    run(simulator.introduce(&mut smoke))?;
    let archive = prefix.join("lib/libatls.a");
    let private: Vec<_> = flags(&["--static"])?.into_iter().filter(|flag| flag != "-latls").collect();
    run(command("cc").arg(&source).arg("-o").arg(&program).arg(archive).args(private))?;
    run(simulator.introduce(&mut command(&program)))?;
    // glibc warns that it still needs the system's libraries for names.
    run(command("cc")
        .arg("-static")
        .arg(&source)
        .arg("-o")
        .arg(&program)
        .args(flags(&["--static"])?)
        .stderr(Stdio::null()))?;
    run(simulator.introduce(&mut command(&program)))
}

/// clang reads the header as a module.
fn module_map(prefix: &Path) -> Done {
    println!("module map");
    let mut pkg_config = command("pkg-config");
    pkg_config.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).args(["--variable=modulemap", "atls"]);
    let map = output(&mut pkg_config)?;
    let source = root().join("target/consumers/module.m");
    let text = "@import CATLS;\nint main(void) { atls_policy_free((atls_policy *)0); return ATLS_OK; }\n";
    std::fs::write(&source, text).map_err(|error| format!("{}: {error}", source.display()))?;
    let mut clang = command("clang");
    clang.args(["-fsyntax-only", "-Werror", "-fmodules"]).arg(format!("-fmodule-map-file={}", map.trim()));
    clang.arg(format!("-fmodules-cache-path={}", root().join("target/consumers/modules").display()));
    run(clang.arg(&source))
}

fn documents(prefix: &Path) -> Done {
    for name in ["LICENSE", "third-party.txt", "README.md", "CHANGELOG.md", "examples/get.c", "examples/CMakeLists.txt"]
    {
        let path = prefix.join("share/doc/atls").join(name);
        if std::fs::metadata(&path).map_or(true, |file| file.len() == 0) {
            return Err(format!("{} is not installed", path.display()));
        }
    }
    Ok(())
}

fn go(simulator: &Simulator, prefix: &Path) -> Done {
    println!("cgo consumer");
    let program = root().join("target/consumers/smoke_go");
    let mut build = Command::new("go");
    build.current_dir(root().join("tests/consumers/go")).args(["build", "-o"]).arg(&program).arg(".");
    build.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).env("GOFLAGS", "-mod=mod").env("CGO_ENABLED", "1");
    run(build.env("GOCACHE", root().join("target/gocache")))?;
    let mut smoke = command(&program);
    smoke.env("LD_LIBRARY_PATH", prefix.join("lib"));
    run(simulator.introduce(&mut smoke))
}
