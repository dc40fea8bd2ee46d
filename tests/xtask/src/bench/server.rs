//! Rows 10 and 11: the library's server beside nginx and native hyper, all with one thread over TLS 1.3. wrk asks for small pages on 64 connections; the
//! bench's own client opens new connections, downloads, and holds idle ones. What counts is the CPU of the server's process.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{Bench, Running};
use crate::packages;
use crate::shell::{Done, command, output, root, run, step};

struct Server {
    name: &'static str,
    port: u16,
    pid: u32,
    _child: Running,
}

/// What wrk takes from OpenSSL's own configuration, so that all servers are asked for the same cipher.
const OPENSSL: &str = "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\n\
                       MinProtocol = TLSv1.3\nCiphersuites = TLS_AES_128_GCM_SHA256\nGroups = X25519\n";
const NEW: &str = "1000";
const IDLE: &str = "1000";

pub fn table(bench: &Bench, rounds: usize) -> Done {
    packages::ensure(&[("wrk", "wrk"), ("nginx", "nginx-light")])?;
    step("servers");
    std::fs::write(bench.folder.join("openssl.cnf"), OPENSSL).map_err(|error| error.to_string())?;
    let programs = Programs { bench, ours: bench.compile("server_atls")? };
    let servers = programs.start()?;
    println!("{:<36}{:>14}{:>14}{:>14}   ratios", "row", "libatls", "native", "nginx");
    let mut figures = vec![[const { Vec::new() }; 4]; servers.len()];
    for _ in 0..rounds {
        for (server, of) in servers.iter().zip(&mut figures) {
            let (requests, cpu) = server.spent(|| bench.wrk(server.port))?;
            of[0].push(cpu * 1e6 / requests);
            of[1].push(requests / 2.0);
            let (_, cpu) = server.spent(|| bench.client(server.port, &["hs", NEW]))?;
            of[2].push(cpu * 1e6 / 1000.0);
            let (_, cpu) = server.spent(|| bench.client(server.port, &["down", "/256m", "2"]))?;
            of[3].push(cpu * 1e3 / 2.0);
        }
    }
    for (index, name, unit) in [
        (0, "10 server, small request, CPU", "us"),
        (1, "10 server, 64 connections, rate", "/s"),
        (2, "11 server, new connection, CPU", "us"),
        (3, "11 server, 256 MiB download, CPU", "ms"),
    ] {
        show(name, &figures.iter().map(|of| middle(&of[index])).collect::<Vec<_>>(), unit);
    }
    drop(servers);
    let fresh = programs.start()?;
    let idle: Result<Vec<f64>, String> = fresh.iter().map(|server| bench.idle(server)).collect();
    show("11 server, idle connection", &idle?, "KiB");
    Ok(())
}

fn show(name: &str, figures: &[f64], unit: &str) {
    print!("{name:<36}");
    figures.iter().for_each(|figure| print!("{:>14}", format!("{figure:.1} {unit}")));
    println!("   {:.2} native, {:.2} nginx", figures[0] / figures[1], figures[0] / figures[2]);
}

fn middle(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

struct Programs<'a> {
    bench: &'a Bench,
    ours: PathBuf,
}

impl Programs<'_> {
    fn start(&self) -> Result<Vec<Server>, String> {
        let (ours, native, nginx) = (18543, 18545, 18547);
        let mut native_server = command(root().join("target/release/server"));
        native_server.arg(native.to_string()).env("BENCH_OPEN", "1");
        let mut servers = Vec::new();
        let mut start = |name, port, mut program: Command| {
            let child = self.bench.environment(&mut program).spawn().map_err(|error| error.to_string())?;
            servers.push(Server { name, port, pid: child.id(), _child: Running(child) });
            Ok::<_, String>(())
        };
        let mut our_server = command(&self.ours);
        our_server.arg(ours.to_string());
        start("libatls", ours, our_server)?;
        start("native", native, native_server)?;
        start("nginx", nginx, self.nginx(nginx)?)?;
        std::thread::sleep(Duration::from_millis(500));
        for server in &servers {
            let fetched = command("curl").args(["-sfk", "-o", "/dev/null"]).arg(server.url("/small")).status();
            if !fetched.is_ok_and(|status| status.success()) {
                return Err(format!("{} does not answer", server.name));
            }
        }
        Ok(servers)
    }

    fn nginx(&self, port: u16) -> Result<Command, String> {
        let folder = self.bench.folder.join("nginx");
        let pki = self.bench.folder.display().to_string();
        std::fs::create_dir_all(folder.join("www")).map_err(|error| error.to_string())?;
        let file = std::fs::File::create(folder.join("www/256m")).map_err(|error| error.to_string())?;
        file.set_len(256 << 20).map_err(|error| error.to_string())?;
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {}/{kind};\n", folder.display()))
            .concat();
        let configuration = format!(
            "daemon off; master_process off; pid {folder}/pid; error_log /dev/null;\nevents {{ worker_connections 8192; }}\n\
             http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 3600s; tcp_nodelay on;\n{temporary}\
             default_type application/octet-stream; ssl_protocols TLSv1.3; ssl_session_cache off; ssl_session_tickets off;\n\
             ssl_certificate {pki}/cert.pem; ssl_certificate_key {pki}/key.pem;\n\
             server {{ listen 127.0.0.1:{port} ssl; root {folder}/www; location = /small {{ return 200 \"{small}\"; }} }} }}\n",
            folder = folder.display(),
            small = "s".repeat(100),
        );
        let path = folder.join("nginx.conf");
        std::fs::write(&path, configuration).map_err(|error| error.to_string())?;
        let mut nginx = command("/usr/sbin/nginx");
        nginx.args(["-e", "/dev/null", "-c"]).arg(path).stderr(Stdio::null());
        Ok(nginx)
    }
}

impl Server {
    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// What `work` gives, and the CPU seconds that the server spent on it.
    fn spent(&self, work: impl FnOnce() -> Result<f64, String>) -> Result<(f64, f64), String> {
        let before = self.cpu()?;
        let done = work()?;
        Ok((done, self.cpu()? - before))
    }

    fn cpu(&self) -> Result<f64, String> {
        let path = format!("/proc/{}/stat", self.pid);
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        // After the name, which is in brackets: 12 fields, then user and system time in hundredths of a second.
        let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
        Ok(ticks / 100.0)
    }

    fn rss(&self) -> Result<f64, String> {
        let path = format!("/proc/{}/status", self.pid);
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).ok_or_else(|| "no VmRSS".into())
    }
}

impl Bench {
    /// Requests in two seconds.
    fn wrk(&self, port: u16) -> Result<f64, String> {
        let mut wrk = command("wrk");
        wrk.args(["-t1", "-c64", "-d2s"]).arg(format!("https://localhost:{port}/small"));
        let text = output(wrk.env("OPENSSL_CONF", self.folder.join("openssl.cnf")))?;
        if text.contains("Non-2xx") || text.contains("Socket errors") {
            return Err(text);
        }
        let count = text.lines().find_map(|line| line.trim().split_once(" requests in"));
        count.and_then(|(count, _)| count.parse().ok()).ok_or(text)
    }

    fn load(&self, port: u16, mode: &[&str]) -> Command {
        let mut client = command(root().join("target/release/native"));
        client.arg("raw").args(mode).env("BENCH_PKI", &self.folder).env("BENCH_PORT", port.to_string());
        client
    }

    fn client(&self, port: u16, mode: &[&str]) -> Result<f64, String> {
        output(&mut self.load(port, mode)).map(|_| 0.0)
    }

    /// KiB of each of a thousand idle connections that have asked once.
    fn idle(&self, server: &Server) -> Result<f64, String> {
        run(self.load(server.port, &["seq", "200"]).stdout(Stdio::null()))?;
        let before = server.rss()?;
        let mut client = self.load(server.port, &["idle", IDLE]);
        client.env("BENCH_HOLD", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut client: Child = client.spawn().map_err(|error| error.to_string())?;
        let mut line = String::new();
        let out = client.stdout.take().ok_or("no stdout")?;
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).map_err(|error| error.to_string())?;
        let after = server.rss()?;
        if let Some(mut stdin) = client.stdin.take() {
            let _ = stdin.write_all(b"\n");
        }
        client.wait().map_err(|error| error.to_string())?;
        Ok((after - before) / 1000.0)
    }
}
