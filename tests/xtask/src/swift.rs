//! `cargo xtask swift`: the Swift binding, built and tested by Debian trixie's Swift against the installed packages, in a system of its own under
//! target/swift-root (3 GB).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::shell::{Done, command, output, root, run, step};
use crate::simulator::Simulator;
use crate::{consumers, packages};

const RELEASE: &str = "trixie";
/// The package of Swift names what it links with, but not the files to link with it.
const PACKAGES: &str = "ca-certificates pkg-config swiftlang libswiftlang libc6-dev libstdc++-14-dev";
const LIBRARIES: &str =
    "/usr/libexec/swift/lib/swift/linux:/usr/libexec/swift/lib/swift/host/compiler:/usr/libexec/swift/lib/swift/host";

/// Mounts what the inside sees, in a namespace of mounts that ends with it, and runs a script there. `$1` is the root, `$2` the
/// binding, `$3` the simulator's folder, `$4` the script.
const INSIDE: &str = r#"set -e
mount -t proc proc "$1/proc"
mount --bind /dev "$1/dev"
mount --bind "$2" "$1/src"
mount --bind "$3" "$1/sim"
exec chroot "$1" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    LD_LIBRARY_PATH="$5" ATLS_SIM=/sim sh -ec "cd /src; $4""#;

pub fn run_all() -> Done {
    if output(command("id").arg("-u"))?.trim() != "0" {
        return Err("a system of its own needs root: debootstrap, mount and chroot".into());
    }
    packages::ensure(&[("debootstrap", "debootstrap"), ("unshare", "util-linux"), ("dpkg-shlibdeps", "dpkg-dev")])?;
    packages::ensure(packages::TEST)?;
    let system = system()?;
    step("the library's packages");
    let debs = consumers::packages::make()?;
    install(&system, &debs)?;
    let simulator = Simulator::start_hostile()?;
    step("swift build, in Swift 6 mode, without a warning");
    run(&mut enter(
        &system,
        &simulator.folder,
        "swift --version 2>&1; swift build --scratch-path /build -Xswiftc -warnings-as-errors",
    ))?;
    step("swift test");
    run(&mut enter(&system, &simulator.folder, "swift test --scratch-path /build -Xswiftc -warnings-as-errors"))?;
    step("the README's lines");
    chat(&system, &simulator)?;
    let names = consumers::packages::names(&debs).join(" ");
    run(enter(&system, &simulator.folder, &format!("dpkg --purge {names}")).stdout(Stdio::null()))
}

/// The library and its headers are where pkg-config and the loader look by themselves.
fn install(system: &Path, debs: &[PathBuf]) -> Done {
    let folder = system.join("debs");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    run(command("cp").args(debs).arg(&folder))?;
    output(&mut enter(
        system,
        &root().join("target"),
        "dpkg --install /debs/*.deb >&2 && dpkg --audit >&2 && pkg-config --modversion atls",
    ))
    .map(|version| println!("libatls {}", version.trim()))
}

/// The system, made once: what it is made of is written into it last.
fn system() -> Result<PathBuf, String> {
    let system = root().join("target/swift-root");
    let made_of = format!("{RELEASE}: {PACKAGES}\n");
    if std::fs::read_to_string(system.join("made-of")).is_ok_and(|text| text == made_of) {
        return Ok(system);
    }
    step("Debian with Swift (some minutes, 3 GB)");
    let _ = std::fs::remove_dir_all(&system);
    let mut bootstrap = command("debootstrap");
    run(bootstrap.args(["--variant=minbase", RELEASE]).arg(&system).stdout(Stdio::null()))?;
    for folder in ["src", "sim"] {
        std::fs::create_dir_all(system.join(folder)).map_err(|error| error.to_string())?;
    }
    // What was fetched is not kept.
    let install = format!(
        "apt-get update -q; apt-get install -y -q --no-install-recommends {PACKAGES}; apt-get clean; rm -rf /var/lib/apt/lists/*"
    );
    run(enter(&system, &root().join("target"), &install).stdout(Stdio::null()))?;
    std::fs::write(system.join("made-of"), made_of).map_err(|error| error.to_string())?;
    Ok(system)
}

/// A script in the system, beside the binding's sources and the simulator's files. The network is that of this machine.
fn enter(system: &Path, simulator: &Path, script: &str) -> Command {
    let mut unshare = command("unshare");
    unshare.args(["--mount", "--propagation", "private", "sh", "-c", INSIDE, "sh"]);
    unshare.arg(system).arg(root().join("bindings/swift")).arg(simulator).args([script, LIBRARIES]);
    unshare
}

/// The verdict, tokens as they come, and a stop in the middle; nothing for a server that is refused.
fn chat(system: &Path, simulator: &Simulator) -> Done {
    let url = format!("https://localhost:{}", simulator.port("HTTP")?);
    let talk = |policy: &str, count: &str| {
        let script = format!("/build/debug/chat {url} /sim/{policy} 'Is this private?' {count}");
        enter(system, &simulator.folder, &script).output().map_err(|error| error.to_string())
    };
    let whole = talk("policy.json", "100")?;
    let text = String::from_utf8_lossy(&whole.stdout).into_owned();
    print!("{text}");
    if !whole.status.success() || !text.contains("pass report_data\n") || !text.contains("[DONE]") {
        return Err(format!("chat: {}: {}", whole.status, String::from_utf8_lossy(&whole.stderr)));
    }
    let stopped = talk("policy.json", "2")?;
    let tokens = String::from_utf8_lossy(&stopped.stdout).matches("\"content\"").count();
    if !stopped.status.success() || tokens != 2 {
        return Err(format!("chat that stops after two tokens: {}, {tokens} tokens", stopped.status));
    }
    let refused = talk("wrong-policy.json", "100")?;
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    if refused.status.code() != Some(1) || !refused.stdout.is_empty() || !why.contains("MEASUREMENT_MISMATCH") {
        return Err(format!("chat under a wrong policy: {}: {why}", refused.status));
    }
    Ok(())
}
