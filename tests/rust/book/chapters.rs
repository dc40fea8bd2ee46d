//! The chapters of include/atls.h: the one place that says which source files each has, and in which order.

use super::comment::{frame, wrap};

pub struct Chapter {
    pub title: &'static str,
    /// What it is for, in three sentences.
    pub text: &'static str,
    /// Below src/capi, in the order of the chapter. A type comes before what uses it; handles may come later.
    pub files: &'static [&'static str],
    /// C that no Rust is behind.
    pub code: &'static str,
}

impl Chapter {
    /// Its name for Doxygen.
    fn label(&self) -> String {
        let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
        format!("atls_{}", self.title.chars().map(word).collect::<String>())
    }

    pub fn heading(&self, number: usize) -> String {
        let title = format!("{number}. {} ", self.title);
        let line = format!("\n/* {title}{} */\n\n", "-".repeat(94 - title.len()));
        let first = format!("\\defgroup {} ", self.label());
        let text = wrap("", self.text, 97, 0).join(" ");
        line + &frame(
            &[(first, self.title.into(), false), (String::new(), text, false), ("\\{".into(), String::new(), false)],
            0,
        )
    }
}

const fn chapter(title: &'static str, files: &'static [&'static str], text: &'static str) -> Chapter {
    Chapter { title, text, files, code: "" }
}

/// Functions that come in the chapter of another file: their types are described there.
pub const ELSEWHERE: &[(&str, &str)] = &[("atls_status_name", "base/error.rs")];

pub const CHAPTERS: &[Chapter] = &[
    chapter(
        "Statuses",
        &["base/status.rs"],
        "Every call that can fail returns a status. Its number says what kind of failure it was, so that programs can branch on it. \
         What exactly went wrong is in the error that comes with it.",
    ),
    Chapter {
        title: "Buffers",
        text: "Text and bytes cross the boundary in three types. atls_str and atls_bytes are borrowed: something else owns them, and comments \
               say how long they are valid. An atls_buf is owned, shared by reference and never copied.",
        files: &["base/bytes.rs"],
        code: include_str!("../../../src/capi/header/buffers.h"),
    },
    chapter(
        "Errors",
        &["base/error.rs"],
        "An error holds everything known about a failure: a sentence for people, and fields for programs. A call that fails \
         writes one to its last argument, unless that is NULL. If a connection fails later, its last event carries one.",
    ),
    chapter(
        "Versions",
        &["base/version.rs"],
        "The header has a version, and so has the library that is loaded; they need not be the same. A program can ask for both. \
         It can also ask which optional parts the library was built with.",
    ),
    chapter(
        "Policy and verdict",
        &["attest/policy.rs", "attest/verdict.rs"],
        "A policy says what a peer must prove about its hardware and its software. The verdict says, check by check, what its \
         evidence showed. With a policy, none of the program's data is sent until the policy is satisfied.",
    ),
    chapter(
        "Attestation results",
        &["attest/ear.rs"],
        "A verdict in the form in which verifiers report to others: an EAT Attestation Result, signed or not. Who receives one relies on whoever \
         signed it. It need not know anything of evidence.",
    ),
    chapter(
        "Events",
        &["base/runtime.rs", "base/queue.rs", "base/event.rs"],
        "An event-driven operation runs on the threads of a runtime and reports what happens through a queue. The host chooses how \
         events arrive: in a callback, or when it asks for them. Blocking calls need none of this.",
    ),
    chapter(
        "Configuration",
        &["connect/config.rs", "connect/config_tls.rs", "connect/config_route.rs", "connect/resolver.rs"],
        "A configuration says where to connect, by which route, and what the server must prove. It is made once and used for any number of \
         connections, each of which copies it. Everything but the host and the policy has a default.",
    ),
    chapter(
        "Streams",
        &["connect/stream.rs"],
        "A stream is an attested connection that carries bytes, for protocols other than HTTP. It is open once the server has \
         satisfied the policy. Both directions are independent, and credit bounds what is received.",
    ),
    chapter(
        "Heads and header fields",
        &["text/head.rs", "text/headers.rs"],
        "A head is what was received: a status and header fields, as they were spelled. A list of header fields is what the program \
         builds and changes. Both preserve order and case, and look names up in any case.",
    ),
    chapter(
        "Requests",
        &["client/request.rs", "client/request_body.rs", "client/request_options.rs"],
        "A request is made piece by piece: method, target, header fields and a body. It is copied when it is sent, and can be sent again. It \
         goes through one connection (HTTP connections) or through a client.",
    ),
    chapter(
        "HTTP connections",
        &["client/http.rs"],
        "One attested connection that carries requests one after the other. The program opens it, sees the verdict and closes it. For requests by URL, \
         pools and redirects there is the client.",
    ),
    chapter(
        "Exchanges",
        &["client/exchange.rs", "client/exchange_body.rs", "client/exchange_route.rs"],
        "An exchange is one request under way and its response. Bodies stream in both directions and are never held as a whole, unless the \
         program asks for it. It is the same for an HTTP connection and for a client.",
    ),
    chapter(
        "Client",
        &["client/client.rs"],
        "A client takes requests by URL. It keeps connections for later requests, follows redirects and attests every host that a \
         policy covers. One serves a whole program, from any of its threads.",
    ),
    chapter(
        "Server",
        &[
            "server/config.rs",
            "server/config_tls.rs",
            "server/server.rs",
            "server/listen.rs",
            "server/request.rs",
            "server/file.rs",
            "server/upgrade.rs",
        ],
        "A server for HTTP/1.1, in TLS or in the clear, and for HTTP/2 in TLS. Requests come as events, and answers stream. With a source of evidence it proves \
         itself to clients that ask.",
    ),
    chapter(
        "Evidence",
        &["attest/host_evidence.rs", "attest/evidence.rs", "attest/binder.rs"],
        "How this side proves itself, as a server or as a client. Evidence comes from a guest agent, from the kernel or from the \
         program. Programs that terminate TLS themselves can compute the report data that evidence must hold.",
    ),
    chapter(
        "Forms",
        &["text/form.rs", "text/multipart.rs"],
        "What a browser sends: query strings, cookies, and bodies of forms with or without files. A form is read as a whole, or, if it \
         has files, piece by piece. Both have limits.",
    ),
    chapter(
        "Tunnel server",
        &["server/tunnel.rs"],
        "A forwarder from WebSockets to TCP, the other end of atls_config_set_tunnel. It lets through what it was told to allow, and \
         nothing else. It sees only what TLS leaves visible.",
    ),
    chapter(
        "Verification",
        &["attest/verify.rs", "attest/verifier.rs"],
        "For evidence that did not arrive over a connection of this library, and for the vendors' documents needed to judge it. \
         Verifying a file is pure: no network, no clock. A verifier keeps the vendor's documents and is shared by connections.",
    ),
    chapter(
        "HTTP/1.1 without I/O",
        &["h1/types.rs", "h1/conn.rs", "h1/send.rs", "h1/headers.rs", "h1/messages.rs", "h1/states.rs"],
        "The protocol alone, for programs with sockets of their own. Bytes that were received go in and events come out; messages go in and bytes \
         to send come out. It never blocks, starts no thread and reads no clock.",
    ),
    chapter(
        "HTTP/1.1 driver",
        &["h1/driver_config.rs", "h1/driver.rs"],
        "One HTTP/1.1 connection whose messages the program makes itself, in either role. The library does the I/O and enforces the protocol. \
         The socket is the program's, or an attested connection.",
    ),
    chapter(
        "Texts",
        &["text/text.rs"],
        "Small pieces of text that HTTP programs need: dates, URLs, credentials, authorities. They do no I/O. What they return is \
         the caller's to free.",
    ),
    chapter(
        "Log",
        &["base/log.rs"],
        "The library logs nothing unless the host sets a callback. Lines say what happened to which peer. They hold no payload \
         and no secrets.",
    ),
];
