//! tests/c/null_calls.h: every function with each of its pointers NULL, one at a time, as the header says what that does. A new function is part of it
//! without further ado.

use std::fmt::Write;

use super::Book;
use super::code::may_be_null;
use super::comment::Comment;
use super::items::{Decl, Item, Kind, Signature};

/// What tests/c/test_null.c has one of, by type.
const POOL: [&str; 21] = [
    "atls_body_source",
    "atls_buf",
    "atls_client",
    "atls_client_limits",
    "atls_config",
    "atls_form",
    "atls_h1_conn",
    "atls_h1_driver_config",
    "atls_h1_header_list",
    "atls_headers",
    "atls_multipart",
    "atls_policy",
    "atls_queue",
    "atls_request",
    "atls_resolver",
    "atls_runtime",
    "atls_server_config",
    "atls_sink",
    "atls_tunnel_config",
    "atls_verification",
    "atls_verifier_config",
];

/// An argument that is good enough to be looked at after the others, or None if there is none at hand.
fn good(param: &Decl) -> Option<String> {
    let Decl::Plain { before, name } = param else { return None };
    let before = before.trim();
    let plain = before.trim_start_matches("const ").trim_end_matches('*').trim();
    Some(match (before, name.as_str()) {
        ("const char **" | "const char *const *", "pairs") => "(const char *[]){\"a\", \"b\"}".to_owned(),
        (_, "fd") => "have_socket".to_owned(),
        ("atls_bytes", "nonce" | "exporter") => "atls_bytes_of(have_32_bytes, 32)".to_owned(),
        ("const char *", "words") => "\"secrets may leave\"".to_owned(),
        ("const char *", "url") => "\"http://127.0.0.1:1\"".to_owned(),
        ("const char *", "address") => "\"127.0.0.1\"".to_owned(),
        ("const char *", "target" | "entry") => "\"localhost:1\"".to_owned(),
        ("const char *", "path") => "\"/\"".to_owned(),
        ("uint32_t", "http_version") => "0x0101".to_owned(),
        ("uint32_t", "status") => "200".to_owned(),
        (_, "kind") => "ATLS_H1_RESPONSE".to_owned(),
        ("atls_family" | "atls_auth", _) | (_, "flags") => "0".to_owned(),
        ("void *", _) => "NULL".to_owned(),
        ("const char *", _) => "\"a\"".to_owned(),
        ("atls_bytes", _) => "atls_bytes_of(\"{}\", 2)".to_owned(),
        ("uint8_t *" | "const uint8_t *" | "const uint32_t *", _) => format!("({plain}[64]){{0}}"),
        _ if POOL.contains(&plain) && !before.contains("**") && before.contains('*') => format!("have_{plain}"),
        _ if plain == "atls_verifier" && before.matches('*').count() == 1 => "have_atls_verifier".to_owned(),
        _ if before.ends_with("**") => format!("&({} *){{NULL}}", before.trim_end_matches("**").trim()),
        (_, _) if before.contains('*') && !is_handle(plain) => format!("&({plain}){{0}}"),
        (_, _) if before.contains('*') || before.ends_with("_fn") => return None,
        (_, name) if name.ends_with("_len") => "0".to_owned(),
        _ => "1".to_owned(),
    })
}

/// Structs and numbers that a caller has a place for; all else is a handle.
fn is_handle(plain: &str) -> bool {
    let open = [
        "atls_str",
        "atls_bytes",
        "atls_event",
        "atls_h1_header",
        "atls_h1_states",
        "atls_multipart_event",
        "atls_h1_framing",
        "atls_h1_state",
    ];
    plain.starts_with("atls_") && !open.contains(&plain)
}

fn is_pointer(param: &Decl) -> bool {
    match param {
        Decl::Plain { before, .. } => before.contains('*') || before.trim() == "atls_bytes",
        Decl::Function { .. } => false,
    }
}

/// The handle that a call makes.
fn made(param: &Decl) -> Option<&str> {
    let Decl::Plain { before, .. } = param else { return None };
    let of = before.trim().strip_suffix("**")?.trim();
    (of.starts_with("atls_") && of != "atls_error").then_some(of)
}

/// The argument that is the length of this array.
fn length_of(signature: &Signature, index: usize) -> Option<usize> {
    let Decl::Plain { before, name } = &signature.params[index] else { return None };
    let names = signature.names();
    let next = names.get(index + 1).filter(|next| **next == format!("{name}_len") || **next == "count");
    next.filter(|_| before.starts_with("const ")).map(|_| index + 1)
}

/// The call with argument `null` NULL, and whether all the others are good.
fn call(name: &str, signature: &Signature, null: &[usize]) -> (String, bool) {
    let mut complete = true;
    let names = signature.names();
    let mut arguments = Vec::new();
    for (index, param) in signature.params.iter().enumerate() {
        let counts_null = null.iter().any(|&null| length_of(signature, null) == Some(index));
        arguments.push(match (null.contains(&index), param) {
            (true, Decl::Plain { before, .. }) if before.trim() == "atls_bytes" => "atls_bytes_of(NULL, 2)".to_owned(),
            (true, _) => "NULL".to_owned(),
            _ if names[index] == "error" => "&error".to_owned(),
            _ if counts_null => "1".to_owned(),
            // Without a host there is no port.
            _ if name == "atls_config_new" && names[index] == "port" => "0".to_owned(),
            _ => good(param).unwrap_or_else(|| {
                complete &= matches!(param, Decl::Function { .. });
                "NULL".to_owned()
            }),
        });
    }
    (format!("{name}({})", arguments.join(", ")), complete)
}

fn function(out: &mut String, item: &Item, signature: &Signature, comment: &Comment) {
    let name = &item.name;
    let names = signature.names();
    let nullable = |index: usize| may_be_null(name, comment, signature, index);
    let pointers: Vec<usize> = (0..names.len()).filter(|&index| is_pointer(&signature.params[index])).collect();
    let answers = signature.returns.trim() == "atls_status" && names.contains(&"error");
    let counted = |index: usize| length_of(signature, index).is_some();
    let bytes =
        |index: usize| matches!(&signature.params[index], Decl::Plain { before, .. } if before.trim() == "atls_bytes");
    for &index in &pointers {
        let (text, complete) = call(name, signature, &[index]);
        let what = names[index];
        let line = match () {
            () if !answers => format!("    ENDURED({text});"),
            () if what == "error" => continue,
            () if counted(index) => format!("    REFUSED(\"\", {text});"),
            () if bytes(index) || !nullable(index) => {
                format!("    REFUSED(\"{}\", {text});", if complete { what } else { "" })
            }
            // One of several that are NULL together or not at all.
            () if item.doc.iter().any(|line| line.contains("NULL_ARGUMENT (") || line.contains("together with")) => {
                format!("    ENDURED({text});")
            }
            // What NULL means there is for other tests to say; here, that it is no fault.
            () if !complete => format!("    ENDURED({text});"),
            () => match signature.params.iter().find_map(made) {
                Some(of) => {
                    let text = text.replace(&format!("&({of} *){{NULL}}"), "&made");
                    format!(
                        "    {{\n        {of} *made = NULL;\n        TAKEN({text});\n        {of}_free(made);\n    }}"
                    )
                }
                None => format!("    TAKEN({text});"),
            },
        };
        writeln!(out, "{line}").expect("text");
    }
    let error = names.iter().position(|name| *name == "error");
    let required = pointers.iter().find(|&&index| bytes(index) || !nullable(index));
    if let (true, Some(error), Some(&required)) = (answers, error, required) {
        let text = call(name, signature, &[required, error]).0;
        writeln!(out, "    UNEXPLAINED({text});").expect("text");
    }
}

pub fn null_calls(book: &Book) -> String {
    let mut out = String::from(
        "/* Each function with each of its pointers NULL. Made of src/capi by `cargo xtask header`; test_null.c has what it needs. */\n",
    );
    out += "static void call_all_with_null(void)\n{\n";
    for item in &book.items {
        if let Kind::Function(signature) = &item.kind {
            function(&mut out, item, signature, &book.comment(item).expect("a comment"));
        }
    }
    out + "}\n"
}
