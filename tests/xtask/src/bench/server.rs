//! The servers, each in a process of its own over TLS 1.3: the library's, native hyper's and nginx with one thread, Go's with as many as it likes. h2load
//! asks for small pages, on 64 connections of HTTP/1.1 or on one of HTTP/2; the bench's own client opens new connections, downloads, and holds idle ones.
//! What counts is the server's process.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::programs::{Programs, Running};
use super::row::Who;
use super::tools;
use super::work::Sample;
use crate::packages;
use crate::shell::{command, run};

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Load {
    /// Small requests on 64 connections. Their handshakes are in the figures, a few hundredths of them.
    Small,
    /// Small requests over HTTP/2, 64 at a time on one connection.
    Streams,
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
    /// It speaks HTTP/2.
    h2: bool,
    port: u16,
    child: Running,
}

/// What h2load takes from OpenSSL's own configuration, so that all servers are asked for the same cipher.
const OPENSSL: &str = "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\n\
                       MinProtocol = TLSv1.3\nCiphersuites = TLS_AES_128_GCM_SHA256\nGroups = X25519\n";
const SMALL: u32 = 60_000;
const STREAMS: u32 = 60_000;
const NEW: u32 = 1000;
const IDLE: u32 = 1000;
/// Requests by which instructions are counted.
const COUNTS: [u32; 2] = [200, 1200];

pub fn sample(programs: &Programs, who: Who, load: Load) -> Result<Sample, String> {
    if matches!(load, Load::Idle | Load::Counted) {
        // These start servers of their own, on the ports of those that wait for the next load.
        programs.servers.borrow_mut().clear();
    }
    match load {
        Load::Idle => return Server::start(programs, who, false)?.idle(programs),
        Load::Counted => {
            let [few, many] = COUNTS;
            let count = |n: u32| Server::counted(programs, who, &["seq", &n.to_string()], None);
            return Ok(Sample::per("instructions", (count(many)? - count(few)?) / f64::from(many - few)));
        }
        Load::Small | Load::Streams | Load::Connections | Load::Download => {}
    }
    let h2 = load == Load::Streams;
    let mut running = programs.servers.borrow_mut();
    if !running.iter().any(|server| (server.who, server.h2) == (who, h2)) {
        running.push(Server::start(programs, who, h2)?);
    }
    let server = running.iter().find(|server| (server.who, server.h2) == (who, h2)).ok_or("it was started")?;
    let client = |mode: &[&str]| tools::printed(&server.load(programs, mode)?);
    let (before, begun) = (server.cpu()?, Instant::now());
    let operations = match load {
        Load::Small => server.h2load(programs, SMALL, &["--h1", "-c64"])?,
        Load::Streams => server.h2load(programs, STREAMS, &["-c1", "-m64"])?,
        Load::Connections => client(&["hs", &NEW.to_string()]).map(|_| f64::from(NEW))?,
        _ => client(&["down", "/256m", "2"]).map(|_| 2.0)?,
    };
    let (cpu, wall) = (server.cpu()? - before, begun.elapsed().as_secs_f64());
    Sample::parse(&format!("{{\"ops\":{operations},\"bytes\":0,\"wall\":{wall},\"cpu\":{cpu}}}"))
}

impl Server {
    fn start(programs: &Programs, who: Who, h2: bool) -> Result<Server, String> {
        let (port, mut program) = Server::program(programs, who, h2)?;
        let mut server = Server { who, h2, port, child: spawn(&mut program)? };
        server.answers()?;
        Ok(server)
    }

    fn program(programs: &Programs, who: Who, h2: bool) -> Result<(u16, Command), String> {
        let port: u16 = match who {
            Who::Http => 18543,
            Who::Native => 18545,
            Who::Nginx => 18547,
            _ => 18549,
        };
        // The native server takes the port after its own as well.
        let port = if h2 { port + 40 } else { port };
        let mut program = match who {
            Who::Http => command(programs.c("server_atls")?),
            Who::Native => command(programs.rust("server")?),
            Who::Nginx => return Ok((port, nginx(&programs.folder, port, h2)?)),
            Who::Go => command(programs.go()?),
            _ => return Err(format!("{} is no server", who.label())),
        };
        if who == Who::Go {
            program.arg("server");
        }
        if h2 {
            program.env("BENCH_H2", "1");
        }
        programs.environment(program.arg(port.to_string()).env("BENCH_OPEN", "1"));
        Ok((port, program))
    }

    fn answers(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        let url = format!("https://localhost:{}/small", self.port);
        while begun.elapsed() < Duration::from_secs(90) {
            let fetched = command("curl").args(["-sfk", "-m", "5", "-o", "/dev/null", &url]).status();
            // Whoever answers may be another, if this one has found its port taken.
            if let Some(status) = self.child.0.try_wait().map_err(|error| error.to_string())? {
                return Err(format!("{}'s server has ended: {status}", self.who.label()));
            }
            if fetched.is_ok_and(|status| status.success()) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(format!("{}'s server does not answer", self.who.label()))
    }

    /// Instructions of a whole server that has done as the bench's client asks by `mode`; `file` gets them by function.
    pub fn counted(programs: &Programs, who: Who, mode: &[&str], file: Option<&Path>) -> Result<f64, String> {
        let (port, program) = Server::program(programs, who, false)?;
        let mut tool = tools::callgrind(&program, file);
        let mut server = Server { who, h2: false, port, child: spawn(tool.stderr(Stdio::piped()))? };
        server.answers()?;
        tools::printed(&server.load(programs, mode)?)?;
        server.end()?;
        let mut stderr = server.child.0.stderr.take().ok_or("no stderr")?;
        let mut text = String::new();
        stderr.read_to_string(&mut text).map_err(|error| error.to_string())?;
        tools::collected(&text)
    }

    /// Asks it to end until it has: nginx does not notice a signal that comes just before it waits.
    fn end(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            if self.child.0.try_wait().map_err(|error| error.to_string())?.is_some() {
                return Ok(());
            }
            run(command("kill").args(["-TERM", &self.child.0.id().to_string()]))?;
            std::thread::sleep(Duration::from_millis(500));
        }
        Err(format!("{}'s server does not end", self.who.label()))
    }

    /// Seconds that all threads have run, which the kernel counts in nanoseconds.
    fn cpu(&self) -> Result<f64, String> {
        let folder = format!("/proc/{}/task", self.child.0.id());
        let threads = std::fs::read_dir(&folder).map_err(|error| format!("{folder}: {error}"))?;
        let ran = |thread: std::fs::DirEntry| -> Option<f64> {
            // Of a thread that has ended meanwhile nothing is known.
            let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse().ok()
        };
        let nanoseconds: f64 = threads.flatten().filter_map(ran).sum();
        if nanoseconds > 0.0 { Ok(nanoseconds / 1e9) } else { Err(format!("{folder} does not say what was run")) }
    }

    fn rss(&self) -> Result<f64, String> {
        let path = format!("/proc/{}/status", self.child.0.id());
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).ok_or_else(|| "no VmRSS".into())
    }

    /// Requests that were answered: all, or it is an error.
    fn h2load(&self, programs: &Programs, count: u32, how: &[&str]) -> Result<f64, String> {
        packages::ensure(&[("h2load", "nghttp2-client")])?;
        let settings = programs.folder.join("openssl.cnf");
        std::fs::write(&settings, OPENSSL).map_err(|error| error.to_string())?;
        let mut h2load = command("h2load");
        h2load.args(["-n", &count.to_string()]).args(how).arg(format!("https://localhost:{}/small", self.port));
        let text = tools::printed(h2load.env("OPENSSL_CONF", settings))?;
        answered(&text, count, self.h2).map(|()| f64::from(count))
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

/// Whether h2load had so many answers, by that version of HTTP.
fn answered(text: &str, count: u32, h2: bool) -> Result<(), String> {
    let of = |line: &str, what: &str| -> Option<u32> {
        let line = text.lines().find_map(|full| full.strip_prefix(line))?;
        line.split(", ").find_map(|part| part.strip_suffix(what)?.trim().parse().ok())
    };
    let is_h2 = text.contains("Application protocol: h2\n");
    let is_done = of("requests: ", " succeeded") == Some(count) && of("status codes: ", " 2xx") == Some(count);
    if is_done && is_h2 == h2 { Ok(()) } else { Err(format!("not all of {count} requests were answered:\n{text}")) }
}

fn spawn(program: &mut Command) -> Result<Running, String> {
    program.spawn().map(Running).map_err(|error| format!("{program:?}: {error}"))
}

/// With one worker, and what it needs in its own folder.
fn nginx(folder: &Path, port: u16, h2: bool) -> Result<Command, String> {
    packages::ensure(&[("nginx", "nginx-light")])?;
    let pki = folder.display().to_string();
    let folder = folder.join(if h2 { "nginx-h2" } else { "nginx" });
    let protocols = if h2 { "ssl http2" } else { "ssl" };
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
         server {{ listen 127.0.0.1:{port} {protocols}; root {folder}/www; location = /small {{ return 200 \"{small}\"; }} }} }}\n",
        folder = folder.display(),
        small = "s".repeat(100),
    );
    let path = folder.join("nginx.conf");
    std::fs::write(&path, configuration).map_err(|error| error.to_string())?;
    let mut nginx = command("/usr/sbin/nginx");
    nginx.args(["-e", "/dev/null", "-c"]).arg(path).stderr(Stdio::null());
    Ok(nginx)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_that_was_not_answered_is_an_error() {
        let h2load = |done: u32, protocol: &str| {
            let line = "20000 total, 20000 started, 20000 done";
            format!(
                "Application protocol: {protocol}\nrequests: {line}, {done} succeeded, 0 failed, 0 errored, 0 timeout\n\
                 status codes: {done} 2xx, 0 3xx, 0 4xx, 0 5xx\n"
            )
        };
        assert_eq!(answered(&h2load(20000, "h2"), 20000, true), Ok(()));
        assert_eq!(answered(&h2load(20000, "http/1.1"), 20000, false), Ok(()));
        for text in
            [h2load(64, "h2"), h2load(20000, "http/1.1"), h2load(20000, "h2").replace(" 2xx", " 5xx"), String::new()]
        {
            assert!(answered(&text, 20000, true).is_err(), "{text}");
        }
    }
}
