//! Scripts for the oracle: mostly plausible conversations, with slips in form and order.

use serde_json::{Value, json};

use crate::random::Random;

const FIELDS: [&str; 30] = [
    "Content-Length: 5",
    "Content-Length: 5",
    "content-length: 5, 5",
    "Content-Length: 05",
    "Content-Length: ",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: chunked",
    "TRANSFER-encoding: \tChunked ",
    "Transfer-Encoding: gzip",
    "Connection: close",
    "Connection: keep-alive, Upgrade",
    "Connection: Foo",
    "Upgrade: websocket",
    "Upgrade: ,",
    "Expect: 100-continue",
    "Expect: a, 100-CONTINUE",
    "Host: a",
    "X: y",
    "X:",
    "X-Long:   a  b\tc  ",
    "X: \u{1}\u{7f}",
    "X: \u{e9}",
    "X: a\r\n b",
    "X: a \r\n\t  b\r\n c",
    " X: y",
    "X : y",
    "X",
    ": y",
    "X: a\rb",
    "X: a\u{0}b",
];
const REQUEST_LINES: [&str; 14] = [
    "GET / HTTP/1.1",
    "GET / HTTP/1.1",
    "POST /a?b#c HTTP/1.1",
    "POST / HTTP/1.1",
    "HEAD / HTTP/1.1",
    "CONNECT a:1 HTTP/1.1",
    "connect a:1 HTTP/1.1",
    "GET / HTTP/1.0",
    "OPTIONS * HTTP/1.1",
    "GET  / HTTP/1.1",
    "GET / HTTP/1.1 ",
    "G@T / HTTP/1.1",
    "GET / http/1.1",
    "GET /\u{7f} HTTP/1.1",
];
const STATUS_LINES: [&str; 16] = [
    "HTTP/1.1 200 OK",
    "HTTP/1.1 200 OK",
    "HTTP/1.1 200 OK",
    "HTTP/1.1 404",
    "HTTP/1.1 204 ",
    "HTTP/1.1 304 Not Modified",
    "HTTP/1.1 100 Continue",
    "HTTP/1.1 103 Early",
    "HTTP/1.1 101 Switching",
    "HTTP/1.0 200 OK",
    "HTTP/1.1 999 \u{e9}\t x",
    "HTTP/1.1 099 X",
    "HTTP/1.1 20 X",
    "HTTP/1.1 2000 X",
    "HTTP/1.1  200 OK",
    "ICY 200 OK",
];
const CHUNKS: [&str; 14] = [
    "5\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\r\n3\r\nabc\r\n0\r\n\r\n",
    "A;x=y\r\n0123456789\r\n00\r\nT: u\r\n\r\n",
    "5 \t\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\r\n0\r\nT: u\r\nV:\r\n\r\n",
    "5\r\nhelloXX0\r\n\r\n",
    "5\r\nhello\rX",
    "g\r\n",
    "5\r\nhel",
    "5 ;x\r\nhello\r\n0\r\n\r\n",
    "\r\n",
    "0\r\nT : u\r\n\r\n",
    "0x5\r\n",
    "000000000000000000000\r\n\r\n",
];

/// A role and its commands.
pub fn script(random: &mut Random, round: usize) -> Vec<Value> {
    let client = round % 2 == 1;
    let mut script = vec![json!(if client { "client" } else { "server" })];
    let cycles = 1 + random.next(3);
    for _ in 0..cycles {
        if client {
            send_request(random, &mut script);
            feed(random, &mut script, response);
        } else {
            feed(random, &mut script, request);
            send_response(random, &mut script);
        }
        if !random.once_in(5) {
            script.push(json!(["cycle"]));
        }
        if random.once_in(8) {
            stray(random, &mut script);
        }
    }
    if random.once_in(2) {
        script.push(json!(["eof"]));
    }
    if random.once_in(3) {
        stray(random, &mut script);
    }
    script
}

fn stray(random: &mut Random, script: &mut Vec<Value>) {
    let command = match random.next(6) {
        0 => json!(["close"]),
        1 => json!(["data", random.next(3)]),
        2 => json!(["end", []]),
        3 => json!(["cycle"]),
        4 => json!(["failed"]),
        _ => json!(["response", 101, "", []]),
    };
    script.push(command);
}

/// Hands the bytes over in one to four pieces, until the end of the connection has come.
fn feed(random: &mut Random, script: &mut Vec<Value>, make: fn(&mut Random) -> Vec<u8>) {
    if script.iter().any(|command| command[0] == "eof") {
        return;
    }
    let mut bytes = make(random);
    if random.once_in(12) {
        mutate(random, &mut bytes);
    }
    if random.once_in(10) {
        let more = make(random);
        bytes.extend_from_slice(&more);
    }
    for _ in 0..random.next(4) {
        let at = random.next(bytes.len() + 1);
        let rest = bytes.split_off(at);
        push_feed(script, &bytes);
        bytes = rest;
    }
    push_feed(script, &bytes);
    if random.once_in(25) {
        script.push(json!(["eof"]));
    }
}

fn push_feed(script: &mut Vec<Value>, bytes: &[u8]) {
    // To h11 no bytes at all are the end.
    if !bytes.is_empty() {
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        script.push(json!(["feed", hex]));
    }
}

fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    let at = random.next(bytes.len());
    match random.next(4) {
        0 => bytes[at] = random.pick(b"\r\n\0 \t:;,0\x7f\x80a"),
        1 => drop(bytes.remove(at)),
        2 => bytes.insert(at, random.pick(b"\r\n \t:;5")),
        _ => bytes.truncate(at),
    }
}

fn latin(text: &str, out: &mut Vec<u8>) {
    out.extend(text.chars().map(|c| c as u8));
}

fn head(random: &mut Random, line: &str, host: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let end = if random.once_in(15) { "\n" } else { "\r\n" };
    latin(line, &mut out);
    latin(end, &mut out);
    let most = random.next(4);
    let fields: Vec<&str> = (0..most).map(|_| random.mostly(&FIELDS, 22, 4)).collect();
    if host && !random.once_in(30) {
        latin("Host: a", &mut out);
        latin(end, &mut out);
    }
    for field in &fields {
        latin(field, &mut out);
        latin(end, &mut out);
    }
    latin(end, &mut out);
    let has = |name: &str| fields.iter().any(|field| field.to_ascii_lowercase().starts_with(name));
    if has("transfer-encoding") {
        latin(random.mostly(&CHUNKS, 5, 3), &mut out);
    } else if has("content-length") {
        latin("hello", &mut out);
    }
    out
}

fn request(random: &mut Random) -> Vec<u8> {
    let line = random.mostly(&REQUEST_LINES, 8, 8);
    head(random, line, true)
}

fn response(random: &mut Random) -> Vec<u8> {
    let line = random.mostly(&STATUS_LINES, 11, 8);
    let mut out = head(random, line, false);
    if line.contains(" 10") && !random.once_in(4) {
        out.extend(head(random, "HTTP/1.1 200 OK", false));
    }
    if random.once_in(4) {
        out.extend_from_slice(b"some more");
    }
    out
}

const SENT: [(&str, &str); 14] = [
    ("Content-Length", "5"),
    ("content-length", "5"),
    ("Transfer-Encoding", "CHUNKED"),
    ("Transfer-Encoding", "chunked"),
    ("Connection", "close"),
    ("Connection", "b, Keep-Alive ,A"),
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Expect", "100-continue"),
    ("X-Y", "z"),
    ("HOST", "b"),
    ("X", " blank"),
    ("X Y", "z"),
    ("X", "a\nb"),
];

fn sent(random: &mut Random, host: bool) -> Vec<(&'static str, &'static str)> {
    let mut list = Vec::new();
    for _ in 0..random.next(4) {
        list.push(random.mostly(&SENT, 10, 12));
    }
    if host && !random.once_in(30) {
        list.insert(random.next(list.len() + 1), ("Host", "a"));
    }
    list
}

fn body(random: &mut Random, script: &mut Vec<Value>) {
    for _ in 0..random.next(3) {
        script.push(json!(["data", random.pick(&[5, 5, 0, 3, 2, 17])]));
    }
    if !random.once_in(12) {
        let trailers: &[(&str, &str)] = if random.once_in(6) { &[("T", "u")] } else { &[] };
        script.push(json!(["end", trailers]));
    }
}

fn send_request(random: &mut Random, script: &mut Vec<Value>) {
    if random.once_in(20) {
        return;
    }
    let method = random.mostly(&["GET", "GET", "POST", "HEAD", "CONNECT", "connect", "G T"], 5, 20);
    let target = if random.once_in(30) { "/ x" } else { "/" };
    script.push(json!(["request", method, target, sent(random, true)]));
    body(random, script);
}

fn send_response(random: &mut Random, script: &mut Vec<Value>) {
    if random.once_in(20) {
        return;
    }
    if random.once_in(6) {
        script.push(json!(["response", random.pick(&[100, 103, 101]), "Go", sent(random, false)]));
    }
    let status = random.pick(&[200, 200, 200, 404, 204, 304, 999]);
    script.push(json!(["response", status, random.pick(&["OK", "", "\u{e9} x"]), sent(random, false)]));
    body(random, script);
}
