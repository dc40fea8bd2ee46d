//! What the pages show as code is code: C and C++ compile against the header, JSON is JSON and policies are policies, and commands of a shell name programs,
//! chores and options that there are. What is to be run is run by tests/xtask/src/consumers/pages.rs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use atls::attest::Policy;

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A fenced block: where it is, what is written on its fence, and its text.
struct Snippet {
    place: String,
    language: String,
    mark: String,
    text: String,
}

fn pages() -> Vec<String> {
    let docs = at("docs").read_dir().unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
    let mut pages: Vec<_> = docs.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")).collect();
    pages.extend(["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(str::to_owned));
    pages
}

fn snippets() -> Vec<Snippet> {
    let mut found: Vec<Snippet> = Vec::new();
    for page in pages() {
        let mut open = false;
        for (index, line) in read(&page).lines().enumerate() {
            match line.strip_prefix("```") {
                Some(_) if open => open = false,
                Some(info) => {
                    let (language, mark) = info.trim().split_once(' ').unwrap_or((info.trim(), ""));
                    let (language, mark) = (language.to_owned(), mark.to_owned());
                    found.push(Snippet { place: format!("{page}:{}", index + 1), language, mark, text: String::new() });
                    open = true;
                }
                None if open => found.last_mut().unwrap().text += &format!("{line}\n"),
                None => {}
            }
        }
        assert!(!open, "{page}: a block has no end");
    }
    assert!(found.len() > 60, "{}", found.len());
    found
}

fn of(language: &str) -> Vec<Snippet> {
    let found: Vec<_> = snippets().into_iter().filter(|snippet| snippet.language == language).collect();
    assert!(!found.is_empty(), "no {language}");
    found
}

/// Each language is one that is looked at below or by a test of its own; `text` and `hex` are no code.
#[test]
fn each_block_says_what_it_is() {
    let known = ["c", "cpp", "go", "swift", "python", "cmake", "json", "sh", "text", "hex"];
    for snippet in snippets() {
        assert!(known.contains(&snippet.language.as_str()), "{}: {:?}", snippet.place, snippet.language);
    }
}

fn compile(snippet: &Snippet, compiler: &str, language: &str) {
    // Statements are the inside of a function.
    let is_whole =
        snippet.text.lines().any(|line| line.starts_with('{') || line.ends_with(" {") && !line.starts_with([' ', 'i']));
    let text = if is_whole { snippet.text.clone() } else { format!("void snippet(void)\n{{\n{}\n}}\n", snippet.text) };
    let text = format!("#include <atls.h>\n#include <stdio.h>\n#include <stdlib.h>\n{text}");
    let mut cc = Command::new(compiler);
    cc.args(["-x", language, "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-unused"])
        .arg("-I")
        .arg(at("include"))
        .arg("-");
    let mut running = cc.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect(compiler);
    std::io::Write::write_all(&mut running.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let done = running.wait_with_output().unwrap();
    assert!(done.status.success(), "{}:\n{}", snippet.place, String::from_utf8_lossy(&done.stderr));
}

/// Those that are pulled from a file are compiled and run as part of it.
fn is_pulled(snippet: &Snippet) -> bool {
    snippet.mark.starts_with("from ")
}

/// What stands between the marks of a file, without its margin.
fn pulled(path: &str) -> String {
    let text = read(path);
    let inside = text.lines().skip_while(|line| !line.contains("snippet: ")).skip(1);
    let lines: Vec<&str> = inside.take_while(|line| !line.contains("snippet")).collect();
    assert!(lines.len() > 4 && lines.len() < 20, "{path}: {} lines between marks", lines.len());
    let blank = |line: &&&str| !line.trim().is_empty();
    let margin = lines.iter().filter(blank).map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    lines.iter().map(|line| format!("{}\n", line.get(margin..).unwrap_or_default())).collect()
}

/// The blocks with `from FILE` on their fence are what is in the file, which a suite of the tests compiles and runs.
#[test]
fn pulled_blocks_are_those_of_their_files() {
    let write = std::env::var_os("ATLS_WRITE_DOCS").is_some();
    let mut seen = 0;
    for snippet in snippets().iter().filter(|snippet| is_pulled(snippet)) {
        let path = snippet.mark.trim_start_matches("from ");
        let wanted = pulled(path);
        let page = snippet.place.split(':').next().unwrap();
        seen += 1;
        if write && snippet.text != wanted {
            let fence = format!("```{} {}\n", snippet.language, snippet.mark);
            let (old, new) = (format!("{fence}{}", snippet.text), format!("{fence}{wanted}"));
            std::fs::write(at(page), read(page).replacen(&old, &new, 1)).expect("write");
        } else {
            assert_eq!(
                snippet.text, wanted,
                "{}: ATLS_WRITE_DOCS=1 cargo test --test snippets writes it",
                snippet.place
            );
        }
    }
    assert!(seen > 0);
}

/// Of other languages there is only what is pulled.
#[test]
fn c_and_cpp_compile() {
    for snippet in snippets().iter().filter(|snippet| !is_pulled(snippet)) {
        match snippet.language.as_str() {
            "c" => compile(snippet, "cc", "c"),
            "cpp" => compile(snippet, "c++", "c++"),
            "go" | "swift" | "python" => panic!("{}: not pulled from a file that is tested", snippet.place),
            _ => {}
        }
    }
}

#[test]
fn json_parses_and_policies_are_policies() {
    for snippet in of("json") {
        // Those of this page have a test that knows the marks: tests/rust/policy_page.rs.
        if snippet.place.starts_with("docs/policy.md") {
            continue;
        }
        let value: serde_json::Value =
            serde_json::from_str(&snippet.text).unwrap_or_else(|error| panic!("{}: {error}", snippet.place));
        if value.get("type").is_some() || value.get("any_of").is_some() {
            Policy::from_json(snippet.text.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", snippet.place));
        }
    }
}

/// A command without variables before it, redirections and comment.
fn words(command: &str) -> Vec<&str> {
    let words = command.split(" #").next().unwrap_or_default().split_whitespace();
    words
        .skip_while(|word| word.contains('=') && !word.starts_with('-'))
        .filter(|word| !word.starts_with(['<', '>']))
        .collect()
}

/// The source of the command `atls`, which has its subcommands and options in tables.
fn tool() -> String {
    let files = at("examples-c/atls").read_dir().unwrap().flatten().map(|entry| entry.path());
    files
        .filter(|path| path.extension().is_some_and(|end| end == "c" || end == "h"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect()
}

/// What is wrong with one command.
fn fault(words: &[&str]) -> Option<String> {
    let is_there = |file: &str, text: &str| read(file).contains(text);
    let wrong = |what: &str| Some(format!("{what}: {}", words.join(" ")));
    match words {
        [] => None,
        ["cargo", "xtask", chore, ..] if !is_there("tests/xtask/src/main.rs", &format!("\"{chore}\" =>")) => {
            wrong("no such chore")
        }
        ["cargo", "test", "--test", name, ..] if !at(&format!("tests/rust/{name}.rs")).exists() => {
            wrong("no such test")
        }
        ["cargo", command, ..] if ["xtask", "test", "check", "rustc", "build"].contains(command) => None,
        ["cmake" | "ctest", rest @ ..] => {
            let options = rest.iter().filter_map(|word| word.strip_prefix("-DATLS_")?.split('=').next());
            let unknown = options.into_iter().find(|name| !is_there("CMakeLists.txt", &format!("ATLS_{name}")));
            unknown.and_then(|name| wrong(&format!("no option ATLS_{name}")))
        }
        ["atls", rest @ ..] => {
            let tool = tool();
            let names =
                rest.iter().filter_map(|word| word.strip_prefix("--")).map(|word| word.split('=').next().unwrap());
            let unknown = names.into_iter().find(|name| !tool.contains(&format!("\"{name}\"")));
            let command = rest.iter().find(|word| !word.starts_with('-')).unwrap_or(&"");
            let is_command = tool.contains(&format!(".name = \"{command}\""));
            unknown
                .and_then(|name| wrong(&format!("no option --{name}")))
                .or_else(|| (!is_command).then(|| wrong("no such command"))?)
        }
        [".ci/run"] => None,
        ["." | "cat" | "export" | "set" | "cd" | "sudo" | "curl" | "python" | "cpack" | "gcc", ..] => None,
        ["conan" | "vcpkg", rest @ ..] => {
            let mut places = rest.iter().filter_map(|word| word.find("src/").map(|begin| &word[begin..]));
            places.find(|place| !at(place).exists()).and_then(|place| wrong(&format!("no {place}")))
        }
        [program, ..] if program.starts_with("src/") => {
            if at(program).exists() {
                None
            } else {
                wrong("no such file")
            }
        }
        [program, ..] if program.starts_with("build/tests/c/test_") => {
            let source = program.replacen("build/tests/c/", "tests/c/", 1) + ".c";
            if at(&source).exists() { None } else { wrong(&format!("no {source}")) }
        }
        _ => wrong("a program that is not known here"),
    }
}

#[test]
fn commands_are_commands() {
    let mut faults = Vec::new();
    for snippet in of("sh") {
        let mut bash = Command::new("bash");
        let done = bash.args(["-n", "-c", &snippet.text]).output().expect("bash");
        let says = String::from_utf8_lossy(&done.stderr).into_owned();
        faults.extend((!done.status.success()).then(|| format!("{}: {says}", snippet.place)));
        let joined = snippet.text.replace("\\\n", " ");
        let commands = joined.lines().flat_map(|line| {
            line.split(" #").next().unwrap_or_default().split(" && ").flat_map(|part| part.split(" | "))
        });
        let wrong = commands.filter_map(|command| fault(&words(command)));
        faults.extend(wrong.map(|fault| format!("{}: {fault}", snippet.place)));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn commands_that_are_not_are_noticed() {
    for good in [
        "cargo xtask demo # words",
        "A=1 cargo test --test pages",
        "cmake -B build -DATLS_BUILD_TESTS=ON",
        ". target/sim/environment",
    ] {
        assert_eq!(fault(&words(good)), None, "{good}");
    }
    for bad in [
        "cargo xtask nothing",
        "cargo test --test nothing",
        "cmake -DATLS_NOTHING=ON",
        "wget x",
        "build/tests/c/test_nothing",
    ] {
        assert!(fault(&words(bad)).is_some(), "{bad}");
    }
}
