//! On what the figures were taken, beside which versions of others, and whether the machine had time.

use std::time::Duration;

use serde_json::{Value, json};

use crate::shell::{command, output, root};

/// Cores that may be at work for others before figures of CPU and time are doubtful.
const QUIET: f64 = 0.1;

/// Cores that are at work, in the second that follows.
pub fn busy() -> Result<f64, String> {
    let before = ticks()?;
    std::thread::sleep(Duration::from_secs(1));
    let after = ticks()?;
    let (at_work, all) = (after.0 - before.0, after.1 - before.1);
    Ok(if all > 0.0 { at_work / all * cores() as f64 } else { 0.0 })
}

/// What to say about that.
pub fn warning(busy: f64) -> Option<String> {
    let fact = format!("{busy:.1} of {} cores are at work for others", cores());
    (busy > QUIET).then(|| format!("warning: {fact}: trust instructions, calls and memory; CPU and rates are doubtful"))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Of all cores since they started: at work, and in all.
fn ticks() -> Result<(f64, f64), String> {
    let text = read("/proc/stat")?;
    let fields: Vec<f64> =
        text.lines().next().unwrap_or_default().split_whitespace().skip(1).flat_map(str::parse).collect();
    // user nice system idle iowait irq softirq steal: those of guests are part of the first two.
    let all: f64 = fields.iter().take(8).sum();
    let idle: f64 = fields.iter().skip(3).take(2).sum();
    Ok((all - idle, all))
}

pub fn facts() -> Result<Value, String> {
    let processor = read("/proc/cpuinfo")?;
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let said =
        |program: &str, arguments: &[&str]| output(command(program).args(arguments)).map(|text| text.trim().to_owned());
    let changed = !said("git", &["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    let commit = said("git", &["rev-parse", "--short", "HEAD"])?;
    Ok(json!({
        "processor": processor.map_or("unknown", |(_, name)| name),
        "cores": cores(),
        "kernel": said("uname", &["-sr"])?,
        "calls": super::tools::counter_of_calls(),
        "rustc": said("rustc", &["--version"])?,
        "commit": if changed { commit + ", changed" } else { commit },
        "date": said("date", &["-u", "+%F"])?,
    }))
}

/// Who took part, by the versions that are built.
pub fn peers() -> Result<Value, String> {
    let lock = read(&root().join("Cargo.lock").display().to_string())?;
    let curl = read(&root().join("tests/bench/curl/Cargo.lock").display().to_string())?;
    let others = read(&root().join("tests/bench/peers/Cargo.lock").display().to_string())?;
    let of = |lock: &str, names: &[&str]| -> Result<String, String> {
        let each: Result<Vec<_>, String> = names.iter().map(|name| version(lock, name)).collect();
        each.map(|versions| versions.join(", "))
    };
    Ok(json!({
        "native": of(&lock, &["hyper", "tokio", "tokio-rustls", "rustls", "aws-lc-rs", "tokio-tungstenite"])?,
        "libcurl": of(&curl, &["curl-sys"])?,
        "Go": crate::consumers::GO.join(", "),
        "nginx": "as the system has it",
        "another": of(&lock, &["dcap-qvl", "httparse"])? + ", " + &of(&others, &["sev", "attestation-doc-validation"])?,
    }))
}

fn version(lock: &str, name: &str) -> Result<String, String> {
    let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{name}\""));
    let found = lines.nth(1).and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    found.map(|version| format!("{name} {version}")).ok_or_else(|| format!("no version of {name} in the lock file"))
}

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_at_work_is_warned_of() {
        assert!(warning(1.6).unwrap().contains("1.6 of"));
        assert!(warning(0.05).is_none());
        let (at_work, all) = ticks().unwrap();
        assert!(at_work > 0.0 && at_work < all);
    }

    #[test]
    fn versions_are_those_of_the_lock_file() {
        let lock = "[[package]]\nname = \"hyper-util\"\nversion = \"0.1\"\n[[package]]\nname = \"hyper\"\nversion = \"1.12.0\"\n";
        assert_eq!(version(lock, "hyper").unwrap(), "hyper 1.12.0");
        assert!(version(lock, "h2").unwrap_err().contains("h2"));
    }
}
