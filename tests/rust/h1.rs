//! The sans-I/O connection: what it takes and refuses, in whatever pieces it comes, and that both roles understand each other.

#[path = "support/h1.rs"]
mod support;
#[path = "support/h1_vectors.rs"]
mod vectors;

use atls::h1::{Connection, EventKind, Role, Rules, Side, State, flags};
use support::{Headers, client, in_all_pieces, pairs, run, server};
use vectors::{Expected, Side as From, VECTORS};

fn make(from: From, flags: u32) -> Connection {
    match from {
        From::Request => server(flags),
        From::Response(method) => client(flags, method),
    }
}

fn body(seen: &str) -> &str {
    seen.lines().find_map(|line| line.strip_prefix("Data ")).unwrap_or("")
}

#[test]
fn every_vector_is_judged_alike_in_all_pieces() {
    for vector in VECTORS {
        let bytes = vector.bytes();
        let seen = in_all_pieces(|| make(vector.from, vector.flags), &bytes, true);
        match vector.expected {
            Expected::Body(text) => {
                assert!(!seen.contains("error "), "{}: {seen}", vector.name);
                assert!(seen.contains("EndOfMessage"), "{}: {seen}", vector.name);
                assert_eq!(body(&seen), text, "{}: {seen}", vector.name);
            }
            Expected::Refused(hint) => {
                assert!(seen.contains(&format!("error {hint} ")), "{}: {seen}", vector.name);
            }
        }
    }
}

#[test]
fn what_no_flag_allows_is_refused_under_all_flags() {
    for vector in VECTORS.iter().filter(|vector| vector.always) {
        let seen = in_all_pieces(|| make(vector.from, flags::COMPAT_H11), &vector.bytes(), true);
        assert!(seen.contains("error "), "{}: {seen}", vector.name);
    }
}

/// A connection of each role, and what went between them.
struct Pair {
    client: Connection,
    server: Connection,
    seen: support::Seen,
}

impl Pair {
    fn new() -> Pair {
        let conn = |role| Connection::new(role, Rules::default());
        Pair { client: conn(Role::Client), server: conn(Role::Server), seen: support::Seen::default() }
    }

    fn request(&mut self, method: &str, headers: Headers, body: &[&str], trailers: Headers) {
        let out = self.client.send_request(method.as_bytes(), b"/x", pairs(headers)).expect("request").to_vec();
        self.server.receive(&out);
        for part in body {
            let (before, after) = self.client.send_data(part.len() as u64).expect("data");
            let bytes = [before, part.as_bytes(), after].concat();
            self.server.receive(&bytes);
        }
        let out = self.client.send_end_of_message(pairs(trailers)).expect("end").to_vec();
        self.server.receive(&out);
        assert!(self.seen.drain(&mut self.server), "{:?}", self.seen.lines);
    }

    fn response(&mut self, status: u16, headers: Headers, body: &[&str], trailers: Headers) {
        let out = self.server.send_response(status, b"", pairs(headers)).expect("response").to_vec();
        self.client.receive(&out);
        if status < 200 || self.server.our_state() == State::SwitchedProtocol {
            assert!(self.seen.drain(&mut self.client), "{:?}", self.seen.lines);
            return;
        }
        for part in body {
            let (before, after) = self.server.send_data(part.len() as u64).expect("data");
            let bytes = [before, part.as_bytes(), after].concat();
            self.client.receive(&bytes);
        }
        let out = self.server.send_end_of_message(pairs(trailers)).expect("end").to_vec();
        self.client.receive(&out);
        assert!(self.seen.drain(&mut self.client), "{:?}", self.seen.lines);
    }

    fn states(&self) -> (State, State) {
        assert_eq!(self.client.states().client, self.server.states().client);
        assert_eq!(self.client.states().server, self.server.states().server);
        (self.client.states().client, self.client.states().server)
    }

    fn again(&mut self) {
        self.client.start_next_cycle().expect("client");
        self.server.start_next_cycle().expect("server");
    }

    fn told(&mut self) -> String {
        std::mem::take(&mut self.seen.lines).join("\n")
    }
}

const HOST: (&str, &str) = ("Host", "a");

#[test]
fn round_trips_of_every_framing() {
    let mut pair = Pair::new();
    pair.request("POST", &[HOST, ("Content-Length", "5")], &["he", "llo"], &[]);
    assert_eq!(pair.told(), "Request POST0 /x 101 [Host=a, Content-Length=5]\nData hello\nEndOfMessage 0  0 []");
    pair.response(200, &[("Content-Length", "3")], &["abc"], &[]);
    assert_eq!(pair.told(), "Response 200  101 [Content-Length=3]\nData abc\nEndOfMessage 0  0 []");
    assert_eq!(pair.states(), (State::Done, State::Done));
    pair.again();
    pair.request("POST", &[HOST, ("Transfer-Encoding", "chunked")], &["he", "llo"], &[("A", "b")]);
    assert_eq!(
        pair.told(),
        "Request POST0 /x 101 [Host=a, Transfer-Encoding=chunked]\nData hello\nEndOfMessage 0  0 [A=b]"
    );
    pair.response(200, &[], &["abc", "d"], &[("T", "u"), ("V", "w")]);
    assert_eq!(pair.told(), "Response 200  101 [Transfer-Encoding=chunked]\nData abcd\nEndOfMessage 0  0 [T=u, V=w]");
    pair.again();
    pair.request("HEAD", &[HOST], &[], &[]);
    pair.told();
    pair.response(200, &[("Content-Length", "3")], &[], &[]);
    assert_eq!(pair.told(), "Response 200  101 [Content-Length=3]\nEndOfMessage 0  0 []");
    pair.again();
    pair.request("GET", &[HOST, ("Expect", "100-Continue")], &[], &[]);
    assert!(!pair.server.they_are_waiting_for_100_continue(), "the request is over");
    pair.told();
    pair.response(100, &[], &[], &[]);
    pair.response(103, &[("Link", "b")], &[], &[]);
    pair.response(204, &[("Content-Length", "0")], &[], &[]);
    assert_eq!(
        pair.told(),
        "InformationalResponse 100  101 []\nInformationalResponse 103  101 [Link=b]\nResponse 204  101 []\nEndOfMessage 0  0 []"
    );
    pair.again();
    pair.request("GET", &[HOST, ("Connection", "close")], &[], &[]);
    pair.told();
    pair.response(200, &[("Connection", "Foo, keep-alive"), ("Content-Length", "0")], &[], &[]);
    assert_eq!(
        pair.told(),
        "Response 200  101 [Content-Length=0, Connection=close, Connection=foo]\nEndOfMessage 0  0 []"
    );
    assert_eq!(pair.states(), (State::MustClose, State::MustClose));
}

#[test]
fn expect_100_continue_is_told_until_it_is_answered() {
    let mut pair = Pair::new();
    let headers = [HOST, ("Content-Length", "1"), ("Expect", "100-continue")];
    let out = pair.client.send_request(b"POST", b"/", pairs(&headers)).expect("request").to_vec();
    pair.server.receive(&out);
    pair.seen.drain(&mut pair.server);
    assert!(pair.server.they_are_waiting_for_100_continue());
    assert!(pair.client.client_is_waiting_for_100_continue() && !pair.client.they_are_waiting_for_100_continue());
    pair.response(100, &[], &[], &[]);
    assert!(!pair.server.they_are_waiting_for_100_continue());
    assert!(!pair.client.client_is_waiting_for_100_continue());
}

#[test]
fn connect_and_upgrade_switch_or_are_denied() {
    for (method, headers, status) in
        [("CONNECT", &[HOST][..], 200), ("GET", &[HOST, ("Connection", "Upgrade"), ("Upgrade", "b")], 101)]
    {
        let mut pair = Pair::new();
        pair.request(method, headers, &[], &[]);
        assert_eq!(pair.states(), (State::MightSwitchProtocol, State::SendResponse));
        pair.response(status, &[], &[], &[]);
        assert_eq!(pair.states(), (State::SwitchedProtocol, State::SwitchedProtocol));
        pair.client.receive(b"later");
        assert_eq!(pair.client.next_event().expect("event").kind, EventKind::Paused);
        assert_eq!(pair.client.trailing_data(), (&b"later"[..], false));

        let mut pair = Pair::new();
        pair.request(method, headers, &[], &[]);
        pair.response(403, &[("Content-Length", "2")], &["no"], &[]);
        assert_eq!(pair.states(), (State::Done, State::Done));
    }
    let mut pair = Pair::new();
    pair.request("GET", &[HOST, ("Upgrade", "b")], &[], &[]);
    assert_eq!(pair.states(), (State::Done, State::SendResponse), "Upgrade without Connection proposes nothing");
    let error = pair.server.send_response(101, b"", pairs(&[])).expect_err("nothing was proposed");
    assert!(error.side == Side::Local && error.message.contains("did not propose"), "{error}");
}

#[test]
fn an_old_peer_gets_what_it_understands() {
    let mut conn = server(0);
    conn.receive(b"GET / HTTP/1.0\r\n\r\n");
    conn.next_event().expect("request");
    conn.next_event().expect("end");
    let head = conn.send_response(200, b"OK", pairs(&[("Transfer-Encoding", "chunked")])).expect("response");
    assert_eq!(head, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    assert_eq!(conn.send_data(5).expect("data"), (&b""[..], &b""[..]));
    assert_eq!(conn.send_end_of_message(pairs(&[])).expect("end"), b"");
    assert_eq!(conn.our_state(), State::MustClose);
    let mut silent = server(0);
    assert_eq!(
        silent.send_response(408, b"", pairs(&[])).expect("timeout"),
        b"HTTP/1.1 408 \r\nConnection: close\r\n\r\n"
    );
}

/// A server that has read `request`, of which it needs no more.
fn asked(flags: u32, request: &[u8]) -> Connection {
    let mut conn = server(flags);
    conn.receive(request);
    while !matches!(conn.next_event().expect("event").kind, EventKind::EndOfMessage) {}
    conn
}

/// RFC 9112 section 9.3: who asks is answered so, where both messages say how long they are.
#[test]
fn an_old_peer_that_asks_keeps_its_connection() {
    let keep = |more: &str, body: &str| format!("{more}\r\nConnection: X, Keep-Alive\r\n\r\n{body}").into_bytes();
    let length: Headers = &[("Content-Length", "2")];
    for (flags, request, headers, lives) in [
        (0, keep("GET / HTTP/1.0", ""), length, true),
        (0, keep("HEAD / HTTP/1.0", ""), &[], true),
        (0, keep("POST / HTTP/1.0\r\nContent-Length: 1", "x"), length, true),
        (0, keep("POST / HTTP/1.0", ""), length, false),
        (0, keep("GET / HTTP/1.0\r\nConnection: close", ""), length, false),
        (0, keep("GET / HTTP/1.0", ""), &[], false),
        (0, keep("GET / HTTP/1.0", ""), &[("Content-Length", "2"), ("Connection", "close")], false),
        (0, b"GET / HTTP/1.0\r\n\r\n".to_vec(), length, false),
        (flags::COMPAT_H11, keep("GET / HTTP/1.0", ""), length, false),
    ] {
        let mut conn = asked(flags, &request);
        let head = conn.send_response(200, b"", pairs(headers)).expect("head").to_vec();
        let head = String::from_utf8(head).expect("text");
        let told = request.escape_ascii();
        assert_eq!(head.contains("Connection: Keep-Alive\r\n"), lives, "{told}: {head}");
        assert_eq!(head.contains("Connection: close\r\n"), !lives, "{told}: {head}");
        if !request.starts_with(b"HEAD") {
            conn.send_data(2).expect("data");
        }
        conn.send_end_of_message(pairs(&[])).expect("end");
        assert_eq!(conn.start_next_cycle().is_ok(), lives, "{told}");
    }
    for (response, lives) in [
        ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false),
        ("HTTP/1.0 304 OK\r\nConnection: keep-alive\r\n\r\n", true),
    ] {
        let mut conn = client(0, "GET");
        run(&mut conn, std::iter::once(response.as_bytes()), false);
        assert_eq!(conn.start_next_cycle().is_ok(), lives, "{response}");
    }
}

/// RFC 9110 sections 15.2 and 9.3.6; h11 does neither.
#[test]
fn no_1xx_to_an_old_peer_and_no_length_in_a_tunnel() {
    let old = b"GET / HTTP/1.0\r\n\r\n";
    let tunnel = b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n";
    let length: Headers = &[("Content-Length", "2")];
    let chunked: Headers = &[("Transfer-Encoding", "chunked")];
    let cases: [(&[u8], u16, Headers, &str); 4] = [
        (old, 103, &[], "HTTP/1.0 peer"),
        (old, 100, &[], "HTTP/1.0 peer"),
        (tunnel, 200, length, "to CONNECT"),
        (tunnel, 299, chunked, "to CONNECT"),
    ];
    for (request, status, headers, part) in cases {
        let error = asked(0, request).send_response(status, b"", pairs(headers)).expect_err(part).to_string();
        assert!(error.contains(part), "{error}");
        asked(flags::COMPAT_H11, request).send_response(status, b"", pairs(headers)).expect("as h11");
    }
    // What is no tunnel may say how long it is.
    asked(0, tunnel).send_response(403, b"", pairs(length)).expect("a refusal");
    asked(0, tunnel).send_response(200, b"", pairs(&[])).expect("a tunnel");
}

#[test]
fn pipelined_requests_wait_their_turn() {
    let mut conn = server(0);
    let two = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
    let seen = run(&mut conn, std::iter::once(&two[..]), true);
    assert!(seen.contains("PAUSED") && !seen.contains("/2 101"), "{seen}");
    conn.send_response(200, b"", pairs(&[("Content-Length", "0")])).expect("answer");
    conn.send_end_of_message(pairs(&[])).expect("end");
    conn.start_next_cycle().expect("next");
    let seen = run(&mut conn, std::iter::empty(), true);
    assert!(seen.contains("Request GET0 /2 101"), "{seen}");
}

#[test]
fn a_head_larger_than_the_buffer_keeps_is_forgotten_in_good_order() {
    let mut conn = Connection::new(Role::Server, Rules { max_incomplete: 1 << 20, ..Rules::default() });
    for keep in [0, 1 << 10] {
        let long = "x".repeat(600 << 10);
        conn.receive(format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        assert_eq!(conn.next_event().unwrap().target.len(), long.len() + 1);
        assert_eq!(conn.next_event().unwrap().kind, EventKind::EndOfMessage);
        conn.send_response(204, b"", std::iter::empty()).unwrap();
        conn.send_end_of_message(std::iter::empty()).unwrap();
        conn.start_next_cycle().unwrap();
        if keep > 0 {
            conn.rest(keep);
        }
        // The room for what comes next is made by giving back what the head took.
        let _ = conn.reserve(1);
        assert_eq!(conn.next_event().unwrap().kind, EventKind::NeedData);
    }
}
