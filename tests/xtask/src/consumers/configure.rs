//! What CMake refuses: no Rust, an old one, a compiler that cannot link, and every way to a library for the wrong machine. Nothing is built here.

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::shell::{Done, command, root};
use crate::simulator::Simulator;

pub fn suite(_simulator: &Simulator, prefix: &Path) -> Done {
    let folder = root().join("target/consumers/configure");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    compilers(&folder)?;
    machines(&folder)?;
    checked_after_the_build(&folder, prefix)
}

fn compilers(folder: &Path) -> Done {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).map_err(|error| error.to_string())?;
    let minimum = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")?.strip_suffix('"'));
    let minimum = minimum.ok_or("Cargo.toml has no rust-version")?;
    let readme = std::fs::read_to_string(root().join("README.md")).map_err(|error| error.to_string())?;
    if !readme.contains(&format!("Rust {minimum}")) {
        return Err(format!("README.md does not say that Rust {minimum} is needed"));
    }
    let old =
        script(folder, "old-rustc", "printf 'rustc 1.63.0\\nhost: x86_64-unknown-linux-gnu\\nrelease: 1.63.0\\n'")?;
    let said = refused(folder, &[], &[("RUSTC", &old)])?;
    holds(&said, &["Rust 1.63.0", &format!("Rust {minimum} or newer is needed")])?;
    let nowhere = ["-DCMAKE_FIND_USE_SYSTEM_ENVIRONMENT_PATH=OFF", "-DCMAKE_FIND_USE_CMAKE_SYSTEM_PATH=OFF"];
    let options = [nowhere[0], nowhere[1], "-DCMAKE_MAKE_PROGRAM=make"];
    let said = refused(folder, &options, &[("HOME", folder), ("CC", Path::new("/usr/bin/cc"))])?;
    holds(&said, &["cargo was not found", minimum])?;
    let bare = script(folder, "bare-cc", "echo 'ld: cannot find Scrt1.o' >&2; exit 1")?;
    let said = refused(folder, &[], &[("CC", &bare)])?;
    holds(&said, &["cannot make a program", "cannot find Scrt1.o", "apt-get install gcc libc6-dev"])
}

fn machines(folder: &Path) -> Done {
    let toolchain = |name: &str, processor: &str| -> Result<String, String> {
        let path = folder.join(name);
        let mut text = String::from("set(CMAKE_SYSTEM_NAME Linux)\nset(CMAKE_C_COMPILER cc)\n");
        let _ = writeln!(text, "set(CMAKE_SYSTEM_PROCESSOR {processor})");
        std::fs::write(&path, text).map_err(|error| error.to_string())?;
        Ok(format!("-DCMAKE_TOOLCHAIN_FILE={}", path.display()))
    };
    // The toolchain file names another processor than its compiler builds for.
    let other = if cfg!(target_arch = "aarch64") { "x86_64" } else { "aarch64" };
    let said = refused(folder, &[&toolchain("other.cmake", other)?], &[])?;
    holds(&said, &[&format!("CMAKE_SYSTEM_PROCESSOR is '{other}', but cargo would build for")])?;
    // Cargo's target is named, and is not what the C compiler builds for.
    let said = refused(folder, &[&format!("-DATLS_CARGO_TARGET={other}-unknown-linux-gnu")], &[])?;
    holds(&said, &["CMAKE_SYSTEM_PROCESSOR is", &format!("cargo would build for {other}-unknown-linux-gnu")])?;
    let said = refused(folder, &["-DATLS_CARGO_TARGET=i686-unknown-linux-gnu"], &[])?;
    holds(&said, &["pointers of 32 bits", "of 64"])?;
    // A machine that no rustc knows by this name, and one that this rustc has no library for.
    let said = refused(folder, &["-DATLS_CARGO_TARGET=pdp11-unknown-linux-gnu"], &[])?;
    holds(&said, &["pdp11-unknown-linux-gnu"])?;
    if cfg!(target_arch = "x86_64") {
        let said = refused(folder, &["-DATLS_CARGO_TARGET=x86_64-unknown-l4re-uclibc"], &[])?;
        holds(&said, &["has no standard library for", "rustup target add", "libstd-rust-web-dev"])?;
    }
    let said = refused(folder, &["-DATLS_RUSTFLAGS=-Cdebuginfo=1"], &[("RUSTFLAGS", Path::new("-g"))])?;
    holds(&said, &["RUSTFLAGS in the environment", "Set ATLS_RUSTFLAGS instead"])
}

/// A library for another machine does not get past the build, whatever cargo was told by others.
fn checked_after_the_build(folder: &Path, prefix: &Path) -> Done {
    println!("a library for another machine");
    let library = prefix.join("lib/libatls.so.0.1");
    let check = |path: &Path| {
        let mut check = command("cmake");
        check.arg(format!("-DLIBRARY={}", path.display())).arg("-DSAMPLE=/bin/sh");
        check
            .arg("-P")
            .arg(root().join("src/packaging/check-machine.cmake"))
            .output()
            .map_err(|error| error.to_string())
    };
    let own = check(&library)?;
    if !own.status.success() {
        return Err(format!("the library for this machine is refused: {}", String::from_utf8_lossy(&own.stderr)));
    }
    // The machine's number in the head of the file: 243 is RISC-V.
    let other = folder.join("libatls.so");
    let mut bytes = std::fs::read(&library).map_err(|error| format!("{}: {error}", library.display()))?;
    bytes.truncate(4096);
    bytes[18] = 243;
    std::fs::write(&other, bytes).map_err(|error| error.to_string())?;
    let said = check(&other)?;
    if said.status.success() || other.exists() {
        return Err("a library for another machine is accepted".into());
    }
    holds(&words(&said.stderr), &["for another machine"])
}

/// A program of one line, in place of a compiler.
fn script(folder: &Path, name: &str, line: &str) -> Result<PathBuf, String> {
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{line}\n")).map_err(|error| error.to_string())?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).map_err(|error| error.to_string())?;
    Ok(path)
}

/// What CMake says when it refuses to configure.
fn refused(folder: &Path, options: &[&str], environment: &[(&str, &Path)]) -> Result<String, String> {
    println!("cmake {} {environment:?}", options.join(" "));
    let tree = folder.join("tree");
    let _ = std::fs::remove_dir_all(&tree);
    let mut cmake = command("cmake");
    cmake.args(["-S", ".", "-B"]).arg(&tree).arg("-DATLS_BUILD_TESTS=OFF").args(options);
    let done = cmake.envs(environment.iter().copied()).output().map_err(|error| error.to_string())?;
    let said = words(&done.stderr);
    if done.status.success() { Err(format!("cmake accepts {options:?} {environment:?}")) } else { Ok(said) }
}

/// In one line: CMake breaks lines where it likes.
fn words(said: &[u8]) -> String {
    String::from_utf8_lossy(said).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn holds(said: &str, parts: &[&str]) -> Done {
    match parts.iter().find(|part| !said.contains(**part)) {
        None => Ok(()),
        Some(part) => Err(format!("expected {part:?} in: {said}")),
    }
}
