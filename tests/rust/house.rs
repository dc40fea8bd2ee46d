//! The order of the rooms, as src/lib.rs lists them from the ground up, held against the tree: each room knows only those above it in the list, so there
//! is no circle. And what a room may touch: where `unsafe` is allowed, which rooms are pure, and how the host's functions are called.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms of the C ABI, from the ground up.
const CAPI: [&str; 7] = ["base", "text", "attest", "connect", "client", "h1", "server"];
/// Arrows among them that still lead upwards.
const CAPI_UPWARD: [&str; 6] = [
    "src/capi/attest/evidence.rs: attest -> connect",
    "src/capi/attest/evidence.rs: attest -> server",
    "src/capi/attest/verifier.rs: attest -> connect",
    "src/capi/base/error.rs: base -> attest",
    "src/capi/base/event.rs: base -> text",
    "src/capi/text/headers.rs: text -> client",
];
/// Lines that a file may have.
const LONGEST: usize = 400;
/// What pure rooms do not touch: the network, files, clocks, an executor.
const IMPURE: [&str; 5] = ["std::net", "std::fs", "SystemTime", "Instant", "tokio"];
const PURE: [&str; 4] = ["status", "verdict", "attest", "h1"];

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Paths below `src` of all source files, with their text.
fn sources() -> Vec<(String, String)> {
    let found = below(&src());
    assert!(found.len() > 100, "{}", found.len());
    found
}

/// Paths below `top` of all Rust files there, with their text.
fn below(top: &Path) -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("folder") {
            let path = entry.expect("entry").path();
            match path.is_dir() {
                true if path.ends_with("target") => {}
                true => walk(&path, found),
                false if path.extension().is_some_and(|extension| extension == "rs") => found.push(path),
                false => {}
            }
        }
    }
    let mut found = Vec::new();
    walk(top, &mut found);
    let name = |path: &Path| path.strip_prefix(top).expect("below it").to_str().expect("UTF-8").to_owned();
    found.iter().map(|path| (name(path), fs::read_to_string(path).expect("UTF-8"))).collect()
}

/// The rooms that src/lib.rs lists, in its order.
fn listed() -> Vec<String> {
    let text = fs::read_to_string(src().join("lib.rs")).expect("lib.rs");
    let name = |line: &str| line.strip_prefix("//! - `")?.split_once('`').map(|(name, _)| name.to_owned());
    text.lines().filter_map(name).collect()
}

/// A file's code, without comments.
fn code(text: &str) -> String {
    // A string may hold two slashes, for example of a URL: then the rest of its line is lost, which has no path in it.
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// First segments of all paths behind `prefix`: of `crate::a::b` and of `crate::{a, b::{c, d}}`.
fn named(code: &str, prefix: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let word = |text: &str| text.chars().take_while(|c| is_word(*c)).collect::<String>();
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        if code[..at].ends_with(|c: char| is_word(c) || c == ':') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.insert(word(rest));
            continue;
        };
        let (mut depth, mut is_start) = (1, true);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => is_start = true,
                c if depth == 1 && is_start && is_word(c) => {
                    found.insert(word(&group[at..]));
                    is_start = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

fn room<'a>(path: &'a str, below: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(below)?;
    Some(rest.split_once('/').map_or(rest, |(room, _)| room).trim_end_matches(".rs"))
}

/// Arrows from the rooms in `below` that do not lead to one that comes earlier in `order`.
fn upward(order: &[String], below: &str, prefix: &str) -> Vec<String> {
    let rank = |name: &str| order.iter().position(|known| known == name);
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let Some(from) = room(&path, below).filter(|room| rank(room).is_some()) else { continue };
        for to in named(&code(&text), prefix) {
            if rank(&to).is_some_and(|to| Some(to) > rank(from)) {
                wrong.push(format!("src/{path}: {from} -> {to}"));
            }
        }
    }
    wrong
}

#[test]
fn every_room_is_listed_and_every_listed_room_is_there() {
    let listed = listed();
    let there: BTreeSet<String> = sources().iter().filter_map(|(path, _)| room(path, "")).map(str::to_owned).collect();
    let there: Vec<_> = there.into_iter().filter(|room| !["lib", "build"].contains(&room.as_str())).collect();
    let mut sorted = listed.clone();
    sorted.sort();
    assert_eq!(sorted, there, "rooms in src/lib.rs's list, and in the tree");
}

#[test]
fn no_room_knows_one_that_is_above_it() {
    let order = listed();
    assert_eq!(upward(&order, "", "crate::"), Vec::<String>::new());
    for (path, text) in sources() {
        for to in named(&code(&text), "crate::") {
            let is_room = order.contains(&to) || room(&path, "") == Some("lib");
            assert!(is_room, "src/{path}: crate::{to} is no room");
        }
    }
}

#[test]
fn rooms_of_the_c_abi_have_an_order_too() {
    let order: Vec<String> = CAPI.map(str::to_owned).into();
    let mut found = upward(&order, "capi/", "crate::capi::");
    found.retain(|arrow| !CAPI_UPWARD.contains(&arrow.as_str()));
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn every_file_says_first_what_it_may_touch() {
    const SAID: [&str; 6] = ["Pure", "No I/O", "ouches", "ay touch", "May ", "eads "];
    let silent = |(path, text): (String, String)| {
        let first: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
        let is_capi = room(&path, "") == Some("capi");
        let is_said = is_capi && !first.is_empty() || SAID.iter().any(|words| first.contains(words));
        (!is_said && path != "lib.rs").then(|| format!("src/{path}: {first}"))
    };
    assert_eq!(sources().into_iter().filter_map(silent).collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn files_are_short_enough_to_read_at_once() {
    let tests = below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"));
    assert!(tests.len() > 100, "{}", tests.len());
    let long = |(path, text): (String, String)| {
        let lines = text.lines().count();
        (lines >= LONGEST).then(|| format!("{path}: {lines} lines"))
    };
    assert_eq!(sources().into_iter().chain(tests).filter_map(long).collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn only_the_c_abi_is_unsafe_and_pure_rooms_are_pure() {
    let has = |code: &str, word: &str| {
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        code.match_indices(word)
            .any(|(at, _)| !is_word(code[..at].chars().next_back()) && !is_word(code[at + word.len()..].chars().next()))
    };
    for (path, text) in sources() {
        let (code, from) = (code(&text), room(&path, "").expect("room"));
        assert!(from == "capi" || !has(&code, "unsafe"), "src/{path}: unsafe");
        if PURE.contains(&from) {
            let found = IMPURE.iter().find(|word| has(&code, word));
            assert_eq!(found, None, "src/{path}");
        }
    }
}

/// What a worker puts off (`io::turn`) is announced in time only if every task that it may get looks at the clock. Blocking handles have no workers.
#[test]
fn every_task_of_a_worker_is_a_turn_of_it() {
    let threads = ["io/caller_runtime.rs", "io/offload.rs", "io/workers.rs", "capi/base/queue.rs"];
    let mut seen = 0;
    for (path, text) in sources() {
        if threads.contains(&&*path) || path.ends_with("tests.rs") {
            continue;
        }
        let code = code(text.split("#[cfg(test)]").next().unwrap_or_default());
        for (at, _) in code.match_indices("spawn(") {
            let (before, after) = (&code[..at], code[at + "spawn(".len()..].trim_start());
            seen += 1;
            assert!(
                before.ends_with("driver.") || after.starts_with("in_turn("),
                "{path}: spawn({}.. without in_turn",
                after.lines().next().unwrap_or_default()
            );
        }
    }
    assert!(seen > 10, "{seen}");
}

/// Where a host's function is called: it is given its data first. With the statement up to that place, from the last `;` on.
fn calls_of_the_host(code: &str) -> Vec<&str> {
    let is_path = |c: char| c.is_alphanumeric() || "_.".contains(c);
    let mut found = Vec::new();
    for (at, _) in code.match_indices("user_data") {
        let (before, after) = (&code[..at], &code[at + "user_data".len()..]);
        let called = before.trim_end_matches(is_path).strip_suffix('(').unwrap_or_default();
        let left = called.trim_end_matches(is_path);
        let is_call = left.len() < called.len() && !left.ends_with("fn ");
        if is_call && after.starts_with([',', ')']) {
            found.push(&before[before.rfind(';').map_or(0, |at| at + 1)..]);
        }
    }
    found
}

/// What a worker has put off must be announced before the host keeps it: `io::turn` says why. The helper `ask` of a body's source does it for its callers.
#[test]
fn each_function_of_the_host_is_called_outside_of_the_turn() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for (path, text) in sources().into_iter().filter(|(path, _)| path.starts_with("capi/")) {
        let code = code(text.split("#[cfg(test)]").next().unwrap_or_default());
        for statement in calls_of_the_host(&code) {
            seen += 1;
            let is_asked = path == "capi/client/request_body.rs" && statement.contains("self.ask(|");
            if !is_asked && !["outside(||", "call_host(||"].iter().any(|call| statement.contains(call)) {
                wrong.push(format!("src/{path}: {}", statement.lines().last().unwrap_or_default().trim()));
            }
        }
        // So that the calls can be found.
        for (at, _) in code.match_indices("extern \"C\" fn(") {
            let first = code[at + "extern \"C\" fn(".len()..].trim_start();
            let is_found = ["user_data: *mut c_void", "*mut c_void"].iter().any(|data| first.starts_with(data));
            assert!(is_found, "src/{path}: a function of the host's that is not given its data first: {first:.40}");
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(seen >= 12, "{seen}");
}

#[test]
fn calls_of_the_host_are_found() {
    let code = "let kept = HostData { user_data, drop }; call_host(|| unsafe { call(self.user_data, &event) }); \
                unsafe { drop(kept.user_data) }; make(user_data); x(1, user_data); match a { B(ask) => ask(user_data, input) }";
    let found: Vec<_> = calls_of_the_host(code).iter().map(|statement| statement.trim()).collect();
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found[0].starts_with("call_host(||") && found[1].starts_with("unsafe"), "{found:?}");
    assert!(found[2].starts_with("make(") && found[3].contains("=> ask("), "{found:?}");
}

#[test]
fn paths_are_found_in_every_form() {
    let code = "use crate::{log, tls::{a, b}}; use crate::error::Error; fn f() { crate::io::now(); $crate::no(); other_crate::x() }";
    let found: Vec<_> = named(code, "crate::").into_iter().collect();
    assert_eq!(found, ["error", "io", "log", "no", "tls"]);
}
