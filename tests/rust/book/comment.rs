//! Comments, from the short form of the sources to Doxygen's.

/// Columns of a line of the header.
pub const WIDTH: usize = 100;

/// What comments may name.
pub struct Words {
    /// Statuses, without `ATLS_`.
    pub statuses: Vec<String>,
    pub functions: Vec<String>,
}

/// A comment, taken apart.
#[derive(Default)]
pub struct Comment {
    /// Paragraphs and items of lists before everything else, then those after the statuses.
    pub text: Vec<String>,
    /// Names of parameters, and what is said about them.
    pub params: Vec<(Vec<String>, String)>,
    /// `None` if the comment has no sentence of statuses.
    pub statuses: Option<Vec<Answer>>,
}

/// What a call may answer.
#[derive(Debug, PartialEq)]
pub enum Answer {
    Status {
        name: String,
        why: String,
    },
    /// All that another call answers, or something that has no name of its own.
    Other(String),
}

impl Comment {
    /// Reads a comment of a function with these parameters. What is wrong in it is the error.
    pub fn parse(lines: &[String], params: &[&str], words: &Words) -> Result<Comment, String> {
        let mut comment = Comment::default();
        for paragraph in paragraphs(lines, params) {
            let (before, statuses) = match paragraph.find("Statuses: ") {
                Some(at) => (paragraph[..at].trim(), Some(paragraph[at + "Statuses: ".len()..].trim())),
                None => (paragraph.as_str(), None),
            };
            match about(before, params) {
                Some((names, text)) => comment.params.push((names, text.to_owned())),
                None if before.is_empty() => {}
                None => comment.text.push(before.to_owned()),
            }
            let Some(statuses) = statuses else { continue };
            if comment.statuses.is_some() || statuses.contains("Statuses: ") {
                return Err("two sentences of statuses".into());
            }
            let (sentence, after) = first_sentence(statuses);
            comment.statuses = Some(answers(sentence, words)?);
            if !after.is_empty() {
                comment.text.push(after.to_owned());
            }
        }
        Ok(comment)
    }

    /// Whether the comment says that this parameter may be NULL.
    pub fn may_be_null(&self, param: &str) -> bool {
        let own = |(names, text): &(Vec<String>, String)| {
            names.iter().any(|name| name == param)
                && (text.contains("May be NULL") || names_before(text, "may be NULL").any(|found| found.is_empty()))
        };
        let named = |text: &String| names_before(text, "may be NULL").any(|names| names.contains(&param));
        self.params.iter().any(own) || self.text.iter().chain(self.params.iter().map(|(_, text)| text)).any(named)
    }

    /// As Doxygen reads it, indented by `indent`.
    pub fn render(&self, params: &[&str], words: &Words, indent: usize) -> String {
        let polish = |text: &str| polish(text, params, words);
        let mut blocks: Vec<(String, String, bool)> = Vec::new();
        for text in &self.text {
            let (first, text) = match text.strip_prefix("- ") {
                Some(item) => ("- ", item),
                None => ("", text.as_str()),
            };
            let tight = !first.is_empty() && blocks.last().is_some_and(|(last, ..)| !last.is_empty());
            blocks.push((first.to_owned(), polish(text), tight));
        }
        let mut tight = false;
        for (names, text) in &self.params {
            blocks.push((format!("\\param {} ", names.join(",")), polish(text), tight));
            tight = true;
        }
        for (first, text) in self.returns() {
            blocks.push((first, polish(&text), tight));
            tight = true;
        }
        frame(&blocks, indent)
    }

    fn returns(&self) -> Vec<(String, String)> {
        let Some(answers) = &self.statuses else { return Vec::new() };
        if let [Answer::Status { name, why }] = &answers[..]
            && why.is_empty()
        {
            return vec![("\\return ".to_owned(), format!("ATLS_OK or ATLS_{name}."))];
        }
        let mut others = Vec::new();
        let mut named = Vec::new();
        for answer in answers {
            match answer {
                Answer::Other(text) => others.push(text.as_str()),
                Answer::Status { name, why } => named.push((format!("\\retval ATLS_{name} "), why.clone())),
            }
        }
        let mut first = String::from("ATLS_OK");
        for (index, other) in others.iter().enumerate() {
            let last = named.is_empty() && index + 1 == others.len();
            first += if last { ", or " } else { ", " };
            first += &other
                .strip_prefix("or why ")
                .map_or(other.to_string(), |what| format!("the status that says why {what}"));
        }
        first += if named.is_empty() { "." } else { ", or" };
        let mut blocks = vec![("\\return ".to_owned(), first)];
        blocks.extend(named);
        blocks
    }
}

/// Lines joined to paragraphs. Items of a list, and lines that begin with a parameter's name and a colon, are paragraphs too.
fn paragraphs(lines: &[String], params: &[&str]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut open = false;
    for line in lines {
        let line = line.trim();
        let begins = line.starts_with("- ") || line.starts_with("* ") || about(line, params).is_some();
        match line {
            "" => open = false,
            _ if open && !begins => {
                let last = found.last_mut().expect("an open paragraph");
                last.push(' ');
                last.push_str(line);
            }
            _ => {
                found.push(line.strip_prefix("* ").map_or(line.to_owned(), |item| format!("- {item}")));
                open = true;
            }
        }
    }
    found
}

/// "`a`, `b`: text" of parameters `a` and `b`.
fn about<'a>(text: &'a str, params: &[&str]) -> Option<(Vec<String>, &'a str)> {
    let (names, text) = text.split_once(": ")?;
    let bare = |name: &str| name.trim().strip_prefix('`')?.strip_suffix('`').map(str::to_owned);
    let names: Option<Vec<_>> = names.split(',').map(bare).collect();
    names.filter(|names| names.iter().all(|name| params.contains(&name.as_str()))).map(|names| (names, text))
}

/// Up to the first full stop outside of parentheses that a capital letter or nothing follows, and the rest.
fn first_sentence(text: &str) -> (&str, &str) {
    let mut depth = 0;
    for (at, character) in text.char_indices() {
        depth += i32::from(character == '(') - i32::from(character == ')');
        let rest = &text[at + character.len_utf8()..];
        if character == '.' && depth == 0 && (rest.is_empty() || rest.starts_with(' ')) {
            return (&text[..at], rest.trim());
        }
    }
    (text, "")
}

/// The members of a sentence of statuses.
fn answers(sentence: &str, words: &Words) -> Result<Vec<Answer>, String> {
    let mut members = vec![String::new()];
    let mut depth = 0;
    let mut at = 0;
    while let Some(character) = sentence[at..].chars().next() {
        depth += i32::from(character == '(') - i32::from(character == ')');
        let step = if depth == 0 { separator(&sentence[at..]) } else { None };
        match step {
            Some(_) => members.push(String::new()),
            None => members.last_mut().expect("one").push(character),
        }
        at += step.unwrap_or(character.len_utf8());
    }
    members.iter().map(|member| answer(member.trim(), words)).collect()
}

/// The length of what parts two members, if `text` begins with it and a member follows.
fn separator(text: &str) -> Option<usize> {
    let length = ["; and ", ", and ", "; ", ", ", " and "].iter().find(|one| text.starts_with(**one))?.len();
    let next = &text[length..];
    let is_status = next.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')).next();
    let begins = is_status.is_some_and(|word| word.len() > 1 && !word.starts_with(|c: char| c.is_ascii_digit()));
    let other = ["as atls_", "those of ", "or why ", "what atls_", "every "].iter().any(|one| next.starts_with(one));
    (begins || other).then_some(length)
}

fn answer(member: &str, words: &Words) -> Result<Answer, String> {
    let end =
        member.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')).unwrap_or(member.len());
    let (name, why) = member.split_at(end);
    if name.len() < 2 {
        let known =
            ["as atls_", "those of ", "or why ", "what atls_", "every "].iter().any(|one| member.starts_with(one));
        return if known { Ok(Answer::Other(member.to_owned())) } else { Err(format!("no status: {member:?}")) };
    }
    if !words.statuses.iter().any(|known| known == name) {
        return Err(format!("unknown status {name}"));
    }
    let why = why.trim_start_matches([',', ':', ';']).trim();
    let inside = why.strip_prefix('(').and_then(|why| why.strip_suffix(')')).filter(|why| !why.contains(['(', ')']));
    Ok(Answer::Status { name: name.to_owned(), why: inside.unwrap_or(why).to_owned() })
}

/// For each place of `phrase`: the names in backticks that lead up to it, as in "`a` and `b`, which may be NULL".
fn names_before<'a>(text: &'a str, phrase: &str) -> impl Iterator<Item = Vec<&'a str>> {
    text.match_indices(phrase).map(|(at, _)| {
        let mut names = Vec::new();
        let mut rest = text[..at].trim_end();
        loop {
            let link = ["which", "(", ",", "and", "or", "both", "each"].iter().find_map(|link| rest.strip_suffix(link));
            if let Some(before) = link {
                rest = before.trim_end();
                continue;
            }
            let Some((before, name)) = rest.strip_suffix('`').and_then(|inside| inside.rsplit_once('`')) else { break };
            names.push(name.trim_start_matches('*'));
            rest = before.trim_end();
        }
        names
    })
}

/// Functions get their parentheses, outputs such as *count their backticks.
fn polish(text: &str, params: &[&str], words: &Words) -> String {
    let mut polished = String::new();
    for (index, piece) in text.split('`').enumerate() {
        if index > 0 {
            polished.push('`');
        }
        if index % 2 == 1 {
            polished.push_str(piece);
            continue;
        }
        for word in piece.split_inclusive([' ', ',', '(', ')', ';', ':', '.', '\'']) {
            let bare = word.trim_end_matches([' ', ',', '(', ')', ';', ':', '.', '\'']);
            let end = &word[bare.len()..];
            let output = bare.strip_prefix('*').is_some_and(|name| params.contains(&name) || name == "error");
            polished.push_str(&match bare {
                _ if output => format!("`{bare}`{end}"),
                _ if !end.starts_with('(') && words.functions.iter().any(|name| name == bare) => {
                    format!("{bare}(){end}")
                }
                _ => word.to_owned(),
            });
        }
    }
    polished
}

/// Blocks of a first word, text, and whether it follows without an empty line; wrapped and framed.
pub fn frame(blocks: &[(String, String, bool)], indent: usize) -> String {
    let pad = " ".repeat(indent);
    if let [(first, text, _)] = blocks
        && indent + first.len() + text.len() + "/**  */".len() <= WIDTH
    {
        return format!("{pad}/** {} */\n", format!("{first}{text}").trim());
    }
    let mut out = format!("{pad}/**\n");
    for (index, (first, text, tight)) in blocks.iter().enumerate() {
        if index > 0 && !tight {
            out += &format!("{pad} *\n");
        }
        let hang = if first == "- " {
            2
        } else if first.is_empty() {
            0
        } else {
            4
        };
        for line in wrap(first, text, WIDTH - indent - 3, hang) {
            out += &format!("{pad} * {line}\n");
        }
    }
    out + &format!("{pad} */\n")
}

/// Lines of at most `width` columns; no line begins with what Markdown would take for the mark of a list.
pub fn wrap(first: &str, text: &str, width: usize, hang: usize) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let is_number = word.strip_suffix(['.', ')']).is_some_and(|number| number.parse::<u64>().is_ok());
        match words.last_mut() {
            Some(last) if is_number || ["-", "+", "*"].contains(&word) => *last += &format!(" {word}"),
            _ => words.push(word.to_owned()),
        }
    }
    let mut lines = Vec::new();
    let mut line = first.trim_end().to_owned();
    for word in words {
        if line.is_empty() {
            line = word;
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line += &format!(" {word}");
        } else {
            lines.push(std::mem::replace(&mut line, format!("{}{word}", " ".repeat(hang))));
        }
    }
    lines.push(line);
    lines
}
