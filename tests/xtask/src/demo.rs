//! `cargo xtask demo`: the main job, on this machine, in one go. The test suite runs the same examples.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::server::Example;
use crate::shell::{Done, cargo, command, output, root, run, step};
use crate::simulator::Simulator;
use crate::{build, fleet, packages};

pub fn run_demo() -> Done {
    packages::ensure(packages::BUILD)?;
    step("building the library, the examples and the simulated TEE (about ten minutes the first time)");
    build()?;
    let simulator = Simulator::start()?;
    step("a real quote, signed by Intel, verified offline");
    verify_sample()?;
    step("an attested chat: the verdict, tokens as they arrive, and a second request on the same connection");
    let server = Example::attested(&simulator, "agent.sock")?;
    let mut chat = example(&simulator, "chat", &server.port, "policy.json");
    run(chat.args(["Is this private?", "And this?"]))?;
    server.stop()?;
    step("a server that shows evidence of another session: refused");
    let server = Example::attested(&simulator, "evil-agent.sock")?;
    distrusted(&simulator, &server.port, "policy.json", "FAIL  report_data")?;
    server.stop()?;
    fleet::show(&simulator)
}

/// Cargo first, which shows how far it is; CMake, which is silent, then finds the library made.
fn build() -> Done {
    run(cargo().args(["rustc", "--lib", "--release", "--locked", "--crate-type", "cdylib,staticlib"]))?;
    run(cargo().args(["build", "--locked", "--package", "simtee"]))?;
    build::cmake("plain", &[])
}

/// The chat under this policy is answered.
pub fn trusted(simulator: &Simulator, port: &str, policy: &str) -> Done {
    let said = output(example(simulator, "chat", port, policy).arg("Is this private?"))?;
    println!("{said}");
    holds(&said, "\ntrusted: ")
}

/// The chat under this policy sends nothing, since this check failed.
pub fn distrusted(simulator: &Simulator, port: &str, policy: &str, check: &str) -> Done {
    refused(example(simulator, "chat", port, policy).arg("Is this private?"), check)
}

/// The demo's chat, on this attested server, and what it must say.
pub fn chat(simulator: &Simulator, port: &str) -> Done {
    let said = output(example(simulator, "chat", port, "policy.json").args(["one", "two"]))?;
    holds(&said, "trusted: TCB UpToDate, trust anchor simulated")?;
    holds(&said, "You said: two And nobody but this enclave")
}

/// Runs each example against the simulator and looks at what it prints.
pub fn examples(simulator: &Simulator) -> Done {
    let http = simulator.port("HTTP")?;
    let run_example = |name: &str, arguments: &[&str]| {
        println!("{name} {}", arguments.join(" "));
        output(example(simulator, name, &http, "policy.json").args(arguments))
    };
    let run_client = |name: &str, arguments: &[&str]| {
        println!("{name} {}", arguments.join(" "));
        output(client_example(simulator, name).args(arguments))
    };
    holds(&run_example("get", &["/early"])?, "body")?;
    let chat = run_example("chat", &["one", "two"])?;
    holds(&chat, "trusted: TCB UpToDate, trust anchor simulated")?;
    holds(&chat, "You said: one And nobody")?;
    holds(&chat, "You said: two And nobody")?;
    if run_example("epoll", &["/bytes/1000000"])?.len() != 1_000_000 {
        return Err("epoll did not print 1000000 bytes".into());
    }
    let url = |path: &str| format!("https://localhost:{http}{path}");
    holds(&run_client("fetch", &[&url("/small"), &url("/redirect?302,/small")])?, &"x".repeat(200))?;
    let parallel = run_client("parallel", &[&url("/bytes/20000")])?;
    holds(&parallel, "64 requests, 0 failed")?;
    holds(&parallel, "1280000 bytes")?;
    files(&run_client, &url)?;
    let pool = run_example("pool_attested", &["/small"])?;
    for part in ["on a new connection, trusted: yes", "on a connection that was judged", "refused: POLICY_REQUIRED"] {
        holds(&pool, part)?;
    }
    raw_stream(simulator)?;
    let evil = simulator.port("EVIL")?;
    refused(example(simulator, "chat", &evil, "policy.json").arg("x"), "FAIL  report_data")?;
    refused(example(simulator, "get", &http, "wrong-policy.json").arg("/small"), "FAIL  bootchain")
}

/// A download that broke off goes on, one that is whole is left alone, and what was downloaded can be sent back.
fn files(run_client: &impl Fn(&str, &[&str]) -> Result<String, String>, url: &impl Fn(&str) -> String) -> Done {
    let file = root().join("target/numbers.txt");
    let path = file.display().to_string();
    let whole: String = (0..20_000).map(|number| format!("{number:07}\n")).collect();
    std::fs::write(&file, &whole[..70_003]).map_err(|error| error.to_string())?;
    holds(&run_client("download", &[&url("/numbers"), &path, "2000"])?, "160000 bytes, 89997 of them new")?;
    if std::fs::read(&file).map_err(|error| error.to_string())? != whole.as_bytes() {
        return Err("download did not put the parts together".into());
    }
    run_client("download", &[&url("/numbers"), &path])?;
    std::fs::remove_file(&file).map_err(|error| error.to_string())?;
    holds(&run_client("download", &[&url("/numbers"), &path])?, "160000 bytes, 160000 of them new")?;
    holds(&run_client("upload", &[&url("/sink"), &path])?, "200: 160000")
}

/// The client's example, by way of a forwarder on this port.
pub fn tunnel(simulator: &Simulator, port: &str) -> Done {
    let url = format!("ws://127.0.0.1:{port}/");
    let http = simulator.port("HTTP")?;
    let said = output(example(simulator, "tunnel", &http, "policy.json").args([&url, "/small"]))?;
    holds(&said, "xxxxxxxxxx")
}

fn raw_stream(simulator: &Simulator) -> Done {
    let port = simulator.port("RAW")?;
    let mut child = example(simulator, "raw_stream", &port, "policy.json")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let data: Vec<u8> = (0..2_000_000u32).map(|n| ((n * 31) >> 3) as u8).collect();
    let (mut stdin, sent) = (child.stdin.take().ok_or("no stdin")?, data.clone());
    let sender = std::thread::spawn(move || stdin.write_all(&sent));
    let done = child.wait_with_output().map_err(|error| error.to_string())?;
    let _ = sender.join();
    if done.status.success() && done.stdout == data {
        Ok(())
    } else {
        Err("raw_stream did not echo what it sent".into())
    }
}

fn example(simulator: &Simulator, name: &str, port: &str, policy: &str) -> Command {
    let mut example = command(build::tree("plain").join("examples-c").join(name));
    example.args(["localhost", port]).arg(simulator.file(policy));
    simulator.introduce(&mut example);
    example
}

/// An example with a client, which takes URLs in place of a host.
fn client_example(simulator: &Simulator, name: &str) -> Command {
    let mut example = command(build::tree("plain").join("examples-c").join(name));
    example.arg(simulator.file("policy.json"));
    simulator.introduce(&mut example);
    example
}

fn holds(text: &str, part: &str) -> Done {
    if text.contains(part) { Ok(()) } else { Err(format!("expected {part:?} in:\n{text}")) }
}

/// Expects failure, and `part` among what it says.
fn refused(command: &mut Command, part: &str) -> Done {
    let done = command.output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&done.stderr).into_owned();
    println!("{text}");
    if done.status.success() { Err("the server was accepted".into()) } else { holds(&text, part) }
}

/// Judges the TDX quote that the dcap-qvl crate carries as a sample, at a time when its collateral was valid.
pub fn verify_sample() -> Done {
    let sample = sample_folder()?;
    let policy = root().join("target/demo-policy.json");
    let not_debug = r#""td":{"attributes":{"mask":"0100000000000000","value":"0000000000000000"}}"#;
    let document = format!(r#"{{"type":"dstack_tdx","disable_runtime_verification":true,{not_debug}}}"#);
    std::fs::write(&policy, document).map_err(|error| error.to_string())?;
    let mut verify = command(build::tree("plain").join("examples-c/verify"));
    verify.arg(sample.join("tdx_quote")).arg(sample.join("tdx_quote_collateral.json")).arg(&policy);
    println!("verify tdx_quote tdx_quote_collateral.json policy.json 1752919234");
    run(verify.arg("1752919234"))
}

/// Where cargo unpacked the crate's samples.
fn sample_folder() -> Result<PathBuf, String> {
    let metadata = output(cargo().args(["metadata", "--format-version", "1", "--locked"]))?;
    let found = metadata.find("dcap-qvl-0.7.1/Cargo.toml").ok_or("cargo metadata does not name dcap-qvl 0.7.1")?;
    let end = found + "dcap-qvl-0.7.1".len();
    let start = metadata[..end].rfind('"').map_or(0, |quote| quote + 1);
    Ok(PathBuf::from(&metadata[start..end]).join("sample"))
}
