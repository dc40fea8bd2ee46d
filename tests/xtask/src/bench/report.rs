//! Figures of a run: taken from samples, written as JSON, read again, and held against those of the last release.

use serde_json::{Map, Value, json};

use super::profile::Share;
use super::row::{COLUMNS, Column, Row, Who};
use super::rows;
use super::work::Sample;
use crate::shell::root;

/// Of the JSON.
const VERSION: u64 = 1;

pub struct Report {
    /// `version`, `rounds`, `machine`, `peers`, `busy`, `seconds`, `left_out`.
    pub facts: Map<String, Value>,
    pub lines: Vec<Line>,
}

/// Somebody who has no figures, the first row in which that is so, and why.
pub struct LeftOut {
    pub who: &'static str,
    pub row: &'static str,
    pub why: String,
}

pub struct Line {
    pub row: &'static Row,
    pub ours: f64,
    pub others: Vec<Beside>,
    /// The functions that take most of the library's instructions, if that was asked.
    pub profile: Vec<Share>,
}

/// Somebody's figure, and ours over it.
pub struct Beside {
    pub who: Who,
    pub figure: f64,
    pub ratio: f64,
}

/// What was measured for a row, turn by turn, each with the others of the same turn.
pub type Turns = Vec<Vec<Option<Sample>>>;

impl Line {
    /// `who` are those of whom each turn has samples. None if ours could not be measured.
    pub fn new(row: &'static Row, who: &[Who], turns: &Turns) -> Result<Option<Line>, String> {
        let Some(at) = who.iter().position(|who| *who == row.ours) else { return Ok(None) };
        let figures = |at: usize| -> Result<Vec<Option<f64>>, String> {
            let of = |turn: &Vec<Option<Sample>>| turn[at].as_ref().map(|sample| sample.figure(row.figure)).transpose();
            turns.iter().map(of).collect()
        };
        let ours = figures(at)?;
        let Some(median_of_ours) = median(ours.iter().flatten().copied()) else { return Ok(None) };
        let mut others = Vec::new();
        for peer in row.peers {
            let Some(at) = who.iter().position(|who| who == peer) else { continue };
            let theirs = figures(at)?;
            let both = ours.iter().zip(&theirs).filter_map(|(ours, theirs)| Some((*ours)? / (*theirs)?));
            if let (Some(figure), Some(ratio)) = (median(theirs.iter().flatten().copied()), median(both)) {
                others.push(Beside { who: *peer, figure, ratio });
            }
        }
        Ok(Some(Line { row, ours: median_of_ours, others, profile: Vec::new() }))
    }

    pub fn misses(&self) -> bool {
        self.aims().any(|(_, is_reached)| is_reached == Some(false))
    }

    pub fn beside(&self, column: Column) -> impl Iterator<Item = &Beside> {
        self.others.iter().filter(move |beside| beside.who.column() == column)
    }

    /// Each aim with whether it was reached; None if whoever it is about did not take part.
    pub fn aims(&self) -> impl Iterator<Item = (String, Option<bool>)> {
        self.row.aims.iter().map(|aim| {
            let first = aim.to.and_then(|column| self.beside(column).next());
            let name = aim.to.and_then(|column| self.row.peers.iter().find(|peer| peer.column() == column));
            let value = if aim.to.is_none() { Some(self.ours) } else { first.map(|beside| beside.ratio) };
            (aim.text(name.map_or("", |who| who.label())), value.map(|value| aim.is_reached(value)))
        })
    }

    /// Ours now over ours at a release, both taken as ratios to the same peer.
    pub fn since(&self, release: &Value) -> Option<f64> {
        let then = find(release, self.row.name)?;
        self.others.iter().find_map(|now| Some(now.ratio / then["ratios"][now.who.label()].as_f64()?))
    }

    fn to_json(&self) -> Value {
        let mut figures = Map::from_iter([("libatls".to_owned(), json!(self.ours))]);
        figures.extend(self.others.iter().map(|beside| (beside.who.label().to_owned(), json!(beside.figure))));
        let ratios: Map<_, _> =
            self.others.iter().map(|beside| (beside.who.label().to_owned(), json!(beside.ratio))).collect();
        let aims: Vec<_> = self.aims().map(|(aim, is_reached)| json!({"aim": aim, "reached": is_reached})).collect();
        let mut all = json!({"name": self.row.name, "unit": self.row.figure.unit(), "figures": figures, "ratios": ratios, "aims": aims});
        if !self.profile.is_empty() {
            all["profile"] = json!(self.profile);
        }
        all
    }

    fn from_json(row: &'static Row, value: &Value) -> Result<Line, String> {
        let number = |kind: &str, label: &str| value[kind][label].as_f64();
        let beside = |who: &Who| {
            let (figure, ratio) = (number("figures", who.label())?, number("ratios", who.label())?);
            Some(Beside { who: *who, figure, ratio })
        };
        let ours = number("figures", "libatls").ok_or_else(|| format!("{} has no figure of libatls", row.name))?;
        let profile = match value.get("profile") {
            Some(shares) => {
                serde_json::from_value(shares.clone()).map_err(|error| format!("{}: profile: {error}", row.name))?
            }
            None => Vec::new(),
        };
        Ok(Line { row, ours, others: row.peers.iter().filter_map(beside).collect(), profile })
    }
}

impl Report {
    pub fn to_json(&self) -> Value {
        let mut all = self.facts.clone();
        all.insert("version".into(), json!(VERSION));
        all.insert("rows".into(), self.lines.iter().map(Line::to_json).collect());
        Value::Object(all)
    }

    pub fn from_json(text: &str) -> Result<Report, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if value["version"] != VERSION {
            return Err(format!("version is {}, and {VERSION} is read", value["version"]));
        }
        let there = rows::all().filter_map(|row| Some((row, find(&value, row.name)?)));
        let lines = there.map(|(row, of)| Line::from_json(row, of)).collect::<Result<_, _>>()?;
        let mut facts = value.as_object().cloned().unwrap_or_default();
        facts.remove("rows");
        Ok(Report { facts, lines })
    }

    /// The cells of each line: name, figure, ratios, since the last release, aims.
    pub fn cells(&self, release: Option<&Value>) -> Vec<Vec<String>> {
        self.lines.iter().map(|line| line.cells(release)).collect()
    }
}

impl LeftOut {
    pub fn to_json(&self) -> Value {
        json!({"who": self.who, "row": self.row, "why": self.why})
    }
}

impl Report {
    /// What is to be said below the table: who has no figures, and how long it took.
    pub fn remarks(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let left_out = self.facts.get("left_out").and_then(Value::as_array).into_iter().flatten();
        let mut all: Vec<_> = left_out
            .map(|one| format!("left out: {} in {}: {}", text(&one["who"]), text(&one["row"]), text(&one["why"])))
            .collect();
        let seconds = self.facts.get("seconds").and_then(Value::as_object);
        let seconds = seconds.into_iter().flatten().filter_map(|(name, value)| Some((name, value.as_f64()?)));
        let seconds: Vec<_> = seconds.collect();
        if !seconds.is_empty() {
            let sum: f64 = seconds.iter().map(|(_, value)| value).sum();
            let each: Vec<_> = seconds.iter().map(|(name, value)| format!("{name} {value:.0} s")).collect();
            all.push(format!("it took {:.0} min: {}", sum / 60.0, each.join(", ")));
        }
        all
    }
}

pub fn heading() -> Vec<String> {
    let columns = COLUMNS.map(Column::label);
    ["row", "libatls"].into_iter().chain(columns).chain(["last release", "aim"]).map(str::to_owned).collect()
}

impl Line {
    fn cells(&self, release: Option<&Value>) -> Vec<String> {
        let mut cells = vec![self.row.name.to_owned(), self.row.figure.show(self.ours)];
        for column in COLUMNS {
            let one = |beside: &Beside| match column {
                Column::Other => format!("{} {}", ratio(beside.ratio), beside.who.label()),
                _ => ratio(beside.ratio),
            };
            let all: Vec<_> = self.beside(column).map(one).collect();
            let takes_part = self.row.peers.iter().any(|who| who.column() == column);
            cells.push(match (all.is_empty(), takes_part) {
                (false, _) => all.join(", "),
                (true, true) => "left out".to_owned(),
                (true, false) => "-".to_owned(),
            });
        }
        cells.push(release.and_then(|release| self.since(release)).map_or("-".to_owned(), ratio));
        let aim = |(text, is_reached): (String, Option<bool>)| match is_reached {
            Some(true) => format!("{text}: reached"),
            Some(false) => format!("{text}: missed"),
            None => format!("{text}: not measured"),
        };
        cells.push(self.aims().map(aim).collect::<Vec<_>>().join("; "));
        cells
    }
}

fn ratio(value: f64) -> String {
    if value < 0.1 { format!("{value:.4}") } else { format!("{value:.2}") }
}

fn find<'a>(report: &'a Value, name: &str) -> Option<&'a Value> {
    report["rows"].as_array()?.iter().find(|row| row["name"] == name)
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// The figures of the last release, which tests/bench/releases has as JSON of this program, with the release's version as their names.
pub fn last_release() -> Result<Option<(String, Value)>, String> {
    let folder = root().join("tests/bench/releases");
    let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let version = |path: &std::path::Path| -> Option<Vec<u32>> {
        (path.extension()? == "json")
            .then(|| path.file_stem()?.to_str()?.split('.').map(|part| part.parse().ok()).collect())?
    };
    let found = entries.flatten().filter_map(|entry| Some((version(&entry.path())?, entry.path()))).max();
    let Some((version, path)) = found else { return Ok(None) };
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let value = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Some((version.iter().map(u32::to_string).collect::<Vec<_>>().join("."), value)))
}
