//! docs/strictness.md has its tables from the shared vectors. `ATLS_WRITE_DOCS=1 cargo test --test strictness` writes them; this test compares.

#[path = "support/h1_rules.rs"]
mod rules;
#[path = "support/h1.rs"]
mod support;
#[path = "support/h1_vectors.rs"]
mod vectors;

use std::fmt::Write;
use std::path::Path;

use atls::error::Detail;
use atls::h1::{Connection, EventKind, flags};
use rules::{CLIENT_DETAILS, Rule, TABLES};
use vectors::{DIFFERENCES, Expected, Side, VECTORS, Vector};

const FLAGS: [(u32, &str); 7] = [
    (flags::ALLOW_BARE_LF, "ALLOW_BARE_LF"),
    (flags::ALLOW_OBS_FOLD, "ALLOW_OBS_FOLD"),
    (flags::ALLOW_CHUNK_SIZE_OWS, "ALLOW_CHUNK_SIZE_OWS"),
    (flags::ALLOW_CTL_IN_VALUE, "ALLOW_CTL_IN_VALUE"),
    (flags::MERGE_EQUAL_CONTENT_LENGTH, "MERGE_EQUAL_CONTENT_LENGTH"),
    (flags::UPGRADE_WITHOUT_CONNECTION, "UPGRADE_WITHOUT_CONNECTION"),
    (flags::ALLOW_CL_WITH_TE, "ALLOW_CL_WITH_TE"),
];

/// What the machine says of a vector: nothing, or the status with which a server answers and the detail.
type Verdict = Result<(), (u16, Detail)>;

fn judged(vector: &Vector, flags: u32) -> Verdict {
    let mut conn = conn_for(vector, flags);
    verdict_of(&mut conn)?;
    conn.receive_eof();
    verdict_of(&mut conn)
}

/// A connection that has received the vector.
fn conn_for(vector: &Vector, flags: u32) -> Connection {
    let mut conn = match vector.from {
        Side::Request => support::server(flags),
        Side::Response(method) => support::client(flags, method),
    };
    conn.receive(&vector.bytes());
    conn
}

/// Of what has come so far, and of one message.
fn verdict_of(conn: &mut Connection) -> Verdict {
    loop {
        match conn.next_event().map(|event| event.kind) {
            Err(error) => return Err((error.hint, error.detail)),
            Ok(EventKind::NeedData | EventKind::ConnectionClosed | EventKind::Paused) => return Ok(()),
            Ok(_) => {}
        }
    }
}

/// As the header spells it, without ATLS_DETAIL_.
fn name(detail: Detail) -> String {
    let mut name = String::new();
    for letter in format!("{detail:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

fn told(verdict: Verdict) -> String {
    match verdict {
        Ok(()) => "accepted".into(),
        Err((hint, Detail::None)) => format!("**{hint}**"),
        Err((hint, detail)) => format!("**{hint}** {}", name(detail)),
    }
}

fn vector(name: &str) -> &'static Vector {
    VECTORS.iter().find(|vector| vector.name == name).unwrap_or_else(|| panic!("no vector is called {name}"))
}

/// The flags that turn a verdict: each alone, and COMPAT_H11 if no part of it does alone.
fn turned_by(vector: &Vector) -> String {
    // Without the end of the connection, which would refuse again what a flag has let pass.
    let refused = |flags| verdict_of(&mut conn_for(vector, flags)).is_err();
    let strict = refused(0);
    let turns = |flags| refused(flags) != strict;
    let mut names: Vec<&str> = FLAGS.iter().filter(|(bit, _)| turns(*bit)).map(|(_, name)| *name).collect();
    if turns(flags::COMPAT_H11) && !FLAGS.iter().any(|(bit, _)| flags::COMPAT_H11 & bit != 0 && turns(*bit)) {
        names.push("COMPAT_H11");
    }
    names.join(", ")
}

/// What all of a rule's cases have in common; `ask` may not answer differently for two of them.
fn common<T: PartialEq + std::fmt::Debug>(rule: &Rule, ask: impl Fn(&Vector) -> T) -> T {
    let mut cases = rule.cases.iter().map(|name| vector(name)).filter(|vector| vector.flags == 0);
    let first = cases.next().unwrap_or_else(|| panic!("{}: no case without flags", rule.says));
    let answer = ask(first);
    for other in cases {
        assert_eq!(ask(other), answer, "{}: {} beside {}", rule.says, other.name, first.name);
    }
    answer
}

fn table_of_rules(rules: &[Rule]) -> String {
    let mut table = String::from("| What is received | RFC | Verdict | Changed by | Cases |\n|---|---|---|---|---|\n");
    for rule in rules {
        let (verdict, flag) = (common(rule, |vector| judged(vector, 0)), common(rule, turned_by));
        let cases: Vec<String> = rule.cases.iter().map(|name| format!("`{name}`")).collect();
        writeln!(table, "| {} | {} | {} | {flag} | {} |", rule.says, rule.rfc, told(verdict), cases.join(" ")).unwrap();
    }
    table
}

fn table_of_differences() -> String {
    let mut table = String::from("| Case | Sans-I/O connection | Client | Why |\n|---|---|---|---|\n");
    let detail =
        |wanted: &str| CLIENT_DETAILS.iter().find(|(name, _)| *name == wanted).map(|(_, detail)| name(*detail));
    for (name, whole, why) in DIFFERENCES {
        let client = match (whole, detail(name)) {
            (Expected::Body(_), _) => "accepted".into(),
            (_, detail) => format!("refused: {}", detail.expect(name)),
        };
        writeln!(table, "| `{name}` | {} | {client} | {why} |", told(judged(vector(name), 0))).unwrap();
    }
    for (name, own) in CLIENT_DETAILS.iter().filter(|(name, _)| DIFFERENCES.iter().all(|(other, ..)| name != other)) {
        let verdict = judged(vector(name), 0);
        if verdict.is_err_and(|(_, detail)| detail != *own) {
            let own = self::name(*own);
            writeln!(table, "| `{name}` | {} | refused: {own} | its detail is more exact |", told(verdict)).unwrap();
        }
    }
    table
}

fn flags_of(flags: u32) -> String {
    if flags == flags::COMPAT_H11 {
        return "COMPAT_H11".into();
    }
    FLAGS.iter().find(|(bit, _)| *bit == flags).map_or(String::new(), |(_, name)| (*name).into())
}

fn table_of_cases(requests: bool) -> String {
    const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\n";
    let mut table = String::from("| Case | Bytes | Flags | Verdict |\n|---|---|---|---|\n");
    for vector in VECTORS.iter().filter(|vector| matches!(vector.from, Side::Request) == requests) {
        let bytes = vector.bytes();
        let shown = match bytes.strip_prefix(POST) {
            Some(rest) => format!("… {}", rest.escape_ascii()),
            None => bytes.escape_ascii().to_string(),
        };
        let to = if matches!(vector.from, Side::Response("HEAD")) { " (to HEAD)" } else { "" };
        let verdict = told(judged(vector, vector.flags));
        writeln!(table, "| `{}`{to} | `{shown}` | {} | {verdict} |", vector.name, flags_of(vector.flags)).unwrap();
    }
    table
}

/// The page with each table between its marks made anew.
fn remade(page: &str) -> String {
    let mut tables: Vec<(&str, String)> = TABLES.iter().map(|(name, rules)| (*name, table_of_rules(rules))).collect();
    tables.push(("differences", table_of_differences()));
    tables.push(("requests", table_of_cases(true)));
    tables.push(("responses", table_of_cases(false)));
    let mut page = page.to_owned();
    for (name, table) in tables {
        let mark = format!("<!-- table: {name} -->\n");
        let from = page.find(&mark).unwrap_or_else(|| panic!("the page has no place for {name}")) + mark.len();
        let len = page[from..].find("<!-- end -->").unwrap_or_else(|| panic!("{name} has no end"));
        page.replace_range(from..from + len, &format!("\n{table}\n"));
    }
    page
}

#[test]
fn the_page_says_what_the_machine_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/strictness.md");
    let page = std::fs::read_to_string(&path).expect("docs/strictness.md");
    let wanted = remade(&page);
    if std::env::var_os("ATLS_WRITE_DOCS").is_some() {
        std::fs::write(&path, &wanted).expect("write docs/strictness.md");
    } else if let Some((is, was)) = wanted.lines().zip(page.lines()).find(|(wanted, is)| wanted != is) {
        panic!("docs/strictness.md is out of date (ATLS_WRITE_DOCS=1 writes it):\n{was}\nshould be\n{is}");
    }
    for (bit, name) in FLAGS {
        assert!(wanted.contains(&format!("| `{name}` | {bit} |")), "the page does not explain {name}");
    }
}

#[test]
fn each_vector_is_a_case_of_one_rule() {
    let named: Vec<&str> =
        TABLES.iter().flat_map(|(_, rules)| rules.iter()).flat_map(|rule| rule.cases).copied().collect();
    for vector in VECTORS {
        assert_eq!(named.iter().filter(|name| **name == vector.name).count(), 1, "{}", vector.name);
    }
    assert_eq!(named.len(), VECTORS.len());
}
