//! How C sees the functions of src/capi: their argument types (src/capi/base/arguments.rs) as the pointers that they are. The header is made of
//! this, and so is support/abi.rs, by which the Rust tests call the library as C does.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::{root, sources};

/// The argument types, with what C sees for `T`.
const TYPES: [(&str, &str, &str); 6] = [
    ("Option<&mut ", ">", "*mut T"),
    ("Option<&", ">", "*const T"),
    ("Builder<", ">", "*mut T"),
    ("Counted<", ">", "*const T"),
    ("Owned<", ">", "*mut T"),
    ("Out<", ">", "*mut T"),
];

/// A source file of src/capi with the types of C in its exported functions.
pub fn in_c(source: &str) -> String {
    let mut made = String::new();
    let mut rest = source;
    while let Some(start) = rest.find("extern \"C\" fn atls_") {
        let (before, function) = rest.split_at(start);
        let (signature, after) = function.split_at(function.find('{').expect("a body"));
        made += before;
        made += &signature_in_c(signature);
        rest = after;
    }
    made + rest
}

fn signature_in_c(signature: &str) -> String {
    let mut signature = signature.replace(": c_text", ": *const c_char").replace(": c_bytes", ": atls_bytes");
    for (open, close, pointer) in TYPES {
        while let Some(start) = signature.find(open) {
            let inner = start + open.len();
            let end = inner + end_of(&signature[inner..]);
            // An array is, in C, a pointer to its first element.
            let of = match signature[inner..end].strip_prefix('[').and_then(|array| array.split_once(';')) {
                Some((element, _)) => element.to_owned(),
                None => signature[inner..end].to_owned(),
            };
            signature.replace_range(start..end + close.len(), &pointer.replace('T', &of));
        }
    }
    signature
}

/// Where the bracket ends that was opened before `text`.
fn end_of(text: &str) -> usize {
    let mut depth = 0;
    for (at, sign) in text.char_indices() {
        match sign {
            '<' => depth += 1,
            '>' if depth == 0 => return at,
            '>' => depth -= 1,
            _ => {}
        }
    }
    panic!("no end of {text}");
}

/// The source files as cbindgen is to see them, in a folder of the test's own.
pub fn sources_in_c() -> &'static Vec<PathBuf> {
    static WRITTEN: OnceLock<Vec<PathBuf>> = OnceLock::new();
    WRITTEN.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("capi");
        let write = |(_, source): (usize, &str)| {
            let path = folder.join(source);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
            std::fs::write(&path, in_c(&read(source))).expect("write");
            path
        };
        sources().map(write).collect()
    })
}

fn read(source: &str) -> String {
    std::fs::read_to_string(root().join("src/capi").join(source)).expect(source)
}

/// Declarations of all functions, by name.
fn declarations() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (_, source) in sources() {
        for function in in_c(&read(source)).split("extern \"C\" fn ").skip(1).filter(|text| text.starts_with("atls_")) {
            let signature = function.split_once('{').expect("a body").0;
            let one_line = signature.split_whitespace().collect::<Vec<_>>().join(" ");
            let one_line = one_line.replace("( ", "(").replace(", )", ")");
            found.insert(one_line.split_once('(').expect("arguments").0.to_owned(), one_line);
        }
    }
    found
}

/// What the Rust tests call, declared as C has it.
pub fn abi() -> String {
    let tests = root().join("tests/rust");
    let mut text = String::new();
    for folder in [&tests, &tests.join("support")] {
        for entry in std::fs::read_dir(folder).expect("folder") {
            let path = entry.expect("entry").path();
            if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("abi.rs") {
                text += &std::fs::read_to_string(path).expect("UTF-8");
            }
        }
    }
    let named = |name: &str| text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).any(|word| word == name);
    let mut made = ABI_TOP.to_owned();
    for (_, source) in sources() {
        let module = source.trim_end_matches(".rs").replace('/', "::");
        writeln!(made, "pub use atls::capi::{module}::*;").expect("text");
    }
    made += "\nunsafe extern \"C\" {\n";
    for (_, declaration) in declarations().iter().filter(|(name, _)| named(name)) {
        writeln!(made, "    pub fn {};", declaration.trim()).expect("text");
    }
    made + "}\n"
}

const ABI_TOP: &str = r#"//! Functions of the library as C declares them, made from src/capi by `cargo xtask header`: the Rust tests call it by these.
#![allow(dead_code, unused_imports, ambiguous_glob_reexports, unsafe_code)]
// Their arguments are handles of the library, which look like Rust from here.
#![allow(improper_ctypes)]

use std::ffi::{c_char, c_void};

pub use atls::capi::base::c_bool::c_bool;
"#;
