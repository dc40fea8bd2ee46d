//! Row 16: the same client and the same attested server, directly and through `atls proxy`, which has attested it. What counts is the ratio.

use std::process::Command;
use std::time::{Duration, Instant};

use super::{Bench, Figure, PORT, Running, Sample, median, two};
use crate::build;
use crate::shell::{Done, command, output};
use crate::simulator::Simulator;

const ROWS: [(&str, &str, &str, Figure); 2] = [
    ("16 small requests by a proxy, rate", "seq", "5000", Figure::Rate),
    ("16 download by a proxy, rate", "down", "2", Figure::Rate),
];

pub fn table(bench: &Bench, rounds: usize) -> Done {
    let simulator = Simulator::start_hostile()?;
    let mut server = command(bench.compile("server_atls")?);
    server.arg(PORT).env("BENCH_AGENT", simulator.file("agent.sock"));
    let _server = start(bench.environment(&mut server))?;
    let (direct, port_file) = (format!("https://localhost:{PORT}"), bench.folder.join("proxy-port"));
    let _ = std::fs::remove_file(&port_file);
    let mut proxy = command(build::tree("plain").join("examples-c/atls/atls"));
    proxy.args(["proxy", "--quiet", "--listen", "127.0.0.1:0", "--target", &direct]);
    proxy.arg("--port-file").arg(&port_file).arg("--policy").arg(simulator.file("policy.json"));
    proxy.arg("--cacert").arg(bench.folder.join("ca.pem"));
    let _proxy = start(proxy.arg("--test-root").arg(format!("intel={}", simulator.file("root.der").display())))?;
    let begun = Instant::now();
    while !port_file.exists() {
        if begun.elapsed() > Duration::from_secs(10) {
            return Err("the proxy does not listen".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let port = std::fs::read_to_string(&port_file).map_err(|error| error.to_string())?;
    let proxied = format!("http://127.0.0.1:{}", port.trim());
    let program = bench.compile("proxied_atls")?;
    for (name, mode, count, figure) in ROWS {
        let (mut by_proxy, mut directly) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            for (url, samples) in [(&proxied, &mut by_proxy), (&direct, &mut directly)] {
                let mut client = command(&program);
                client.args([url, mode, count]).env("BENCH_POLICY", simulator.file("policy.json"));
                client.env("BENCH_ROOT", simulator.file("root.der"));
                samples.push(Sample::parse(&output(bench.environment(&mut client))?)?);
            }
        }
        two(name, median(&by_proxy, figure), median(&directly, figure), figure, "attested directly");
    }
    Ok(())
}

fn start(program: &mut Command) -> Result<Running, String> {
    let child = program.spawn().map_err(|error| format!("{program:?}: {error}"))?;
    std::thread::sleep(Duration::from_millis(300));
    Ok(Running(child))
}
