//! In steady state a connection allocates nothing, and what a large message took can be given back; seen through the C interface.
#![allow(unsafe_code)]

#[rustfmt::skip]
#[path = "support/abi.rs"]
mod abi;
use abi::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static LIVE: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        LIVE.with(|live| live.set(live.get().wrapping_add(layout.size())));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        LIVE.with(|live| live.set(live.get().wrapping_sub(layout.size())));
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn bytes(text: &str) -> atls_bytes {
    atls_bytes { ptr: text.as_ptr(), len: text.len() }
}

fn header(name: &str, value: &str) -> atls_h1_header {
    atls_h1_header { name: bytes(name), value: bytes(value), raw_name: std::ptr::null() }
}

/// Hands over `out`, then takes every event.
fn deliver(out: atls_bytes, to: *mut atls_h1_conn) -> u32 {
    let mut seen = 0;
    unsafe {
        assert_eq!(atls_h1_conn_receive(to, atls_bytes { ptr: out.ptr, len: out.len }, null_mut()), 0);
        loop {
            let mut event = std::ptr::null();
            assert_eq!(atls_h1_conn_next_event(to, &mut event, null_mut()), 0);
            match (*event).kind {
                ATLS_H1_NEED_DATA => return seen,
                kind => seen |= 1 << kind,
            }
            if (*event).kind == ATLS_H1_END_OF_MESSAGE {
                return seen;
            }
        }
    }
}

fn cycle(client: *mut atls_h1_conn, server: *mut atls_h1_conn, framing: &atls_h1_header) {
    let headers = [header("Host", "a"), *framing, header("Accept", "*/*"), header("X-Some", "thing")];
    let (mut out, mut after) = (bytes(""), bytes(""));
    let none = std::ptr::null();
    unsafe {
        let (from, to) = (client, server);
        assert_eq!(
            atls_h1_conn_send_request(from, bytes("POST"), bytes("/"), headers.as_ptr(), 4, &mut out, null_mut()),
            0
        );
        let mut seen = deliver(out, to);
        assert_eq!(atls_h1_conn_send_data(from, 5, &mut out, &mut after, null_mut()), 0);
        seen |= deliver(out, to) | deliver(bytes("hello"), to) | deliver(after, to);
        assert_eq!(atls_h1_conn_send_end_of_message(from, none, 0, &mut out, null_mut()), 0);
        seen |= deliver(out, to);
        assert_eq!(seen, 1 << ATLS_H1_REQUEST | 1 << ATLS_H1_DATA | 1 << ATLS_H1_END_OF_MESSAGE);

        let (from, to) = (server, client);
        let status = atls_h1_conn_send_response(from, 200, bytes("OK"), headers[1..].as_ptr(), 3, &mut out, null_mut());
        assert_eq!(status, 0);
        let mut seen = deliver(out, to);
        assert_eq!(atls_h1_conn_send_data(from, 5, &mut out, &mut after, null_mut()), 0);
        seen |= deliver(out, to) | deliver(bytes("hello"), to) | deliver(after, to);
        assert_eq!(atls_h1_conn_send_end_of_message(from, none, 0, &mut out, null_mut()), 0);
        seen |= deliver(out, to);
        assert_eq!(seen, 1 << ATLS_H1_RESPONSE | 1 << ATLS_H1_DATA | 1 << ATLS_H1_END_OF_MESSAGE);
        assert_eq!(atls_h1_conn_start_next_cycle(client, null_mut()), 0);
        assert_eq!(atls_h1_conn_start_next_cycle(server, null_mut()), 0);
    }
}

#[test]
fn a_cycle_allocates_nothing() {
    let (mut client, mut server) = (null_mut(), null_mut());
    unsafe {
        assert_eq!(atls_h1_conn_new(ATLS_H1_CLIENT, 0, &mut client, null_mut()), 0);
        assert_eq!(atls_h1_conn_new(ATLS_H1_SERVER, 0, &mut server, null_mut()), 0);
    }
    for framing in [header("Content-Length", "5"), header("Transfer-Encoding", "chunked")] {
        cycle(client, server, &framing);
        let before = COUNT.get();
        for _ in 0..100 {
            cycle(client, server, &framing);
        }
        assert_eq!(COUNT.get(), before);
    }
    unsafe {
        atls_h1_conn_free(client);
        atls_h1_conn_free(server);
    }
}

/// A body of 20 MB that came at once, and a head of 12,000 bytes in 200 fields before it; then a request that is only half there.
#[test]
fn what_a_large_message_took_is_given_back() {
    let mut server = null_mut();
    unsafe { assert_eq!(atls_h1_conn_new(ATLS_H1_SERVER, 0, &mut server, null_mut()), 0) };
    let fields = format!("X: {}\r\n", "y".repeat(55)).repeat(200);
    let body = "x".repeat(20 << 20);
    let message =
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n{fields}\r\n{body}GET / HTTP", body.len());
    let before = LIVE.get();
    deliver(bytes(&message), server);
    assert!(LIVE.get() - before > 20 << 20);
    let (mut rest, mut eof) = (bytes(""), false);
    unsafe {
        assert_eq!(atls_h1_conn_shrink(server, 1000, null_mut()), 0);
        let kept = LIVE.get() - before;
        assert!(kept < 8000, "{kept} bytes");
        assert_eq!(atls_h1_conn_trailing_data(server, &mut rest, &mut eof, null_mut()), 0);
        assert_eq!(std::slice::from_raw_parts(rest.ptr, rest.len), b"GET / HTTP");
        atls_h1_conn_free(server);
    }
}
