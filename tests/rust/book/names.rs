//! One convention each: what functions are called, and in which order they take their arguments.

use super::items::{Decl, Item, Kind, Signature};

/// Last words that another word says already in this library.
const REFUSED: &[(&str, &str)] = &[
    ("send", "_start, or _write for bytes"),
    ("recv", "_receive"),
    ("begin", "_start"),
    ("async", "_start"),
    ("create", "_new"),
    ("destroy", "_free"),
    ("delete", "_free"),
    ("unref", "_free"),
    ("retain", "_ref"),
    ("end", "_finish"),
    ("length", "_len of bytes, _count of things"),
    ("size", "_len of bytes, _count of things"),
    ("stop_write", "_finish"),
    ("last", "_joined or _get"),
];

/// Everything in which a function departs from the conventions. `types` are the handles and structs of the header.
pub fn faults(function: &Item, types: &[&str]) -> Vec<String> {
    let Kind::Function(signature) = &function.kind else { return Vec::new() };
    let name = function.name.as_str();
    let mut faults = Vec::new();
    let mut check = |holds: bool, rule: &str| {
        if !holds {
            faults.push(format!("{name}: {rule}"));
        }
    };
    let given: Vec<String> = signature.params.iter().map(type_of).collect();
    for (word, instead) in REFUSED {
        check(!name.ends_with(&format!("_{word}")), &format!("say {instead} for _{word}"));
    }
    check(!name.contains("_recv_"), "say receive for recv");
    let takes_sink = given.iter().any(|of| of == "const atls_sink *");
    check(takes_sink == name.ends_with("_start"), "what takes a sink, and nothing else, ends with _start");
    if name.ends_with("_new") || name.contains("_new_") {
        check(signature.returns.trim() == "atls_status", "a constructor answers a status");
    }
    if name.ends_with("_ref") {
        check(given.len() == 1 && signature.returns.trim_end().ends_with('*'), "takes a handle and returns it");
    }
    if name.ends_with("_free") {
        check(given.len() == 1 && signature.returns.trim() == "void", "takes a handle and returns nothing");
    }
    if given.len() > 1 {
        let raw = given.windows(2).any(|pair| pair[0] == "const uint8_t *" && pair[1] == "size_t");
        check(!raw, "bytes are an atls_bytes");
    }
    check(object_first(name, &given, types), "the object comes first, or is an output");
    check(outputs_last(signature, &given), "outputs come last, before error");
    faults
}

fn type_of(param: &Decl) -> String {
    match param {
        Decl::Plain { before, .. } => before.trim().to_owned(),
        Decl::Function { .. } => "a function".to_owned(),
    }
}

/// The object of `atls_queue_next` is an atls_queue: the longest name of a type that the function's begins with.
fn object_first(name: &str, given: &[String], types: &[&str]) -> bool {
    let objects = types.iter().filter(|of| name.strip_prefix(**of).is_some_and(|rest| rest.starts_with('_')));
    let Some(object) = objects.max_by_key(|of| of.len()) else { return true };
    let is = |of: &String, stars: &str| of.strip_prefix("const ").unwrap_or(of) == format!("{object} {stars}");
    given.first().is_some_and(|first| is(first, "*")) || given.iter().any(|of| is(of, "**"))
}

/// An output is a place for a pointer, a number, text or bytes. A cursor is read as well; arrays of the host's come with how many fit.
fn outputs_last(signature: &Signature, given: &[String]) -> bool {
    let names = signature.names();
    let is_output = |index: usize| {
        let of = given[index].as_str();
        let one = ["uint8_t *", "atls_event *", "void *"].contains(&of);
        let is_handle = |inner: &str| {
            inner.starts_with("atls_") && !["atls_str", "atls_bytes"].contains(&inner) && !is_number(inner)
        };
        let scalar = of.strip_suffix(" *").is_some_and(|inner| !of.starts_with("const ") && !is_handle(inner));
        names[index] != "cursor" && (of.ends_with("**") || (scalar && !one))
    };
    let error = names.iter().position(|name| *name == "error").filter(|at| given[*at].ends_with("**"));
    let end = error.unwrap_or(names.len());
    let first = (0..end).find(|index| is_output(*index)).unwrap_or(end);
    error.is_none_or(|at| at + 1 == names.len()) && (first..end).all(is_output)
}

/// Enumerations are numbers.
fn is_number(name: &str) -> bool {
    let ends = ["_event", "_state", "_role", "_framing", "_status", "_kind", "_check"];
    ends.iter().any(|end| name.ends_with(end)) && name != "atls_event" && name != "atls_h1_event"
}
