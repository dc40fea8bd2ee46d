//! The pages of the repository are true: each name of the interface and each path exists, and the numbers of docs/operations.md are those of the library. Links are held
//! by tests/rust/citations.rs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// All but the changelog, which names what was.
fn pages() -> Vec<String> {
    let docs =
        at("docs").read_dir().expect("docs").flatten().map(|entry| entry.file_name().into_string().expect("UTF-8"));
    let mut pages: Vec<_> = docs.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")).collect();
    pages.extend(["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(str::to_owned));
    assert!(pages.len() > 8, "{pages:?}");
    pages
}

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Words of letters, digits and underscores.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

#[test]
fn each_name_of_the_interface_is_in_the_header() {
    let header = read("include/atls.h") + &read("include/atls.hpp");
    let known: BTreeSet<&str> = words(&header).collect();
    // Variables and options of the tests and examples.
    let others = [
        "ATLS_SIM",
        "ATLS_SIM_URL",
        "ATLS_SIM_COLLATERAL",
        "ATLS_PEERS",
        "ATLS_ROOT_PEM",
        "ATLS_SIMULATED_ROOT",
        "ATLS_SIMULATED_ROOTS",
        "ATLS_TEST_SLOW",
        "ATLS_BUILD_TESTS",
        "ATLS_SANITIZE",
        "ATLS_DEBIAN",
        "ATLS_CARGO_TARGET",
        "ATLS_MAINTAINER",
    ];
    let (mut seen, mut wrong) = (0, Vec::new());
    for page in pages() {
        let text = read(&page);
        for word in words(&text).filter(|word| word.starts_with("atls_") || word.starts_with("ATLS_")) {
            // `atls_h1_*` is any of a family.
            let is_family = word.ends_with('_') && known.iter().any(|name| name.starts_with(word));
            let is_switch = word.starts_with("ATLS_WRITE_") || word.starts_with("ATLS_ROBUST_");
            if !known.contains(word) && !is_family && !is_switch && !others.contains(&word) {
                wrong.push(format!("{page}: {word}"));
            }
            seen += 1;
        }
    }
    assert!(wrong.is_empty(), "named, and not in the header:\n{}", wrong.join("\n"));
    assert!(seen > 100, "{seen}");
}

/// Paths in backticks, from the top of the repository.
#[test]
fn each_path_that_is_named_is_there() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for page in pages() {
        let text = read(&page);
        for path in text.split('`').skip(1).step_by(2) {
            let is_path =
                ["src/", "tests/", "docs/", "include/", "examples-c/"].iter().any(|room| path.starts_with(room));
            if is_path && !path.contains(['*', ' ', '\n']) {
                seen += 1;
                wrong.extend((!at(path).exists()).then(|| format!("{page}: {path}")));
            }
        }
    }
    assert!(wrong.is_empty(), "named, and not there:\n{}", wrong.join("\n"));
    assert!(seen > 15, "{seen}");
}

/// What the README says is needed is what cargo asks for.
#[test]
fn the_readme_names_the_rust_that_is_needed() {
    let manifest = read("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")).expect("rust-version");
    assert!(read("README.md").contains(&format!("Rust {},", version.trim_end_matches('"'))), "{version}");
}

/// Each page is on the site: docs/conf.py lists it, and the start page or the README leads to it.
#[test]
fn each_page_is_on_the_site() {
    let list = read("docs/conf.py");
    let leads = read("docs/index.md") + &read("README.md");
    for page in pages().iter().filter(|page| *page != "docs/index.md") {
        let name = page.trim_start_matches("docs/").trim_end_matches(".md");
        assert!(list.contains(&format!("\"{name}\"")), "docs/conf.py does not list {page}");
        assert!(name == "README" || leads.contains(&format!("{name}.md")), "nothing leads to {page}");
    }
}

/// No host is contacted that the page does not name.
#[test]
fn each_host_that_is_built_in_is_named() {
    let page = read("docs/operations.md");
    let texts = files(&at("src"));
    let literals = texts.iter().flat_map(|text| text.split("\"https://").skip(1));
    let hosts =
        literals.filter_map(|rest| rest.split(['/', '"', ':', '\\', '{']).next()).filter(|host| host.contains('.'));
    let hosts: BTreeSet<&str> = hosts.filter(|host| !host.ends_with(".example")).collect();
    assert!(hosts.len() >= 3, "{hosts:?}");
    for host in hosts {
        assert!(page.contains(&format!("`https://{host}`")), "docs/operations.md does not name {host}");
    }
}

/// What an expression of the source comes to, if it is a value: seconds of a duration or a number; the inner none is "no limit".
fn value(expression: &str) -> Option<Option<f64>> {
    let text = expression.trim().trim_end_matches(',').replace('_', "");
    if let Some(inner) = text.strip_prefix("Some(").and_then(|rest| rest.strip_suffix(')')) {
        return value(inner);
    }
    if text == "None" || text.ends_with("::MAX") {
        return Some(None);
    }
    for (name, unit) in [("Duration::fromsecs(", 1.0), ("Duration::frommillis(", 0.001)] {
        if let Some(inner) = text.strip_prefix(name).and_then(|rest| rest.strip_suffix(')')) {
            return Some(Some(value(inner)?? * unit));
        }
    }
    if let Some((left, right)) = text.split_once("<<") {
        return Some(Some(value(left)?? * f64::powf(2.0, value(right)??)));
    }
    if let Some((left, right)) = text.split_once('*') {
        return Some(Some(value(left)?? * value(right)??));
    }
    text.parse().ok().map(Some)
}

/// The value of `const NAME`, or the only one that a field is given, in a room of src. "idle of waiting" is the field `idle` in the defaults that have a
/// field `waiting`.
fn source(place: &str, name: &str) -> Option<f64> {
    let texts = files(&at("src").join(place));
    let mut found: Vec<Option<f64>> = match name.split_once(" of ") {
        None => texts.iter().flat_map(|text| values(text, name)).collect(),
        Some((name, sibling)) => {
            let impls = texts.iter().flat_map(|text| text.split("impl Default for ").skip(1));
            let defaults = impls.map(|text| text.split("\n}\n").next().unwrap_or_default());
            let beside = defaults.filter(|text| text.contains(&format!("{sibling}: ")));
            beside.flat_map(|text| values(text, name)).collect()
        }
    };
    found.dedup();
    assert_eq!(found.len(), 1, "src/{place}: {name}: {found:?}");
    found[0]
}

/// The text of a file, or of all files below a folder, without their tests.
fn files(place: &Path) -> Vec<String> {
    if place.is_file() {
        if place.extension().is_none_or(|end| end != "rs") || place.ends_with("tests.rs") {
            return Vec::new();
        }
        let text = std::fs::read_to_string(place).expect("UTF-8");
        return text.split("#[cfg(test)]\nmod tests {").next().map(str::to_owned).into_iter().collect();
    }
    let entries = std::fs::read_dir(place).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
    entries.flatten().flat_map(|entry| files(&entry.path())).collect()
}

fn values(text: &str, name: &str) -> Vec<Option<f64>> {
    let mark = format!("{name}: ");
    let mut found = Vec::new();
    for (at, _) in text.match_indices(&mark).filter(|(at, _)| text[..*at].ends_with([' ', '{', '\n'])) {
        let rest = &text[at + mark.len()..];
        let expression = match name.starts_with("const ") {
            true => rest.split(';').next().and_then(|rest| rest.split_once(" = ")).map_or("", |(_, right)| right),
            false => rest.split(['\n', ',', '}']).next().unwrap_or_default(),
        };
        found.extend(value(expression));
    }
    found
}

/// What the page says: "64 KiB", "10 s", "20 each second", "none".
fn said(text: &str) -> Option<f64> {
    if text == "none" {
        return None;
    }
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let unit = match unit {
        "" | "s" | "each second" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        other => panic!("unknown unit {other}"),
    };
    Some(number.parse::<f64>().unwrap_or_else(|_| panic!("no number: {text}")) * unit)
}

/// Where each number of the page's tables comes from: title of the row, room of src, constant or field.
#[rustfmt::skip]
const NUMBERS: &[(&str, &str, &str)] = &[
    ("Requests to one service, in the long run", "collateral", "const RATE"),
    ("Requests to one service at once", "collateral", "const BURST"),
    ("Longest wait for a turn before the next source is asked", "collateral", "const LONGEST_WAIT"),
    ("Deadline of one request", "collateral", "const TIMEOUT"),
    ("Bytes of one answer", "collateral", "const MAX_BYTES"),
    ("A bad answer is remembered for", "collateral", "const BAD_ANSWER"),
    ("\"Not found\", and other answers of 400 to 499, are remembered for", "collateral", "const NOT_THERE"),
    ("Chips whose certificate was not found that are remembered", "collateral", "const CHOSEN_PLACES"),
    ("Pause after 429 without Retry-After", "collateral", "const USUAL_REST"),
    ("Longest pause that Retry-After can ask for", "collateral", "const LONGEST_REST"),
    ("Bytes of documents that are loaded from disk", "collateral", "const ROOM"),
    ("Files that are looked at on disk", "collateral", "const MOST"),
    ("A connection waits for the disk", "collateral", "const DISK_WAIT"),
    ("Connections", "server", "connections of backlog"),
    ("Connections from one address", "server", "connections_per_address"),
    ("Bytes of a request head", "server", "head of backlog"),
    ("Header fields of a request", "server", "fields of backlog"),
    ("Bytes of a request body", "server", "body of backlog"),
    ("Bytes of a body in one event", "server", "piece of backlog"),
    ("Good signatures that are remembered, of one algorithm", "attest", "const SIGNATURES"),
    ("Chains of hardware's certificates that are remembered, of one family", "attest", "const CHAINS"),
    ("Revocation lists of AMD that are remembered", "attest", "const LISTS"),
    ("Platforms that are remembered", "attest", "const MOST"),
    ("Answers of documents about platforms that are remembered", "attest", "const MOST"),
    ("Quotes", "attester", "const USUAL_PACE"),
    ("Time until its evidence is made", "server", "const MAKING"),
    ("Connections that wait to be accepted", "server", "backlog"),
    ("HTTP/2: requests under way on a connection", "server", "const STREAMS"),
    ("HTTP/2: bytes of a request received and not yet taken by the host", "server", "const STREAM_WINDOW"),
    ("HTTP/2: the same of all requests on a connection", "server", "const CONNECTION_WINDOW"),
    ("HTTP/2: bytes of a response that wait for the network", "server", "const OUTBOX"),
    ("HTTP/2: streams that a peer resets beyond those that it lets end", "server", "const RESETS"),
    ("Requests under way", "client", "requests of waiting"),
    ("Connections to one host", "client", "connections of waiting"),
    ("Idle connections", "client", "waiting"),
    ("Bytes of a response head", "client", "bytes"),
    ("Header fields of a response", "client", "lines"),
    ("Informational heads", "client", "HeadLimits { informational"),
    ("Bytes of a response body", "client", "max_body"),
    ("Redirects", "client", "redirects of max_body"),
    ("HTTP/2: requests on one connection (the server may allow fewer)", "connect", "const STREAMS"),
    ("HTTP/2: bytes of a response received and not yet taken by the host", "connect", "const STREAM_WINDOW"),
    ("HTTP/2: the same of all responses on a connection", "connect", "const CONNECTION_WINDOW"),
    ("HTTP/2: bytes of a request that wait for the network", "connect", "const OUTBOX"),
    ("HTTP/2: how often a request is sent again that servers have not looked at", "client", "const REFUSALS"),
    ("Cookies of one host", "client", "const PER_HOST"),
    ("Cookies of all hosts", "client", "const IN_ALL"),
    ("Bytes of a Set-Cookie", "client", "const MAX_COOKIE"),
    ("Bytes of a head", "h1_driver", "head"),
    ("Header fields", "h1", "const MAX_FIELDS"),
    ("Bytes of a body", "h1_driver", "body"),
    ("Bytes received and not yet taken by the host", "capi/connect", "const DEFAULT_CREDIT"),
    ("Bytes written and not yet taken by the peer", "operation", "const HIGH"),
    ("Names, TCP and tunnel", "connect", "const PHASE_TIMEOUT"),
    ("TLS handshake", "connect", "const PHASE_TIMEOUT"),
    ("A connection as a whole", "connect", "const WHOLE_TIMEOUT"),
    ("Request: to the response head", "client", "const HEAD"),
    ("Request: waiting for its turn", "client", "queue of first_byte"),
    ("Request: connecting", "client", "connect of first_byte"),
    ("Request: to the first byte", "client", "first_byte"),
    ("Request: between pieces of the body", "client", "idle of first_byte"),
    ("Request: as a whole", "client", "total of first_byte"),
    ("Waiting for 100 Continue", "client", "const EXPECT"),
    ("Idle connection of a client", "client", "idle of waiting"),
    ("Server: TLS handshake", "server", "handshake of backlog"),
    ("Server: request head", "server", "receive_head of backlog"),
    ("Server: between requests", "server", "idle of backlog"),
    ("Server: request body", "server", "receive_body of backlog"),
    ("Server: peer takes nothing", "server", "send of backlog"),
    ("Server: silence before TCP asks", "server", "probe of backlog"),
    ("Driver: head", "h1_driver", "head_within"),
    ("Driver: body", "h1_driver", "body_within"),
    ("Driver: silence before TCP asks", "h1_driver", "probe"),
    ("Forwarder: reaching the target", "tunnel", "connect of default_target"),
    ("Forwarder: no byte either way", "tunnel", "idle of default_target"),
    ("Forwarder: as a whole", "tunnel", "total of default_target"),
    ("Answer of the guest agent", "attester", "const TIMEOUT"),
    ("Answer of Azure's metadata service", "attester", "const SERVICE_TIMEOUT"),
];

#[test]
fn the_numbers_of_operations_are_those_of_the_library() {
    let page = read("docs/operations.md");
    let mut rows = 0;
    for table in page.split("\n\n").filter(|part| ["| Limit |", "| Deadline |"].iter().any(|head| part.contains(head)))
    {
        let mut lines = table.lines().filter(|line| line.starts_with('|')).map(|line| line.split('|').map(str::trim));
        let place =
            lines.next().expect("a head").position(|title| title == "Default" || title == "Value").expect("a number");
        for mut row in lines.skip(1) {
            let (title, said_there) = (row.nth(1).expect("a title"), row.nth(place - 2).expect("a number"));
            rows += 1;
            let is_policy = title == "One exchange of evidence";
            let found = NUMBERS.iter().find(|(name, ..)| *name == title);
            assert!(found.is_some() || is_policy, "no source is known for \"{title}\"");
            let wanted = found.map_or(Some(30.0), |(_, file, name)| source(file, name));
            assert_eq!(said(said_there), wanted, "{title}");
        }
    }
    assert!(rows >= NUMBERS.len(), "{rows} rows");
}
