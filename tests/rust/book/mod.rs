//! include/atls.h, chapter by chapter: what cbindgen makes of src/capi, put into the order and the words of a reader.

pub mod chapters;
pub mod code;
pub mod comment;
pub mod declarations;
pub mod items;
pub mod names;
pub mod null_calls;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use chapters::{CHAPTERS, Chapter, ELSEWHERE};
use comment::{Comment, Words};
use items::{Decl, Item, Kind, Signature};

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Files of src/capi that have a part in the header, in its order.
pub fn sources() -> impl Iterator<Item = (usize, &'static str)> {
    let of = |(number, chapter): (usize, &'static Chapter)| chapter.files.iter().map(move |file| (number, *file));
    CHAPTERS.iter().enumerate().flat_map(of)
}

pub fn from_cbindgen() -> String {
    let capi = root().join("src/capi");
    let config = cbindgen::Config::from_file(capi.join("cbindgen.toml")).expect("cbindgen.toml");
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in declarations::sources_in_c() {
        builder = builder.with_src(source);
    }
    let mut made = Vec::new();
    builder.generate().expect("cbindgen").write(&mut made);
    String::from_utf8(made).expect("UTF-8")
}

/// Where a name is declared: chapter, file, line; and, of a constant, the type.
struct Place {
    at: (usize, usize, usize),
    of: Option<String>,
}

fn places() -> BTreeMap<String, Place> {
    let mut places = BTreeMap::new();
    for (file, (chapter, source)) in sources().enumerate() {
        let text = fs::read_to_string(root().join("src/capi").join(source)).expect(source);
        for (line, declaration) in text.lines().enumerate() {
            let Some((name, of)) = declared(declaration.trim()) else { continue };
            let before = places.insert(name.clone(), Place { at: (chapter, file, line), of });
            assert!(before.is_none(), "{name} is declared twice");
        }
    }
    for (name, source) in ELSEWHERE {
        let (file, (chapter, _)) =
            sources().enumerate().find(|(_, (_, file))| file == source).expect("a chapter's file");
        places.get_mut(*name).expect("a function").at = (chapter, file, usize::MAX);
    }
    places
}

/// The name of what a line of Rust declares for C.
fn declared(line: &str) -> Option<(String, Option<String>)> {
    let end = |text: &str| text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let word = |text: &str| text[..end(text)].to_owned();
    if let Some(rest) = line.strip_prefix("pub const ATLS_") {
        let of = rest.split_once(": ")?.1;
        return Some((format!("ATLS_{}", word(rest)), Some(word(of))));
    }
    let starts = ["pub struct ", "pub type ", "pub unsafe extern \"C\" fn ", "pub extern \"C\" fn "];
    let rest = starts.iter().find_map(|start| line.strip_prefix(start))?;
    rest.starts_with("atls_").then(|| (word(rest), None))
}

/// The header's parts before they are written.
pub struct Book {
    /// In the order of the header.
    pub items: Vec<Item>,
    /// The chapter of each item.
    chapters: BTreeMap<String, usize>,
    /// Constants of each typed enum.
    enums: BTreeMap<String, Vec<Item>>,
    pub words: Words,
}

impl Book {
    pub fn open() -> Book {
        let places = places();
        let mut items = items::parse(&from_cbindgen());
        let place = |name: &str| places.get(name).unwrap_or_else(|| panic!("{name} is in no file of a chapter"));
        items.sort_by_key(|item| place(&item.name).at);
        let chapters = items.iter().map(|item| (item.name.clone(), place(&item.name).at.0)).collect();
        let is = |wanted: fn(&Kind) -> bool| items.iter().filter(move |item| wanted(&item.kind));
        let aliases: BTreeSet<String> =
            is(|kind| matches!(kind, Kind::Alias { .. })).map(|item| item.name.clone()).collect();
        let functions = is(|kind| matches!(kind, Kind::Function(_))).map(|item| item.name.clone()).collect();
        let mut enums: BTreeMap<String, Vec<Item>> = BTreeMap::new();
        let mut rest = Vec::new();
        for item in items {
            match place(&item.name).of.as_ref().filter(|of| aliases.contains(*of)) {
                Some(of) => enums.entry(of.clone()).or_default().push(item),
                None => rest.push(item),
            }
        }
        let statuses = enums.get("atls_status").into_iter().flatten();
        let statuses = statuses.map(|item| item.name.trim_start_matches("ATLS_").to_owned()).collect();
        Book { items: rest, chapters, enums, words: Words { statuses, functions } }
    }

    pub fn comment(&self, item: &Item) -> Result<Comment, String> {
        let params = match &item.kind {
            Kind::Function(signature) | Kind::Callback(signature) => signature.names(),
            _ => Vec::new(),
        };
        Comment::parse(&item.doc, &params, &self.words).map_err(|why| format!("{}: {why}", item.name))
    }

    /// The whole header.
    pub fn write(&self) -> String {
        let mut out = include_str!("../../../src/capi/header/front.h").replace("@CONTENTS@\n", &contents());
        let mut known = BTreeSet::new();
        for (number, chapter) in CHAPTERS.iter().enumerate() {
            let items: Vec<_> = self.items.iter().filter(|item| self.chapters[&item.name] == number).collect();
            out += &chapter.heading(number + 1);
            out += &self.forward(&items, &mut known);
            for item in items {
                out += &format!("\n{}", self.item(item, &mut known));
            }
            out += chapter.code;
            out += "\n/** \\} */\n";
        }
        out + include_str!("../../../src/capi/header/back.h")
    }

    /// Types that this chapter names before they are described, there or in a later chapter: to C it is enough that they are structs.
    fn forward(&self, items: &[&Item], known: &mut BTreeSet<String>) -> String {
        let is_struct = |kind: &Kind| matches!(kind, Kind::Handle | Kind::Struct { .. });
        let can_wait = |name: &str| self.items.iter().any(|item| item.name == name && is_struct(&item.kind));
        let mut lines = String::new();
        let mut described = known.clone();
        for item in items {
            for name in used(item).into_iter().filter(|name| can_wait(name)) {
                if described.insert(name.clone()) {
                    known.insert(name.clone());
                    let chapter = CHAPTERS[self.chapters[&name]].title;
                    lines += &format!("typedef struct {name} {name}; /**< Described in \"{chapter}\". */\n");
                }
            }
            described.insert(item.name.clone());
        }
        if lines.is_empty() { lines } else { format!("\n{lines}") }
    }

    fn item(&self, item: &Item, known: &mut BTreeSet<String>) -> String {
        let comment = self.comment(item).unwrap_or_else(|why| panic!("{why}"));
        for name in used(item) {
            let ready = known.contains(&name) || name == item.name || !self.chapters.contains_key(&name);
            assert!(ready, "{} needs {name}, which comes later", item.name);
        }
        let names = match &item.kind {
            Kind::Function(signature) | Kind::Callback(signature) => signature.names(),
            Kind::Struct { fields } => fields.iter().map(|field| field.decl.name()).collect(),
            _ => Vec::new(),
        };
        let about = if item.doc.is_empty() { String::new() } else { comment.render(&names, &self.words, 0) };
        let name = &item.name;
        let code = match &item.kind {
            Kind::Constant { value } => format!("#define {name} {value}\n"),
            Kind::Handle if known.contains(name) => format!("struct {name};\n"),
            Kind::Handle => format!("typedef struct {name} {name};\n"),
            Kind::Struct { fields } => code::structure(name, known.contains(name), fields, &self.words),
            Kind::Alias { target } => self.enumeration(name, target),
            Kind::Callback(signature) => code::callback(name, signature),
            Kind::Function(signature) => code::function(name, signature, &comment),
        };
        known.insert(name.clone());
        about + &code
    }

    fn enumeration(&self, name: &str, target: &str) -> String {
        let mut out = format!("ATLS_ENUM({name}, {target}) {{\n");
        let constants = self.enums.get(name).unwrap_or_else(|| panic!("{name} has no constants"));
        for constant in constants {
            let Kind::Constant { value } = &constant.kind else { panic!("{} is no constant", constant.name) };
            if !constant.doc.is_empty() {
                let comment = Comment::parse(&constant.doc, &[], &self.words).expect("a comment without statuses");
                out += &comment.render(&[], &self.words, 4);
            }
            out += &format!("    {} = {value},\n", constant.name);
        }
        out + "};\n"
    }
}

/// Types of the library that an item names.
fn used(item: &Item) -> Vec<String> {
    let mut texts = Vec::new();
    match &item.kind {
        Kind::Constant { .. } | Kind::Handle | Kind::Alias { .. } => {}
        Kind::Struct { fields } => fields.iter().for_each(|field| types(&field.decl, &mut texts)),
        Kind::Callback(signature) | Kind::Function(signature) => all_types(signature, &mut texts),
    }
    let words = texts.iter().flat_map(|text| text.split([' ', '*']));
    words.filter(|word| word.starts_with("atls_")).map(str::to_owned).collect()
}

fn types(decl: &Decl, found: &mut Vec<String>) {
    match decl {
        Decl::Plain { before, .. } => found.push(before.clone()),
        Decl::Function { signature, .. } => all_types(signature, found),
    }
}

fn all_types(signature: &Signature, found: &mut Vec<String>) {
    found.push(signature.returns.clone());
    signature.params.iter().for_each(|param| types(param, found));
}

/// The table of contents.
fn contents() -> String {
    let line = |(index, chapter): (usize, &Chapter)| format!(" * {}. {}\n", index + 1, chapter.title);
    CHAPTERS.iter().enumerate().map(line).collect()
}

/// The header without its comments: what a compiler sees.
pub fn without_comments(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("/*") {
        code += before;
        rest = after.split_once("*/").expect("a comment ends").1;
    }
    code + rest
}

/// A program beside a copy of the header compiles, in this language and with every warning an error, without a word.
pub fn compiles(compiler: &str, standard: &str, more: &[&str], program: &Path) {
    let mut run = std::process::Command::new(compiler);
    run.arg(format!("-std={standard}"))
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"])
        .args(more)
        .arg(format!("-I{}", program.parent().expect("a folder").display()));
    let done = run.arg(program).output();
    let done = done.unwrap_or_else(|error| panic!("{compiler}: {error}"));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.is_empty(), "{run:?}\n{said}");
}
