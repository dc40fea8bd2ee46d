//! Programs under callgrind, perf, strace and the shell's clock, and none of them longer than it may take.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::shell::output;

/// Seconds after which a program is killed, so that one that hangs is an error.
const LONGEST: &str = "300";

/// The same command, begun by another program.
fn under(tool: &[&str], of: &Command) -> Command {
    let mut command = Command::new(tool[0]);
    command.args(&tool[1..]).arg(of.get_program()).args(of.get_args());
    if let Some(folder) = of.get_current_dir() {
        command.current_dir(folder);
    }
    for (name, value) in of.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// What it prints, if it ends well and in time.
pub fn printed(of: &Command) -> Result<String, String> {
    output(&mut within(of))
}

fn within(of: &Command) -> Command {
    under(&["timeout", "--kill-after=1", LONGEST], of)
}

/// What it writes to standard error, likewise.
fn complaint(command: &Command) -> Result<String, String> {
    let mut command = within(command);
    let done = command.stdout(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = String::from_utf8_lossy(&done.stderr).into_owned();
    if done.status.success() { Ok(text) } else { Err(format!("{command:?}: {}\n{text}", done.status)) }
}

/// Of the whole process, in user space; `file` gets them by function.
pub fn instructions(of: &Command, file: Option<&Path>) -> Result<f64, String> {
    collected(&complaint(&callgrind(of, file))?)
}

/// A command that says what it took when it is ended.
pub fn callgrind(of: &Command, file: Option<&Path>) -> Command {
    let file = format!("--callgrind-out-file={}", file.unwrap_or(Path::new("/dev/null")).display());
    under(&["valgrind", "--tool=callgrind", &file], of)
}

pub fn collected(text: &str) -> Result<f64, String> {
    let collected = text.lines().find_map(|line| line.split_once("Collected : ")).map(|(_, n)| n.trim());
    collected.and_then(|n| n.parse().ok()).ok_or_else(|| format!("callgrind counted nothing:\n{text}"))
}

/// What counts system calls: perf if this machine lets us, or else strace, under which threads meet at other times than they would.
pub fn counter_of_calls() -> &'static str {
    static FOUND: OnceLock<&str> = OnceLock::new();
    let may = || complaint(&under(&PERF, &Command::new("true"))).and_then(|text| perf_total(&text)).is_ok();
    FOUND.get_or_init(|| if may() { "perf" } else { "strace" })
}

const PERF: [&str; 5] = ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter"];

/// System calls of all threads.
pub fn calls(of: &Command) -> Result<f64, String> {
    if counter_of_calls() == "perf" {
        return perf_total(&complaint(&under(&PERF, of))?);
    }
    let text = complaint(&under(&["strace", "-c", "-f"], of))?;
    // % time, seconds, usecs/call, calls, errors if there are any, "total".
    let total = text.lines().find(|line| line.trim_end().ends_with(" total"));
    let calls = total.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
    calls.ok_or_else(|| format!("strace counted nothing:\n{text}"))
}

/// `1234,,raw_syscalls:sys_enter,..`.
fn perf_total(text: &str) -> Result<f64, String> {
    let line = text.lines().find(|line| line.contains(",raw_syscalls:sys_enter,"));
    let calls = line.and_then(|line| line.split(',').next()?.parse().ok());
    calls.ok_or_else(|| format!("perf counted nothing:\n{text}"))
}

/// Seconds of CPU of a whole process: of ten, because the clock counts milliseconds.
pub fn cpu(of: &Command) -> Result<f64, String> {
    let script = "TIMEFORMAT='%U %S'; time for n in 1 2 3 4 5 6 7 8 9 10; do \"$0\" \"$@\" || exit; done";
    let text = complaint(&under(&["bash", "-c", script], of))?;
    let last = text.lines().last().unwrap_or_default();
    let seconds: Result<Vec<f64>, _> = last.split(' ').map(str::parse).collect();
    match seconds.as_deref() {
        Ok([user, system]) => Ok((user + system) / 10.0),
        _ => Err(format!("no times in {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_counts_are_those_of_the_program() {
        let mut busy = Command::new("bash");
        busy.args(["-c", "for ((i = 0; i < 20000; i++)); do :; done; echo out"]);
        assert!(cpu(&busy).unwrap() > 0.0);
        assert!(cpu(Command::new("bash").args(["-c", "exit 3"])).unwrap_err().contains("exit status: 3"));
        assert!(printed(&busy).unwrap().contains("out"));
        assert_eq!(collected("==1== Collected : 4711\n"), Ok(4711.0));
        assert!(collected("==1== Events : Ir\n").is_err());
        assert_eq!(perf_total("{}\n7359,,raw_syscalls:sys_enter,12599,100.00,,\n"), Ok(7359.0));
        assert!(perf_total("<not supported>,,raw_syscalls:sys_enter,0,100.00,,\n").is_err());
    }
}
