//! docs/speed.md: the parts of it that are written by this program, the figures of a run and the list of rows.

use serde_json::Value;

use super::report::{self, Line, Report};
use super::row::Who;
use super::rows;
use crate::shell::{Done, root};

const PAGE: &str = "docs/speed.md";

/// Writes the list of rows, and the figures of a run.
pub fn write(report: &Report) -> Done {
    let page = with(&with(&read()?, "rows", &list())?, "figures", &figures(report)?)?;
    let page = with(&page, "profiles", &profiles(report))?;
    std::fs::write(root().join(PAGE), page).map_err(|error| format!("{PAGE}: {error}"))?;
    println!("{PAGE} is written");
    Ok(())
}

fn read() -> Result<String, String> {
    std::fs::read_to_string(root().join(PAGE)).map_err(|error| format!("{PAGE}: {error}"))
}

/// What stands between the two marks of a part.
fn part<'a>(page: &'a str, name: &str) -> Result<(usize, &'a str), String> {
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let begin = page.find(&open).map(|at| at + open.len());
    let found = begin.and_then(|begin| Some((begin, &page[begin..begin + page[begin..].find(&close)?])));
    found.ok_or_else(|| format!("{PAGE} has no part \"{name}\""))
}

fn with(page: &str, name: &str, text: &str) -> Result<String, String> {
    let (begin, old) = part(page, name)?;
    Ok(format!("{}\n{text}\n{}", &page[..begin], &page[begin + old.len()..]))
}

fn table(heading: &[String], lines: &[Vec<String>]) -> String {
    let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule = vec!["---".to_owned(); heading.len()];
    row(heading) + &row(&rule) + &lines.iter().map(|cells| row(cells)).collect::<String>()
}

/// Function and share, for the row of a line.
pub fn profile(line: &Line) -> String {
    let lines: Vec<_> =
        line.profile.iter().map(|(name, share)| vec![format!("`{name}`"), format!("{:.1} %", share * 100.0)]).collect();
    format!("`{}`\n\n{}", line.row.name, table(&["Function", "Share"].map(str::to_owned), &lines))
}

fn profiles(report: &Report) -> String {
    let all: Vec<_> = report.lines.iter().filter(|line| !line.profile.is_empty()).map(profile).collect();
    if all.is_empty() { "None was taken.\n".to_owned() } else { all.join("\n") }
}

fn list() -> String {
    let heading = ["Row", "What", "Beside", "Aim"].map(str::to_owned);
    let lines: Vec<_> = rows::all()
        .map(|row| {
            let beside: Vec<_> = row.peers.iter().map(|who| who.label()).collect();
            let named = |aim: &super::row::Aim| {
                let peer = row.peers.iter().find(|peer| Some(peer.column()) == aim.to);
                aim.text(peer.map_or("", |who: &Who| who.label()))
            };
            let aims: Vec<_> = row.aims.iter().map(named).collect();
            let unit = match aims.is_empty() || row.aims.iter().all(|aim| aim.to.is_some()) {
                true => String::new(),
                false => format!(" {}", row.figure.unit()),
            };
            vec![format!("`{}`", row.name), row.what.to_owned(), beside.join(", "), aims.join("; ") + &unit]
        })
        .collect();
    table(&heading, &lines)
}

fn figures(report: &Report) -> Result<String, String> {
    let release = report::last_release()?;
    let fact = |of: &str, name: &str| match &report.facts[of][name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut out = format!(
        "Taken on {} of commit {}: {}, {} cores, {}, {}; rounds: {}; system calls by {}. ",
        fact("machine", "date"),
        fact("machine", "commit"),
        fact("machine", "processor"),
        fact("machine", "cores"),
        fact("machine", "kernel"),
        fact("machine", "rustc"),
        report.facts["rounds"],
        fact("machine", "calls"),
    );
    let busy = report.facts["busy"].as_f64().unwrap_or_default();
    out += &super::machine::warning(busy)
        .map_or("The machine did nothing else.\n".to_owned(), |text| format!("{text}.\n"));
    for peer in ["native", "libcurl", "Go", "nginx", "another"] {
        out += &format!("* {peer}: {}\n", fact("peers", peer));
    }
    let cells: Vec<_> = report
        .cells(release.as_ref().map(|(_, value)| value))
        .into_iter()
        .map(|mut cells| {
            cells[0] = format!("`{}`", cells[0]);
            cells
        })
        .collect();
    out += &format!("\n{}", table(&report::heading(), &cells));
    let missing: Vec<_> = rows::all()
        .filter(|row| report.lines.iter().all(|line| line.row.name != row.name))
        .map(|row| row.name)
        .collect();
    if !missing.is_empty() {
        out += &format!("\nNot measured: {}.\n", missing.join(", "));
    }
    for remark in report.remarks() {
        out += &format!("\nNote: {remark}.\n");
    }
    out += &match release {
        Some((version, _)) => format!("\nThe last release is {version}.\n"),
        None => "\nThere is no release yet to compare with.\n".to_owned(),
    };
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_lists_the_rows_that_there_are() {
        let page = read().unwrap();
        if std::env::var_os("ATLS_WRITE_DOCS").is_some() {
            std::fs::write(root().join(PAGE), with(&page, "rows", &list()).unwrap()).unwrap();
            return;
        }
        let (_, there) = part(&page, "rows").unwrap();
        assert!(
            there.trim() == list().trim(),
            "`ATLS_WRITE_DOCS=1 cargo test --package xtask` brings the list up to date"
        );
    }

    #[test]
    fn each_row_with_figures_is_one_of_the_bench() {
        let page = read().unwrap();
        let (_, figures) = part(&page, "figures").unwrap();
        let named = figures.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        for name in named {
            let Some(row) = rows::all().find(|row| row.name == name) else { panic!("{name} is no row of the bench") };
            let line = figures.lines().find(|line| line.starts_with(&format!("| `{name}`"))).unwrap();
            for aim in row.aims {
                let peer = row.peers.iter().find(|peer| Some(peer.column()) == aim.to);
                let text = aim.text(peer.map_or("", |who| who.label()));
                assert!(line.contains(&text), "the figures of {name} do not know its aim, {text}");
            }
        }
    }

    #[test]
    fn a_part_is_replaced_and_nothing_else() {
        let page = "a\n<!-- rows -->\nold\n<!-- end of rows -->\nb\n";
        let new = with(page, "rows", "new\n").unwrap();
        assert_eq!(new, "a\n<!-- rows -->\n\nnew\n\n<!-- end of rows -->\nb\n");
        assert_eq!(with(&new, "rows", "new\n").unwrap(), new);
        assert!(with(page, "figures", "").is_err());
    }
}
