//! `cargo xtask docs`: the header and the pages as HTML, in target/docs/html. Whatever doxygen warns of is an error.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use crate::packages;
use crate::shell::{Done, command, root};

/// Pages beside the header.
const PAGES: [&str; 4] = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"];

const SETTINGS: &str = r#"
PROJECT_NAME = libatls
OUTPUT_DIRECTORY = target/docs
INPUT = target/docs/pages
RECURSIVE = YES
STRIP_FROM_PATH = target/docs/pages
USE_MDFILE_AS_MAINPAGE = target/docs/pages/README.md
OPTIMIZE_OUTPUT_FOR_C = YES
JAVADOC_AUTOBRIEF = YES
SORT_MEMBER_DOCS = NO
MACRO_EXPANSION = YES
EXPAND_ONLY_PREDEF = YES
PREDEFINED = DOXYGEN "ATLS_ENUM(name,type)=enum name : type" ATLS_NULLABLE= ATLS_NONNULL= ATLS_BEGIN= ATLS_END=
HAVE_DOT = NO
GENERATE_LATEX = NO
QUIET = YES
WARN_IF_UNDOCUMENTED = YES
WARN_IF_INCOMPLETE_DOC = NO
WARN_AS_ERROR = FAIL_ON_WARNINGS
"#;

pub fn build() -> Done {
    packages::ensure(packages::DOCS)?;
    let folder = root().join("target/docs");
    let _ = std::fs::remove_dir_all(&folder);
    let to_text = |error: std::io::Error| error.to_string();
    std::fs::create_dir_all(folder.join("pages/docs")).map_err(to_text)?;
    let mut pages: Vec<_> = PAGES.iter().map(|page| page.to_string()).collect();
    for entry in std::fs::read_dir(root().join("docs")).map_err(to_text)? {
        let name = entry.map_err(to_text)?.file_name().to_string_lossy().into_owned();
        pages.extend(name.ends_with(".md").then(|| format!("docs/{name}")));
    }
    for page in &pages {
        let text = std::fs::read_to_string(root().join(page)).map_err(|error| format!("{page}: {error}"))?;
        std::fs::write(folder.join("pages").join(page), for_doxygen(&text, page)).map_err(to_text)?;
    }
    let header = std::fs::read_to_string(root().join("include/atls.h")).map_err(|error| format!("atls.h: {error}"))?;
    std::fs::write(folder.join("pages/atls.h"), with_links(&header)).map_err(to_text)?;
    let mut doxygen = command("doxygen").arg("-").stdin(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
    doxygen.stdin.take().ok_or("no pipe")?.write_all(SETTINGS.as_bytes()).map_err(to_text)?;
    let status = doxygen.wait().map_err(to_text)?;
    if !status.success() {
        return Err(format!("doxygen: {status}"));
    }
    println!("{}", folder.join("html/index.html").display());
    Ok(())
}

/// A page with names for its headings, and links that use them: doxygen knows one set of names for all pages, and not GitHub's.
fn for_doxygen(text: &str, page: &str) -> String {
    let mut out = String::new();
    let mut fenced = false;
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        fenced ^= line.trim_start().starts_with("```");
        let heading = line.trim_start_matches('#');
        let is_heading = heading.len() < line.len() && heading.starts_with(' ');
        match (fenced || line.starts_with("    "), is_heading) {
            (true, _) => out += line,
            (false, true) if number == 0 => out += &format!("{line} {{#{}}}", label(page, "")),
            (false, true) => {
                let anchor = anchor(heading);
                let times = seen.entry(anchor.clone()).or_default();
                let anchor = if *times == 0 { anchor } else { format!("{anchor}-{times}") };
                *times += 1;
                out += &format!("{line} {{#{}}}", label(page, &anchor));
            }
            (false, false) => out += &links(line, page),
        }
        out.push('\n');
    }
    out
}

/// What GitHub calls a heading; later ones of the same text get a number.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

fn label(page: &str, anchor: &str) -> String {
    let name = Path::new(page).file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    if anchor.is_empty() { format!("page-{name}") } else { format!("{name}-{anchor}") }
}

/// Links to pages and headings go to their labels, links to the header to its page; others, to files that are no part of the documents, are text.
fn links(line: &str, page: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("](") {
        let Some((target, tail)) = after.split_once(')') else { break };
        out += before;
        let (file, heading) = target.split_once('#').unwrap_or((target, ""));
        out += &match file {
            _ if file.contains("://") => format!("]({target})"),
            "" => format!("](#{})", label(page, heading)),
            _ if file.ends_with(".md") => format!("](#{})", label(file, heading)),
            _ if file.ends_with("atls.h") => "](\\ref atls.h)".into(),
            _ => "]".into(),
        };
        rest = tail;
    }
    out + rest
}

/// The header with links to constants: doxygen wants a mark before each name, which would be in the way of those who read the header itself, and a list
/// in place of `\retval`, in which it knows no links.
fn with_links(header: &str) -> String {
    // `#define NAME value` or, in an enumeration, `NAME = value,`.
    let name_of = |line: &str| -> Option<String> {
        let line = line.trim_start();
        let (name, value) =
            line.strip_prefix("#define ").map_or(line.split_once(" = "), |rest| rest.split_once(' '))?;
        (name.starts_with("ATLS_") && !value.starts_with('_')).then(|| name.to_owned())
    };
    let names: HashSet<String> = header.lines().filter_map(name_of).collect();
    let mut out = String::new();
    let mut in_code = false;
    for line in header.lines() {
        in_code |= line.contains("\\code");
        let is_comment = line.trim_start().starts_with(['*', '/']);
        out += &if is_comment && !in_code { linked(&line.replace("\\retval ", "- "), &names) } else { line.to_owned() };
        out.push('\n');
        in_code &= !line.contains("\\endcode");
    }
    out
}

fn linked(line: &str, names: &HashSet<String>) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '#' || c == '`';
    let mut out = String::new();
    let mut rest = line;
    while !rest.is_empty() {
        let end = rest.find(|c| is_part(c) != is_part(rest.chars().next().unwrap_or(' '))).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        out += &if names.contains(word) { format!("#{word}") } else { word.to_owned() };
        rest = tail;
    }
    out
}
