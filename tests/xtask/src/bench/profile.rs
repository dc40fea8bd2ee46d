//! Which functions take the instructions of a row: callgrind's counts of two runs with different counts of operations, one subtracted from the other,
//! so that what a process does once is not in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::programs::Programs;
use super::row::{Figure, Row};
use super::server::{Load, Server};
use super::tools;
use super::work::Work;

/// Functions that are named.
const LONGEST: usize = 10;

/// A function, and its share of the instructions of an operation.
pub type Share = (String, f64);

/// The functions that take most, by their own instructions.
pub fn largest(programs: &Programs, row: &Row) -> Result<Vec<Share>, String> {
    if matches!(row.figure, Figure::Memory | Figure::Quotes | Figure::Wait) {
        return Err(format!("{} is not about instructions", row.name));
    }
    let files = ["few", "many"].map(|name| programs.folder.join(format!("callgrind.{name}")));
    run(programs, row, &files)?;
    let read = |file: &Path| {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        by_function(&text)
    };
    let difference = subtract(read(&files[1])?, &read(&files[0])?);
    let all: f64 = difference.values().sum();
    let mut shares: Vec<Share> = difference.into_iter().map(|(name, count)| (name, count / all)).collect();
    shares.sort_by(|one, other| other.1.total_cmp(&one.1));
    shares.truncate(LONGEST);
    Ok(shares)
}

fn run(programs: &Programs, row: &Row, files: &[PathBuf; 2]) -> Result<(), String> {
    let client = |job: super::work::Job, few: u64, many: u64| {
        for (count, file) in [few, many].iter().zip(files) {
            tools::instructions(&job.command(programs, row.ours, *count)?, Some(file))?;
        }
        Ok(())
    };
    let server = |mode: [&[&str]; 2]| {
        for (mode, file) in mode.iter().zip(files) {
            Server::counted(programs, row.ours, mode, Some(file))?;
        }
        Ok(())
    };
    match row.work {
        Work::Counted(job, few, many) | Work::Traced(job, few, many) => client(job, few, many),
        Work::Metered(job, count) => {
            let (few, more) = ((count / 100).max(1), (count / 25).max(1));
            let few = job.at_a_time().max(few);
            client(job, few, few + more)
        }
        Work::Process(job) => client(job, 0, 1),
        Work::Served(Load::Small | Load::Counted) => server([&["seq", "200"], &["seq", "1200"]]),
        Work::Served(Load::Connections) => server([&["hs", "20"], &["hs", "60"]]),
        Work::Served(Load::Download) => server([&["down", "/256m", "1"], &["down", "/256m", "2"]]),
        _ => Err(format!("the work of {} is not run under callgrind", row.name)),
    }
}

fn subtract(mut many: BTreeMap<String, f64>, few: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    for (name, count) in &mut many {
        *count -= few.get(name).copied().unwrap_or_default();
    }
    many.retain(|_, count| *count > 0.0);
    many
}

/// Instructions of each function itself, in a file of callgrind's. Lines of cost end in a count; the one after `calls=` is what a callee took.
fn by_function(text: &str) -> Result<BTreeMap<String, f64>, String> {
    let (mut names, mut counts) = (BTreeMap::new(), BTreeMap::new());
    let (mut now, mut is_callee) = (String::new(), false);
    for line in text.lines() {
        if let Some((kind, value)) = line.split_once('=') {
            match kind {
                "fn" => now = named(&mut names, value),
                "cfn" => drop(named(&mut names, value)),
                "calls" => is_callee = true,
                _ => {}
            }
            continue;
        }
        let is_cost = line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first));
        let count = line.rsplit(' ').next().and_then(|count| count.parse::<f64>().ok());
        if let Some(count) = count.filter(|_| is_cost && !std::mem::take(&mut is_callee)) {
            *counts.entry(now.clone()).or_default() += count;
        }
    }
    if counts.is_empty() { Err("callgrind counted nothing by function".into()) } else { Ok(counts) }
}

/// `(7) name` names a function, and `(7)` means it from then on.
fn named(names: &mut BTreeMap<String, String>, value: &str) -> String {
    let (number, name) = value.split_once(' ').unwrap_or((value, ""));
    if !name.is_empty() {
        names.insert(number.to_owned(), plain(name));
    }
    names.get(number).cloned().unwrap_or_else(|| number.to_owned())
}

/// Without what the compiler appends to a name, or callgrind for a recursion.
fn plain(name: &str) -> String {
    let name = name.split_once('\'').map_or(name, |(name, _)| name);
    match name.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => name.to_owned(),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "version: 1\nevents: Ir\n\nob=(1) lib\nfl=(1) a.c\nfn=(1) one::h0123456789abcdef\n3 10\n+2 5\ncfn=(2) two\n\
                        calls=3 7\n+1 900\n* 1\n\nfn=(2)\n4 20\nfi=(3) b.h\n-1 2\nfn=(1)\n9 4\ntotals: 42\n";

    #[test]
    fn each_function_has_its_own_instructions() {
        let counts = by_function(FILE).unwrap();
        let wanted: BTreeMap<_, _> = [("one".to_owned(), 20.0), ("two".to_owned(), 22.0)].into();
        assert_eq!(counts, wanted);
        assert!(by_function("events: Ir\n").is_err());
    }

    #[test]
    fn what_a_process_does_once_is_not_counted() {
        let of = |pairs: &[(&str, f64)]| -> BTreeMap<String, f64> {
            pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
        };
        let left =
            subtract(of(&[("start", 500.0), ("work", 30.0), ("new", 4.0)]), &of(&[("start", 500.0), ("work", 10.0)]));
        assert_eq!(left, of(&[("work", 20.0), ("new", 4.0)]));
    }

    #[test]
    fn names_are_plain() {
        assert_eq!(plain("a::b::h0123456789abcdef"), "a::b");
        assert_eq!(plain("recursive'2"), "recursive");
        assert_eq!(plain("a::hash"), "a::hash");
    }
}
