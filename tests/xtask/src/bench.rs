//! `cargo xtask bench`: the library beside native hyper + tokio-rustls and a current libcurl, in one run. Peers take turns;
//! figures are medians over the rounds (BENCH_ROUNDS, default 5), and what counts is the ratio in one line. BENCH_ONLY=h1 runs only the
//! sans-I/O connection's rows, BENCH_ONLY=server only the servers',
//! BENCH_ONLY=proxy only the proxy's.

mod h1;
mod proxy;
mod server;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::shell::{Done, cargo, command, output, root, run, step};
use crate::simulator::Simulator;
use crate::{build, packages};

/// A line of the table: its name, the mode of the clients, and which figure is compared.
struct Row {
    name: &'static str,
    mode: &'static [&'static str],
    /// Aims at `speed` figures: CPU per operation, or rate.
    figure: Figure,
}

#[derive(Clone, Copy)]
enum Figure {
    CpuPerOp,
    Rate,
    KibPerOp,
}

const ROWS: &[Row] = &[
    Row { name: "2 sequential small requests, CPU", mode: &["seq", "20000"], figure: Figure::CpuPerOp },
    Row { name: "2 sequential small requests, rate", mode: &["seq", "20000"], figure: Figure::Rate },
    Row { name: "3 64 connections, rate", mode: &["conc", "40000", "64"], figure: Figure::Rate },
    Row { name: "4 download, rate", mode: &["down", "/256m", "4"], figure: Figure::Rate },
    Row { name: "4 download, CPU", mode: &["down", "/256m", "4"], figure: Figure::CpuPerOp },
    Row { name: "6 upload, rate", mode: &["up", "268435456", "4"], figure: Figure::Rate },
    Row { name: "7 new connection, CPU", mode: &["hs", "500"], figure: Figure::CpuPerOp },
    Row { name: "8 idle connection, KiB", mode: &["idle", "500"], figure: Figure::KibPerOp },
];

pub fn run_bench() -> Done {
    packages::ensure(packages::TEST)?;
    step("building");
    build::cmake("plain", &[])?;
    let rounds = std::env::var("BENCH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    if std::env::var("BENCH_ONLY").is_ok_and(|only| only == "proxy") {
        return proxy::table(&Bench::alone()?, rounds);
    }
    run(cargo().args(["build", "--quiet", "--release", "--locked", "--package", "bench"]))?;
    let bench = Bench::prepare()?;
    if std::env::var("BENCH_ONLY").is_ok_and(|only| only == "h1") {
        return h1::table(&bench, rounds);
    }
    if std::env::var("BENCH_ONLY").is_ok_and(|only| only == "server") {
        return server::table(&bench, rounds);
    }
    let server = bench.server()?;
    bench.table(rounds)?;
    bench.raw_stream(rounds)?;
    bench.tunnel(rounds)?;
    bench.instructions()?;
    bench.first_response(rounds)?;
    drop(server);
    bench.attestation(rounds)?;
    server::table(&bench, rounds)?;
    proxy::table(&bench, rounds)?;
    h1::table(&bench, rounds)
}

struct Bench {
    folder: PathBuf,
    /// The same modes through the pooled client, but for idle connections.
    pooled: Vec<PathBuf>,
    peers: Vec<(&'static str, Vec<PathBuf>)>,
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const PORT: &str = "18443";

impl Bench {
    /// Without clients.
    fn alone() -> Result<Bench, String> {
        let folder = root().join("target/bench");
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        certificates(&folder)?;
        Ok(Bench { folder, pooled: Vec::new(), peers: Vec::new() })
    }

    fn prepare() -> Result<Bench, String> {
        let mut bench = Bench::alone()?;
        bench.pooled = vec![bench.compile("pool_atls")?];
        let (ours, library) = (bench.compile("client_atls")?, root().join("target/release"));
        let mut peers = vec![("libatls", vec![ours]), ("native", vec![library.join("native"), "hyper".into()])];
        match bench.curl() {
            Ok(curl) => peers.push(("libcurl", vec![curl])),
            Err(why) => println!("libcurl's column is left out: {why}"),
        }
        bench.peers = peers;
        Ok(bench)
    }

    /// A current libcurl with OpenSSL, built from source; a distribution's may be years older, and slower.
    fn curl(&self) -> Result<PathBuf, String> {
        let has_openssl = run(command("pkg-config").args(["--exists", "openssl"])).is_ok();
        if !has_openssl {
            packages::install(&["libssl-dev"])?;
        }
        let (manifest, folder) = (root().join("tests/bench/curl/Cargo.toml"), self.folder.join("curl"));
        let mut build = cargo();
        build.args(["build", "--quiet", "--release", "--locked", "--manifest-path"]).arg(manifest);
        run(build.arg("--target-dir").arg(&folder))?;
        Ok(folder.join("release/client_curl"))
    }

    fn server(&self) -> Result<Running, String> {
        let mut server = command(root().join("target/release/server"));
        let child = self.environment(server.arg(PORT)).spawn().map_err(|error| error.to_string())?;
        std::thread::sleep(std::time::Duration::from_millis(300));
        Ok(Running(child))
    }

    fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("BENCH_PORT", PORT).env("BENCH_PKI", &self.folder)
    }

    fn measure(&self, program: &[PathBuf], mode: &[&str]) -> Result<Sample, String> {
        let mut client = command(&program[0]);
        client.args(&program[1..]).args(mode);
        Sample::parse(&output(self.environment(&mut client))?)
    }

    fn table(&self, rounds: usize) -> Done {
        println!("\n{:<36}{:>14}{:>14}{:>14}   ratios", "row", "libatls", "native", "libcurl");
        let mut seen: BTreeMap<&[&str], Vec<Vec<Sample>>> = BTreeMap::new();
        for row in ROWS {
            let programs: Vec<_> = self.peers.iter().map(|(_, program)| program).chain(self.pooled(row)).collect();
            if !seen.contains_key(row.mode) {
                let mut samples = vec![Vec::new(); programs.len()];
                for _ in 0..rounds {
                    for (index, program) in programs.iter().enumerate() {
                        samples[index].push(self.measure(program, row.mode)?);
                    }
                }
                seen.insert(row.mode, samples);
            }
            let figures: Vec<f64> = seen[row.mode].iter().map(|of_peer| median(of_peer, row.figure)).collect();
            let (others, pooled) = figures.split_at(self.peers.len());
            line(row.name, others, row);
            if let Some(pooled) = pooled.first() {
                line("   through the pooled client", &[&[*pooled], &others[1..]].concat(), row);
            }
        }
        Ok(())
    }

    fn pooled(&self, row: &Row) -> Option<&Vec<PathBuf>> {
        (row.mode[0] != "idle").then_some(&self.pooled)
    }

    fn raw_stream(&self, rounds: usize) -> Done {
        let native = [root().join("target/release/native"), "raw".into()];
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            ours.push(self.measure(&self.peers[0].1, &["raw", "4"])?);
            theirs.push(self.measure(&native, &["down", "/256m", "4"])?);
        }
        two(
            "5 raw stream, rate",
            median(&ours, Figure::Rate),
            median(&theirs, Figure::Rate),
            Figure::Rate,
            "raw tokio-rustls",
        );
        Ok(())
    }

    /// Row 15: both speak TLS inside WebSocket frames to the same server, which ends the tunnel itself.
    fn tunnel(&self, rounds: usize) -> Done {
        let url = format!("ws://127.0.0.1:{}/", PORT.parse::<u16>().unwrap_or_default() + 1);
        for (name, mode, figure) in [
            ("15 tunnel, download, rate", ["down", "/256m", "2"], Figure::Rate),
            ("15 tunnel, upload, rate", ["up", "268435456", "2"], Figure::Rate),
        ] {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..rounds {
                let mut client = command(&self.peers[0].1[0]);
                client.args(mode).env("BENCH_TUNNEL", &url);
                ours.push(Sample::parse(&output(self.environment(&mut client))?)?);
                theirs.push(self.measure(&[root().join("target/release/native"), "ws".into()], &mode)?);
            }
            two(name, median(&ours, figure), median(&theirs, figure), figure, "native TLS in WebSocket frames");
        }
        Ok(())
    }

    /// Row 1 is deterministic: instructions in user space, from the difference of two counts of requests.
    fn instructions(&self) -> Done {
        let mut figures = Vec::new();
        for (_, program) in &self.peers {
            let (few, many) = (self.callgrind(program, "200")?, self.callgrind(program, "1200")?);
            figures.push((many - few) / 1000.0);
        }
        print!("{:<36}", "1 small request, instructions");
        figures.iter().for_each(|figure| print!("{figure:>14.0}"));
        print!("   {:.2} native", figures[0] / figures[1]);
        match figures.get(2) {
            Some(curl) => println!(", {:.2} libcurl", figures[0] / curl),
            None => println!(),
        }
        Ok(())
    }

    fn callgrind(&self, program: &[PathBuf], count: &str) -> Result<f64, String> {
        let mut tool = command("valgrind");
        tool.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(&program[0]).args(&program[1..]);
        let done = self.environment(tool.args(["seq", count])).output().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&done.stderr).into_owned();
        let collected = text.lines().find_map(|line| line.split_once("Collected : ")).map(|(_, n)| n.trim());
        collected.and_then(|n| n.parse().ok()).ok_or_else(|| format!("callgrind counted nothing:\n{text}"))
    }

    /// Row 9: CPU of a whole process that makes one request.
    fn first_response(&self, rounds: usize) -> Done {
        let mut figures = Vec::new();
        for (_, program) in &self.peers {
            let mut samples = Vec::new();
            for _ in 0..rounds.max(5) {
                let mut client = command("bash");
                let line = "TIMEFORMAT='%U %S'; time \"$0\" \"$@\" >/dev/null";
                client.args(["-c", line]).arg(&program[0]).args(&program[1..]).args(["seq", "0"]);
                let done = self.environment(&mut client).output().map_err(|error| error.to_string())?;
                let text = String::from_utf8_lossy(&done.stderr).into_owned();
                samples.push(text.split_whitespace().filter_map(|word| word.parse::<f64>().ok()).sum::<f64>() * 1e3);
            }
            samples.sort_by(f64::total_cmp);
            figures.push(samples[samples.len() / 2]);
        }
        print!("{:<36}", "9 process to first response, CPU ms");
        figures.iter().for_each(|figure| print!("{figure:>14.1}"));
        println!("   {:.2} native", figures[0] / figures[1]);
        Ok(())
    }

    fn attestation(&self, rounds: usize) -> Done {
        let attest = output(command(root().join("target/release/attest")).arg("400"))?;
        let cpu = |name: &str| -> Result<f64, String> {
            let line = attest.lines().find_map(|line| line.strip_prefix(name)).ok_or("attest printed too little")?;
            Ok(Sample::parse(line)?.cpu_per_op())
        };
        let (plain, cold, known) = (cpu("dcap-qvl ")?, cpu("cold ")?, cpu("known ")?);
        two("13 quote, unknown platform, CPU", cold, plain, Figure::CpuPerOp, "dcap-qvl");
        two("13 quote, known platform, CPU", known, plain, Figure::CpuPerOp, "dcap-qvl");
        families()?;
        let simulator = Simulator::start_hostile()?;
        let client = |mode: &[&str]| {
            let mut client = command(&self.peers[0].1[0]);
            Sample::parse(&output(simulator.introduce(client.args(mode)))?)
        };
        let mut samples = vec![Vec::new(); 2];
        for _ in 0..rounds {
            for (index, mode) in [["attested", "200"], ["plain", "200"]].iter().enumerate() {
                samples[index].push(client(mode)?);
            }
        }
        let figure = |index: usize, figure| median(&samples[index], figure);
        two(
            "14 attested connect, CPU",
            figure(0, Figure::CpuPerOp),
            figure(1, Figure::CpuPerOp),
            Figure::CpuPerOp,
            "unattested",
        );
        let phases = (figure(0, Figure::CpuPerOp), figure(1, Figure::CpuPerOp));
        println!(
            "attested connect by phase: TCP and TLS {:.0} us, quote verification {:.0} us, evidence exchange and the rest {:.0} us of CPU",
            phases.1,
            known,
            phases.0 - phases.1 - known
        );
        Ok(())
    }
}

fn two(name: &str, ours: f64, theirs: f64, figure: Figure, peer: &str) {
    println!("{name:<36}{:>14}{:>14}{:>14}   {:.2} {peer}", figure.show(ours), figure.show(theirs), "", ours / theirs);
}

/// One line of a client.
#[derive(Clone, Debug)]
struct Sample {
    values: BTreeMap<String, f64>,
}

impl Sample {
    fn parse(line: &str) -> Result<Sample, String> {
        let inner = line.trim().trim_start_matches('{').trim_end_matches('}');
        let pair = |pair: &str| {
            let (key, value) = pair.split_once(':')?;
            Some((key.trim_matches('"').to_owned(), value.parse().ok()?))
        };
        let values: BTreeMap<_, _> = inner.split(',').filter_map(pair).collect();
        if values.contains_key("cpu") { Ok(Sample { values }) } else { Err(format!("no figures in {line:?}")) }
    }

    fn cpu_per_op(&self) -> f64 {
        self.values["cpu"] * 1e6 / self.values["ops"].max(1.0)
    }
}

fn line(name: &str, figures: &[f64], row: &Row) {
    print!("{name:<36}");
    figures.iter().for_each(|figure| print!("{:>14}", row.figure.show(*figure)));
    print!("   {:.2} native", figures[0] / figures[1]);
    match figures.get(2) {
        Some(curl) => println!(", {:.2} libcurl", figures[0] / curl),
        None => println!(),
    }
}

fn median(samples: &[Sample], figure: Figure) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(|sample| figure.of(sample)).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

impl Figure {
    fn of(self, sample: &Sample) -> f64 {
        let of = |key: &str| sample.values[key];
        match self {
            Figure::CpuPerOp => sample.cpu_per_op(),
            Figure::Rate if of("bytes") > of("ops") * 1000.0 => of("bytes") / of("wall") / 1048576.0,
            Figure::Rate => of("ops") / of("wall"),
            Figure::KibPerOp => (of("rss_kb") - of("rss0_kb")) / of("ops"),
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Figure::CpuPerOp => format!("{value:.1} us"),
            Figure::Rate => format!("{value:.0} /s"),
            Figure::KibPerOp => format!("{value:.1} KiB"),
        }
    }
}

/// A CA and a P-256 certificate for localhost, in target/bench.
fn certificates(folder: &std::path::Path) -> Done {
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

/// Whole appraisals of other kinds of evidence beside the one verification that each new piece takes at least.
fn families() -> Done {
    let printed = output(command(root().join("target/release/families")).arg("400"))?;
    let cpu = |name: &str| -> Result<f64, String> {
        let line = printed.lines().find_map(|line| line.strip_prefix(name)).ok_or("families printed too little")?;
        Ok(Sample::parse(line)?.cpu_per_op())
    };
    let least = cpu("p384 ")?;
    for (row, name) in [
        ("13 SNP report, new chip, CPU", "snp-cold "),
        ("13 SNP report, known chip, CPU", "snp-known "),
        ("13 Nitro document, unknown chain, CPU", "nitro-cold "),
        ("13 Nitro document, known chain, CPU", "nitro-known "),
        ("13 TDX quote alone, unknown platform, CPU", "tdx-cold "),
        ("13 TDX quote alone, known platform, CPU", "tdx-known "),
        ("13 SGX quote, unknown platform, CPU", "sgx-cold "),
        ("13 SGX quote, known platform, CPU", "sgx-known "),
        ("13 Azure TDX, unknown platform, CPU", "azure-tdx-cold "),
        ("13 Azure TDX, known platform, CPU", "azure-tdx-known "),
        ("13 Azure SNP, new chip, CPU", "azure-snp-cold "),
        ("13 Azure SNP, known chip, CPU", "azure-snp-known "),
        ("13 Nitro with a GPU, new GPU, CPU", "nitro+gpu-cold "),
        ("13 Nitro with a GPU, known GPU, CPU", "nitro+gpu-known "),
    ] {
        two(row, cpu(name)?, least, Figure::CpuPerOp, "one P-384 verification");
    }
    Ok(())
}
