//! `atls proxy` and `atls serve` as they are installed: by raw connections, by clients of others, and under many streams for a while.

use std::path::Path;

use crate::packages;
use crate::shell::{Done, command, root, run};
use crate::simulator::Simulator;

const PACKAGES: [&str; 5] = ["pytest==9.2.0", "openai==3.57.0", "httpx==0.28.1", "requests==2.34.2", "aiohttp==3.14.5"];
const TESTS: [&str; 7] = [
    "test_proxy_gate.py",
    "test_proxy.py",
    "test_proxy_log.py",
    "test_proxy_streams.py",
    "test_proxy_reattest.py",
    "test_proxy_clients.py",
    "test_serve.py",
];
/// For how many seconds streams run, with the upstream killed meanwhile.
const SOAK: &str = "10";

pub fn suite(simulator: &Simulator, prefix: &Path) -> Done {
    let python = packages::python("proxy-clients", &PACKAGES)?;
    let folder = root().join("tests/tool");
    let with_tool = |arguments: &[&str]| {
        let mut line = command(&python);
        line.current_dir(&folder).args(arguments).env("ATLS_TOOL", prefix.join("bin/atls"));
        line.env("PYTHONDONTWRITEBYTECODE", "1");
        run(simulator.introduce(&mut line))
    };
    let arguments: Vec<_> = ["-m", "pytest", "-q", "-p", "no:cacheprovider"].into_iter().chain(TESTS).collect();
    with_tool(&arguments)?;
    with_tool(&["soak.py", SOAK])
}
