//! The example server beside clients of others: curl, openssl s_client, tornado, httpx, aiohttp; in the clear and in TLS.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::shell::{Done, command, output, root, run};
use crate::simulator::Simulator;
use crate::{build, demo, fleet, peers, protocol};

/// Ends when its standard input does, in good order, or it is a fault.
pub struct Example {
    child: Child,
    pub port: String,
    /// Kept open: it may say more when it ends.
    out: BufReader<ChildStdout>,
}

impl Example {
    /// `arguments` come after the port, which the system chooses.
    pub fn start(name: &str, arguments: &[&str]) -> Result<Example, String> {
        let mut server = command(build::tree("plain").join("examples-c").join(name));
        server.arg("0").args(arguments);
        Example::run(server)
    }

    /// One in TLS that proves itself by this agent of the simulator's.
    pub fn attested(simulator: &Simulator, agent: &str) -> Result<Example, String> {
        let file = |name| simulator.file(name).display().to_string();
        Example::start("attested_server", &[&file("peer.pem"), &file("peer-key.pem"), &file(agent)])
    }

    /// One that prints its port in its first line.
    pub fn run(mut server: Command) -> Result<Example, String> {
        let mut child =
            server.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
        let mut line = String::new();
        let out = child.stdout.take().ok_or("no stdout")?;
        let mut out = BufReader::new(out);
        out.read_line(&mut line).map_err(|error| error.to_string())?;
        let port = line.trim().rsplit(':').next().unwrap_or_default().to_owned();
        Ok(Example { child, port, out })
    }

    pub fn stop(mut self) -> Done {
        drop(self.child.stdin.take());
        self.out.read_to_end(&mut Vec::new()).map_err(|error| error.to_string())?;
        let status = self.child.wait().map_err(|error| error.to_string())?;
        if status.success() { Ok(()) } else { Err(format!("the example server ended with {status}")) }
    }
}

pub fn examples(simulator: &Simulator) -> Done {
    let file = |name| simulator.file(name).display().to_string();
    let (chain, key, ca) = (file("peer.pem"), file("peer-key.pem"), file("web-ca.pem"));
    let (plain, tls) = (Example::start("server", &[])?, Example::start("server", &[&chain, &key])?);
    for base in [format!("http://127.0.0.1:{}", plain.port), format!("https://localhost:{}", tls.port)] {
        curl(&base, &ca)?;
    }
    s_client(&tls.port, &ca)?;
    let clients = ["tests/peers/clients.py", &plain.port, &tls.port, &ca];
    run(command(peers::python()?).args(clients))?;
    plain.stop()?;
    tls.stop()?;
    let attested = Example::attested(simulator, "agent.sock")?;
    demo::chat(simulator, &attested.port)?;
    attested.stop()?;
    fleet::show(simulator)?;
    mutual(simulator)?;
    protocol::examples(simulator)?;
    tunnel(simulator)
}

/// The forwarder beside PyPI's websockets, and under the library's own client.
fn tunnel(simulator: &Simulator) -> Done {
    println!("tunnel_server");
    let (http, target) = (simulator.port("HTTP")?, peers::free_port()?.to_string());
    let mut serve = command(build::tree("plain").join("examples-c/tunnel_server"));
    serve.env("ATLS_PROXY_LISTEN", "127.0.0.1:0");
    // The client's collateral goes that way too.
    let pccs = simulator.port("PCCS")?;
    serve.env("ATLS_PROXY_ALLOWLIST", format!("127.0.0.1:{target}, localhost:{http}, 127.0.0.1:{pccs}"));
    let server = Example::run(serve)?;
    run(command(peers::python()?).args(["tests/peers/tunnel.py", &server.port, &target]))?;
    demo::tunnel(simulator, &server.port)?;
    server.stop()
}

/// Two guests that prove themselves to each other; then one that is not what the other's policy names.
fn mutual(simulator: &Simulator) -> Done {
    println!("attested_peer");
    let file = |name: &str| simulator.file(name).display().to_string();
    let peer = || {
        let mut peer = command(build::tree("plain").join("examples-c/attested_peer"));
        simulator.introduce(&mut peer);
        peer
    };
    let (chain, key, wanted, agent) =
        (file("peer.pem"), file("peer-key.pem"), file("peer-policy.json"), file("agent.sock"));
    let mut serve = peer();
    serve.args(["serve", "0", &chain, &key, &wanted, &agent]);
    let server = Example::run(serve)?;
    let policy = file("strict-policy.json");
    let ask = |agent: &str| output(peer().args(["ask", "localhost", &server.port, &policy, &file(agent)]));
    let told = ask("peer-agent.sock")?;
    if !told.contains("the client is trusted: yes, TCB UpToDate, by simulated") {
        return Err(format!("attested_peer said {told:?}"));
    }
    if let Ok(told) = ask("agent.sock") {
        return Err(format!("attested_peer was served as another machine: {told:?}"));
    }
    server.stop()
}

fn curl(base: &str, ca: &str) -> Done {
    println!("curl {base}");
    let curl =
        |arguments: &[&str]| output(command("curl").args(["-sS", "--max-time", "30", "--cacert", ca]).args(arguments));
    let hello = curl(&["--next", base, base, base])?;
    let upload = root().join("target/upload.bin");
    std::fs::write(&upload, vec![b'x'; 3_000_000]).map_err(|error| error.to_string())?;
    let from = format!("@{}", upload.display());
    let url = format!("{base}/up");
    let counted = curl(&["--data-binary", &from, "-H", "Expect: 100-continue", &url])?;
    let chunked = curl(&["--data-binary", &from, "-H", "Transfer-Encoding: chunked", "-H", "Expect:", &url])?;
    let lines = curl(&[&format!("{base}/lines")])?;
    let head = curl(&["-I", base])?;
    let fine = hello == "hello\n".repeat(3)
        && counted == "3000000 bytes\n"
        && chunked == counted
        && lines.lines().count() == 100_000
        && head.starts_with("HTTP/1.1 200 OK\r\n");
    if fine { Ok(()) } else { Err(format!("curl was told {hello:?}, {counted:?}, {chunked:?}, {head:?}")) }
}

fn s_client(port: &str, ca: &str) -> Done {
    let mut client = Command::new("openssl");
    client.args([
        "s_client",
        "-quiet",
        "-verify_return_error",
        "-CAfile",
        ca,
        "-connect",
        &format!("localhost:{port}"),
    ]);
    let mut child = client
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("openssl: {error}"))?;
    let mut stdin = child.stdin.take().ok_or("no stdin")?;
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stdin.write_all(request).map_err(|error| error.to_string())?;
    let done = child.wait_with_output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    drop(stdin);
    if text.ends_with("\r\n\r\nhello\n") { Ok(()) } else { Err(format!("openssl s_client was told {text:?}")) }
}
