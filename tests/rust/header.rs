//! include/atls.h is made of src/capi: cbindgen reads the declarations, `book` puts them into chapters and shape. `cargo xtask header` writes it.
//!
//! # Doc comments in src/capi
//!
//! They are the header's text. Write plain text, short sentences, and this:
//!
//! - Nothing that the rules at the top of the header say already.
//! - A parameter that needs a few words has a line of its own (as many as it takes), which begins with its name in backticks and a colon:
//!   "`host`: name or address." Several at once: "`chain`, `key`: PEM." In the header that is `\param`.
//! - An argument that may be NULL is said to be, in these words: "`config` may be NULL." or "`host`, which may be NULL, .." or, in the line of a
//!   parameter, ".. may be NULL". In the header it becomes ATLS_NULLABLE; all others must not be NULL and answer NULL_ARGUMENT.
//!   By rule, without words: `error`, `user_data`, what `_free` takes, an array with its length in `<name>_len`; and the first argument of a function
//!   that says what it answers "for NULL".
//! - A function that returns a pointer and says "NULL .." of it returns ATLS_NULLABLE.
//! - A function with `error` ends its text with one sentence: "Statuses: NULL_ARGUMENT, INVALID_STATE (already closed; blocking), IO." Members are
//!   parted by commas or semicolons. Each is the name of a status, without `ATLS_`, and may say why, in parentheses or without; or it begins with
//!   "as atls_http_start" (all that one answers), "or why the stream is closed", "every ..". In the header that is `\return` and a list of `\retval`.
//!   What comes after its full stop is text again.
//! - Functions are named without parentheses (atls_stream_read), statuses in the text and events without prefix where it is clear (CLOSED), else with.
//! - A field of a struct may be NULL unless its comment begins with "Required" or "Never NULL".
//! - Lists are lines that begin with "- ".
//!
//! Constants with a type of their own (`pub type atls_family = u32;`) become an enumeration of that name.

mod book;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use book::comment::{Answer, Comment, WIDTH, Words};
use book::items::Kind;
use book::{Book, root};

/// The header as the sources have it now.
fn made() -> &'static String {
    static MADE: OnceLock<String> = OnceLock::new();
    MADE.get_or_init(|| {
        let made = Book::open().write();
        // For the compilers: include/atls.h itself may be under the pen of another test.
        program("atls.h", &made);
        made
    })
}

#[test]
fn header_is_current() {
    let made = made();
    let path = root().join("include/atls.h");
    if std::env::var_os("ATLS_WRITE_HEADER").is_some() {
        std::fs::write(&path, made).expect("write include/atls.h");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == *made, "include/atls.h is out of date: run `cargo xtask header`");
}

#[test]
fn what_tests_have_from_the_header_is_current() {
    for (path, made) in [
        ("tests/rust/support/abi.rs", book::declarations::abi()),
        ("tests/c/null_calls.h", book::null_calls::null_calls(&Book::open())),
    ] {
        let place = root().join(path);
        if std::env::var_os("ATLS_WRITE_HEADER").is_some() {
            // Whole at any time: a compiler may be reading it for another test.
            let fresh = place.with_extension("new");
            std::fs::write(&fresh, &made).and_then(|()| std::fs::rename(&fresh, &place)).expect("write");
        }
        let committed = std::fs::read_to_string(&place).unwrap_or_default();
        assert!(committed == made, "{path} is out of date: run `cargo xtask header`");
    }
}

/// A constant of one family, given where another is meant, is refused: no two of them have the same number.
#[test]
fn limits_deadlines_and_counts_are_disjoint() {
    let is_one = |name: &str| ["_LIMIT_", "_DEADLINE_", "_COUNT_"].iter().any(|kind| name.contains(kind));
    let items = book::items::parse(&book::from_cbindgen());
    let mut seen = std::collections::HashMap::new();
    for item in items.iter().filter(|item| is_one(&item.name)) {
        let Kind::Constant { value } = &item.kind else { continue };
        if let Some(other) = seen.insert(value.clone(), &item.name) {
            panic!("{} and {other} are both {value}", item.name);
        }
    }
    assert!(seen.len() > 30, "{seen:?}");
}

#[test]
fn every_exported_symbol_is_declared_once() {
    let code = book::without_comments(made());
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let calls = code.split('(').filter_map(|before| before.rsplit([' ', '*', '\n']).next());
    calls.for_each(|name| *seen.entry(name).or_default() += 1);
    let symbols = std::fs::read_to_string(root().join("tests/symbols.txt")).expect("symbols.txt");
    assert!(symbols.lines().count() > 200);
    for symbol in symbols.lines() {
        assert_eq!(seen.get(symbol), Some(&1), "{symbol}");
    }
}

#[test]
fn nothing_that_cbindgen_finds_is_lost() {
    let code = book::without_comments(made());
    let words: Vec<&str> = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    for item in book::items::parse(&book::from_cbindgen()) {
        assert!(words.contains(&item.name.as_str()), "{} is not in the header", item.name);
    }
}

#[test]
fn no_line_is_longer_than_a_window() {
    let header = made();
    let long: Vec<_> = header.lines().filter(|line| line.chars().count() > WIDTH).collect();
    assert!(long.is_empty(), "{long:#?}");
}

/// A program of its own folder, below target.
fn program(name: &str, text: &str) -> PathBuf {
    let folder = root().join("target/header");
    std::fs::create_dir_all(&folder).expect("target/header");
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a program");
    path
}

fn has(compiler: &str) -> bool {
    std::process::Command::new(compiler).arg("--version").output().is_ok_and(|done| done.status.success())
}

#[test]
fn header_compiles_alone_in_every_language_that_it_promises() {
    made();
    let text = "#include <atls.h>\n#include <atls.h>\nsize_t length(void);\nsize_t length(void) { return atls_bytes_of_text(\"x\").len; }\n";
    let (c, cc) = (program("alone.c", text), program("alone.cc", text));
    for compiler in ["gcc", "clang"].into_iter().filter(|compiler| *compiler == "gcc" || has(compiler)) {
        for standard in ["c99", "c11", "c2x"] {
            book::compiles(compiler, standard, &[], &c);
        }
    }
    for compiler in ["g++", "clang++"].into_iter().filter(|compiler| *compiler == "g++" || has(compiler)) {
        for standard in ["c++11", "c++17", "c++20"] {
            book::compiles(compiler, standard, &[], &cc);
        }
    }
    if has("clang") {
        book::compiles("clang", "c11", &["-Wnullability-completeness", "-Wnullability"], &c);
    }
}

/// Families of constants are types of their own where the language can say so, with the size that they have everywhere, and any value may come.
#[test]
fn enumerations_are_typed_in_cpp_and_numbers_in_c() {
    made();
    let cpp = |body: &str| {
        format!(
            "#include <atls.h>\n#include <type_traits>\n\
             static_assert(std::is_same<std::underlying_type<atls_status>::type, int32_t>::value, \"\");\n\
             static_assert(std::is_same<std::underlying_type<atls_event_kind>::type, uint32_t>::value, \"\");\n\
             static_assert(static_cast<uint32_t>(static_cast<atls_event_kind>(4000000000u)) == 4000000000u, \"\");\n\
             bool one(const atls_server *server);\n\
             bool one(const atls_server *server) {{ {body} return atls_bytes_of_text(\"\").len == 0; }}\n"
        )
    };
    let good = cpp("uint64_t n = atls_server_count(server, ATLS_SERVER_COUNT_REQUESTS); if (n > 1) return false;");
    book::compiles("g++", "c++11", &[], &program("typed.cc", &good));
    let bad = program("mixed.cc", &cpp("if (atls_server_count(server, ATLS_SERVER_LIMIT_HEADERS) > 1) return false;"));
    let refused = std::panic::catch_unwind(|| book::compiles("g++", "c++11", &[], &bad));
    assert!(refused.is_err(), "a limit was taken for a count");
    let c = "#include <atls.h>\n\
             typedef char status_size[sizeof(atls_status) == 4 ? 1 : -1];\n\
             typedef char kind_size[sizeof(atls_event_kind) == 4 ? 1 : -1];\n\
             int one(atls_status status, const atls_event *event, status_size *a, kind_size *b);\n\
             int one(atls_status status, const atls_event *event, status_size *a, kind_size *b)\n\
             { switch (status) { case ATLS_OK: return 0; default: break; }\n\
               return event->kind == ATLS_EVENT_CLOSED && a && b && atls_bytes_of_text(\"\").len == 0; }\n";
    let c = program("numbers.c", c);
    for compiler in ["gcc", "clang"].into_iter().filter(|compiler| *compiler == "gcc" || has(compiler)) {
        book::compiles(compiler, "c99", &[], &c);
    }
}

/// What C tests and examples give successfully, the header allows: clang knows where NULL must not be.
#[test]
fn no_call_that_succeeds_gives_null_where_the_header_forbids_it() {
    if !has("clang") {
        return;
    }
    made();
    let mut clang = std::process::Command::new("clang");
    clang.args(["-std=gnu11", "-fsyntax-only", "-Wnonnull", "-fno-caret-diagnostics", "-Itarget/header", "-Itests/c"]);
    for folder in ["tests/c", "examples-c"] {
        let entries = std::fs::read_dir(root().join(folder)).expect(folder);
        let paths = entries.map(|entry| entry.expect("entry").path());
        clang.args(paths.filter(|path| path.extension().is_some_and(|extension| extension == "c")));
    }
    let said = clang.current_dir(root()).output().expect("clang").stderr;
    let said = String::from_utf8_lossy(&said);
    let warnings: Vec<_> = said.lines().filter(|line| line.contains("-Wnonnull")).collect();
    assert!(warnings.len() > 50, "the tests give NULL in many places, and clang must see it: {said}");
    let succeeds = |warning: &&&str| {
        let mut parts = warning.split(':');
        let (path, line) = (parts.next().expect("a path"), parts.next().expect("a line"));
        let text = std::fs::read_to_string(path).expect("a program");
        let line = text.lines().nth(line.parse::<usize>().expect("a number") - 1).expect("the line");
        path.contains("examples-c") || line.contains("OK(")
    };
    let wrong: Vec<_> = warnings.iter().filter(succeeds).collect();
    assert!(wrong.is_empty(), "say \"may be NULL\" of these: {wrong:#?}");
}

#[test]
fn example_at_the_top_compiles() {
    let header = made();
    let example =
        header.split_once("\\code{.c}\n").expect("an example").1.split_once(" * \\endcode").expect("its end").0;
    let lines: Vec<_> = example.lines().map(|line| line.trim_start_matches(" *").trim_end()).collect();
    assert!(lines.len() < 25, "{} lines", lines.len());
    let declared = "int fetch(atls_config *, const atls_policy *, const char *, const char *);";
    let text = format!("#include <atls.h>\n#include <stdio.h>\n{declared}\n{}\n", lines.join("\n"));
    book::compiles("gcc", "c99", &[], &program("example.c", &text));
}

#[test]
fn each_function_with_an_error_names_its_statuses() {
    let book = Book::open();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for item in &book.items {
        let comment = book.comment(item);
        wrong.extend(comment.as_ref().err().cloned());
        let (Kind::Function(signature), Ok(comment)) = (&item.kind, comment) else { continue };
        let has_error = signature.names().last() == Some(&"error")
            && item.name != "atls_error_status"
            && signature.returns.trim() == "atls_status";
        seen += usize::from(has_error);
        if has_error != comment.statuses.is_some() {
            wrong.push(format!("{}: has an error, and no statuses, or the other way round", item.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 150, "{seen}");
}

fn words() -> Words {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Words { statuses: owned(&["NULL_ARGUMENT", "INVALID_STATE", "IO"]), functions: owned(&["atls_stream_read"]) }
}

fn comment(text: &str, params: &[&str]) -> Result<Comment, String> {
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    Comment::parse(&lines, params, &words())
}

#[test]
fn sentence_of_statuses_becomes_a_list() {
    let text = "Reads. Statuses: NULL_ARGUMENT; INVALID_STATE (closed, or blocking; twice), IO with an errno, and as atls_stream_read. Later.";
    let read = comment(text, &[]).expect("good");
    let status = |name: &str, why: &str| Answer::Status { name: name.into(), why: why.into() };
    let wanted = [
        status("NULL_ARGUMENT", ""),
        status("INVALID_STATE", "closed, or blocking; twice"),
        status("IO", "with an errno"),
        Answer::Other("as atls_stream_read".into()),
    ];
    assert_eq!(read.statuses.as_deref(), Some(&wanted[..]));
    assert_eq!(read.text, ["Reads.", "Later."]);
    let rendered = read.render(&[], &words(), 0);
    for line in [
        " * \\return ATLS_OK, as atls_stream_read(), or",
        " * \\retval ATLS_NULL_ARGUMENT",
        " * \\retval ATLS_INVALID_STATE closed, or blocking; twice",
        " * \\retval ATLS_IO with an errno",
    ] {
        assert!(rendered.lines().any(|one| one == line), "{line}\n{rendered}");
    }
    let alone = comment("Statuses: NULL_ARGUMENT.", &[]).expect("good");
    assert_eq!(alone.render(&[], &words(), 0), "/** \\return ATLS_OK or ATLS_NULL_ARGUMENT. */\n");
}

#[test]
fn faults_in_statuses_are_found() {
    for (text, fault) in [
        ("Statuses: NUL_ARGUMENT.", "unknown status NUL_ARGUMENT"),
        ("Statuses: NULL_ARGUMENT, IOO (why).", "unknown status IOO"),
        ("Statuses: sometimes.", "no status"),
        ("Statuses: IO. Statuses: IO.", "two sentences"),
        ("A.\n\nStatuses: IO.\n\nStatuses: IO.", "two sentences"),
    ] {
        let why = comment(text, &[]).err().unwrap_or_default();
        assert!(why.contains(fault), "{text}: {why}");
    }
}

#[test]
fn lines_that_begin_with_a_parameter_become_its_own() {
    let read = comment("Reads.\n`buf`, `cap`: where to,\nand how much.\n`other`: no parameter.", &["buf", "cap"])
        .expect("good");
    assert_eq!(
        read.params,
        [(vec!["buf".to_owned(), "cap".to_owned()], "where to, and how much. `other`: no parameter.".to_owned())]
    );
    assert!(read.render(&["buf", "cap"], &words(), 0).contains("\n * \\param buf,cap where to, and how much."));
}

#[test]
fn what_may_be_null_is_said_in_words() {
    let params = ["a", "b", "c", "d", "e", "out"];
    let text = "Takes `a`, which may be NULL. `b` and `c` may be NULL; `d` may not be. `*out` (may be NULL) says.\n`e`: may be NULL, for none.";
    let read = comment(text, &params).expect("good");
    let found: Vec<_> = params.into_iter().filter(|param| read.may_be_null(param)).collect();
    assert_eq!(found, ["a", "b", "c", "e", "out"]);
}

#[test]
fn each_function_keeps_to_the_conventions() {
    let book = Book::open();
    let is_type = |kind: &Kind| matches!(kind, Kind::Handle | Kind::Struct { .. });
    let types: Vec<_> = book.items.iter().filter(|item| is_type(&item.kind)).map(|item| item.name.as_str()).collect();
    let faults: Vec<_> = book.items.iter().flat_map(|item| book::names::faults(item, &types)).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn departures_from_the_conventions_are_noticed() {
    let types = ["atls_queue", "atls_sink", "atls_error"];
    for (declaration, fault) in [
        ("atls_status atls_queue_next(atls_queue *queue, size_t *count, atls_error **error);", ""),
        ("atls_status atls_queue_new(atls_queue **queue, atls_error **error);", ""),
        ("atls_status atls_queue_next(size_t max, atls_queue *queue, atls_error **error);", "object"),
        ("atls_status atls_queue_next(atls_queue *queue, size_t *count, size_t max, atls_error **error);", "outputs"),
        ("atls_status atls_queue_next(atls_queue *queue, atls_error **error, size_t *count);", "outputs"),
        ("atls_status atls_queue_watch(atls_queue *queue, const atls_sink *sink, atls_error **error);", "_start"),
        ("atls_status atls_queue_start(atls_queue *queue, atls_error **error);", "_start"),
        ("atls_status atls_queue_send(atls_queue *queue, atls_error **error);", "_send"),
        ("atls_queue *atls_queue_new(size_t max);", "constructor"),
        (
            "atls_status atls_queue_put(atls_queue *queue, const uint8_t *data, size_t len, atls_error **error);",
            "atls_bytes",
        ),
        ("atls_status atls_queue_free(atls_queue *queue);", "returns nothing"),
    ] {
        let item = &book::items::parse(declaration)[0];
        let found = book::names::faults(item, &types).join("; ");
        assert!(found.contains(fault) && found.is_empty() == fault.is_empty(), "{declaration} {found}");
    }
}
