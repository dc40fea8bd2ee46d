//! What the library takes and refuses, by name: known cases of request smuggling and of bad framing, and one of each further rule; how the machine
//! judges each, and where client and server mean to judge otherwise. Data and nothing else, for tests and for tables that are made of it.
#![allow(dead_code)]

use atls::h1::flags;

/// Who reads the vector: a server, or a client that has sent a request with this method.
#[derive(Clone, Copy)]
pub enum Side {
    Request,
    Response(&'static str),
}

#[derive(Clone, Copy)]
pub enum Expected {
    /// One message with this body.
    Body(&'static str),
    /// An error with this hint.
    Refused(u16),
}

pub struct Vector {
    pub name: &'static str,
    pub from: Side,
    bytes: Bytes,
    pub expected: Expected,
    pub flags: u32,
    /// No flag of COMPAT_H11 lets it pass.
    pub always: bool,
}

enum Bytes {
    Whole(&'static [u8]),
    /// Header lines of a POST, and what follows the head.
    Post(&'static [u8], &'static [u8]),
}

impl Vector {
    pub fn bytes(&self) -> Vec<u8> {
        match self.bytes {
            Bytes::Whole(bytes) => bytes.to_vec(),
            Bytes::Post(fields, body) => [b"POST / HTTP/1.1\r\nHost: a\r\n", fields, b"\r\n", body].concat(),
        }
    }
}

const fn vector(name: &'static str, from: Side, bytes: Bytes, expected: Expected, flags: u32, always: bool) -> Vector {
    Vector { name, from, bytes, expected, flags, always }
}

const fn post(name: &'static str, fields: &'static [u8], body: &'static [u8], expected: Expected) -> Vector {
    vector(name, Side::Request, Bytes::Post(fields, body), expected, 0, matches!(expected, Expected::Refused(_)))
}

const fn request(name: &'static str, bytes: &'static [u8], expected: Expected) -> Vector {
    vector(name, Side::Request, Bytes::Whole(bytes), expected, 0, matches!(expected, Expected::Refused(_)))
}

const fn response(name: &'static str, method: &'static str, bytes: &'static [u8], expected: Expected) -> Vector {
    let always = matches!(expected, Expected::Refused(_));
    vector(name, Side::Response(method), Bytes::Whole(bytes), expected, 0, always)
}

const fn flagged(name: &'static str, flags: u32, bytes: &'static [u8], expected: Expected) -> Vector {
    vector(name, Side::Request, Bytes::Whole(bytes), expected, flags, false)
}

/// Chunks that are refused for their extensions; h11 takes some of them.
const fn grammar(name: &'static str, body: &'static [u8]) -> Vector {
    vector(name, Side::Request, Bytes::Post(b"Transfer-Encoding: chunked\r\n", body), Refused(400), 0, false)
}

/// A response that the machine refuses unless a flag lets it pass.
const fn lenient(name: &'static str, bytes: &'static [u8]) -> Vector {
    vector(name, Side::Response("GET"), Bytes::Whole(bytes), Refused(400), 0, false)
}

use Expected::{Body, Refused};

/// Where the client or the server as a whole means to judge otherwise than its machine: what it makes of the vector, and why.
#[rustfmt::skip]
pub const DIFFERENCES: &[(&str, Expected, &str)] = &[
    ("rs-bare-lf", Body("hello"), "RFC 9112 section 2.2: a recipient may take a lone LF for the end of a line; the client sets ATLS_H1_ALLOW_BARE_LF"),
    ("rs-cl-equal", Body("hello"), "RFC 9112 section 6.3: equal lengths count once; the client sets ATLS_H1_MERGE_EQUAL_CONTENT_LENGTH"),
    ("rs-cl-list", Body("hello"), "RFC 9112 section 6.3: equal lengths count once; the client sets ATLS_H1_MERGE_EQUAL_CONTENT_LENGTH"),
    ("rs-204-te", Refused(400), "RFC 9110 section 15.3.5: a 204 cannot have a body; a server that announces one is not believed in the rest"),
    ("rs-204-cl", Refused(400), "RFC 9110 section 15.3.5: a 204 cannot have a body; a server that announces one is not believed in the rest"),
    ("rs-103-cl", Refused(400), "RFC 9110 section 8.6: a 1xx cannot have a body; a server that announces one is not believed in the rest"),
    ("rs-103-te", Refused(400), "RFC 9112 section 6.1: a 1xx cannot have a body; a server that announces one is not believed in the rest"),
];

#[rustfmt::skip]
pub const VECTORS: &[Vector] = &[
    post("cl-dup-diff", b"Content-Length: 5\r\nContent-Length: 6\r\n", b"", Refused(400)),
    post("cl-list-diff", b"Content-Length: 5, 6\r\n", b"", Refused(400)),
    post("cl-trailing-comma", b"Content-Length: 5,\r\n", b"", Refused(400)),
    post("cl-plus", b"Content-Length: +5\r\n", b"", Refused(400)),
    post("cl-minus", b"Content-Length: -5\r\n", b"", Refused(400)),
    post("cl-hex", b"Content-Length: 0x5\r\n", b"", Refused(400)),
    post("cl-empty", b"Content-Length: \r\n", b"", Refused(400)),
    post("cl-inner-space", b"Content-Length: 1 1\r\n", b"", Refused(400)),
    post("cl-underscore", b"Content-Length: 1_0\r\n", b"", Refused(400)),
    post("cl-too-big", b"Content-Length: 9223372036854775808\r\n", b"", Refused(400)),
    post("cl-21-digits", b"Content-Length: 000000000000000000005\r\n", b"", Refused(400)),
    post("cl-dup-05", b"Content-Length: 5\r\nContent-Length: 05\r\n", b"", Refused(400)),
    post("cl-comma", b"Content-Length: ,\r\n", b"", Refused(400)),
    post("te-identity", b"Transfer-Encoding: identity\r\n", b"", Refused(501)),
    post("te-identity+cl", b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n", b"", Refused(501)),
    post("te-chunked-gzip", b"Transfer-Encoding: chunked, gzip\r\n", b"", Refused(501)),
    post("te-gzip-chunked", b"Transfer-Encoding: gzip, chunked\r\n", b"", Refused(501)),
    post("te-dup-chunked-identity", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", b"", Refused(501)),
    post("te-dup-chunked", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"", Refused(501)),
    post("te-xchunked", b"Transfer-Encoding: xchunked\r\n", b"", Refused(501)),
    post("te-param", b"Transfer-Encoding: chunked;a=b\r\n", b"", Refused(501)),
    post("te-empty", b"Transfer-Encoding: \r\n", b"", Refused(501)),
    post("te-vt", b"Transfer-Encoding: \x0bchunked\r\n", b"", Refused(400)),
    post("te-ff-trail", b"Transfer-Encoding: chunked\x0c\r\n", b"", Refused(400)),
    post("te-nul", b"Transfer-Encoding: chunked\x00\r\n", b"", Refused(400)),
    post("te-trailing-comma", b"Transfer-Encoding: chunked,\r\n", b"", Refused(501)),
    post("te-quoted", b"Transfer-Encoding: \"chunked\"\r\n", b"", Refused(501)),
    post("te-space-colon", b"Transfer-Encoding : chunked\r\n", b"", Refused(400)),
    post("te-tab-colon", b"Transfer-Encoding\t: chunked\r\n", b"", Refused(400)),
    post("cl-obsfold-split", b"Content-Length: 1\r\n 0\r\n", b"", Refused(400)),
    post("te-obsfold", b"Transfer-Encoding:\r\n chunked\r\n", b"", Refused(400)),
    post("cl+te", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"", Refused(400)),
    post("te+cl", b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"", Refused(400)),
    post("hdr-bare-cr-value", b"A: b\rc\r\n", b"", Refused(400)),
    post("hdr-bare-cr-smuggle", b"A: b\rTransfer-Encoding: chunked\r\n", b"", Refused(400)),
    post("hdr-crcrlf", b"A: b\r\r\n", b"", Refused(400)),
    post("hdr-nul", b"A: b\x00c\r\n", b"", Refused(400)),
    post("hdr-vt", b"A: b\x0bc\r\n", b"", Refused(400)),
    post("hdr-no-colon", b"Abc\r\n", b"", Refused(400)),
    post("hdr-empty-name", b": b\r\n", b"", Refused(400)),
    post("hdr-space-in-name", b"A b: c\r\n", b"", Refused(400)),
    post("hdr-space-before-colon", b"A : b\r\n", b"", Refused(400)),
    post("hdr-name-paren", b"A(b: c\r\n", b"", Refused(400)),
    post("hdr-name-8bit", b"A\xe9: b\r\n", b"", Refused(400)),
    post("hdr-name-nul", b"A\x00: b\r\n", b"", Refused(400)),
    request("hdr-leading-ws-first", b"GET / HTTP/1.1\r\n A: b\r\nHost: a\r\n\r\n", Refused(400)),
    request("host-obsfold", b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", Refused(400)),
    request("head-all-cr", b"GET / HTTP/1.1\rHost: a\r\r", Refused(400)),
    request("head-leading-crlf", b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Body("")),
    flagged("head-leading-crlf-h11", flags::COMPAT_H11, b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    request("head-two-leading-crlf", b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    request("head-leading-cr", b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    request("head-leading-lf", b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    request("head-only-lf", b"\n", Refused(400)),
    request("hdr-lf-crlf-crx", b"GET / HTTP/1.1\r\nHost: a\r\n\rX: b\r\n\r\n", Refused(400)),
    request("rl-leading-space", b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    request("rl-tab", b"GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    request("rl-trailing-space", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Refused(400)),
    request("rl-space-in-target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    request("rl-2sp", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    request("rl-v1.10", b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", Refused(400)),
    request("rl-lowercase-http", b"GET / http/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    request("rl-bad-method", b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    request("rl-ctl-target", b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    request("rl-nul-target", b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    request("rl-del-target", b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    request("rl-8bit-target", b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n", Body("")),
    request("rl-utf8-target", b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", Body("")),
    flagged("rl-utf8-target-h11", flags::COMPAT_H11, b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    request("rl-tls-hello", b"\x16\x03\x01\x02\x00\x01\x00\r\nHost: a\r\n\r\n", Refused(400)),
    request("rl-no-version", b"GET /\r\nHost: a\r\n\r\n", Refused(400)),
    request("rl-empty-target", b"GET  HTTP/1.1\r\nHost: a\r\n\r\n", Refused(400)),
    request("rl-v0.9", b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", Refused(505)),
    request("rl-v1.2", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", Refused(505)),
    request("rl-v2.0", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", Refused(505)),
    request("host-missing", b"GET / HTTP/1.1\r\nA: b\r\n\r\n", Refused(400)),
    request("host-twice", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Refused(400)),
    request("host-twice-1.0", b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", Refused(400)),
    request("host-space", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Refused(400)),
    request("host-slash", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Refused(400)),
    request("host-at", b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", Refused(400)),
    request("host-port", b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", Refused(400)),
    request("host-2colon", b"GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", Refused(400)),
    request("host-bracket", b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", Refused(400)),
    request("host-bracket-junk", b"GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", Refused(400)),
    request("host-not-v6", b"GET / HTTP/1.1\r\nHost: [a]\r\n\r\n", Refused(400)),
    request("host-percent", b"GET / HTTP/1.1\r\nHost: a%zz\r\n\r\n", Refused(400)),
    request("host-v6", b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", Body("")),
    request("host-port-empty", b"GET / HTTP/1.1\r\nHost: a:\r\n\r\n", Body("")),
    request("host-name", b"GET / HTTP/1.1\r\nHost: a-b.c_d:8080\r\n\r\n", Body("")),
    request("host-escaped", b"GET / HTTP/1.1\r\nHost: a%20b\r\n\r\n", Body("")),
    request("host-future", b"GET / HTTP/1.1\r\nHost: [v1.a:b]\r\n\r\n", Body("")),
    request("te-1.0", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Refused(400)),
    post("ck-footer-garbage", b"Transfer-Encoding: chunked\r\n", b"5\r\nhelloXX0\r\n\r\n", Refused(400)),
    post("ck-footer-long", b"Transfer-Encoding: chunked\r\n", b"3\r\nxxx__1a\r\n", Refused(400)),
    post("ck-footer-lf", b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\n0\r\n\r\n", Refused(400)),
    post("ck-footer-missing", b"Transfer-Encoding: chunked\r\n", b"5\r\nhello0\r\n\r\n", Refused(400)),
    post("ck-footer-cr-garbage", b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\rX0\r\n\r\n", Refused(400)),
    post("ck-size-lf", b"Transfer-Encoding: chunked\r\n", b"5\nhello\r\n0\r\n\r\n", Refused(400)),
    post("ck-size-cr", b"Transfer-Encoding: chunked\r\n", b"5\rhello\r\n0\r\n\r\n", Refused(400)),
    post("ck-last-lf", b"Transfer-Encoding: chunked\r\n", b"0\n\r\n", Refused(400)),
    post("ck-ext-lf", b"Transfer-Encoding: chunked\r\n", b"5;a\nhello\r\n0\r\n\r\n", Refused(400)),
    post("ck-ext-lf-termext", b"Transfer-Encoding: chunked\r\n", b"5;a\n\r\nhello\r\n0\r\n\r\n", Refused(400)),
    post("ck-ext-cr", b"Transfer-Encoding: chunked\r\n", b"5;a\rb\r\nhello\r\n0\r\n\r\n", Refused(400)),
    post("ck-ext-nul", b"Transfer-Encoding: chunked\r\n", b"5;a\x00\r\nhello\r\n0\r\n\r\n", Refused(400)),
    post("ck-ext-del", b"Transfer-Encoding: chunked\r\n", b"5;a\x7f\r\nhello\r\n0\r\n\r\n", Refused(400)),
    post("ck-leading-sp", b"Transfer-Encoding: chunked\r\n", b" 5\r\nhello\r\n0\r\n\r\n", Refused(400)),
    post("ck-empty-size", b"Transfer-Encoding: chunked\r\n", b"\r\nhello\r\n0\r\n\r\n", Refused(400)),
    post("ck-only-ext", b"Transfer-Encoding: chunked\r\n", b";a\r\nhello\r\n0\r\n\r\n", Refused(400)),
    post("ck-0x", b"Transfer-Encoding: chunked\r\n", b"0x5\r\nhello\r\n0\r\n\r\n", Refused(400)),
    post("ck-plus", b"Transfer-Encoding: chunked\r\n", b"+5\r\nhello\r\n0\r\n\r\n", Refused(400)),
    post("ck-minus", b"Transfer-Encoding: chunked\r\n", b"-5\r\nhello\r\n0\r\n\r\n", Refused(400)),
    post("ck-underscore", b"Transfer-Encoding: chunked\r\n", b"1_0\r\nhello\r\n0\r\n\r\n", Refused(400)),
    post("ck-size-garbage", b"Transfer-Encoding: chunked\r\n", b"5g\r\nhello\r\n0\r\n\r\n", Refused(400)),
    post("ck-size-nul", b"Transfer-Encoding: chunked\r\n", b"5\x00\r\nhello\r\n0\r\n\r\n", Refused(400)),
    post("ck-sp-ext", b"Transfer-Encoding: chunked\r\n", b"5 ;a\r\nhello\r\n0\r\n\r\n", Body("hello")),
    post("ck-ext-bws", b"Transfer-Encoding: chunked\r\n", b"5 ; a\t= b ;c= \"\\\"\xe9 \"\r\nhello\r\n0;d\r\n\r\n", Body("hello")),
    flagged("ck-sp-ext-h11", flags::COMPAT_H11, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5 ;a\r\nhello\r\n0\r\n\r\n", Refused(400)),
    flagged("ck-ext-words-h11", flags::COMPAT_H11, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5; a b;;=\r\nhello\r\n0\r\n\r\n", Body("hello")),
    grammar("ck-ext-words", b"5;a b\r\nhello\r\n0\r\n\r\n"),
    grammar("ck-ext-empty", b"5;\r\nhello\r\n0\r\n\r\n"),
    grammar("ck-ext-no-name", b"5;=b\r\nhello\r\n0\r\n\r\n"),
    grammar("ck-ext-no-value", b"5;a=\r\nhello\r\n0\r\n\r\n"),
    grammar("ck-ext-open-quote", b"5;a=\"b\r\nhello\r\n0\r\n\r\n"),
    grammar("ck-ext-open-escape", b"5;a=\"b\\\r\nhello\r\n0\r\n\r\n"),
    grammar("ck-ext-after-quote", b"5;a=\"b\"c\r\nhello\r\n0\r\n\r\n"),
    grammar("ck-ext-trailing-sp", b"5;a \r\nhello\r\n0\r\n\r\n"),
    grammar("ck-ext-no-semicolon", b"5 a\r\nhello\r\n0\r\n\r\n"),
    post("ck-too-big", b"Transfer-Encoding: chunked\r\n", b"8000000000000000\r\n", Refused(400)),
    post("ck-21-digits", b"Transfer-Encoding: chunked\r\n", b"000000000000000000005\r\nhello\r\n0\r\n\r\n", Refused(400)),
    post("tr-cr-garbage", b"Transfer-Encoding: chunked\r\n", b"0\r\n\rX\r\n\r\n", Refused(400)),
    post("tr-space-colon", b"Transfer-Encoding: chunked\r\n", b"0\r\nA : b\r\n\r\n", Refused(400)),
    post("tr-nul", b"Transfer-Encoding: chunked\r\n", b"0\r\nA: b\x00\r\n\r\n", Refused(400)),
    post("tr-nocolon", b"Transfer-Encoding: chunked\r\n", b"0\r\nAb\r\n\r\n", Refused(400)),
    post("tr-lf", b"Transfer-Encoding: chunked\r\n", b"0\r\nA: b\n\r\n", Refused(400)),
    post("tr-lf-first", b"Transfer-Encoding: chunked\r\n", b"0\r\n\n", Refused(400)),
    post("tr-fold", b"Transfer-Encoding: chunked\r\n", b"0\r\nA: b\r\n c\r\n\r\n", Refused(400)),
    post("tr-fold-first", b"Transfer-Encoding: chunked\r\n", b"0\r\n A: b\r\n\r\n", Refused(400)),
    post("tr-cl", b"Transfer-Encoding: chunked\r\n", b"0\r\nContent-Length: 5\r\n\r\n", Refused(400)),
    post("tr-te", b"Transfer-Encoding: chunked\r\n", b"0\r\nTransfer-Encoding: chunked\r\n\r\n", Refused(400)),
    post("tr-host", b"Transfer-Encoding: chunked\r\n", b"0\r\nHost: a\r\n\r\n", Refused(400)),
    post("ck-missing-final-crlf", b"Transfer-Encoding: chunked\r\n", b"0\r\n", Refused(400)),
    post("ck-eof-in-data", b"Transfer-Encoding: chunked\r\n", b"5\r\nhel", Refused(400)),
    response("rs-cl-diff", "GET", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", Refused(400)),
    response("rs-2sp", "GET", b"HTTP/1.1  200 OK\r\n\r\n", Refused(400)),
    response("rs-status-99", "GET", b"HTTP/1.1 99 X\r\n\r\n", Refused(400)),
    response("rs-status-099", "GET", b"HTTP/1.1 099 X\r\n\r\n", Refused(400)),
    response("rs-status-1000", "GET", b"HTTP/1.1 1000 X\r\n\r\n", Refused(400)),
    response("rs-icy", "GET", b"ICY 200 OK\r\n\r\n", Refused(400)),
    response("rs-bare-cr", "GET", b"HTTP/1.1 200 OK\rA: b\r\n\r\n", Refused(400)),
    response("rs-space-colon", "GET", b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", Refused(400)),
    response("rs-nul-reason", "GET", b"HTTP/1.1 200 O\x00K\r\n\r\n", Refused(400)),
    response("rs-cl-short", "GET", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", Refused(400)),
    response("rs-unasked-101", "GET", b"HTTP/1.1 101 X\r\n\r\n", Refused(400)),
    response("rs-te-1.0", "GET", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Refused(400)),
    response("rs-fold-first", "GET", b"HTTP/1.1 200 OK\r\n A: b\r\n\r\n", Refused(400)),
    response("rs-te-gzip", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", Refused(501)),
    response("rs-v2", "GET", b"HTTP/2.0 200 OK\r\n\r\n", Refused(505)),
    post("base-cl", b"Content-Length: 5\r\n", b"hello", Body("hello")),
    post("base-chunked", b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n", Body("hello")),
    post("cl-leading-zeros", b"Content-Length: 0005\r\n", b"hello", Body("hello")),
    post("te-case", b"Transfer-Encoding: Chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n", Body("hello")),
    post("te-underscore", b"Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", b"hello", Body("hello")),
    post("hdr-obstext", b"A: \xe9\xff\r\n", b"", Body("")),
    post("hdr-tab-inside", b"A: b\tc\r\n", b"", Body("")),
    post("hdr-empty-value", b"A:\r\n", b"", Body("")),
    post("hdr-ows", b"A:\t b \t\r\n", b"", Body("")),
    request("rl-fragment", b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Body("")),
    request("rl-absolute", b"GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n", Body("")),
    request("host-missing-1.0", b"GET / HTTP/1.0\r\n\r\n", Body("")),
    request("host-empty", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", Body("")),
    post("ck-ext", b"Transfer-Encoding: chunked\r\n", b"5;a=b\r\nhello\r\n0\r\n\r\n", Body("hello")),
    post("ck-ext-quoted", b"Transfer-Encoding: chunked\r\n", b"5;a=\"b c\"\r\nhello\r\n0\r\n\r\n", Body("hello")),
    post("ck-20-zeros", b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n00000000000000000000\r\n\r\n", Body("hello")),
    post("ck-last-000", b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n000\r\n\r\n", Body("hello")),
    post("ck-upper", b"Transfer-Encoding: chunked\r\n", b"A\r\n0123456789\r\n0\r\n\r\n", Body("0123456789")),
    post("tr-basic", b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n", Body("hello")),
    request("get-with-cl", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", Body("hello")),
    post("expect-other", b"Expect: 200-ok\r\n", b"", Body("")),
    response("rs-cl", "GET", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Body("hello")),
    response("rs-chunked", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", Body("hello")),
    response("rs-204-te", "GET", b"HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n\r\n", Body("")),
    response("rs-304-cl", "GET", b"HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n", Body("")),
    response("rs-head-cl", "HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Body("")),
    response("rs-until-close", "GET", b"HTTP/1.1 200 OK\r\n\r\nhello", Body("hello")),
    response("rs-until-close-1.0", "GET", b"HTTP/1.0 200 OK\r\n\r\nhello", Body("hello")),
    response("rs-100-200", "GET", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Body("hello")),
    response("rs-103-cl", "GET", b"HTTP/1.1 103 X\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Body("hello")),
    response("rs-no-reason", "GET", b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", Body("hello")),
    response("rs-empty-reason", "GET", b"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello", Body("hello")),
    response("rs-status-600", "GET", b"HTTP/1.1 600 X\r\nContent-Length: 5\r\n\r\nhello", Body("hello")),
    response("rs-status-999", "GET", b"HTTP/1.1 999 X\r\nContent-Length: 5\r\n\r\nhello", Body("hello")),
    response("rs-reason-8bit", "GET", b"HTTP/1.1 200 \xe9\r\nContent-Length: 5\r\n\r\nhello", Body("hello")),
    response("rs-cl-plus", "GET", b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello", Refused(400)),
    response("rs-cl-empty", "GET", b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nhello", Refused(400)),
    response("rs-cl-hex", "GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello", Refused(400)),
    response("rs-cl-too-big", "GET", b"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nhello", Refused(400)),
    response("rs-cl-05", "GET", b"HTTP/1.1 200 OK\r\nContent-Length: 05\r\n\r\nhello", Body("hello")),
    response("rs-cl-5-05", "GET", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 05\r\n\r\nhello", Refused(400)),
    response("rs-cl-trailing-comma", "GET", b"HTTP/1.1 200 OK\r\nContent-Length: 5,\r\n\r\nhello", Refused(400)),
    response("rs-cl-obsfold", "GET", b"HTTP/1.1 200 OK\r\nContent-Length:\r\n 5\r\n\r\nhello", Refused(400)),
    response("rs-cl-te", "GET", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", Refused(400)),
    response("rs-te-case", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n", Body("hello")),
    response("rs-te-twice", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Refused(501)),
    response("rs-te-identity", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhello", Refused(501)),
    response("rs-te-empty", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\nhello", Refused(501)),
    response("rs-te-obsfold", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", Refused(400)),
    response("rs-ck-size-lf", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", Refused(400)),
    lenient("rs-ck-sp", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n"),
    response("rs-ck-leading-sp", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n 5\r\nhello\r\n0\r\n\r\n", Refused(400)),
    response("rs-ck-footer", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n", Refused(400)),
    response("rs-ck-too-big", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8000000000000000\r\nhello", Refused(400)),
    response("rs-ck-21-digits", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n000000000000000000005\r\nhello\r\n0\r\n\r\n", Refused(400)),
    response("rs-ck-ext", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n", Body("hello")),
    response("rs-ck-ext-bws", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5 ; a = \"b\"\r\nhello\r\n0\r\n\r\n", Body("hello")),
    response("rs-ck-ext-nul", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a\x00\r\nhello\r\n0\r\n\r\n", Refused(400)),
    response("rs-ck-eof", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", Refused(400)),
    response("rs-ck-eof-last", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", Refused(400)),
    response("rs-tr", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n", Body("hello")),
    response("rs-tr-cl", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n", Refused(400)),
    response("rs-tr-te", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n", Refused(400)),
    response("rs-tr-lf", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\n\r\n", Refused(400)),
    response("rs-tr-fold", "GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n c\r\n\r\n", Refused(400)),
    response("rs-head-te", "HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Body("")),
    response("rs-304-te", "GET", b"HTTP/1.1 304 X\r\nTransfer-Encoding: chunked\r\n\r\n", Body("")),
    response("rs-204-cl", "GET", b"HTTP/1.1 204 X\r\nContent-Length: 5\r\n\r\n", Body("")),
    response("rs-304-both", "GET", b"HTTP/1.1 304 X\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", Refused(400)),
    response("rs-leading-crlf", "GET", b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Refused(400)),
    response("rs-empty-name", "GET", b"HTTP/1.1 200 OK\r\n: b\r\nContent-Length: 5\r\n\r\nhello", Refused(400)),
    response("rs-name-8bit", "GET", b"HTTP/1.1 200 OK\r\nA\xe9: b\r\nContent-Length: 5\r\n\r\nhello", Refused(400)),
    response("rs-no-colon", "GET", b"HTTP/1.1 200 OK\r\nAb\r\nContent-Length: 5\r\n\r\nhello", Refused(400)),
    lenient("rs-value-ctl", b"HTTP/1.1 200 OK\r\nA: b\x01\r\nContent-Length: 5\r\n\r\nhello"),
    response("rs-value-obstext", "GET", b"HTTP/1.1 200 OK\r\nA: \xe9\r\nContent-Length: 5\r\n\r\nhello", Body("hello")),
    response("rs-v1.2", "GET", b"HTTP/1.2 200 OK\r\nContent-Length: 5\r\n\r\nhello", Refused(505)),
    response("rs-lowercase-http", "GET", b"http/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Refused(400)),
    response("rs-tab", "GET", b"HTTP/1.1\t200 OK\r\nContent-Length: 5\r\n\r\nhello", Refused(400)),
    response("rs-two-1xx", "GET", b"HTTP/1.1 103 X\r\nA: b\r\n\r\nHTTP/1.1 102 X\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Body("hello")),
    response("rs-103-te", "GET", b"HTTP/1.1 103 X\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Body("hello")),
    response("rs-eof-in-head", "GET", b"HTTP/1.1 200 OK\r\nContent-Le", Refused(400)),
    lenient("rs-bare-lf", b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"),
    lenient("rs-cl-equal", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    lenient("rs-cl-list", b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello"),
    response("rs-fold", "GET", b"HTTP/1.1 200 OK\r\nA: b\r\n \t c\r\nContent-Length: 5\r\n\r\nhello", Body("hello")),
    flagged("bare-lf-strict", 0, b"GET / HTTP/1.1\nHost: a\n\n", Refused(400)),
    flagged("bare-lf-allowed", flags::ALLOW_BARE_LF, b"GET / HTTP/1.1\nHost: a\n\n", Body("")),
    flagged("bare-lf-mixed-strict", 0, b"GET / HTTP/1.1\r\nHost: a\n\r\n", Refused(400)),
    flagged("bare-lf-mixed-allowed", flags::ALLOW_BARE_LF, b"GET / HTTP/1.1\r\nHost: a\n\r\n", Body("")),
    flagged("obs-fold-strict", 0, b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\td\r\n\r\n", Refused(400)),
    flagged("obs-fold-allowed", flags::ALLOW_OBS_FOLD, b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\td\r\n\r\n", Body("")),
    flagged("chunk-ows-strict", 0, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5 \t\r\nhello\r\n0\r\n\r\n", Refused(400)),
    flagged("chunk-ows-allowed", flags::ALLOW_CHUNK_SIZE_OWS, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5 \t\r\nhello\r\n0\r\n\r\n", Body("hello")),
    flagged("ctl-value-strict", 0, b"GET / HTTP/1.1\r\nHost: a\r\nA: b\x01\x7f\r\n\r\n", Refused(400)),
    flagged("ctl-value-allowed", flags::ALLOW_CTL_IN_VALUE, b"GET / HTTP/1.1\r\nHost: a\r\nA: b\x01\x7f\r\n\r\n", Body("")),
    flagged("cl-equal-strict", 0, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", Refused(400)),
    flagged("cl-equal-allowed", flags::MERGE_EQUAL_CONTENT_LENGTH, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", Body("hello")),
    flagged("cl-equal-list-strict", 0, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 , 5\r\n\r\nhello", Refused(400)),
    flagged("cl-equal-list-allowed", flags::MERGE_EQUAL_CONTENT_LENGTH, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 , 5\r\n\r\nhello", Body("hello")),
    flagged("cl-with-te-strict", 0, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", Refused(400)),
    flagged("cl-with-te-allowed", flags::ALLOW_CL_WITH_TE, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", Body("hello")),
];
