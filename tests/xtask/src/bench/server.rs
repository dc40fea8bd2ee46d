//! The servers, each in a process of its own over TLS 1.3: the library's, native hyper's and nginx with one thread, Go's with as many as it likes. wrk asks
//! for small pages on 64 connections; the bench's own client opens new connections, downloads, and holds idle ones. What counts is the server's process.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::programs::{Programs, Running};
use super::row::Who;
use super::tools;
use super::work::Sample;
use crate::packages;
use crate::shell::{command, output, run};

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Load {
    /// Small requests on 64 connections, for two seconds.
    Small,
    /// New connections.
    Connections,
    /// 256 MiB, twice.
    Download,
    /// Connections that have asked once.
    Idle,
    /// Small requests on one connection, under callgrind.
    Counted,
}

pub struct Server {
    who: Who,
    port: u16,
    child: Running,
}

/// What wrk takes from OpenSSL's own configuration, so that all servers are asked for the same cipher.
const OPENSSL: &str = "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\n\
                       MinProtocol = TLSv1.3\nCiphersuites = TLS_AES_128_GCM_SHA256\nGroups = X25519\n";
const NEW: u32 = 1000;
const IDLE: u32 = 1000;
/// Requests by which instructions are counted.
const COUNTS: [u32; 2] = [200, 1200];

pub fn sample(programs: &Programs, who: Who, load: Load) -> Result<Sample, String> {
    match load {
        Load::Idle => return Server::start(programs, who)?.idle(programs),
        Load::Counted => {
            let [few, many] = COUNTS;
            let count = |n| Server::counted(programs, who, n);
            return Ok(Sample::per("instructions", (count(many)? - count(few)?) / f64::from(many - few)));
        }
        Load::Small | Load::Connections | Load::Download => {}
    }
    let mut running = programs.servers.borrow_mut();
    if !running.iter().any(|server| server.who == who) {
        running.push(Server::start(programs, who)?);
    }
    let server = running.iter().find(|server| server.who == who).ok_or("it was started")?;
    let client = |mode: &[&str]| output(&mut server.load(programs, mode)?);
    let (before, begun) = (server.cpu()?, Instant::now());
    let operations = match load {
        Load::Small => server.wrk(programs)?,
        Load::Connections => client(&["hs", &NEW.to_string()]).map(|_| f64::from(NEW))?,
        _ => client(&["down", "/256m", "2"]).map(|_| 2.0)?,
    };
    let (cpu, wall) = (server.cpu()? - before, begun.elapsed().as_secs_f64());
    Sample::parse(&format!("{{\"ops\":{operations},\"bytes\":0,\"wall\":{wall},\"cpu\":{cpu}}}"))
}

impl Server {
    fn start(programs: &Programs, who: Who) -> Result<Server, String> {
        let (port, mut program) = Server::program(programs, who)?;
        let server = Server { who, port, child: spawn(&mut program)? };
        server.answers()?;
        Ok(server)
    }

    fn program(programs: &Programs, who: Who) -> Result<(u16, Command), String> {
        let port: u16 = match who {
            Who::Http => 18543,
            Who::Native => 18545,
            Who::Nginx => 18547,
            _ => 18549,
        };
        let mut program = match who {
            Who::Http => command(programs.c("server_atls")?),
            Who::Native => command(programs.rust("server")?),
            Who::Nginx => return Ok((port, nginx(&programs.folder, port)?)),
            Who::Go => command(programs.go()?),
            _ => return Err(format!("{} is no server", who.label())),
        };
        if who == Who::Go {
            program.arg("server");
        }
        programs.environment(program.arg(port.to_string()).env("BENCH_OPEN", "1"));
        Ok((port, program))
    }

    fn answers(&self) -> Result<(), String> {
        let begun = Instant::now();
        let url = format!("https://localhost:{}/small", self.port);
        while begun.elapsed() < Duration::from_secs(20) {
            let fetched = command("curl").args(["-sfk", "-m", "5", "-o", "/dev/null", &url]).status();
            if fetched.is_ok_and(|status| status.success()) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(format!("{}'s server does not answer", self.who.label()))
    }

    /// Instructions of a whole server that has answered so many requests.
    fn counted(programs: &Programs, who: Who, requests: u32) -> Result<f64, String> {
        let (port, program) = Server::program(programs, who)?;
        let mut tool = tools::callgrind(&program);
        let mut server = Server { who, port, child: spawn(tool.stderr(Stdio::piped()))? };
        server.answers()?;
        run(server.load(programs, &["seq", &requests.to_string()])?.stdout(Stdio::null()))?;
        let mut stderr = server.child.0.stderr.take().ok_or("no stderr")?;
        run(command("kill").args(["-TERM", &server.child.0.id().to_string()]))?;
        let mut text = String::new();
        stderr.read_to_string(&mut text).map_err(|error| error.to_string())?;
        tools::collected(&text)
    }

    fn cpu(&self) -> Result<f64, String> {
        let path = format!("/proc/{}/stat", self.child.0.id());
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        // After the name, which is in brackets: 12 fields, then user and system time in hundredths of a second.
        let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
        Ok(ticks / 100.0)
    }

    fn rss(&self) -> Result<f64, String> {
        let path = format!("/proc/{}/status", self.child.0.id());
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).ok_or_else(|| "no VmRSS".into())
    }

    /// Requests in two seconds.
    fn wrk(&self, programs: &Programs) -> Result<f64, String> {
        packages::ensure(&[("wrk", "wrk")])?;
        let settings = programs.folder.join("openssl.cnf");
        std::fs::write(&settings, OPENSSL).map_err(|error| error.to_string())?;
        let mut wrk = command("wrk");
        wrk.args(["-t1", "-c64", "-d2s"]).arg(format!("https://localhost:{}/small", self.port));
        let text = output(wrk.env("OPENSSL_CONF", settings))?;
        if text.contains("Non-2xx") || text.contains("Socket errors") {
            return Err(text);
        }
        let count = text.lines().find_map(|line| line.trim().split_once(" requests in"));
        count.and_then(|(count, _)| count.parse().ok()).ok_or(text)
    }

    /// The native client, whoever serves.
    fn load(&self, programs: &Programs, mode: &[&str]) -> Result<Command, String> {
        let mut client = command(programs.rust("native")?);
        programs.environment(client.arg("raw").args(mode)).env("BENCH_PORT", self.port.to_string());
        Ok(client)
    }

    /// What each of a thousand idle connections takes.
    fn idle(&self, programs: &Programs) -> Result<Sample, String> {
        run(self.load(programs, &["seq", "200"])?.stdout(Stdio::null()))?;
        let before = self.rss()?;
        let mut client = self.load(programs, &["idle", &IDLE.to_string()])?;
        client.env("BENCH_HOLD", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut client = Running(client.spawn().map_err(|error| error.to_string())?);
        let mut line = String::new();
        let out = client.0.stdout.take().ok_or("no stdout")?;
        BufReader::new(out).read_line(&mut line).map_err(|error| error.to_string())?;
        let after = self.rss()?;
        if let Some(mut stdin) = client.0.stdin.take() {
            let _ = stdin.write_all(b"\n");
        }
        Sample::parse(&format!("{{\"ops\":{IDLE},\"cpu\":0,\"rss0_kb\":{before},\"rss_kb\":{after}}}"))
    }
}

fn spawn(program: &mut Command) -> Result<Running, String> {
    program.spawn().map(Running).map_err(|error| format!("{program:?}: {error}"))
}

/// With one worker, and what it needs in its own folder.
fn nginx(folder: &Path, port: u16) -> Result<Command, String> {
    packages::ensure(&[("nginx", "nginx-light")])?;
    let pki = folder.display().to_string();
    let folder = folder.join("nginx");
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
