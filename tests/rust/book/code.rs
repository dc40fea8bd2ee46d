//! Declarations as C: which pointers may be NULL, and lines that fit.

use super::comment::{Comment, WIDTH, Words};
use super::items::{Decl, Field, Signature};

const NULLABLE: &str = "ATLS_NULLABLE ";
const NONNULL: &str = "ATLS_NONNULL ";

/// Which pointers of a function may be NULL: what its comment says "may be NULL" of, and by rule the place of the error, the host's own pointer,
/// what a `_free` takes, and the first argument of a function that says what it answers "for NULL".
pub fn may_be_null(function: &str, comment: &Comment, signature: &Signature, index: usize) -> bool {
    let names = signature.names();
    let name = names[index];
    let is_array = matches!(&signature.params[index], Decl::Plain { before, .. } if before.starts_with("const "));
    let says = comment.text.iter().any(|text| text.contains("for NULL"));
    let counted = is_array && names.contains(&format!("{name}_len").as_str());
    let by_rule =
        name == "error" || name == "user_data" || counted || function.ends_with("_free") || (says && index == 0);
    by_rule || comment.may_be_null(name)
}

/// Whether what a function returns may be NULL: if its comment speaks of NULL otherwise than of its arguments.
fn returns_null(comment: &Comment) -> bool {
    let text = comment.text.join(" ").replace("never NULL", "").replace("NULL-terminated", "").replace("be NULL", "");
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "NULL")
}

/// The stars of a type with their marks. A lone pointer without a mark is not NULL: the header says so once, for clang by a pragma. Where there are
/// two, the inner one is an output, and NULL until it is written.
fn marked(before: &str, nullable: bool) -> String {
    let stars = before.matches('*').count();
    let Some(first) = before.find('*') else { return before.to_owned() };
    let outer = if nullable { NULLABLE } else { NONNULL };
    match stars {
        1 if !nullable => before.to_owned(),
        1 => format!("{}*{outer}", &before[..first]),
        // An array of pointers that are only read.
        2 if before.contains("*const *") => format!("{}*{NONNULL}const *{outer}", &before[..first]),
        2 => format!("{}*{NULLABLE}*{outer}", &before[..first]),
        _ => panic!("three stars: {before}"),
    }
}

/// A parameter or field, without a line's end. Pointers that a host's function is given are never NULL, but for its own.
fn decl(decl: &Decl, nullable: bool) -> String {
    match decl {
        Decl::Plain { before, name } => format!("{}{name}", marked(before, nullable)),
        Decl::Function { name, signature } => {
            let params: Vec<_> =
                signature.params.iter().map(|param| self::decl(param, param.name() == "user_data")).collect();
            let mark = if nullable { NULLABLE } else { "" };
            format!("{}(*{mark}{name})({})", signature.returns, list(&params))
        }
    }
}

fn list(params: &[String]) -> String {
    if params.is_empty() { "void".to_owned() } else { params.join(", ") }
}

pub fn function(name: &str, signature: &Signature, comment: &Comment) -> String {
    let given = |(index, param): (usize, &Decl)| {
        let nullable = may_be_null(name, comment, signature, index);
        match param {
            // A type whose star is in its own declaration.
            Decl::Plain { before, name } if before.ends_with("_fn ") && nullable => format!("{before}{NULLABLE}{name}"),
            _ => decl(param, nullable),
        }
    };
    let params: Vec<_> = signature.params.iter().enumerate().map(given).collect();
    let returns = marked(&signature.returns, returns_null(comment));
    laid_out(&format!("{returns}{name}("), &params, ");")
}

pub fn callback(name: &str, signature: &Signature) -> String {
    let params: Vec<_> = signature.params.iter().map(|param| decl(param, param.name() == "user_data")).collect();
    laid_out(&format!("typedef {}(*{name})(", signature.returns), &params, ");")
}

/// On one line if it fits; else one parameter on each, below the first or, if that is too far to the right, indented.
fn laid_out(head: &str, params: &[String], tail: &str) -> String {
    let one = format!("{head}{}{tail}\n", list(params));
    if one.len() <= WIDTH + 1 {
        return one;
    }
    let longest = params.iter().map(String::len).max().unwrap_or_default();
    if head.len() + longest + tail.len() <= WIDTH {
        let joined = params.join(&format!(",\n{}", " ".repeat(head.len())));
        return format!("{head}{joined}{tail}\n");
    }
    format!("{head}\n    {}{tail}\n", params.join(",\n    "))
}

/// A struct, whose name was `forwarded` or not. A field may be NULL unless its comment begins with "Required" or "Never NULL".
pub fn structure(name: &str, forwarded: bool, fields: &[Field], words: &Words) -> String {
    let names: Vec<_> = fields.iter().map(|field| field.decl.name()).collect();
    let start = if forwarded { "" } else { "typedef " };
    let mut out = format!("{start}struct {name} {{\n");
    for field in fields {
        let comment = Comment::parse(&field.doc, &[], words).expect("no statuses in a field");
        if !comment.text.is_empty() {
            out += &comment.render(&names, words, 4);
        }
        let nonnull = comment.text.iter().any(|text| text.starts_with("Required") || text.starts_with("Never NULL"));
        out += &in_struct(&field.decl, !nonnull);
    }
    out + &if forwarded { "};\n".to_owned() } else { format!("}} {name};\n") }
}

fn in_struct(field: &Decl, nullable: bool) -> String {
    let one = format!("    {};\n", decl(field, nullable));
    match one.rfind(")(") {
        Some(middle) if one.len() > WIDTH + 1 => {
            let (head, params) = one.split_at(middle + 2);
            format!("{head}\n        {params}")
        }
        _ => one,
    }
}
