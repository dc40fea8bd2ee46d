//! What cbindgen writes, taken apart: each declaration with its comment.

/// One declaration.
pub struct Item {
    pub name: String,
    /// Lines of the comment, without its frame.
    pub doc: Vec<String>,
    pub kind: Kind,
}

pub enum Kind {
    Constant {
        value: String,
    },
    /// A type that is never seen inside.
    Handle,
    Struct {
        fields: Vec<Field>,
    },
    /// Another name of an integer.
    Alias {
        target: String,
    },
    Callback(Signature),
    Function(Signature),
}

pub struct Field {
    pub doc: Vec<String>,
    pub decl: Decl,
}

/// A type and a name, of a parameter or a field.
pub enum Decl {
    /// `before` is the type up to the name, stars included, such as `const atls_buf *`.
    Plain { before: String, name: String },
    /// A pointer to a function.
    Function { name: String, signature: Signature },
}

impl Decl {
    pub fn name(&self) -> &str {
        match self {
            Decl::Plain { name, .. } | Decl::Function { name, .. } => name,
        }
    }

    fn parse(text: &str) -> Decl {
        let text = text.trim();
        if let Some((returns, rest)) = text.split_once("(*") {
            let (name, params) = rest.split_once(")(").expect("a function pointer");
            let params = params.strip_suffix(')').expect("its parameters");
            return Decl::Function { name: name.to_owned(), signature: Signature::parse(returns, params) };
        }
        let start = text.rfind([' ', '*']).expect("type and name") + 1;
        Decl::Plain { before: text[..start].to_owned(), name: text[start..].to_owned() }
    }
}

pub struct Signature {
    /// The type that is returned, with its stars.
    pub returns: String,
    pub params: Vec<Decl>,
}

impl Signature {
    fn parse(returns: &str, params: &str) -> Signature {
        let mut pieces = vec![String::new()];
        let mut depth = 0;
        for character in params.chars() {
            depth += i32::from(character == '(') - i32::from(character == ')');
            match character {
                ',' if depth == 0 => pieces.push(String::new()),
                _ => pieces.last_mut().expect("one").push(character),
            }
        }
        let given = pieces.iter().map(|piece| piece.trim()).filter(|piece| !["", "void"].contains(piece));
        Signature { returns: returns.to_owned(), params: given.map(Decl::parse).collect() }
    }

    pub fn names(&self) -> Vec<&str> {
        self.params.iter().map(Decl::name).collect()
    }
}

/// All that cbindgen wrote, with `#include`s and guards left out of its configuration.
pub fn parse(text: &str) -> Vec<Item> {
    let mut items = Vec::new();
    let mut lines = text.lines();
    let mut doc = Vec::new();
    while let Some(line) = lines.next() {
        match line.trim() {
            "" => {}
            "/*" => doc = comment(&mut lines),
            declaration => items.push(item(declaration, std::mem::take(&mut doc), &mut lines)),
        }
    }
    items
}

fn comment<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Vec<String> {
    lines.take_while(|line| line.trim() != "*/").map(|line| line.trim().to_owned()).collect()
}

fn item<'a>(line: &str, doc: Vec<String>, lines: &mut impl Iterator<Item = &'a str>) -> Item {
    let named = |name: &str, kind| Item { name: name.to_owned(), doc, kind };
    if let Some((name, value)) = line.strip_prefix("#define ").and_then(|rest| rest.split_once(' ')) {
        return named(name, Kind::Constant { value: value.to_owned() });
    }
    if line == "typedef struct {" {
        let (fields, name) = fields(lines);
        return named(&name, Kind::Struct { fields });
    }
    let line = line.strip_suffix(';').unwrap_or_else(|| panic!("not understood: {line}"));
    if let Some(handle) = line.strip_prefix("typedef struct ") {
        return named(handle.split_once(' ').expect("typedef struct x x").0, Kind::Handle);
    }
    if let Some(alias) = line.strip_prefix("typedef ") {
        return match Decl::parse(alias) {
            Decl::Plain { before, name } => named(&name, Kind::Alias { target: before.trim().to_owned() }),
            Decl::Function { name, signature } => named(&name, Kind::Callback(signature)),
        };
    }
    let (before, params) = line.split_once('(').unwrap_or_else(|| panic!("not understood: {line}"));
    let start = before.rfind([' ', '*']).expect("type and name") + 1;
    let signature = Signature::parse(&before[..start], params.strip_suffix(')').expect("parameters"));
    named(&before[start..], Kind::Function(signature))
}

/// The fields of a struct, and the name that comes after them.
fn fields<'a>(lines: &mut impl Iterator<Item = &'a str>) -> (Vec<Field>, String) {
    let mut fields = Vec::new();
    let mut doc = Vec::new();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix("} ") {
            return (fields, name.trim_end_matches(';').to_owned());
        }
        match line.strip_suffix(';') {
            Some(decl) => fields.push(Field { doc: std::mem::take(&mut doc), decl: Decl::parse(decl) }),
            None if line == "/*" => doc = comment(lines),
            None => panic!("not understood in a struct: {line}"),
        }
    }
    panic!("a struct without end")
}
