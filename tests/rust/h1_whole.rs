//! Both engines agree: each vector goes over a real socket to the client, or to the server, as a whole, and is judged there as the machine judges it,
//! but for the differences that are meant, which the table lists with their reasons.
#![allow(unsafe_code)]

#[rustfmt::skip]
#[path = "support/abi.rs"]
mod abi;
#[path = "support/h1_rules.rs"]
mod rules;
#[path = "support/h1.rs"]
mod support;
#[path = "support/h1_vectors.rs"]
mod vectors;

use std::ffi::{CString, c_void};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::ptr::null_mut;
use std::time::Duration;

use abi::*;
use atls::error::Detail;
use atls::h1::{EventKind, flags};
use rules::CLIENT_DETAILS;
use vectors::{DIFFERENCES, Expected, Side, VECTORS, Vector};

const LIMIT: Duration = Duration::from_secs(20);

fn wanted(vector: &Vector) -> Expected {
    DIFFERENCES.iter().find(|(name, ..)| *name == vector.name).map_or(vector.expected, |(_, whole, _)| *whole)
}

#[test]
fn the_table_is_large_enough_and_its_differences_have_reasons() {
    let requests = VECTORS.iter().filter(|vector| matches!(vector.from, Side::Request)).count();
    assert!(requests >= 60 && VECTORS.len() - requests >= 60, "{requests} requests of {}", VECTORS.len());
    for (name, whole, why) in DIFFERENCES {
        let vector = VECTORS.iter().find(|vector| vector.name == *name).expect(name);
        assert!(why.starts_with("RFC ") && vector.flags == 0, "{name}");
        let same = matches!(
            (vector.expected, whole),
            (Expected::Body(_), Expected::Body(_)) | (Expected::Refused(_), Expected::Refused(_))
        );
        assert!(!same, "{name} is no difference");
    }
    for (index, vector) in VECTORS.iter().enumerate() {
        assert!(VECTORS[..index].iter().all(|other| other.name != vector.name), "{} is there twice", vector.name);
    }
}

/// A server that reads a request's head and answers with `bytes`, then ends its direction.
fn answering(bytes: Vec<u8>) -> (u16, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && socket.read(&mut byte).unwrap_or(0) == 1 {
            head.push(byte[0]);
        }
        let _ = socket.write_all(&bytes);
        let _ = socket.shutdown(Shutdown::Write);
    });
    (port, thread)
}

/// The body that the client takes, or the status and the detail with which it refuses.
unsafe fn fetched(client: *const atls_client, method: &str, port: u16) -> Result<Vec<u8>, (i32, u32)> {
    let (method, url) = (CString::new(method).unwrap(), CString::new(format!("http://127.0.0.1:{port}/")).unwrap());
    let (mut request, mut exchange, mut buf) = (null_mut(), null_mut(), null_mut());
    unsafe {
        assert_eq!(atls_request_new_url(method.as_ptr(), url.as_ptr(), &mut request, null_mut()), 0);
        let mut error = null_mut();
        let mut status = atls_client_fetch(client, request, &mut exchange, &mut error);
        if status == 0 {
            status = atls_exchange_read_all(exchange, usize::MAX, 20_000, &mut buf, &mut error);
        }
        let body = match status {
            0 => Ok(std::slice::from_raw_parts(atls_buf_data(buf), atls_buf_len(buf)).to_vec()),
            status => Err((status, atls_error_detail(error))),
        };
        atls_error_free(error);
        atls_buf_free(buf);
        atls_exchange_free(exchange);
        atls_request_free(request);
        body
    }
}

/// The detail with which the client refuses a vector: what the machine says with the client's leniency, or its own.
fn detail(vector: &Vector, method: &str) -> Detail {
    if let Some((_, own)) = CLIENT_DETAILS.iter().find(|(name, _)| *name == vector.name) {
        return *own;
    }
    let mut conn = support::client(flags::ALLOW_BARE_LF | flags::MERGE_EQUAL_CONTENT_LENGTH, method);
    conn.receive(&vector.bytes());
    loop {
        match conn.next_event().map(|event| event.kind) {
            Err(error) => return error.detail,
            Ok(EventKind::NeedData | EventKind::ConnectionClosed | EventKind::Paused) => return Detail::None,
            Ok(_) => {}
        }
    }
}

#[test]
fn the_client_judges_as_its_machine() {
    let mut wrong = Vec::new();
    unsafe {
        let (mut config, mut client) = (null_mut(), null_mut());
        assert_eq!(atls_config_new(c"localhost".as_ptr(), 1, &mut config, null_mut()), 0);
        assert_eq!(atls_config_set_unattested(config, null_mut()), 0);
        assert_eq!(atls_client_new(null_mut(), config, null_mut(), &mut client, null_mut()), 0);
        for vector in VECTORS {
            // What the library's client never sends: CONNECT, and requests to switch.
            let Side::Response(method @ ("GET" | "HEAD")) = vector.from else { continue };
            let (port, thread) = answering(vector.bytes());
            let got = fetched(client, method, port);
            thread.join().unwrap();
            let same = match wanted(vector) {
                Expected::Body(text) => got.as_deref() == Ok(text.as_bytes()),
                Expected::Refused(_) => {
                    got == Err((ATLS_HTTP_PROTOCOL, detail(vector, method) as u32)) || got == Err((ATLS_TRUNCATED, 0))
                }
            };
            if !same {
                wrong.push(format!("{}: {got:?}", vector.name));
            }
        }
        atls_client_free(client);
        atls_config_free(config);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the server's host knows of a request.
struct Visit {
    request: *mut atls_server_request,
    body: Vec<u8>,
}

struct Host {
    queue: *mut atls_queue,
    runtime: *mut atls_runtime,
}

unsafe extern "C" fn on_visit(user_data: *mut c_void, event: *const atls_event) {
    unsafe {
        let visit = &mut *user_data.cast::<Visit>();
        match (*event).kind {
            ATLS_EVENT_DATA => {
                let (data, len) = (atls_buf_data((*event).buf), atls_buf_len((*event).buf));
                visit.body.extend_from_slice(std::slice::from_raw_parts(data, len));
            }
            ATLS_EVENT_END => {
                let (body, len) = (visit.body.as_ptr(), visit.body.len());
                atls_server_request_respond(
                    visit.request,
                    200,
                    std::ptr::null(),
                    atls_bytes { ptr: body, len },
                    null_mut(),
                );
            }
            _ => {}
        }
    }
}

unsafe extern "C" fn on_drop(user_data: *mut c_void) {
    unsafe {
        let visit = Box::from_raw(user_data.cast::<Visit>());
        atls_server_request_free(visit.request);
    }
}

unsafe extern "C" fn on_server(user_data: *mut c_void, event: *const atls_event) {
    unsafe {
        if (*event).kind != ATLS_EVENT_REQUEST {
            return;
        }
        let host = &*user_data.cast::<Host>();
        let request = atls_server_request_ref((*event).source.cast());
        let visit = Box::into_raw(Box::new(Visit { request, body: Vec::new() }));
        let (call, drop): (unsafe extern "C" fn(_, _), unsafe extern "C" fn(_)) = (on_visit, on_drop);
        let sink =
            atls_sink { queue: host.queue, token: 0, call: Some(call), user_data: visit.cast(), drop: Some(drop) };
        assert_eq!(atls_server_request_start(request, host.runtime, &sink, null_mut()), 0);
    }
}

fn said(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let _ = socket.write_all(bytes);
    let _ = socket.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    answer
}

/// A server that bears with `flags`, and its port.
unsafe fn serving(host: &mut Host, flags: u32) -> (*mut atls_server, u16) {
    let (mut config, mut server, mut port) = (null_mut(), null_mut(), 0);
    unsafe {
        let call: unsafe extern "C" fn(_, _) = on_server;
        let user_data = (&raw mut *host).cast();
        let sink = atls_sink { queue: host.queue, token: 0, call: Some(call), user_data, drop: None };
        assert_eq!(atls_server_config_new(&mut config, null_mut()), 0);
        assert_eq!(atls_server_config_set_flags(config, flags, null_mut()), 0);
        assert_eq!(atls_server_start(host.runtime, config, &sink, &mut server, null_mut()), 0);
        assert_eq!(atls_server_listen(server, c"127.0.0.1".as_ptr(), 0, false.into(), &mut port, null_mut()), 0);
        atls_server_config_free(config);
    }
    (server, port)
}

#[test]
fn the_server_judges_as_its_machine() {
    let mut wrong = Vec::new();
    unsafe {
        let mut host = Host { queue: null_mut(), runtime: null_mut() };
        assert_eq!(atls_runtime_new(2, &mut host.runtime, null_mut()), 0);
        assert_eq!(atls_queue_new_dispatching(&mut host.queue, null_mut()), 0);
        let mut flags: Vec<u32> = VECTORS.iter().map(|vector| vector.flags).collect();
        flags.sort_unstable();
        flags.dedup();
        for flags in flags {
            let (server, port) = serving(&mut host, flags);
            for vector in VECTORS.iter().filter(|vector| vector.flags == flags) {
                let Side::Request = vector.from else { continue };
                let answer = said(port, &vector.bytes());
                let same = match wanted(vector) {
                    Expected::Body(text) => {
                        answer.starts_with(b"HTTP/1.1 200 OK\r\n")
                            && answer.ends_with(format!("\r\n\r\n{text}").as_bytes())
                    }
                    Expected::Refused(hint) => answer.starts_with(format!("HTTP/1.1 {hint} ").as_bytes()),
                };
                if !same {
                    wrong.push(format!("{}: {}", vector.name, answer.escape_ascii()));
                }
            }
            atls_server_close(server, null_mut());
            atls_server_free(server);
        }
        atls_queue_stop(host.queue, null_mut());
        atls_queue_free(host.queue);
        atls_runtime_free(host.runtime);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
