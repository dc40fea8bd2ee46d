//! What comments and documents refer to is in the repository: files, headings of docs/, names of the header, and nothing that only some people can
//! read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file that is ours.
fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root().into()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap().flatten() {
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            let is_ours = !matches!(name.as_str(), "target" | ".git" | "Cargo.lock");
            if is_ours && path.is_dir() {
                folders.push(path);
            } else if is_ours && path.is_file() && std::fs::read_to_string(&path).is_ok() {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 200, "{} files", found.len());
    found
}

/// The text of comments in one line, so that what is wrapped is whole. In a document all is text.
fn prose(path: &Path, text: &str) -> String {
    let is_document = path.extension().is_some_and(|extension| extension == "md");
    let marks = ["//!", "///", "//", "/*", "*", "#"];
    let lines = text.lines().filter_map(|line| {
        let comment = line.find("//").map_or(line.trim(), |at| &line[at..]);
        let mark = marks.iter().find(|mark| comment.starts_with(**mark));
        match is_document {
            true => Some(line.trim()),
            false => Some(comment[mark?.len()..].trim()),
        }
    });
    lines.collect::<Vec<_>>().join(" ")
}

fn headings(document: &str) -> BTreeSet<&str> {
    let lines = document.lines().filter(|line| line.starts_with('#'));
    lines.map(|line| line.trim_start_matches('#').trim()).collect()
}

/// How a link names a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Names of documents in `text`, with what comes after each.
fn documents(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices(".md").map(|(at, end)| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "/_.-".contains(c);
        let start = text[..at].rfind(|c| !is_part(c)).map_or(0, |before| before + 1);
        (&text[start..at + end.len()], &text[at + end.len()..])
    })
}

/// The file that a name stands for: from the top, beside the file that has it, or in docs/.
fn resolve(name: &str, from: &Path) -> Option<PathBuf> {
    let folders = [root().to_owned(), from.parent()?.to_owned(), root().join("docs")];
    folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// What a file says of documents that are not there.
fn faults(path: &Path, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let prose = prose(path, text);
    let words: Vec<&str> = prose.split(|c: char| !c.is_alphanumeric()).collect();
    let names_none = |pair: &&[&str]| pair[1] == "spec" || pair == &["the", "specification"];
    faults.extend(words.windows(2).filter(names_none).map(|pair| format!("{} {}", pair[0], pair[1])));
    for (name, rest) in documents(&prose) {
        // Not a name, but the ending of some.
        if name == ".md" || name.ends_with("/.md") {
            continue;
        }
        let Some(found) = resolve(name, path) else {
            faults.push(name.to_owned());
            continue;
        };
        // A heading is quoted after a comma: docs/NAME.md, "Heading".
        if let Some((heading, _)) = rest.strip_prefix(", \"").and_then(|rest| rest.split_once('"'))
            && !headings(&std::fs::read_to_string(found).unwrap()).contains(heading)
        {
            faults.push(format!("{name}, \"{heading}\""));
        }
    }
    faults
}

fn names_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("atls_") || word.starts_with("ATLS_")).map(str::to_owned).collect()
}

/// Names in a document that are not `known`, as a whole or as the beginning of several (`atls_h1_*`).
fn unknown_names(text: &str, known: &BTreeSet<String>) -> Vec<String> {
    let is_known = |word: &String| {
        let beginning = format!("{}_", word.trim_end_matches('_'));
        known.contains(word) || known.iter().any(|known| known.starts_with(&beginning))
    };
    names_in(text).into_iter().filter(|word| !is_known(word)).collect()
}

/// What a document may name: functions and types of the header; constants, and variables that some program here reads.
fn known_names() -> BTreeSet<String> {
    let mut known = names_in(&std::fs::read_to_string(root().join("include/atls.h")).unwrap());
    for path in files().into_iter().filter(|path| path.extension().is_some_and(|extension| extension != "md")) {
        let names = names_in(&std::fs::read_to_string(path).unwrap());
        known.extend(names.into_iter().filter(|name| name.starts_with("ATLS_")));
    }
    known
}

/// Links of a document that lead nowhere in the repository.
fn dead_links(path: &Path, text: &str) -> Vec<String> {
    let links = text.match_indices("](").filter_map(|(at, mark)| text[at + mark.len()..].split_once(')'));
    let leads_nowhere = |(link, _): (&str, &str)| {
        let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
        let target = if file.is_empty() { path.to_owned() } else { path.parent().unwrap().join(file) };
        let has = |heading: &str| {
            let document = std::fs::read_to_string(&target).unwrap_or_default();
            headings(&document).iter().any(|found| anchor(found) == heading)
        };
        let is_there = target.exists() && heading.is_none_or(has);
        (!link.contains("://") && !is_there).then(|| link.to_owned())
    };
    links.filter_map(leads_nowhere).collect()
}

#[test]
fn nothing_is_cited_that_is_not_here() {
    let known = known_names();
    let mut found = Vec::new();
    // This file has samples of what is wrong.
    for path in files().into_iter().filter(|path| !path.ends_with(file!())) {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut faults = faults(&path, &text);
        if path.extension().is_some_and(|extension| extension == "md") {
            faults.extend(dead_links(&path, &text));
            faults.extend(unknown_names(&text, &known));
        }
        found.extend(faults.into_iter().map(|fault| format!("{}: {fault}", path.display())));
    }
    assert!(found.is_empty(), "cited, and not in the repository:\n{}", found.join("\n"));
}

#[test]
fn citations_of_what_is_not_here_are_noticed() {
    let of = |text: &str| faults(&root().join("src/lib.rs"), text);
    for good in [
        "/// By RFC 9112 section 6.3, and docs/protocol.md, \"The binder\".",
        "//! docs/protocol.md, \"The\n//! binder\".",
        "let spec = 1; // counts\n/* README.md */",
        "# not the specifications of others",
    ] {
        assert_eq!(of(good), Vec::<String>::new(), "{good}");
    }
    for bad in [
        "/// As the http spec has it (A.6).",
        "call(); // table C of the\n// specification",
        "//! docs/nothing.md says so.",
        "//! docs/protocol.md, \"The bender\".",
        " * see notes/protocol.md",
    ] {
        assert_eq!(of(bad).len(), 1, "{bad}");
    }
    let page = root().join("docs/policy.md");
    assert_eq!(dead_links(&page, "[a](protocol.md#the-binder) [b](#examples) [c](https://example.com/x)").len(), 0);
    assert_eq!(dead_links(&page, "[a](protocol.md#the-bender) [b](#no) [c](nothing.md)").len(), 3);
    let known = names_in("atls_status atls_h1_conn_new(void);\n#define ATLS_OK 0");
    let unknown = unknown_names("`ATLS_OK`, atls_h1_*, atls_h1_conn_new, ATLS_OKAY, atls_h1_con", &known);
    assert_eq!(unknown, ["ATLS_OKAY", "atls_h1_con"]);
}
