//! What is done for a figure, by whom, and what one turn of it gives.

use std::collections::BTreeMap;
use std::process::Command;

use super::programs::Programs;
use super::row::{Figure, Who};
use super::{proxy, server, tools};
use crate::shell::command;

/// Bytes of a download or an upload.
const LARGE: f64 = 268435456.0;

/// Rows whose work is equal share its samples.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Work {
    /// A program does the job so many times, and meters itself.
    Metered(Job, u64),
    /// Instructions in user space, from the difference of two counts.
    Counted(Job, u64, u64),
    /// System calls, from the difference of two counts.
    Traced(Job, u64, u64),
    /// A whole process that does the job once.
    Process(Job),
    /// The servers under a load; their processes are what is measured.
    Served(server::Load),
    /// A program of tests/bench with these arguments prints a line for each case, its name first.
    Printed(&'static str, &'static [&'static str]),
    /// The program of tests/bench/peers, likewise.
    PrintedByPeers,
    /// A client that has not met the server comes with so many requests at once, and with one in the other case.
    Fresh(&'static str),
    /// An attested download or small requests, directly and by a proxy.
    Proxied(&'static str, &'static str),
}

/// What a client does. `N` in its arguments is how many times.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Job {
    Mode(&'static [&'static str]),
    /// Small requests, `usize` at a time, over a kind of queue.
    Events(&'static str, &'static str),
    /// Connections that are kept.
    Idle,
    /// Raw streams that are kept.
    IdleStreams,
    Tunnel(&'static [&'static str]),
    RawDownload,
    /// Connections to the simulator, attested by the library.
    Attested,
    /// A request and its answer through the sans-I/O connection: framing and size of the bodies.
    Cycle(&'static str, &'static str),
}

/// One turn of one of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample(BTreeMap<String, f64>);

impl Work {
    /// How many of so many turns are worth taking: another one gives the same, or nearly.
    pub fn turns(&self, rounds: usize) -> usize {
        match self {
            Work::Counted(..) | Work::Served(server::Load::Counted) => 1,
            // Which thread finds what depends on when each of them runs.
            Work::Traced(..) => rounds.min(3),
            // Ten thousand handshakes, which take a quarter of a minute.
            Work::Metered(Job::Events(_, "10000"), _) | Work::Metered(Job::Idle, 10_000) => rounds.min(3),
            _ => rounds,
        }
    }

    /// One turn of each.
    pub fn turn(&self, programs: &Programs, all: &[Who]) -> Vec<Result<Sample, String>> {
        match self {
            Work::Printed(name, arguments) => {
                let printed = programs.rust(name).and_then(|program| tools::printed(command(program).args(*arguments)));
                all.iter().map(|who| line(&printed, *who)).collect()
            }
            Work::PrintedByPeers => {
                let printed = programs.others().and_then(|program| tools::printed(command(program).arg("200")));
                all.iter().map(|who| line(&printed, *who)).collect()
            }
            _ => all.iter().map(|who| self.alone(programs, *who)).collect(),
        }
    }

    fn alone(&self, programs: &Programs, who: Who) -> Result<Sample, String> {
        match *self {
            Work::Metered(job, count) => {
                let sample = Sample::parse(&tools::printed(&job.command(programs, who, count)?)?)?;
                sample.of_all(count, job.is_large())
            }
            Work::Counted(job, few, many) => {
                let count = |n| tools::instructions(&job.command(programs, who, n)?, None);
                Ok(Sample::per("instructions", (count(many)? - count(few)?) / (many - few) as f64))
            }
            Work::Traced(job, few, many) => {
                let count = |n| tools::calls(&job.command(programs, who, n)?);
                Ok(Sample::per("calls", (count(many)? - count(few)?) / (many - few) as f64))
            }
            Work::Process(job) => Ok(Sample::per("cpu", tools::cpu(&job.command(programs, who, 0)?)?)),
            Work::Served(load) => server::sample(programs, who, load),
            Work::Fresh(count) => {
                let mut fresh = command(programs.rust("fresh")?);
                fresh.arg(programs.c("server_atls")?).arg(programs.c("events_atls")?);
                fresh.arg(if who == Who::Client { count } else { "1" });
                Sample::parse(&tools::printed(fresh.env("BENCH_PKI", &programs.folder))?)
            }
            Work::Proxied(mode, count) => proxy::sample(programs, who, mode, count),
            Work::Printed(..) | Work::PrintedByPeers => Err("printed for all at once".into()),
        }
    }
}

/// What the program printed about one case.
fn line(printed: &Result<String, String>, who: Who) -> Result<Sample, String> {
    let text = printed.as_ref().map_err(Clone::clone)?;
    let found = text.lines().find_map(|line| line.strip_prefix(who.label())?.strip_prefix(' '));
    Sample::parse(found.ok_or_else(|| format!("nothing was printed about {}", who.label()))?)
}

impl Job {
    /// Whether each operation carries `LARGE` bytes.
    fn is_large(&self) -> bool {
        matches!(self, Job::Mode(["down" | "up", ..]) | Job::Tunnel(_) | Job::RawDownload)
    }

    /// Operations that are under way at a time; a run has as many at least.
    pub fn at_a_time(&self) -> u64 {
        match self {
            Job::Events(_, count) => count.parse().unwrap_or(1),
            _ => 1,
        }
    }

    pub fn command(&self, programs: &Programs, who: Who, count: u64) -> Result<Command, String> {
        let count = count.to_string();
        let with = |mode: &[&str]| -> Vec<String> {
            mode.iter().map(|word| if *word == "N" { count.clone() } else { (*word).to_owned() }).collect()
        };
        let ours = if who == Who::Client { "client" } else { "http" };
        let is_ours = matches!(who, Who::Http | Who::Client);
        match self {
            Job::Mode(mode) => programs.client(who, &with(mode)),
            Job::Events(queue, at_a_time) if is_ours => {
                programs.compiled("events_atls", &with(&[queue, ours, "conc", "N", at_a_time]))
            }
            Job::Events(_, at_a_time) => programs.client(who, &with(&["conc", "N", at_a_time])),
            Job::Idle if is_ours => programs.compiled("events_atls", &with(&["inline", ours, "idle", "N"])),
            Job::Idle => programs.client(who, &with(&["idle", "N"])),
            Job::IdleStreams if is_ours => programs.compiled("streams_atls", &with(&["N"])),
            Job::IdleStreams => programs.client(who, &with(&["idle", "N"])),
            Job::Tunnel(mode) if is_ours => {
                let mut client = programs.client(who, &with(mode))?;
                client.env("BENCH_TUNNEL", programs.tunnel());
                Ok(client)
            }
            Job::Tunnel(mode) => programs.native("ws", &with(mode)),
            Job::RawDownload if is_ours => programs.client(who, &with(&["raw", "N"])),
            Job::RawDownload => programs.client(who, &with(&["down", "/256m", "N"])),
            Job::Attested => programs.attested(who, &count),
            Job::Cycle(framing, size) => programs.cycle(who, &with(&[framing, size, "N"])),
        }
    }
}

impl Sample {
    /// The line that every program of the bench prints.
    pub fn parse(line: &str) -> Result<Sample, String> {
        let inner = line.trim().trim_start_matches('{').trim_end_matches('}');
        let pair = |pair: &str| {
            let (key, value) = pair.split_once(':')?;
            Some((key.trim_matches('"').to_owned(), value.parse().ok()?))
        };
        let values: BTreeMap<_, _> = inner.split(',').filter_map(pair).collect();
        if values.contains_key("cpu") { Ok(Sample(values)) } else { Err(format!("no figures in {line:?}")) }
    }

    /// Of one operation; CPU is in seconds.
    pub fn per(key: &str, value: f64) -> Sample {
        Sample([(key.to_owned(), value), ("ops".to_owned(), 1.0)].into())
    }

    /// Whoever has done less than was asked of him has no figure.
    pub fn of_all(self, count: u64, is_large: bool) -> Result<Sample, String> {
        let bytes = is_large.then_some(LARGE * count as f64);
        for (key, wanted) in [("ops", Some(count as f64)), ("bytes", bytes)] {
            let (done, wanted) = (self.of(key)?, wanted.unwrap_or_default());
            if done < wanted {
                return Err(format!("{done} {key} were done, of {wanted}"));
            }
        }
        Ok(self)
    }

    fn of(&self, key: &str) -> Result<f64, String> {
        self.0.get(key).copied().ok_or_else(|| format!("no {key} in {self:?}"))
    }

    /// More than nothing, or it was not measured.
    pub fn figure(&self, figure: Figure) -> Result<f64, String> {
        let of = |key: &str| self.of(key);
        let value = match figure {
            Figure::Cpu => of("cpu")? * 1e6 / of("ops")?,
            Figure::Throughput => of("bytes")? / of("wall")? / 1048576.0,
            Figure::Rate => of("ops")? / of("wall")?,
            Figure::Memory => (of("rss_kb")? - of("rss0_kb")?) / of("ops")?,
            Figure::Instructions => of("instructions")?,
            Figure::Calls => of("calls")?,
            Figure::Quotes => of("quotes")?,
            Figure::Wait => of("wall")? * 1e6,
        };
        let is_believable = value.is_finite() && value > 0.0;
        if is_believable { Ok(value) } else { Err(format!("{value} {} by {self:?}", figure.unit())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_gives_every_figure_of_one_operation() {
        let line =
            "{\"ops\":4,\"bytes\":8388608,\"wall\":2.0,\"cpu\":0.5,\"rss0_kb\":100,\"rss_kb\":140,\"hwm_kb\":150}\n";
        let sample = Sample::parse(line).unwrap();
        assert_eq!(sample.figure(Figure::Cpu), Ok(125_000.0));
        assert_eq!((sample.figure(Figure::Rate), sample.figure(Figure::Throughput)), (Ok(2.0), Ok(4.0)));
        assert_eq!(sample.figure(Figure::Memory), Ok(10.0));
        assert!(sample.figure(Figure::Instructions).is_err());
    }

    #[test]
    fn who_has_done_too_little_has_no_figure() {
        let sample = |ops: u64, bytes: u64| {
            Sample::parse(&format!("{{\"ops\":{ops},\"bytes\":{bytes},\"wall\":2.0,\"cpu\":0.5}}")).unwrap()
        };
        assert!(sample(640, 0).of_all(640, false).is_ok());
        assert!(sample(64, 0).of_all(640, false).unwrap_err().contains("64 ops"));
        assert!(Job::Mode(&["down", "/256m", "N"]).is_large() && !Job::Events("inline", "64").is_large());
        assert!(sample(2, 2 << 28).of_all(2, true).is_ok());
        assert!(sample(2, 1 << 28).of_all(2, true).unwrap_err().contains("bytes"));
        assert!(sample(0, 0).figure(Figure::Cpu).is_err() && sample(0, 0).figure(Figure::Rate).is_err());
        let shrunk = "{\"ops\":4,\"cpu\":0,\"rss0_kb\":100,\"rss_kb\":100}";
        assert!(Sample::parse(shrunk).unwrap().figure(Figure::Memory).is_err());
    }

    #[test]
    fn what_is_no_line_of_figures_is_an_error() {
        for line in ["", "{}", "Segmentation fault", "{\"ops\":1,\"wall\":2}"] {
            assert!(Sample::parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_printed_case_is_found_by_its_whole_name() {
        let printed = Ok("known-late {\"ops\":1,\"cpu\":3}\nknown {\"ops\":1,\"cpu\":2}\n".to_owned());
        let found = line(&printed, Who::Other("known")).unwrap();
        assert_eq!(found.figure(Figure::Cpu), Ok(2e6));
        assert!(line(&printed, Who::Other("cold")).is_err());
    }
}
