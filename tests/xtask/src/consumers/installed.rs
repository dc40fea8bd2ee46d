//! A program of each language, and the command, built against the installed packages in a fresh Debian 12 and run there: each is answered under a policy that the
//! simulated TEE meets, and refused under one that it does not.

use std::process::{Command, Stdio};

use super::machine::Machine;
use super::python;
use crate::shell::{Done, command, output, root, run};
use crate::simulator::Simulator;

const EXAMPLES: &str = "/usr/share/doc/libatls-dev/examples";

pub fn each_language(simulator: &Simulator, machine: &Machine) -> Done {
    c_programs(simulator, machine)?;
    cpp_program(simulator, machine)?;
    python_program(simulator, machine)?;
    go_program(simulator, machine)?;
    tool(simulator, machine)
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
        run(machine.shell(&format!("cd {EXAMPLES} && gcc {arguments}")).stderr(Stdio::null()))?;
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

/// The README's lines of C++, by the compiler of that machine.
fn cpp_program(simulator: &Simulator, machine: &Machine) -> Done {
    println!("C++");
    for (from, to) in
        [("tests/cpp/chat.cc", "/tmp/cpp"), ("tests/cpp/world.hpp", "/tmp/cpp"), ("tests/c/test.h", "/tmp/c")]
    {
        machine.copy_file(&root().join(from), to)?;
    }
    let build = "cd /tmp/cpp && g++ -std=c++17 -o /tmp/chat chat.cc $(pkg-config --cflags --libs atls)";
    output(&mut machine.shell(build))?;
    chat(simulator, "chat.cc", |url, policy| {
        let mut chat = machine.command("/tmp/chat");
        chat.args([url, policy, "Is this private?", "100"]);
        chat
    })?;
    run(&mut machine.shell("rm -r /tmp/chat /tmp/cpp /tmp/c"))
}

/// The wheel, made of the installed library and header, in an environment of that machine's Python, with its cffi.
fn python_program(simulator: &Simulator, machine: &Machine) -> Done {
    println!("Python");
    let pkgconfig = machine.libraries()?.join("pkgconfig");
    machine.copy_file(&python::wheel_of(("PKG_CONFIG_LIBDIR", &pkgconfig), "installed")?, "/tmp/wheel")?;
    machine.copy_file(&root().join("bindings/python/examples/chat.py"), "/tmp/wheel")?;
    let install = "python3 -m venv --system-site-packages /tmp/venv; /tmp/venv/bin/pip install --quiet --no-index /tmp/wheel/*.whl";
    output(machine.shell(install).env("PYTHONDONTWRITEBYTECODE", "1").env("HOME", "/tmp"))?;
    chat(simulator, "chat.py", |url, policy| {
        let mut chat = machine.command("/tmp/venv/bin/python");
        let policy = simulator.file(policy);
        chat.arg("/tmp/wheel/chat.py")
            .arg(format!("{url}/v1/chat/completions"))
            .arg(policy)
            .arg("Is this private?")
            .env("PYTHONDONTWRITEBYTECODE", "1");
        chat
    })?;
    run(&mut machine.shell("rm -r /tmp/venv /tmp/wheel"))
}

/// The verdict and the answer's tokens; nothing for a server that is refused.
fn chat(simulator: &Simulator, name: &str, talk: impl Fn(&str, &str) -> Command) -> Done {
    let url = format!("https://localhost:{}", simulator.port("HTTP")?);
    let said = output(simulator.introduce(&mut talk(&url, "policy.json")))?;
    if !said.contains("report_data") || !said.contains("private?") {
        return Err(format!("{name} printed no verdict or no answer: {said}"));
    }
    let refused =
        simulator.introduce(&mut talk(&url, "wrong-policy.json")).output().map_err(|error| error.to_string())?;
    let why = String::from_utf8_lossy(&refused.stderr);
    if refused.status.code() != Some(1) || !refused.stdout.is_empty() || !why.contains("bootchain") {
        return Err(format!("{name} under a policy that the server does not meet: {}: {why}", refused.status));
    }
    Ok(())
}
