//! Proxies that do not behave: each fault has its status, nothing of the caller's is sent, nothing hangs. tests/c/test_proxy.c has a real one.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use std::ffi::CString;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ptr::{null, null_mut};
use std::time::Duration;

use hostile::Options;
use support::abi::*;
use support::{Refusal, Stream, World, echo};

/// What a proxy does with the request head that it has read.
enum Then {
    /// Answers, and passes bytes on both ways.
    Pass(&'static [u8]),
    /// Answers, and waits for the client to go.
    Answer(&'static [u8]),
    /// Answers, and closes.
    Close(&'static [u8]),
}

/// Serves one connection; gives the head that it was sent.
fn proxy(target: u16, then: Then) -> (u16, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        match then {
            Then::Pass(answer) => {
                client.write_all(answer).unwrap();
                pass(client, TcpStream::connect(("127.0.0.1", target)).unwrap());
            }
            Then::Answer(answer) => {
                client.write_all(answer).unwrap();
                let _ = client.read(&mut [0; 100]);
            }
            Then::Close(answer) => client.write_all(answer).unwrap(),
        }
        String::from_utf8(head).unwrap()
    };
    (port, std::thread::spawn(serve))
}

fn pass(client: TcpStream, server: TcpStream) {
    let (mut up, mut down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || {
        let (mut client, mut server) = (client, server);
        let _ = std::io::copy(&mut client, &mut server);
        let _ = server.shutdown(std::net::Shutdown::Write);
    });
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut down, &mut up);
        let _ = up.shutdown(std::net::Shutdown::Write);
    });
}

fn connect(world: &World, port: u16, user: Option<&str>) -> Result<Stream, Refusal> {
    let url = CString::new(format!("http://127.0.0.1:{port}")).unwrap();
    let user = user.map(|user| CString::new(user).unwrap());
    world.connect_with(&world.policy, |config| unsafe {
        let user = user.as_ref().map_or(null(), |user| user.as_ptr());
        assert_eq!(atls_config_set_proxy(config, url.as_ptr(), user, null(), 0, null_mut()), 0);
        assert_eq!(atls_config_set_timeouts(config, 700, 0, null_mut()), 0);
    })
}

#[test]
fn what_a_proxy_is_asked_and_may_answer() {
    let world = World::new(Options { raw_echo: true, ..Options::default() });
    let target = world.server.port();
    // What collateral there is to fetch comes first, and directly.
    assert!(world.connect().is_ok());
    for (answer, user, more) in [
        (&b"HTTP/1.1 200 Connection established\r\n\r\n"[..], None, ""),
        (b"HTTP/1.0 200 OK\r\nServer: old\r\n\r\n", Some("u"), "Proxy-Authorization: Basic dTo=\r\n"),
        (b"HTTP/1.1 100 Wait\r\n\r\nHTTP/1.1 204 Fine\r\nContent-Length: 17\r\n\r\n", None, ""),
    ] {
        let (port, served) = proxy(target, Then::Pass(answer));
        echo(&connect(&world, port, user).unwrap(), b"through the proxy");
        let authority = format!("localhost:{target}");
        assert_eq!(served.join().unwrap(), format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{more}\r\n"));
    }
}

#[test]
fn each_fault_of_a_proxy_has_its_status() {
    let world = World::honest();
    let target = world.server.port();
    let waits: &'static [u8] = b"HTTP/1.1 100 Wait\r\n\r\n".repeat(17).leak();
    for (then, name, part, http_status) in [
        (
            Then::Close(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n"),
            "TUNNEL_REFUSED",
            "407 Who are you",
            407,
        ),
        (Then::Answer(b"HTTP/1.1 302 Elsewhere\r\nLocation: http://x/\r\n\r\n"), "TUNNEL_REFUSED", "302", 302),
        (Then::Answer(b"HTTP/1.1 101 Other\r\nUpgrade: x\r\n\r\n"), "HTTP_PROTOCOL", "did not propose", 0),
        (Then::Answer(b"SSH-2.0-x\r\n\r\n"), "HTTP_PROTOCOL", "illegal status line", 0),
        (Then::Answer(b"HTTP/1.1 200 OK\r\n\r\n\x16\x03\x03"), "HTTP_PROTOCOL", "directly after the answer", 0),
        (Then::Close(b"HTTP/1.1 200"), "HTTP_PROTOCOL", "proxy:", 0),
        (Then::Close(b""), "HTTP_PROTOCOL", "proxy:", 0),
        (Then::Answer(waits), "HTTP_PROTOCOL", "too many informational", 0),
        (Then::Answer(b"HTTP/1.1 200 OK\r\n"), "TIMED_OUT", "700 ms", 0),
    ] {
        let (port, _served) = proxy(target, then);
        let refusal = connect(&world, port, None).err().expect(part);
        assert_eq!((&*refusal.name, refusal.http_status), (name, http_status), "{refusal:?}");
        assert!(refusal.message.contains(part), "{refusal:?}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refusal = connect(&world, nobody, None).err().expect("nobody listens");
    assert!(refusal.name == "IO" && refusal.message.starts_with("proxy: "), "{refusal:?}");
    std::thread::sleep(Duration::from_millis(10));
}

/// A proxy that leads elsewhere is found out like any other network: that server is not the one which the policy describes.
#[test]
fn a_proxy_that_leads_elsewhere() {
    let (world, other) = (World::honest(), World::honest());
    let (port, _served) = proxy(other.server.port(), Then::Pass(b"HTTP/1.1 200 OK\r\n\r\n"));
    let refusal = connect(&world, port, None).err().expect("another server");
    assert_eq!(refusal.name, "TLS_CERTIFICATE", "{refusal:?}");
}
