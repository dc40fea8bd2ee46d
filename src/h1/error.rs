//! Why a connection refuses something: whose fault it is, what a server might answer, and what it is about, escaped. Values of
//! fields, queries and bodies are never quoted: they may be secrets, and messages end up in logs. Pure.

use std::fmt;

use super::syntax;
use crate::error::Detail;

/// Who broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The caller: what it wants to send is not HTTP, or not possible now.
    Local,
    /// The peer.
    Remote,
}

/// A refusal, with its side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolError {
    pub side: Side,
    /// 400, 431, 501 or 505: the status with which a server might answer.
    pub hint: u16,
    /// The part of the message that it is about.
    pub detail: Detail,
    pub message: String,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ProtocolError {}

/// A refusal by a rule that does not know on which side it is applied. Boxed: it is rare, and results stay small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(Box<(u16, Detail, String)>);

pub type Checked<T> = Result<T, Refusal>;

impl Refusal {
    #[cold]
    pub fn new(message: impl Into<String>) -> Refusal {
        Refusal::hint(400, message)
    }

    #[cold]
    pub fn hint(hint: u16, message: impl Into<String>) -> Refusal {
        let detail = if hint == 431 { Detail::HeadTooLarge } else { Detail::None };
        Refusal(Box::new((hint, detail, message.into())))
    }

    /// `what` and the bytes that it is about.
    #[cold]
    pub fn of(what: &str, bytes: &[u8]) -> Refusal {
        Refusal::new(format!("{what}: \"{}\"", escaped(bytes)))
    }

    /// `what` and the name in a field line, if it has one.
    #[cold]
    pub fn of_field(what: &str, line: &[u8]) -> Refusal {
        let (name, rest) = line.split_at(syntax::token_len(line));
        let is_name = !name.is_empty() && syntax::trimmed(rest).first() == Some(&b':');
        if is_name { Refusal::of(what, name) } else { Refusal::new(what) }
    }

    /// `what` and the capitals that a start line begins with: the method, or the protocol.
    #[cold]
    pub fn of_start(what: &str, line: &[u8]) -> Refusal {
        let word = &line[..line.iter().take_while(|b| b.is_ascii_uppercase()).count()];
        let is_word = (1..=16).contains(&word.len()) && !line.get(word.len()).is_some_and(u8::is_ascii_alphanumeric);
        if is_word { Refusal::of(what, word) } else { Refusal::new(what) }
    }

    /// Sets the detail, unless a rule further down has set a more exact one.
    #[cold]
    pub fn about(mut self, detail: Detail) -> Refusal {
        if self.0.1 == Detail::None {
            self.0.1 = detail;
        }
        self
    }

    pub fn on(self, side: Side) -> ProtocolError {
        let (hint, detail, message) = *self.0;
        ProtocolError { side, hint, detail, message }
    }
}

/// Printable ASCII as it is, the rest as \r, \n, \t and \xNN; cut after 80 bytes.
pub fn escaped(bytes: &[u8]) -> String {
    let (shown, more) = if bytes.len() > 80 { (&bytes[..80], "...") } else { (bytes, "") };
    shown.escape_ascii().to_string() + more
}
