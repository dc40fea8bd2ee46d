//! Programs of others that tests and benchmarks work with: a Python with h11 and httptools, in target/peers, and a proxy.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::packages;
use crate::shell::{Done, command, root, run};

const PACKAGES: [&str; 2] = ["h11==0.16.0", "httptools==0.9.0"];

/// A Python that has the packages; makes it the first time.
pub fn python() -> Result<PathBuf, String> {
    let folder = root().join("target/peers");
    let python = folder.join("bin/python");
    let works = |program: &PathBuf, line: &str| {
        let mut python = command(program);
        python.args(["-c", line]).stdout(Stdio::null()).stderr(Stdio::null());
        python.status().is_ok_and(|status| status.success())
    };
    if works(&python, "import h11, httptools") {
        return Ok(python);
    }
    if !works(&PathBuf::from("python3"), "import ensurepip, venv") {
        packages::install(&["python3-venv"])?;
    }
    make(&folder, &python)?;
    Ok(python)
}

fn make(folder: &PathBuf, python: &PathBuf) -> Done {
    run(command("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
    run(command(python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES))
}

/// A real HTTP proxy that asks for the user "user" with the password "password".
pub struct Proxy {
    child: Child,
    pub url: String,
}

impl Proxy {
    pub fn start() -> Result<Proxy, String> {
        // The port is free now; tinyproxy cannot choose one itself.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.map_err(|error| error.to_string())?.port();
        let config = root().join("target/tinyproxy.conf");
        let lines = format!("Port {port}\nListen 127.0.0.1\nTimeout 60\nBasicAuth user password\nLogLevel Critical\n");
        std::fs::write(&config, lines).map_err(|error| error.to_string())?;
        let mut tinyproxy = command("tinyproxy");
        tinyproxy.args(["-d", "-c"]).arg(config).stdout(Stdio::null()).stderr(Stdio::null());
        let child = tinyproxy.spawn().map_err(|error| format!("tinyproxy: {error}"))?;
        let proxy = Proxy { child, url: format!("http://127.0.0.1:{port}") };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if begun.elapsed() > Duration::from_secs(20) {
                return Err("tinyproxy did not start".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(proxy)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
