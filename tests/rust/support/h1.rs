//! Running a connection over bytes in pieces, and telling what happened in words that do not depend on the pieces.
#![allow(dead_code)]

use atls::h1::{Connection, EventKind, ProtocolError, Role, Rules, Side, State};

pub type Headers<'a> = &'a [(&'a str, &'a str)];

pub fn pairs<'a>(headers: Headers<'a>) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone {
    headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))
}

pub fn rules(flags: u32) -> Rules {
    Rules { flags, ..Rules::default() }
}

pub fn server(flags: u32) -> Connection {
    Connection::new(Role::Server, rules(flags))
}

/// A client that has sent its request: a method, and Upgrade for "UPGRADE".
pub fn client(flags: u32, method: &str) -> Connection {
    let mut client = Connection::new(Role::Client, rules(flags));
    let plain: Headers = &[("Host", "a")];
    let upgrade: Headers = &[("Host", "a"), ("Connection", "upgrade"), ("Upgrade", "b")];
    let (method, headers) = if method == "UPGRADE" { ("GET", upgrade) } else { (method, plain) };
    client.send_request(method.as_bytes(), b"/", pairs(headers)).expect("request");
    client.send_end_of_message(pairs(&[])).expect("end");
    client
}

/// What was seen, one line an event. Data is joined.
#[derive(Default)]
pub struct Seen {
    pub lines: Vec<String>,
    data: Vec<u8>,
}

impl Seen {
    /// Asks for events until there are none. False after an error.
    pub fn drain(&mut self, conn: &mut Connection) -> bool {
        loop {
            match conn.next_event() {
                Ok(event) => match event.kind {
                    EventKind::Data => {
                        assert!(!event.data.is_empty());
                        self.data.extend_from_slice(event.data);
                        continue;
                    }
                    EventKind::NeedData => return true,
                    kind => {
                        let fields: Vec<String> = event
                            .fields
                            .iter()
                            .map(|(name, raw, value)| {
                                assert!(name.eq_ignore_ascii_case(raw));
                                format!("{}={}", raw.escape_ascii(), value.escape_ascii())
                            })
                            .collect();
                        let line = format!(
                            "{} {}{} {}{} {:x} [{}]",
                            kind.name(),
                            event.method.escape_ascii(),
                            event.status,
                            event.target.escape_ascii(),
                            event.reason.escape_ascii(),
                            event.version,
                            fields.join(", ")
                        );
                        self.push(line);
                        if matches!(kind, EventKind::ConnectionClosed | EventKind::Paused) {
                            return true;
                        }
                    }
                },
                Err(error) => {
                    assert_eq!(error.side, Side::Remote);
                    assert_eq!(conn.their_state(), State::Error);
                    self.push(told(&error));
                    return false;
                }
            }
        }
    }

    pub fn push(&mut self, line: String) {
        if !self.data.is_empty() {
            let data = std::mem::take(&mut self.data);
            self.lines.push(format!("Data {}", data.escape_ascii()));
        }
        let repeats = line.starts_with("PAUSED") || line.starts_with("ConnectionClosed");
        if !repeats || self.lines.last() != Some(&line) {
            self.lines.push(line);
        }
    }

    pub fn end(mut self, conn: &Connection) -> String {
        let (rest, eof) = conn.trailing_data();
        let states = conn.states();
        self.push(format!("{} {} rest {} {eof}", states.client.name(), states.server.name(), rest.escape_ascii()));
        self.lines.join("\n")
    }
}

/// Without the bytes that a message shows: how many there are to show depends on the pieces.
pub fn told(error: &ProtocolError) -> String {
    format!("error {} {}", error.hint, error.message.split(": \"").next().unwrap_or_default())
}

/// Feeds the pieces, then the end of the connection if `eof`, and tells what happened.
pub fn run<'a>(conn: &mut Connection, pieces: impl Iterator<Item = &'a [u8]>, eof: bool) -> String {
    let mut seen = Seen::default();
    let mut alive = true;
    for piece in pieces {
        // A broken side takes nothing more in: what follows differs only in how much of it has come.
        if !alive {
            break;
        }
        assert!(conn.receive(piece));
        alive = seen.drain(conn);
    }
    if alive && eof {
        conn.receive_eof();
        alive = seen.drain(conn);
    }
    match alive {
        true => seen.end(conn),
        false => seen.lines.join("\n"),
    }
}

/// As [`run`], and a server answers each request when it is complete; then the next may come. What depends on the pieces, PAUSED, is
/// left out.
pub fn converse<'a>(conn: &mut Connection, pieces: impl Iterator<Item = &'a [u8]>, eof: bool) -> String {
    let mut seen = Seen::default();
    let mut alive = true;
    for piece in pieces {
        alive = alive && conn.receive(piece) && answer_all(conn, &mut seen);
    }
    if alive && eof {
        conn.receive_eof();
        alive = answer_all(conn, &mut seen);
    }
    seen.lines.retain(|line| !line.starts_with("PAUSED"));
    if alive { seen.end(conn) } else { seen.lines.join("\n") }
}

fn answer_all(conn: &mut Connection, seen: &mut Seen) -> bool {
    loop {
        if !seen.drain(conn) {
            return false;
        }
        let states = *conn.states();
        let ours = conn.role() == Role::Server && states.server == State::SendResponse;
        if !ours || !matches!(states.client, State::Done | State::MustClose | State::MightSwitchProtocol) {
            return true;
        }
        conn.send_response(404, b"", pairs(&[("Content-Length", "0")])).expect("an answer");
        conn.send_end_of_message(pairs(&[])).expect("its end");
        if conn.start_next_cycle().is_err() {
            return true;
        }
    }
}

/// Whole, byte by byte through reserve and commit, and split at every position: always the same. Returns what was seen.
pub fn in_all_pieces(make: impl Fn() -> Connection, bytes: &[u8], eof: bool) -> String {
    let whole = run(&mut make(), std::iter::once(bytes), eof);
    let mut conn = make();
    let (mut seen, mut alive) = (Seen::default(), true);
    for byte in bytes {
        if alive {
            conn.reserve(1)[0] = *byte;
            assert!(conn.commit(1));
            alive = seen.drain(&mut conn);
        }
    }
    if alive && eof {
        conn.receive_eof();
        alive = seen.drain(&mut conn);
    }
    let single = if alive { seen.end(&conn) } else { seen.lines.join("\n") };
    assert_eq!(single, whole, "byte by byte: {}", bytes.escape_ascii());
    for at in 0..=bytes.len().min(600) {
        let (front, back) = bytes.split_at(at);
        let split = run(&mut make(), [front, back].into_iter(), eof);
        assert_eq!(split, whole, "split at {at}: {}", bytes.escape_ascii());
    }
    whole
}
