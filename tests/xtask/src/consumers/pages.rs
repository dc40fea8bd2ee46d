//! The pages followed word by word: the README's lines of CMake and C make a program that runs, its commands do what it says of them, and the cases that
//! docs/development.md names come out as it says.

use std::path::Path;
use std::process::Command;

use crate::server::Example;
use crate::shell::{Done, command, output, root};
use crate::simulator::{self, Simulator};

const QUESTION: &str = r#"{"stream":true,"messages":[{"role":"user","content":"Is this private?"}]}"#;

pub fn suite(simulator: &Simulator, prefix: &Path) -> Done {
    let page = std::fs::read_to_string(root().join("README.md")).map_err(|error| format!("README.md: {error}"))?;
    let server = Example::attested(simulator, "agent.sock")?;
    program(&page, simulator, prefix, &server.port)?;
    commands(&page)?;
    cases(simulator, &server.port)?;
    server.stop()
}

/// The text of the blocks with this fence.
fn blocks<'a>(page: &'a str, fence: &str) -> Result<Vec<&'a str>, String> {
    let open = format!("\n```{fence}\n");
    let found: Vec<_> =
        page.split(&open).skip(1).filter_map(|rest| rest.split_once("\n```")).map(|(block, _)| block).collect();
    if found.is_empty() { Err(format!("README.md has no block {fence:?}")) } else { Ok(found) }
}

/// A project of the README's lines, with the C example that its other lines are from.
fn program(page: &str, simulator: &Simulator, prefix: &Path, port: &str) -> Done {
    println!("the README's lines of CMake and C");
    let folder = fresh("program")?;
    let source = root().join("examples-c/stream_tokens.c");
    let head =
        format!("cmake_minimum_required(VERSION 3.16)\nproject(app C)\nadd_executable(app {})\n", source.display());
    write(&folder.join("CMakeLists.txt"), &(head + &blocks(page, "cmake")?.join("\n")))?;
    let tree = folder.join("build");
    let installed = format!("-DCMAKE_PREFIX_PATH={}", prefix.display());
    output(command("cmake").arg("-S").arg(&folder).arg("-B").arg(&tree).arg(installed))?;
    output(command("cmake").arg("--build").arg(&tree))?;
    let ask = |policy: &str, count: &str| -> Command {
        let mut app = command(tree.join("app"));
        app.args(["localhost", port]).arg(simulator.file(policy)).args([QUESTION, count]);
        simulator.introduce(&mut app);
        app
    };
    let whole = output(&mut ask("policy.json", "1000"))?;
    let part = output(&mut ask("policy.json", "2"))?;
    let tokens = |text: &str| text.matches("data: ").count();
    if !whole.contains("trusted: ") || tokens(&whole) < 10 || tokens(&part) == 0 || tokens(&part) >= tokens(&whole) {
        return Err(format!("whole:\n{whole}\npart:\n{part}"));
    }
    refused(&mut ask("wrong-policy.json", "1000"), "MEASUREMENT_MISMATCH")
}

/// The blocks that a reader types one after the other, with what `cargo xtask simulator` starts. They are the page's, word by word; but the folder `build`
/// and the home are fresh ones, and what comes after the installation is typed in a fresh folder with a `target` of its own, so that nobody's files are touched.
fn commands(page: &str) -> Done {
    println!("the README's commands");
    let simulator = Simulator::start_in("sim-alone")?;
    let server = Example::attested(&simulator, "agent.sock")?;
    simulator::write_environment(&simulator, &server)?;
    let (home, folder) = (fresh("home")?, fresh("typed")?);
    let target = folder.join("target");
    let linked = std::fs::create_dir(&target)
        .and_then(|()| std::os::unix::fs::symlink(root().join("target/sim-alone"), target.join("sim")));
    linked.map_err(|error| error.to_string())?;
    let (install, typed) = (blocks(page, "sh install")?.join("\n"), blocks(page, "sh run")?.join("\n"));
    let elsewhere = format!("cmake() {{ command cmake \"${{@/#build/{}}}\"; }}", folder.join("build").display());
    let script = format!("{elsewhere}\n{install}\nunset -f cmake\ncd {}\n{typed}", folder.display());
    println!("{install}\n{typed}");
    let mut bash = command("bash");
    // Cargo and rustup are found by the home that there is.
    let real = std::env::var("HOME").unwrap_or_default();
    bash.env("CARGO_HOME", std::env::var("CARGO_HOME").unwrap_or(format!("{real}/.cargo")));
    bash.env("RUSTUP_HOME", std::env::var("RUSTUP_HOME").unwrap_or(format!("{real}/.rustup")));
    let said = output(bash.args(["-euc", &script]).env("HOME", &home))?;
    println!("{said}");
    let tokens: String = said.split("\"content\":\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let policy = folder.join("policy.json");
    if !tokens.contains("nobody but this enclave has read it.") {
        return Err(format!("no answer: {tokens:?}"));
    }
    // "Change a digit": of the first register.
    let text = std::fs::read_to_string(&policy).map_err(|error| format!("{}: {error}", policy.display()))?;
    let (before, after) = text.split_once("\"rtmr0\": \"").ok_or("the draft pins no rtmr0")?;
    let digit = if after.starts_with('0') { "1" } else { "0" };
    write(&policy, &format!("{before}\"rtmr0\": \"{digit}{}", after.get(1..).unwrap_or_default()))?;
    let again = blocks(page, "sh run")?.pop().unwrap_or_default();
    let mut bash = command("bash");
    bash.current_dir(&folder).args(["-euc", &format!(". target/sim/environment\n{again}")]);
    let path = format!("{}:{}", home.join(".local/bin").display(), std::env::var("PATH").unwrap_or_default());
    refused(bash.env("PATH", path), "FAIL  bootchain")?;
    server.stop()
}

/// What docs/development.md tells its reader to test.
fn cases(simulator: &Simulator, port: &str) -> Done {
    println!("the cases of docs/development.md");
    let page = std::fs::read_to_string(root().join("docs/development.md")).map_err(|error| error.to_string())?;
    let chat = |port: &str, policy: &Path| -> Command {
        let mut chat = command(crate::build::tree("plain").join("examples-c/chat"));
        chat.args(["localhost", port]).arg(policy).arg("Is this private?");
        simulator.introduce(&mut chat);
        chat
    };
    let good = simulator.file("policy.json");
    if !output(&mut chat(port, &good))?.contains("trust anchor simulated") {
        return Err("policy.json was not satisfied".into());
    }
    let evil = Example::attested(simulator, "evil-agent.sock")?;
    let mut without_root = chat(port, &good);
    without_root.env_remove("ATLS_SIMULATED_ROOT").env_remove("ATLS_SIMULATED_ROOTS");
    let text = std::fs::read_to_string(&good).map_err(|error| error.to_string())?;
    let silent = fresh("cases")?.join("policy.json");
    write(&silent, &text.replace("\"allow_simulated\":true", "\"allow_simulated\":false"))?;
    let cases = [
        ("MEASUREMENT_MISMATCH", chat(port, &simulator.file("wrong-policy.json"))),
        ("BINDING_MISMATCH", chat(&evil.port, &good)),
        ("QUOTE_INVALID", without_root),
        ("TRUST_ANCHOR", chat(port, &silent)),
    ];
    for (status, mut chat) in cases {
        refused(&mut chat, &format!("{status}: "))?;
        if !page.contains(&format!("| `ATLS_{status}`")) {
            return Err(format!("docs/development.md does not say ATLS_{status}"));
        }
    }
    evil.stop()
}

/// It fails, says why, and shows nothing of an answer.
fn refused(command: &mut Command, why: &str) -> Done {
    let done = command.output().map_err(|error| error.to_string())?;
    let (said, error) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    if done.status.success() || said.contains("data: ") || said.contains("You said") || !error.contains(why) {
        return Err(format!("expected {why:?}: {}\n{said}\n{error}", done.status));
    }
    Ok(())
}

fn fresh(name: &str) -> Result<std::path::PathBuf, String> {
    let folder = root().join("target/consumers/pages").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
}

fn write(path: &Path, text: &str) -> Done {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
