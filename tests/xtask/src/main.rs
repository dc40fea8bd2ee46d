//! `cargo xtask demo|test|swift|simulator|serve|header|docs|bench|mutants|fuzz`: the project's chores. Its only dependency reads
//! JSON, so that it builds in seconds.

mod bench;
mod build;
mod consumers;
mod demo;
mod docs;
mod fleet;
mod fuzz;
mod h1;
mod mutants;
mod packages;
mod peers;
mod protocol;
mod server;
mod shell;
mod simulator;
mod suite;
mod swift;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND

  demo       build everything and run the main job
  test       every test: Rust, C (plain, sanitized, valgrind), users of the installed library; [NAME] the suite of one user
  swift      the Swift binding, built and tested in a Debian of its own (as root; 3 GB in target/swift-root)
  simulator  the simulated TEE and an attested server, for programs that you write, until standard input ends
  serve      the simulator and the servers of others that the C tests use, until standard input ends
  header     write include/atls.h from src/capi
  docs       the header and the pages as a site, into target/docs/html
  bench      [NAME...] the library beside its peers: docs/speed.md; --list names the rows
  mutants    [NAME] switch each check off once, in a copy, and see that a test notices
  fuzz       [SECONDS] each fuzz target for so long (60), with cargo-fuzz and a nightly toolchain";

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    let done = match command.as_str() {
        "demo" => demo::run_demo(),
        "test" => suite::run_all(std::env::args().nth(2)),
        "swift" => swift::run_all(),
        "simulator" => simulator::serve(),
        "serve" => suite::serve(),
        "header" => build::header(),
        "docs" => docs::build(),
        "bench" => bench::run_bench(std::env::args().skip(2)),
        "mutants" => mutants::run_all(std::env::args().nth(2)),
        "fuzz" => fuzz::run_all(std::env::args().nth(2)),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask {command}: {why}");
            ExitCode::FAILURE
        }
    }
}
