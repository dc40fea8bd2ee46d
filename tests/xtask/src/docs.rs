//! `cargo xtask docs`: the header and the pages as a site, in target/docs/html. Doxygen reads the header, Sphinx makes the site (docs/conf.py); what either
//! of them warns of is an error, a link that leads nowhere too.

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use crate::packages;
use crate::shell::{Done, command, root, run};

/// Pages that are not in docs/.
const PAGES: [&str; 4] = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"];

/// Those of the languages, each as a page of its own name.
const BINDINGS: [&str; 3] = ["go", "python", "swift"];

/// Sphinx, its reader of Markdown, a theme that loads nothing from elsewhere, and what shows what Doxygen has read.
const PYTHON: [&str; 4] = ["sphinx==9.0.4", "myst-parser==5.2.0", "furo==2025.12.19", "breathe==5.1.0"];

const SETTINGS: &str = r#"
PROJECT_NAME = libatls
OUTPUT_DIRECTORY = target/docs
INPUT = target/docs/atls.h
STRIP_FROM_PATH = target/docs
OPTIMIZE_OUTPUT_FOR_C = YES
JAVADOC_AUTOBRIEF = YES
SORT_MEMBER_DOCS = NO
MACRO_EXPANSION = YES
EXPAND_ONLY_PREDEF = YES
PREDEFINED = DOXYGEN "ATLS_ENUM(name,type)=enum name : type" ATLS_NULLABLE= ATLS_NONNULL= ATLS_BEGIN= ATLS_END=
HAVE_DOT = NO
GENERATE_HTML = NO
GENERATE_LATEX = NO
GENERATE_XML = YES
XML_PROGRAMLISTING = NO
QUIET = YES
WARN_IF_UNDOCUMENTED = YES
WARN_IF_INCOMPLETE_DOC = NO
WARN_AS_ERROR = FAIL_ON_WARNINGS
"#;

pub fn build() -> Done {
    let begun = Instant::now();
    packages::ensure(packages::DOCS)?;
    let python = packages::python("docs-python", &PYTHON)?;
    let folder = root().join("target/docs");
    let _ = std::fs::remove_dir_all(&folder);
    make_folder(&folder.join("pages/header"))?;
    copy(&root().join("docs"), &folder.join("pages"))?;
    for page in PAGES {
        write(&folder.join("pages").join(page), &for_site(&read(&root().join(page))?, page))?;
    }
    for language in BINDINGS {
        let page = format!("bindings/{language}/README.md");
        write(&folder.join(format!("pages/{language}.md")), &for_site(&read(&root().join(&page))?, &page))?;
    }
    let header = read(&root().join("include/atls.h"))?;
    write(&folder.join("atls.h"), &with_links(&header))?;
    doxygen()?;
    chapters(&header, &folder)?;
    let mut sphinx = command(&python);
    sphinx.args(["-m", "sphinx", "--builder", "html", "--fail-on-warning", "--keep-going", "--quiet"]);
    run(sphinx.arg("--doctree-dir").arg(folder.join("read")).arg(folder.join("pages")).arg(folder.join("html")))?;
    println!("{} ({:.0?})", folder.join("html/index.html").display(), begun.elapsed());
    Ok(())
}

fn doxygen() -> Done {
    let mut doxygen = command("doxygen").arg("-").stdin(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
    let mut settings = doxygen.stdin.take().ok_or("no pipe")?;
    settings.write_all(SETTINGS.as_bytes()).map_err(|error| error.to_string())?;
    drop(settings);
    let status = doxygen.wait().map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("doxygen: {status}")) }
}

/// A page for each chapter of the header, and one with what holds for all.
fn chapters(header: &str, folder: &Path) -> Done {
    let mut list = String::from("```{toctree}\n:hidden:\n\n");
    let mut index = overview(header);
    for line in header.lines().filter_map(|line| line.split_once("\\defgroup ")).map(|(_, line)| line) {
        let (name, title) = line.split_once(' ').ok_or_else(|| format!("a chapter without a title: {line}"))?;
        let text = page(title, &format!("doxygengroup:: {name}\n   :no-title:\n   :members:\n   :undoc-members:"));
        let file = format!("{}.rst", name.trim_start_matches("atls_"));
        write(&folder.join("pages/header").join(&file), &text)?;
        list += &format!("{file}\n");
        index = index.replace(&format!(". {title}\n"), &format!(". [{title}]({file})\n"));
    }
    for entry in std::fs::read_dir(folder.join("xml")).map_err(|error| error.to_string())?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("group__") {
            write(&entry.path(), &for_breathe(&read(&entry.path())?))?;
        }
    }
    write(&folder.join("pages/header/index.md"), &format!("{index}\n{list}```\n"))
}

/// What Doxygen has read in the form that Breathe takes: two parameters of one line it would take for a type and a name, and a line that ends within
/// quotes for the end of a paragraph.
fn for_breathe(xml: &str) -> String {
    let mut out = String::new();
    let mut is_quoted = false;
    for line in xml.replace("</parametername>\n<parametername>", ",").lines() {
        is_quoted ^= line.matches("&quot;").count() % 2 == 1;
        out += line;
        out.push(if is_quoted { ' ' } else { '\n' });
    }
    out
}

/// The comment at the top of the header as a page. It is Markdown but for a few marks.
fn overview(header: &str) -> String {
    let comment = header.split("*/").next().unwrap_or_default();
    let mut out = String::from("# The header, atls.h\n\n");
    let mut in_code = false;
    for line in comment.lines().filter_map(|line| line.strip_prefix(" *")) {
        let line = line.strip_prefix(' ').unwrap_or(line);
        match line.strip_prefix('\\') {
            Some(mark) if mark.starts_with("file") => {}
            Some(mark) if mark.starts_with("code") || mark == "endcode" => {
                in_code = !in_code;
                out += if in_code { "```c" } else { "```" };
            }
            Some(mark) => out += &mark.replacen("par ", "## ", 1),
            None if in_code => out += line,
            None => out += &quoted(line),
        }
        out.push('\n');
    }
    out
}

/// Names of the interface as code, from which the site makes links.
fn quoted(line: &str) -> String {
    let mut pieces: Vec<String> = line.split('`').map(str::to_owned).collect();
    for text in pieces.iter_mut().step_by(2) {
        let words = text.split(' ').map(|word| {
            let name = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
            let is_name = name.starts_with("atls_") || name.starts_with("ATLS_");
            if is_name { word.replacen(name, &format!("`{name}`"), 1).replace("`()", "`") } else { word.to_owned() }
        });
        *text = words.collect::<Vec<_>>().join(" ");
    }
    pieces.join("`")
}

fn page(title: &str, directive: &str) -> String {
    format!("{title}\n{}\n\n.. {directive}\n\n", "=".repeat(title.len()))
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Done {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn make_folder(path: &Path) -> Done {
    std::fs::create_dir_all(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// A folder of the pages as it is, but for the links in them.
fn copy(from: &Path, to: &Path) -> Done {
    make_folder(to)?;
    for entry in std::fs::read_dir(from).map_err(|error| format!("{}: {error}", from.display()))?.flatten() {
        let (path, target): (PathBuf, PathBuf) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target)?;
        } else if path.extension().is_some_and(|end| end == "md") {
            let name = format!("docs/{}", entry.file_name().to_string_lossy());
            write(&target, &for_site(&read(&path)?, &name))?;
        } else {
            std::fs::copy(&path, &target).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(())
}

/// A page of the repository, with links for the site, on which all pages are in one folder.
fn for_site(text: &str, page: &str) -> String {
    let mut out = String::new();
    let mut fenced = false;
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        out += &if fenced { line.to_owned() } else { links(line, page) };
        out.push('\n');
    }
    out
}

/// Links to pages and pictures lose their folder, links to the header go to its page; others, to files that are not on the site, are text.
fn links(line: &str, page: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("](") {
        let Some((target, tail)) = after.split_once(')') else { break };
        out += before;
        let file = target.split('#').next().unwrap_or_default();
        let from_top = match (page.strip_prefix("docs/"), target.strip_prefix("../")) {
            (Some(_), None) => format!("docs/{target}"),
            (_, above) => above.unwrap_or(target).to_owned(),
        };
        let is_on_site = from_top.starts_with("docs/") || PAGES.iter().any(|page| from_top.starts_with(page));
        let language = from_top.strip_prefix("bindings/").and_then(|rest| rest.strip_suffix("/README.md"));
        let link = match file {
            _ if file.contains("://") || file.is_empty() => format!("]({target})"),
            _ if file.ends_with("atls.h") => "](header/index.md)".into(),
            _ if is_on_site => format!("]({})", from_top.trim_start_matches("docs/")),
            _ => language.map(|language| format!("]({language}.md)")).unwrap_or_default(),
        };
        if let (true, Some(open)) = (link.is_empty(), out.rfind('[')) {
            out.remove(open);
        }
        out += &link;
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
