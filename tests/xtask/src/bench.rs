//! `cargo xtask bench`: the library beside native hyper, libcurl, Go, nginx and others, in one run and one table. All who do the same work take turns;
//! figures are medians over the rounds, and what counts are the ratios. docs/speed.md says what each row is.

mod machine;
mod page;
mod profile;
mod programs;
mod proxy;
mod report;
mod row;
mod rows;
mod server;
mod tools;
mod work;

use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Map, Value, json};

use self::programs::Programs;
use self::report::{LeftOut, Line, Report, Turns};
use self::row::{Row, Who};
use self::work::Work;
use crate::packages;
use crate::shell::{Done, command, run, step};

const USAGE: &str = "usage: cargo xtask bench [NAME...] [--list] [--rounds N] [--built FOLDER] [--profile] [--json FILE] [--from FILE] [--write]

  NAME       rows whose names begin so; all without one
  --list     names the rows
  --rounds   turns of each (11)
  --built    measures what was built into a folder, in place of what is shipped: the shared library and the programs of tests/bench
  --profile  for each row that misses an aim, the functions that take most of its instructions
  --json     writes the figures into a file
  --from     takes the figures from such a file, and measures nothing
  --write    writes docs/speed.md";

#[derive(Default)]
struct Options {
    names: Vec<String>,
    list: bool,
    rounds: usize,
    built: Option<PathBuf>,
    profile: bool,
    json: Option<PathBuf>,
    from: Option<PathBuf>,
    write: bool,
}

pub fn run_bench(arguments: impl Iterator<Item = String>) -> Done {
    let options = Options::parse(arguments)?;
    let wanted = options.rows()?;
    if options.list {
        wanted.iter().for_each(|row| println!("{:<36}{}", row.name, row.what));
        return Ok(());
    }
    let report = match &options.from {
        Some(file) => {
            let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
            Report::from_json(&text).map_err(|error| format!("{}: {error}", file.display()))?
        }
        None => measure(&options, &wanted)?,
    };
    print(&report)?;
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&report.to_json()).map_err(|error| error.to_string())?;
        std::fs::write(file, text + "\n").map_err(|error| format!("{}: {error}", file.display()))?;
    }
    if options.write {
        page::write(&report)?;
    }
    let missing: Vec<_> =
        wanted.iter().filter(|row| report.lines.iter().all(|line| line.row.name != row.name)).collect();
    match missing.is_empty() || options.from.is_some() {
        true => Ok(()),
        false => Err(format!("not measured: {}", missing.iter().map(|row| row.name).collect::<Vec<_>>().join(", "))),
    }
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options { rounds: 11, ..Options::default() };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} wants a value\n\n{USAGE}"));
            match argument.as_str() {
                "--list" => options.list = true,
                "--write" => options.write = true,
                "--profile" => options.profile = true,
                "--built" => options.built = Some(value()?.into()),
                "--json" => options.json = Some(value()?.into()),
                "--from" => options.from = Some(value()?.into()),
                "--rounds" => {
                    let text = value()?;
                    let rounds = text.parse().ok().filter(|rounds| *rounds > 0);
                    options.rounds =
                        rounds.ok_or_else(|| format!("--rounds is {text:?}, and wants a number from 1"))?;
                }
                name if !name.starts_with('-') => options.names.push(argument),
                _ => return Err(format!("no option is called {argument}\n\n{USAGE}")),
            }
        }
        Ok(options)
    }

    fn rows(&self) -> Result<Vec<&'static Row>, String> {
        if let Some(name) = self.names.iter().find(|name| rows::all().all(|row| !row.name.starts_with(name.as_str()))) {
            return Err(format!("no row's name begins with {name:?}; `cargo xtask bench --list` has them"));
        }
        let is_wanted = |row: &&Row| self.names.is_empty() || self.names.iter().any(|name| row.name.starts_with(name));
        Ok(rows::all().filter(is_wanted).collect())
    }
}

fn measure(options: &Options, wanted: &[&'static Row]) -> Result<Report, String> {
    packages::ensure(packages::TEST)?;
    packages::ensure(&[("strace", "strace"), ("readelf", "binutils")])?;
    step("building");
    many_files()?;
    let programs = Programs::new(options.built.as_deref())?;
    let busy = machine::busy()?;
    let warning = machine::warning(busy);
    warning.iter().for_each(|text| eprintln!("{text}"));
    let (mut lines, mut left_out, mut seconds) = (Vec::new(), Vec::new(), Map::new());
    let mut done: Vec<Work> = Vec::new();
    for row in wanted {
        if done.contains(&row.work) {
            continue;
        }
        done.push(row.work);
        let same: Vec<&'static Row> = wanted.iter().copied().filter(|other| other.work == row.work).collect();
        eprintln!("{}", same.iter().map(|row| row.name).collect::<Vec<_>>().join(" "));
        let begun = Instant::now();
        let who = participants(&same);
        let turns = take_turns(&programs, &same, &who, options.rounds, &mut left_out);
        for row in same {
            lines.extend(Line::new(row, &who, &turns)?);
        }
        let family = row.name.split('-').next().unwrap_or_default();
        let before = seconds.get(family).and_then(Value::as_f64).unwrap_or_default();
        let took = before + begun.elapsed().as_secs_f64();
        seconds.insert(family.to_owned(), json!((took * 10.0).round() / 10.0));
    }
    // As the table has them: rows that share their work need not stand together.
    lines.sort_by_key(|line| wanted.iter().position(|row| row.name == line.row.name));
    if options.profile {
        profiles(&programs, &mut lines);
    }
    let facts: [(&str, Value); 6] = [
        ("rounds", json!(options.rounds)),
        ("busy", json!(busy)),
        ("machine", machine::facts()?),
        ("peers", machine::peers()?),
        ("seconds", Value::Object(seconds)),
        ("left_out", left_out.iter().map(LeftOut::to_json).collect()),
    ];
    Ok(Report { facts: Map::from_iter(facts.map(|(name, value)| (name.to_owned(), value))), lines })
}

/// Rows that share their work share its profile.
fn profiles(programs: &Programs, lines: &mut [Line]) {
    let mut known: Vec<(Work, Who, Vec<profile::Share>)> = Vec::new();
    for line in lines.iter_mut().filter(|line| line.misses()) {
        let (work, who) = (line.row.work, line.row.ours);
        if let Some((.., shares)) = known.iter().find(|(of, by, _)| (*of, *by) == (work, who)) {
            line.profile.clone_from(shares);
            continue;
        }
        eprintln!("where the instructions of {} go", line.row.name);
        match profile::largest(programs, line.row) {
            Ok(shares) => line.profile.clone_from(&shares),
            Err(why) => eprintln!("  {why}"),
        }
        known.push((work, who, line.profile.clone()));
    }
}

/// All who do it, each once.
fn participants(rows: &[&'static Row]) -> Vec<Who> {
    let mut all = Vec::new();
    for who in rows.iter().flat_map(|row| [row.ours].into_iter().chain(row.peers.iter().copied())) {
        if !all.contains(&who) {
            all.push(who);
        }
    }
    all
}

/// Whoever fails once is left out, and why is said: figures of some of the rounds are none of the others.
fn take_turns(programs: &Programs, rows: &[&'static Row], who: &[Who], rounds: usize, out: &mut Vec<LeftOut>) -> Turns {
    let work = rows[0].work;
    let mut failed = vec![false; who.len()];
    let mut turns: Turns = Vec::new();
    for _ in 0..work.turns(rounds) {
        let asked: Vec<_> = who.iter().zip(&failed).filter(|(_, failed)| !**failed).map(|(who, _)| *who).collect();
        let mut given = work.turn(programs, &asked).into_iter();
        let mut turn = Vec::new();
        for (who, failed) in who.iter().zip(&mut failed) {
            let sample = if *failed { None } else { given.next() };
            let sample = sample.map(|sample| {
                let sample = sample?;
                rows.iter().try_for_each(|row| sample.figure(row.figure).map(drop)).map(|()| sample)
            });
            if let Some(Err(why)) = &sample {
                *failed = true;
                leave_out(rows[0], who.label(), why, out);
            }
            turn.push(sample.and_then(Result::ok));
        }
        turns.push(turn);
    }
    for turn in &mut turns {
        turn.iter_mut().zip(&failed).filter(|(_, failed)| **failed).for_each(|(sample, _)| *sample = None);
    }
    turns
}

fn leave_out(row: &'static Row, who: &'static str, why: &str, out: &mut Vec<LeftOut>) {
    // What concerns several is said once: that there is no Go, for example.
    let first = why.lines().next().unwrap_or_default().trim_end_matches(':');
    let is_known = out.iter().any(|one| one.why == first);
    eprintln!("  {who} is left out: {}", if is_known { "likewise" } else { why });
    if !out.iter().any(|one| one.who == who && one.why == first) {
        out.push(LeftOut { who, row: row.name, why: first.to_owned() });
    }
}

fn print(report: &Report) -> Done {
    let release = report::last_release()?;
    let mut lines = vec![report::heading()];
    lines.extend(report.cells(release.as_ref().map(|(_, value)| value)));
    let widths: Vec<usize> =
        (0..lines[0].len()).map(|at| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0)).collect();
    println!();
    for line in &lines {
        let cells = line.iter().zip(&widths).enumerate();
        let padded: Vec<_> = cells
            .map(
                |(at, (cell, width))| {
                    if (1..6).contains(&at) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
                },
            )
            .collect();
        println!("{}", padded.join("  ").trim_end());
    }
    match &release {
        Some((version, _)) => {
            println!("\n\"last release\" is {version}: ours now over ours then, both as ratios to the same peer")
        }
        None => println!("\nthere is no release yet to compare with: tests/bench/releases has no figures"),
    }
    report.remarks().iter().for_each(|text| println!("{text}"));
    for line in report.lines.iter().filter(|line| !line.profile.is_empty()) {
        println!("\n{}", page::profile(line));
    }
    let busy = report.facts.get("busy").and_then(Value::as_f64).unwrap_or_default();
    machine::warning(busy).iter().for_each(|text| println!("{text}"));
    Ok(())
}

/// Ten thousand connections want as many descriptors; children have what this process has.
fn many_files() -> Done {
    run(command("prlimit").args(["--pid", &std::process::id().to_string(), "--nofile=12000:"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, String> {
        Options::parse(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn rows_are_chosen_by_the_beginning_of_their_names() {
        let rows = parse("small-cpu tunnel").unwrap().rows().unwrap();
        assert!(rows.iter().all(|row| row.name.starts_with("small-cpu") || row.name.starts_with("tunnel")));
        assert_eq!(rows.len(), 6);
        assert_eq!(parse("").unwrap().rows().unwrap().len(), rows::all().count());
        assert!(parse("smal1").unwrap().rows().err().unwrap().contains("smal1"));
    }

    #[test]
    fn a_wrong_command_line_is_named() {
        for (line, word) in [("--rounds", "--rounds"), ("--rounds none", "none"), ("--rounds 0", "\"0\""), ("-x", "-x")]
        {
            assert!(parse(line).err().unwrap().contains(word), "{line}");
        }
        assert_eq!(parse("--rounds 3").unwrap().rounds, 3);
    }

    #[test]
    fn names_are_those_of_one_row() {
        let mut names: Vec<_> = rows::all().map(|row| row.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn each_aim_is_about_somebody_who_takes_part() {
        for row in rows::all() {
            for column in row.aims.iter().filter_map(|aim| aim.to) {
                assert!(row.peers.iter().any(|peer| peer.column() == column), "{}", row.name);
            }
            assert!(!row.peers.is_empty(), "{} has nobody to compare with", row.name);
        }
    }
}
