//! The programs that take part: where they are, how they are built when a row first needs them, and how they are told what to do.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::row::Who;
use super::server::Server;
use crate::shell::{Done, cargo, command, output, root, run};
use crate::simulator::Simulator;
use crate::{build, consumers, packages, peers};

/// Of the native server; the tunnel's far end is on the next one.
const PORT: u16 = 18443;

type Lazy<T> = OnceCell<Result<T, String>>;

pub struct Programs {
    /// What is made for the bench.
    pub folder: PathBuf,
    /// The Rust programs.
    rust: PathBuf,
    /// The shared library.
    library: PathBuf,
    compiled: RefCell<BTreeMap<String, PathBuf>>,
    curl: Lazy<PathBuf>,
    go: Lazy<PathBuf>,
    others: Lazy<PathBuf>,
    server: Lazy<Running>,
    simulator: Lazy<Simulator>,
    /// Those that wait for the next load.
    pub servers: RefCell<Vec<Server>>,
    pub proxied: Lazy<super::proxy::Proxied>,
}

pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Made once; a failure is kept as well, so that it is not tried for every row.
pub fn once<T>(cell: &Lazy<T>, make: impl FnOnce() -> Result<T, String>) -> Result<&T, String> {
    cell.get_or_init(make).as_ref().map_err(Clone::clone)
}

impl Programs {
    /// Builds what is shipped, or takes what was built into a folder: the shared library and the programs of tests/bench.
    pub fn new(built: Option<&Path>) -> Result<Programs, String> {
        let folder = root().join("target/bench");
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        certificates(&folder)?;
        let (rust, library) = match built {
            Some(built) => (root().join(built), library_of(&root().join(built), &folder.join("lib"))?),
            None => {
                build::cmake("plain", &[])?;
                run(cargo().args(["build", "--quiet", "--release", "--locked", "--package", "bench"]))?;
                (root().join("target/release"), build::tree("plain").join("stage/lib"))
            }
        };
        Ok(Programs {
            folder,
            rust,
            library,
            compiled: RefCell::default(),
            curl: OnceCell::new(),
            go: OnceCell::new(),
            others: OnceCell::new(),
            server: OnceCell::new(),
            simulator: OnceCell::new(),
            servers: RefCell::default(),
            proxied: OnceCell::new(),
        })
    }

    /// A program of tests/bench/src/bin.
    pub fn rust(&self, name: &str) -> Result<PathBuf, String> {
        let program = self.rust.join(name);
        if program.is_file() { Ok(program) } else { Err(format!("{} is not built", program.display())) }
    }

    /// A program of tests/bench/c against the shipped library.
    pub fn c(&self, name: &str) -> Result<PathBuf, String> {
        let sources = [root().join(format!("tests/bench/c/{name}.c"))];
        self.cc(name, &sources)
    }

    /// The command `atls`.
    pub fn tool(&self) -> Result<PathBuf, String> {
        let folder = root().join("examples-c/atls");
        let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let is_source = |path: &PathBuf| path.extension().is_some_and(|end| end == "c");
        self.cc("atls", &entries.flatten().map(|entry| entry.path()).filter(is_source).collect::<Vec<_>>())
    }

    fn cc(&self, name: &str, sources: &[PathBuf]) -> Result<PathBuf, String> {
        if let Some(program) = self.compiled.borrow().get(name) {
            return Ok(program.clone());
        }
        let program = self.folder.join(name);
        let mut cc = command("cc");
        cc.args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE", "-o"]).arg(&program).args(sources);
        cc.arg("-I").arg(root().join("include")).arg("-L").arg(&self.library);
        run(cc.arg(format!("-Wl,-rpath,{}", self.library.display())).args(["-latls", "-lpthread"]))?;
        self.compiled.borrow_mut().insert(name.to_owned(), program.clone());
        Ok(program)
    }

    /// A current libcurl with OpenSSL, built from source; a distribution's may be years older, and slower.
    pub fn curl(&self) -> Result<&PathBuf, String> {
        once(&self.curl, || {
            if run(command("pkg-config").args(["--exists", "openssl"])).is_err() {
                packages::install(&["libssl-dev"])?;
            }
            self.workspace("curl").map(|folder| folder.join("client_curl"))
        })
    }

    /// Other verifiers of evidence.
    pub fn others(&self) -> Result<&PathBuf, String> {
        once(&self.others, || self.workspace("peers").map(|folder| folder.join("peers")))
    }

    /// A workspace of its own below tests/bench. Not `--locked`: what depends on the library gets the library's new dependencies.
    fn workspace(&self, name: &str) -> Result<PathBuf, String> {
        let folder = self.folder.join(name);
        let mut build = cargo();
        build.args(["build", "--quiet", "--release", "--manifest-path"]);
        build.arg(root().join("tests/bench").join(name).join("Cargo.toml"));
        run(build.arg("--target-dir").arg(&folder))?;
        Ok(folder.join("release"))
    }

    /// Go's net/http.
    pub fn go(&self) -> Result<&PathBuf, String> {
        once(&self.go, || {
            let program = self.folder.join("go_peer");
            let mut go = command(consumers::go()?);
            go.current_dir(root().join("tests/bench/go")).arg("build").arg("-o").arg(&program).arg("peer.go");
            go.env("GOCACHE", root().join("target/gocache")).env("GOTOOLCHAIN", "local").env("GOPROXY", "off");
            run(go.env("CGO_ENABLED", "0"))?;
            Ok(program)
        })
    }

    pub fn simulator(&self) -> Result<&Simulator, String> {
        once(&self.simulator, Simulator::start_hostile)
    }

    pub fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("BENCH_PORT", PORT.to_string()).env("BENCH_PKI", &self.folder)
    }

    pub fn tunnel(&self) -> String {
        format!("ws://127.0.0.1:{}/", PORT + 1)
    }

    fn serve(&self) -> Result<(), String> {
        once(&self.server, || {
            let mut server = command(self.rust("server")?);
            let child = self.environment(server.arg(PORT.to_string())).spawn().map_err(|error| error.to_string())?;
            std::thread::sleep(Duration::from_millis(300));
            Ok(Running(child))
        })
        .map(drop)
    }

    /// A program of tests/bench/c, told where the native server is.
    pub fn compiled(&self, name: &str, arguments: &[String]) -> Result<Command, String> {
        self.serve()?;
        let mut client = command(self.c(name)?);
        self.environment(client.args(arguments));
        Ok(client)
    }

    /// The native client by one of its stacks.
    pub fn native(&self, stack: &str, arguments: &[String]) -> Result<Command, String> {
        self.serve()?;
        let mut client = command(self.rust("native")?);
        self.environment(client.arg(stack).args(arguments));
        Ok(client)
    }

    /// Someone's client.
    pub fn client(&self, who: Who, arguments: &[String]) -> Result<Command, String> {
        let mut client = match who {
            Who::Http => return self.compiled("client_atls", arguments),
            Who::Client => return self.compiled("pool_atls", arguments),
            Who::Native => return self.native("hyper", arguments),
            Who::Raw => return self.native("raw", arguments),
            Who::Curl => command(self.curl()?),
            Who::Go => command(self.go()?),
            Who::Nginx | Who::Other(_) => return Err(format!("{} is no client", who.label())),
        };
        self.serve()?;
        if who == Who::Go {
            client.arg("client");
        }
        self.environment(client.args(arguments));
        Ok(client)
    }

    /// Connections to the simulator: attested by the library, or only opened.
    pub fn attested(&self, who: Who, count: &str) -> Result<Command, String> {
        let simulator = self.simulator()?;
        let mut client = match who {
            Who::Http => command(self.c("client_atls")?),
            Who::Other("unattested") => command(self.c("client_atls")?),
            _ => command(self.rust("native")?),
        };
        match who {
            Who::Http => client.args(["attested", count]),
            Who::Other("unattested") => client.args(["plain", count]),
            _ => client.args(["hyper", "connect", count]),
        };
        simulator.introduce(&mut client);
        client.env("BENCH_PORT", simulator.port("HTTP")?).env("BENCH_CA", simulator.file("web-ca.pem"));
        Ok(client)
    }

    /// The sans-I/O connection and other parsers.
    pub fn cycle(&self, who: Who, arguments: &[String]) -> Result<Command, String> {
        let mut program = match who {
            Who::Http => command(self.c("h1_atls")?),
            Who::Native => command(self.rust("h1")?),
            Who::Other("httparse") => command(self.rust("h1")?),
            _ => command(peers::python()?),
        };
        match who {
            Who::Http => &mut program,
            Who::Native => program.arg("hyper"),
            Who::Other("httparse") => program.arg("httparse"),
            _ => program.arg(root().join("tests/bench/py/h1_peer.py")).arg(who.label()),
        };
        program.args(arguments).env("BENCH_SAMPLE", root().join("tests/bench/sample"));
        Ok(program)
    }
}

/// A folder in which the linker and the loader find a library that cargo has built.
fn library_of(built: &Path, folder: &Path) -> Result<PathBuf, String> {
    let library = built.join("libatls.so");
    let dynamic = output(command("readelf").arg("-d").arg(&library))?;
    let name = dynamic.lines().find_map(|line| line.split_once("soname: [")?.1.split(']').next());
    let name = name.ok_or_else(|| format!("{} has no soname", library.display()))?;
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    for link in [name, "libatls.so"].map(|name| folder.join(name)) {
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(&library, &link).map_err(|error| format!("{}: {error}", link.display()))?;
    }
    Ok(folder.to_owned())
}

/// A CA and a P-256 certificate for localhost.
fn certificates(folder: &Path) -> Done {
    if folder.join("cert.pem").exists() {
        return Ok(());
    }
    let script = r#"set -e; cd "$0"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=bench CA" -keyout ca.key -out ca.pem \
  -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=localhost" -keyout key.pem -out cert.csr
openssl x509 -req -in cert.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -out cert.pem \
  -extfile <(printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n')"#;
    run(command("bash").args(["-c", script]).arg(folder).stderr(Stdio::null()))
}
