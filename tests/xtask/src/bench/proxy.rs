//! The same client and the same attested server, directly and through `atls proxy`, which has attested it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::programs::{Programs, Running, once};
use super::row::Who;
use super::tools;
use super::work::Sample;
use crate::shell::command;

const PORT: u16 = 18553;

/// The server, the proxy before it, and where the proxy listens.
pub struct Proxied {
    url: String,
    _server: Running,
    _proxy: Running,
}

/// The library's figure is that by the proxy; anyone else's, that of the library without one.
pub fn sample(programs: &Programs, who: Who, mode: &str, count: &str) -> Result<Sample, String> {
    let proxied = once(&programs.proxied, || start(programs))?;
    let simulator = programs.simulator()?;
    let url = if who == Who::Http { proxied.url.clone() } else { format!("https://localhost:{PORT}") };
    let mut client = command(programs.c("proxied_atls")?);
    client.args([&url, mode, count]).env("BENCH_POLICY", simulator.file("policy.json"));
    client.env("BENCH_ROOT", simulator.file("root.der"));
    let sample = Sample::parse(&tools::printed(programs.environment(&mut client))?)?;
    sample.of_all(count.parse().unwrap_or(u64::MAX), mode == "down")
}

fn start(programs: &Programs) -> Result<Proxied, String> {
    let simulator = programs.simulator()?;
    let mut server = command(programs.c("server_atls")?);
    server.arg(PORT.to_string()).env("BENCH_AGENT", simulator.file("agent.sock"));
    let server = spawn(programs.environment(&mut server))?;
    let port_file = programs.folder.join("proxy-port");
    let _ = std::fs::remove_file(&port_file);
    let mut proxy = command(programs.tool()?);
    proxy.args(["proxy", "--quiet", "--listen", "127.0.0.1:0", "--target", &format!("https://localhost:{PORT}")]);
    proxy.arg("--port-file").arg(&port_file).arg("--policy").arg(simulator.file("policy.json"));
    proxy.arg("--cacert").arg(programs.folder.join("ca.pem"));
    proxy.arg("--test-root").arg(format!("intel={}", simulator.file("root.der").display()));
    // What it says is not the table's.
    let proxy = spawn(proxy.stdout(Stdio::null()).stderr(Stdio::null()))?;
    let begun = Instant::now();
    while !port_file.exists() {
        if begun.elapsed() > Duration::from_secs(10) {
            return Err("the proxy does not listen".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let port = std::fs::read_to_string(&port_file).map_err(|error| error.to_string())?;
    Ok(Proxied { url: format!("http://127.0.0.1:{}", port.trim()), _server: server, _proxy: proxy })
}

fn spawn(program: &mut Command) -> Result<Running, String> {
    let child = program.spawn().map_err(|error| format!("{program:?}: {error}"))?;
    std::thread::sleep(Duration::from_millis(300));
    Ok(Running(child))
}
