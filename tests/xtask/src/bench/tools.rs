//! Programs under callgrind, strace and the shell's clock.

use std::process::{Command, Stdio};

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

/// What it writes to standard error, if it ends well.
fn complaint(mut command: Command) -> Result<String, String> {
    let done = command.stdout(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = String::from_utf8_lossy(&done.stderr).into_owned();
    if done.status.success() { Ok(text) } else { Err(format!("{command:?}: {}\n{text}", done.status)) }
}

/// Of the whole process, in user space.
pub fn instructions(of: &Command) -> Result<f64, String> {
    collected(&complaint(under(&CALLGRIND, of))?)
}

const CALLGRIND: [&str; 3] = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"];

/// A command that says what it took when it is ended.
pub fn callgrind(of: &Command) -> Command {
    under(&CALLGRIND, of)
}

pub fn collected(text: &str) -> Result<f64, String> {
    let collected = text.lines().find_map(|line| line.split_once("Collected : ")).map(|(_, n)| n.trim());
    collected.and_then(|n| n.parse().ok()).ok_or_else(|| format!("callgrind counted nothing:\n{text}"))
}

/// System calls of all threads.
pub fn calls(of: &Command) -> Result<f64, String> {
    let text = complaint(under(&["strace", "-c", "-f"], of))?;
    // % time, seconds, usecs/call, calls, errors if there are any, "total".
    let total = text.lines().find(|line| line.trim_end().ends_with(" total"));
    let calls = total.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
    calls.ok_or_else(|| format!("strace counted nothing:\n{text}"))
}

/// Seconds of CPU of a whole process: of ten, because the clock counts milliseconds.
pub fn cpu(of: &Command) -> Result<f64, String> {
    let script = "TIMEFORMAT='%U %S'; time for n in 1 2 3 4 5 6 7 8 9 10; do \"$0\" \"$@\" || exit; done";
    let text = complaint(under(&["bash", "-c", script], of))?;
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
        assert_eq!(collected("==1== Collected : 4711\n"), Ok(4711.0));
        assert!(collected("==1== Events : Ir\n").is_err());
    }
}
