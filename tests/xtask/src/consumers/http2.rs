//! The installed library over HTTP/2: a server driven by clients of others, a client that asks servers of others, and frames that neither should be sent.

use std::path::Path;

use crate::packages;
use crate::shell::{Done, command, output, root, run};
use crate::simulator::Simulator;

const PACKAGES: [&str; 5] =
    ["pytest==9.2.0", "h2==4.4.1", "httpx[http2]==0.28.1", "grpcio==1.85.3", "pyopenssl==26.4.0"];

pub fn suite(simulator: &Simulator, prefix: &Path) -> Done {
    let python = packages::python("http2-clients", &PACKAGES)?;
    let (server, client) = (program("server", prefix)?, program("client", prefix)?);
    let mut tests = command(&python);
    tests.current_dir(root().join("tests/peers")).args([
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "test_http2.py",
        "test_http2_client.py",
    ]);
    tests.env("HTTP2_SERVER", &server).env("HTTP2_CLIENT", &client);
    tests.env("LD_LIBRARY_PATH", prefix.join("lib")).env("PYTHONDONTWRITEBYTECODE", "1");
    run(simulator.introduce(&mut tests))
}

fn program(name: &str, prefix: &Path) -> Result<std::path::PathBuf, String> {
    let mut tool = command("pkg-config");
    tool.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).args(["--cflags", "--libs", "atls"]);
    let flags = output(&mut tool)?;
    let program = root().join("target/consumers").join(format!("http2_{name}"));
    std::fs::create_dir_all(root().join("target/consumers")).map_err(|error| error.to_string())?;
    let mut cc = command("cc");
    cc.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror"])
        .arg(root().join("tests/consumers/http2").join(format!("{name}.c")));
    run(cc.arg("-o").arg(&program).args(flags.split_whitespace()))?;
    Ok(program)
}
