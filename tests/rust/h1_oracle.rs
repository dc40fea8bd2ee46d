//! Our connection beside h11 0.16 under COMPAT_H11: the same script, the same events, bytes, states and refusals, step by step.
//!
//! Runs where ATLS_H11_PYTHON names a Python that has h11; `cargo xtask test` makes one. What we refuse always and h11 does not
//! (tests/rust/support/h1_vectors.rs) ends a script's comparison; every other difference is a failure. ATLS_ORACLE_ROUNDS makes it longer.

#[path = "support/random.rs"]
mod random;
#[path = "support/h1_scripts.rs"]
mod scripts;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use atls::h1::{Connection, EventKind, ProtocolError, Role, Rules, State, flags};
use serde_json::{Value, json};

/// What only we refuse, by a part of the message.
const OURS_ALONE: [&str; 19] = [
    "both Content-Length and Transfer-Encoding",
    "Transfer-Encoding in an HTTP/1.0 message",
    "continued over several lines",
    "control character in a chunk extension",
    "2^63 or more",
    "bytes of chunk extensions",
    "a chunk-size line ends without CR",
    "a line ends without CR",
    "not allowed in trailers",
    "neither HTTP/1.0 nor HTTP/1.1",
    "illegal Host",
    "more than 256 fields",
    "unread bytes after the response",
    "Content-Length or Transfer-Encoding in a",
    "illegal reason phrase",
    "of head, trailers or chunk size",
    "illegal Content-Length",
    "illegal chunk size",
    "a line begins with a space or tab",
];

fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|b| char::from(*b)).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

struct Ours {
    conn: Connection,
    /// Why we refused something that h11 may let pass.
    alone: Option<String>,
}

impl Ours {
    fn note(&mut self, error: &ProtocolError) {
        if OURS_ALONE.iter().any(|part| error.message.contains(part)) {
            self.alone = Some(error.message.clone());
        }
    }

    fn drain(&mut self, seen: &mut Vec<Value>) {
        let mut data = Vec::new();
        loop {
            let next = self.conn.next_event().map(|event| {
                let fields: Vec<_> =
                    event.fields.iter().map(|(_, raw, value)| json!([latin(raw), latin(value)])).collect();
                let version = format!("{}.{}", event.version >> 8, event.version & 255);
                let shown = match event.kind {
                    EventKind::Request => json!(["Request", latin(event.method), latin(event.target), version, fields]),
                    EventKind::InformationalResponse | EventKind::Response => {
                        json!([event.kind.name(), event.status, latin(event.reason), version, fields])
                    }
                    EventKind::EndOfMessage => json!(["EndOfMessage", fields]),
                    kind => json!([kind.name()]),
                };
                (event.kind, event.data.to_vec(), shown)
            });
            if let Ok((EventKind::Data, bytes, _)) = &next {
                data.extend_from_slice(bytes);
                continue;
            }
            if !data.is_empty() {
                seen.push(json!(["Data", hex(&std::mem::take(&mut data))]));
            }
            match next {
                Ok((EventKind::NeedData, ..)) => return,
                Ok((kind, _, shown)) => {
                    seen.push(shown);
                    if matches!(kind, EventKind::Paused | EventKind::ConnectionClosed) {
                        return;
                    }
                }
                Err(error) => {
                    self.note(&error);
                    seen.push(json!(["error", error.hint]));
                    return;
                }
            }
        }
    }

    fn step(&mut self, command: &Value, seen: &mut Vec<Value>) {
        let text = |index: usize| unlatin(command[index].as_str().unwrap());
        let headers = |index: usize| -> Vec<(Vec<u8>, Vec<u8>)> {
            let list = command[index].as_array().unwrap().iter();
            list.map(|pair| (unlatin(pair[0].as_str().unwrap()), unlatin(pair[1].as_str().unwrap()))).collect()
        };
        fn pairs(list: &[(Vec<u8>, Vec<u8>)]) -> impl Iterator<Item = (&[u8], &[u8])> {
            list.iter().map(|(name, value)| (&name[..], &value[..]))
        }
        let conn = &mut self.conn;
        let sent = match command[0].as_str().unwrap() {
            "feed" => {
                conn.receive(&unhex(command[1].as_str().unwrap()));
                self.drain(seen);
                None
            }
            "eof" => {
                conn.receive_eof();
                self.drain(seen);
                None
            }
            "failed" => {
                conn.send_failed();
                None
            }
            "cycle" => {
                match conn.start_next_cycle() {
                    Ok(()) => {
                        seen.push(json!(["cycle"]));
                        self.drain(seen);
                    }
                    Err(error) => {
                        self.note(&error);
                        seen.push(json!(["no cycle"]));
                    }
                }
                None
            }
            "request" => Some(conn.send_request(&text(1), &text(2), pairs(&headers(3))).map(<[u8]>::to_vec)),
            "response" => {
                let status = command[1].as_u64().unwrap() as u16;
                Some(conn.send_response(status, &text(2), pairs(&headers(3))).map(<[u8]>::to_vec))
            }
            "data" => {
                let count = command[1].as_u64().unwrap();
                let join = |(before, after): (&[u8], &[u8])| [before, &vec![b'x'; count as usize], after].concat();
                Some(conn.send_data(count).map(join))
            }
            "end" => Some(conn.send_end_of_message(pairs(&headers(1))).map(<[u8]>::to_vec)),
            _ => Some(conn.send_connection_closed().map(|()| Vec::new())),
        };
        match sent {
            None => {}
            Some(Ok(bytes)) => seen.push(json!(["sent", hex(&bytes)])),
            Some(Err(error)) => {
                self.note(&error);
                seen.push(json!(["refused"]));
            }
        }
        let states = self.conn.states();
        seen.push(json!([
            states.client.name(),
            states.server.name(),
            self.conn.they_are_waiting_for_100_continue(),
            self.conn.client_is_waiting_for_100_continue(),
            self.conn.trailing_data().0.len(),
            self.conn.trailing_data().1
        ]));
    }
}

fn unlatin(text: &str) -> Vec<u8> {
    text.chars().map(|c| c as u8).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Compares step by step; true where the comparison went to the end.
fn compare(script: &[Value], theirs: &Value) -> bool {
    let role = if script[0] == "client" { Role::Client } else { Role::Server };
    let rules = Rules { flags: flags::COMPAT_H11, ..Rules::default() };
    let mut ours = Ours { conn: Connection::new(role, rules), alone: None };
    for (index, command) in script[1..].iter().enumerate() {
        let mut seen = Vec::new();
        ours.step(command, &mut seen);
        let after = Value::Array(seen);
        if old_upgrade(&after) {
            ours.alone = Some("Upgrade in an HTTP/1.0 request".into());
        }
        if after == theirs[index] {
            continue;
        }
        if ours.conn.their_state() == State::Error && same_but_for_the_rest(&after, &theirs[index]) {
            continue;
        }
        // A 204 that is sent loses what says how long it is not.
        let stripped = command[0] == "response" && command[1] == 204;
        if ours.alone.is_some() || stripped {
            return false;
        }
        panic!("step {index} {command}\nof {script:?}\nours   {after}\ntheirs {}", theirs[index]);
    }
    true
}

/// Upgrade in an HTTP/1.0 request proposes nothing to us.
fn old_upgrade(seen: &Value) -> bool {
    let upgrade = |pair: &Value| pair[0].as_str().is_some_and(|name| name.eq_ignore_ascii_case("upgrade"));
    let old =
        |item: &Value| item[0] == "Request" && item[3] == "1.0" && item[4].as_array().unwrap().iter().any(upgrade);
    seen.as_array().is_some_and(|list| list.iter().any(old))
}

fn broken(seen: &Value) -> bool {
    seen.as_array().is_some_and(|list| list.iter().any(|item| item[0] == "error"))
}

/// How much of a refused message was taken out of the buffer is nobody's business; nor is which of two faults is named, a 400 or a 501.
fn same_but_for_the_rest(ours: &Value, theirs: &Value) -> bool {
    let plain = |seen: &Value| {
        let mut seen = seen.as_array().cloned().unwrap_or_default();
        for item in &mut seen {
            if item[0] == "error" && item[1] == 501 {
                item[1] = json!(400);
            }
        }
        if let Some(states) = seen.last_mut() {
            states[4] = json!(0);
        }
        seen
    };
    plain(ours) == plain(theirs)
}

#[test]
#[ignore = "needs a Python with h11; cargo xtask test runs it"]
fn the_same_as_h11() {
    let python = std::env::var("ATLS_H11_PYTHON").expect("ATLS_H11_PYTHON names a Python that has h11");
    let rounds = std::env::var("ATLS_ORACLE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let oracle = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/h1_oracle.py");
    let mut child = Command::new(python).arg(oracle).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut random = random::Random(0x2545_f491_4f6c_dd1d);
    let (mut whole, mut errors) = (0, 0);
    for round in 0..rounds {
        let script = scripts::script(&mut random, round);
        writeln!(stdin, "{}", Value::Array(script.clone())).unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let theirs: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("h11 gave up on {script:?}"));
        whole += usize::from(compare(&script, &theirs));
        errors += usize::from(theirs.as_array().unwrap().iter().any(broken));
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
    println!("{rounds} scripts, {whole} compared to their end, {errors} with an error of the peer");
    assert!(whole * 3 > rounds, "most scripts ended early: {whole} of {rounds}");
    assert!(errors * 20 > rounds && errors < whole, "{errors} of {rounds} scripts had an error");
}
