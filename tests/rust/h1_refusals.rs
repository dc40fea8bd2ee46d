//! The sans-I/O connection: what it refuses to read and to send, what is beyond its limits, and that an error stays.

#[path = "support/h1.rs"]
mod support;

use atls::h1::{Connection, EventKind, Role, Rules, Side, State};
use support::{Headers, client, in_all_pieces, pairs, run, server};

const HOST: (&str, &str) = ("Host", "a");

/// The error that comes first is the one that stays, on either side.
#[test]
fn a_later_question_gets_the_first_refusal() {
    let mut conn = server(0);
    conn.receive(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n");
    let first = conn.next_event().err().expect("gzip");
    assert_eq!((first.hint, conn.next_event().err()), (501, Some(first.clone())));
    conn.receive(b"more");
    assert_eq!(conn.next_event().err(), Some(first));
    let first = conn.send_response(200, b"", pairs(&[("Transfer-Encoding", "gzip")])).expect_err("gzip");
    assert_eq!((first.hint, conn.send_data(1).expect_err("again")), (501, first));
}

#[test]
fn one_empty_line_a_message() {
    let mut conn = server(0);
    for _ in 0..3 {
        let seen = run(&mut conn, std::iter::once(&b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"[..]), false);
        assert!(seen.contains("Request GET0 / 101"), "{seen}");
        conn.send_response(204, b"", pairs(&[])).expect("answer");
        conn.send_end_of_message(pairs(&[])).expect("end");
        conn.start_next_cycle().expect("next");
    }
    assert!(run(&mut conn, [&b"\r\n"[..], b"\r\n"].into_iter(), false).contains("error 400"));
    // And nothing but that is a connection that ends.
    assert!(run(&mut server(0), std::iter::once(&b"\r\n"[..]), true).contains("ConnectionClosed"));
}

#[test]
fn what_may_not_be_sent() {
    let refused = |conn: &mut Connection, part: &str, done: Result<Vec<u8>, atls::h1::ProtocolError>| {
        let error = done.expect_err(part);
        assert!(error.side == Side::Local && error.message.contains(part), "{part}: {error}");
        assert_eq!(conn.our_state(), State::Error);
    };
    let requests: [(&str, &str, Headers, &str); 9] = [
        ("G T", "/", &[HOST], "illegal method"),
        ("GET", "/ x", &[HOST], "illegal target"),
        ("GET", "/", &[], "no Host"),
        ("GET", "/", &[HOST, HOST], "more than one Host"),
        ("GET", "/", &[HOST, ("foo bar", "x")], "foo bar"),
        ("GET", "/", &[HOST, ("foo", "bar\r\nbaz")], "illegal byte in the value of: \"foo\""),
        ("GET", "/", &[HOST, ("foo", " bar")], "spaces or tabs around"),
        ("POST", "/", &[HOST, ("Content-Length", "1"), ("Transfer-Encoding", "chunked")], "both"),
        ("POST", "/", &[("Host", "a b")], "illegal Host"),
    ];
    for (method, target, headers, part) in requests {
        let mut conn = Connection::new(Role::Client, Rules::default());
        let done = conn.send_request(method.as_bytes(), target.as_bytes(), pairs(headers)).map(<[u8]>::to_vec);
        refused(&mut conn, part, done);
    }
    let responses: [(u16, &str, Headers, &str); 4] = [
        (99, "", &[], "impossible status"),
        (200, "OK\r\nEvil: 1", &[], "illegal reason"),
        (103, "", &[("Content-Length", "0")], "in a 103"),
        (200, "", &[("Transfer-Encoding", "gzip")], "other than chunked"),
    ];
    for (status, reason, headers, part) in responses {
        let mut conn = server(0);
        conn.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        conn.next_event().expect("request");
        let done = conn.send_response(status, reason.as_bytes(), pairs(headers)).map(<[u8]>::to_vec);
        refused(&mut conn, part, done);
    }
    let mut conn = client(0, "GET");
    let done = conn.send_data(1).map(|_| Vec::new());
    refused(&mut conn, "impossible while", done);
    let mut conn = Connection::new(Role::Client, Rules::default());
    conn.send_request(b"PUT", b"/", pairs(&[HOST, ("Content-Length", "3")])).expect("head");
    let done = conn.send_data(4).map(|_| Vec::new());
    refused(&mut conn, "too much data", done);
    let mut conn = Connection::new(Role::Client, Rules::default());
    conn.send_request(b"PUT", b"/", pairs(&[HOST, ("Content-Length", "3")])).expect("head");
    let done = conn.send_end_of_message(pairs(&[])).map(<[u8]>::to_vec);
    refused(&mut conn, "too little data", done);
}

#[test]
fn errors_stay_and_leave_the_other_side_alone() {
    let mut conn = server(0);
    conn.receive(b"nonsense\r\n\r\n");
    assert_eq!(conn.next_event().err().expect("nonsense").hint, 400);
    assert_eq!(conn.next_event().err().expect("again").side, Side::Remote);
    let answer = conn.send_response(400, b"", pairs(&[("Content-Length", "0")])).expect("an answer");
    assert_eq!(answer, b"HTTP/1.1 400 \r\nContent-Length: 0\r\n\r\n");
    assert_eq!(conn.send_end_of_message(pairs(&[])).expect("end"), b"");
    assert_eq!(conn.our_state(), State::MustClose);

    let mut conn = server(0);
    conn.send_failed();
    conn.send_failed();
    assert_eq!(conn.our_state(), State::Error);
    conn.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(conn.next_event().is_err(), "a request to a server that cannot answer");
    conn.receive_eof();
    assert!(!conn.receive(b"more"), "nothing comes after the end");
}

#[test]
fn a_client_does_not_take_what_it_did_not_ask_for() {
    let mut conn = client(0, "GET");
    conn.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    while !matches!(conn.next_event().expect("event").kind, EventKind::Paused) {}
    assert!(conn.start_next_cycle().expect_err("poisoned").message.contains("unread bytes"));
}

#[test]
fn what_is_beyond_a_limit_is_refused() {
    let head = |extra: usize| {
        let mut head = b"GET / HTTP/1.1\r\nHost: a\r\nA: ".to_vec();
        head.resize(head.len() + extra, b'x');
        head.extend_from_slice(b"\r\n\r\n");
        head
    };
    let exact = head(Rules::MAX_INCOMPLETE - head(0).len());
    assert!(!run(&mut server(0), std::iter::once(&exact[..]), true).contains("error"));
    let over = in_all_pieces(|| server(0), &head(Rules::MAX_INCOMPLETE - head(0).len() + 1), true);
    assert!(over.contains("error 431"), "{over}");
    let many = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(count));
    assert!(!run(&mut server(0), std::iter::once(many(255).as_bytes()), true).contains("error"));
    assert!(run(&mut server(0), std::iter::once(many(256).as_bytes()), true).contains("error 431"));
    // 16 KiB of extensions, over all chunks.
    let chunks = format!("1;{}\r\nx\r\n", "e".repeat(1000)).repeat(17);
    let bytes = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
    assert!(run(&mut server(0), std::iter::once(bytes.as_bytes()), true).contains("chunk extensions"));
}

/// Messages end up in logs: names are quoted, and never what may be a secret.
#[test]
fn no_refusal_quotes_a_value_a_query_or_a_body() {
    let heads = [
        (
            "GET /?SECRET HTTP/1.1\r\nHost: a\r\nAuthorization : Bearer SECRET\r\n\r\n",
            "illegal header line: \"Authorization\"",
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nSECRET\r\n\r\n", "illegal header line"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX-Key: SECRET\0\r\n\r\n", "illegal byte in the value of: \"X-Key\""),
        ("GET / HTTP/1.1\r\nHost: a\r\nX-Key: SECRET\n\r\n", "a line ends without CR: \"X-Key\""),
        ("GET / HTTP/1.1\r\nHost: a\r\nX-Key:\r\n SECRET\r\n\r\n", "a line begins with a space or tab"),
        ("GET / HTTP/1.1\r\nHost: SECRET@a b\r\n\r\n", "illegal Host"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: SECRET\r\n\r\n", "illegal Content-Length"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: SECRET\r\n\r\n", "Transfer-Encoding other than chunked"),
        ("GET /?key=SECRET x HTTP/1.1\r\nHost: a\r\n\r\n", "illegal request line: \"GET\""),
        ("GET /?key=SECRET HTTP/1.7\r\nHost: a\r\n\r\n", "neither HTTP/1.0 nor HTTP/1.1: HTTP/1.7"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3 SECRET\r\n", "illegal chunk"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;\x01SECRET\r\n",
            "control character in a chunk extension",
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nSECRET\r\n", "illegal chunk size"),
    ];
    for (bytes, wanted) in heads {
        let mut conn = server(0);
        conn.receive(bytes.as_bytes());
        let error = loop {
            match conn.next_event().map(|event| event.kind) {
                Ok(EventKind::NeedData) => panic!("{bytes:?} was not refused"),
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(error.message.starts_with(wanted), "{bytes:?}: {error}");
        assert!(!error.message.contains("SECRET"), "{error}");
    }
    for (target, name, value) in [("/?SECRET x", "foo", "a"), ("/", "foo", "SECRET\n"), ("/", "foo", " SECRET")] {
        let mut conn = Connection::new(Role::Client, Rules::default());
        let error = conn.send_request(b"GET", target.as_bytes(), pairs(&[HOST, (name, value)])).expect_err("illegal");
        assert!(!error.message.contains("SECRET"), "{error}");
    }
}
