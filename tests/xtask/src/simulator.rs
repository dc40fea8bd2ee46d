//! The simulated TEE as a child process, with its files in target/sim; for the tests with hostile servers beside it.

use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::server::Example;
use crate::shell::{Done, cargo, command, root, run, step};
use crate::{build, packages};

pub struct Simulator {
    child: Child,
    /// Where the tests find the ports of servers of others, if there are any.
    pub peers: Option<PathBuf>,
    pub folder: PathBuf,
}

impl Simulator {
    /// The simulated TEE alone.
    pub fn start() -> Result<Simulator, String> {
        Simulator::of("simtee", "sim")
    }

    /// The same, beside one that is in target/sim.
    pub fn start_in(folder: &str) -> Result<Simulator, String> {
        Simulator::of("simtee", folder)
    }

    /// With servers of the tests' own.
    pub fn start_hostile() -> Result<Simulator, String> {
        Simulator::of("hostile", "sim")
    }

    fn of(package: &str, folder: &str) -> Result<Simulator, String> {
        run(cargo().args(["build", "--quiet", "--locked", "--package", package]))?;
        let folder = root().join("target").join(folder);
        let _ = std::fs::remove_dir_all(&folder);
        let program = root().join("target/debug").join(package);
        let child = command(program).arg(&folder).stdin(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
        let simulator = Simulator { child, peers: None, folder };
        let begun = Instant::now();
        while !simulator.folder.join("ports").exists() {
            if begun.elapsed() > Duration::from_secs(30) {
                return Err("the simulator did not start".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(simulator)
    }

    /// One of the ports it serves, by its name in the file.
    pub fn port(&self, name: &str) -> Result<String, String> {
        let ports = std::fs::read_to_string(self.folder.join("ports")).map_err(|error| error.to_string())?;
        let line = ports.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.map(str::to_owned).ok_or_else(|| format!("the simulator has no port {name}"))
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What points the examples and the C tests at it.
    fn variables(&self) -> Vec<(&'static str, OsString)> {
        const ROOTS: [(&str, &str); 4] = [
            ("amd", "amd-roots.pem"),
            ("aws", "aws-root.pem"),
            ("microsoft", "microsoft-root.pem"),
            ("nvidia", "nvidia-root.pem"),
        ];
        let roots: Vec<_> =
            ROOTS.iter().map(|(vendor, name)| format!("{vendor}={}", self.file(name).display())).collect();
        let mut variables = vec![
            ("ATLS_SIMULATED_ROOTS", roots.join(",").into()),
            ("ATLS_SIM", self.folder.clone().into()),
            ("ATLS_ROOT_PEM", self.file("web-ca.pem").into()),
            ("ATLS_SIMULATED_ROOT", self.file("root.der").into()),
        ];
        variables.extend(self.peers.iter().map(|file| ("ATLS_PEERS", file.clone().into())));
        variables
    }

    pub fn introduce<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.envs(self.variables())
    }
}

/// Where its files are and this server listens, for shells to read; the path of the file.
pub fn write_environment(simulator: &Simulator, server: &Example) -> Result<PathBuf, String> {
    let mut variables = simulator.variables();
    variables.push(("ATLS_SIM_URL", format!("https://localhost:{}", server.port).into()));
    variables.push(("ATLS_SIM_COLLATERAL", format!("http://127.0.0.1:{}", simulator.port("PCCS")?).into()));
    let lines = variables.iter().map(|(name, value)| format!("export {name}='{}'\n", value.to_string_lossy()));
    let file = simulator.file("environment");
    std::fs::write(&file, lines.collect::<String>()).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(file)
}

/// The simulator and an attested server, for programs that are being written, until standard input ends or the process is stopped.
pub fn serve() -> Done {
    packages::ensure(packages::BUILD)?;
    step("building the library, the examples and the simulated TEE (about ten minutes the first time)");
    build::cmake("plain", &[])?;
    let simulator = Simulator::start()?;
    let server = Example::attested(&simulator, "agent.sock")?;
    let file = write_environment(&simulator, &server)?;
    println!("An attested server listens at https://localhost:{}. In another terminal:\n", server.port);
    println!("    . {}\n\nThis one runs until you press Ctrl-C.", file.display());
    std::io::stdin().read_to_end(&mut Vec::new()).map_err(|error| error.to_string())?;
    server.stop()
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
