//! Row 12 of the table: one cycle of the sans-I/O connection, beside other parsers.

use std::path::PathBuf;

use super::{Bench, Figure, Sample, median};
use crate::shell::{Done, command, output, root, run};
use crate::{build, peers};

/// The peers, fastest first, with how many cycles each is given.
const COUNTS: [(&str, u64); 5] =
    [("libatls", 200_000), ("httparse", 200_000), ("hyper", 50_000), ("httptools", 10_000), ("h11", 2_000)];

pub fn table(bench: &Bench, rounds: usize) -> Done {
    let ours = bench.compile("h1_atls")?;
    let native = root().join("target/release/h1");
    let script = root().join("tests/bench/py/h1_peer.py");
    let python = peers::python()?;
    let program = |peer: &str| -> Vec<PathBuf> {
        match peer {
            "libatls" => vec![ours.clone()],
            "h11" | "httptools" => vec![python.clone(), script.clone(), peer.into()],
            _ => vec![native.clone(), peer.into()],
        }
    };
    for (name, framing, body) in [
        ("12 cycle, 100 bytes by length", "length", "100"),
        ("12 cycle, 1 KiB by length", "length", "1024"),
        ("12 cycle, 1 KiB chunked", "chunked", "1024"),
    ] {
        let peers: Vec<_> = COUNTS.iter().filter(|(peer, _)| framing == "length" || *peer != "httparse").collect();
        let mut samples = vec![Vec::new(); peers.len()];
        for _ in 0..rounds {
            for (index, (peer, count)) in peers.iter().enumerate() {
                let program = program(peer);
                let mut run = command(&program[0]);
                run.args(&program[1..]).args([framing, body, &count.to_string()]);
                run.env("BENCH_SAMPLE", root().join("tests/bench/sample"));
                samples[index].push(Sample::parse(&output(&mut run)?)?);
            }
        }
        let figures: Vec<f64> = samples.iter().map(|of| median(of, Figure::CpuPerOp)).collect();
        print!("{name:<36}{:>11.0} ns  ", figures[0] * 1e3);
        for ((peer, _), figure) in peers.iter().zip(&figures).skip(1) {
            print!(" {:.3} {peer} ({:.0} ns)", figures[0] / figure, figure * 1e3);
        }
        println!();
    }
    Ok(())
}

impl Bench {
    /// Builds a C program of tests/bench against the shipped library.
    pub(super) fn compile(&self, name: &str) -> Result<PathBuf, String> {
        let program = self.folder.join(name);
        let library = build::tree("plain").join("stage/lib");
        let mut cc = command("cc");
        cc.args(["-O2", "-Wall", "-Wextra", "-o"]).arg(&program).arg(root().join(format!("tests/bench/c/{name}.c")));
        cc.arg("-I").arg(root().join("include")).arg("-L").arg(&library);
        run(cc.arg(format!("-Wl,-rpath,{}", library.display())).args(["-latls", "-lpthread"]))?;
        Ok(program)
    }
}
