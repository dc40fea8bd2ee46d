//! What a session must be before it may be trusted: every one fresh, asked with a nonce of its own, its answer whole and framed in one way, its certificate checked.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use std::ptr::null_mut;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::abi::*;

use hostile::server::Then;
use hostile::{Reply, Session};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, HandshakeKind, ServerConfig, ServerConnection};
use serde_json::{Value, json};
use simtee::SimTee;
use simtee::http::response;
use support::{World, add_root, echo, text};

fn by_exporter(world: &World) -> Value {
    let mut policy = world.policy.clone();
    policy["binding"] = json!({"protocols": ["exporter-v1"]});
    policy
}

/// The truth under another head.
fn headed(head: &'static str, chunked: bool) -> impl Fn(&Session) -> Reply + Send + Sync {
    move |session| {
        let body = session.honest();
        let mut out = head.replace("LENGTH", &body.len().to_string()).into_bytes();
        match chunked {
            true => {
                out.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
                out.extend_from_slice(&body);
                out.extend_from_slice(b"\r\n0\r\n\r\n");
            }
            false => out.extend_from_slice(&body),
        }
        Reply::bytes(out)
    }
}

#[test]
fn evidence_has_status_200_and_one_framing() {
    for (head, chunked, status) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: LENGTH\r\n\r\n", false, ""),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true, ""),
        (
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/2\r\nContent-Length: LENGTH\r\n\r\n",
            false,
            "NO_EVIDENCE",
        ),
        ("HTTP/1.1 201 Created\r\nContent-Length: LENGTH\r\n\r\n", false, "NO_EVIDENCE"),
        ("HTTP/1.1 203 Changed On The Way\r\nContent-Length: LENGTH\r\n\r\n", false, "NO_EVIDENCE"),
        ("HTTP/1.1 200 OK\r\nContent-Length: LENGTH\r\nTransfer-Encoding: chunked\r\n\r\n", true, "EVIDENCE_INVALID"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", true, "EVIDENCE_INVALID"),
        ("HTTP/1.1 200 OK\r\nContent-Length: LENGTH\r\nContent-Length: LENGTH\r\n\r\n", false, "EVIDENCE_INVALID"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            true,
            "EVIDENCE_INVALID",
        ),
    ] {
        let world = World::replying(headed(head, chunked));
        for policy in [world.policy.clone(), by_exporter(&world)] {
            match status {
                "" => echo(&world.connect_with(&policy, |_| ()).unwrap(), b"to the enclave"),
                status => drop(world.refused_after(&policy, status)),
            }
        }
    }
}

#[test]
fn a_server_that_does_not_know_the_protocol_is_framed_in_one_way_too() {
    // Its 404 is followed by another question on the same connection: it must be clear where the answer to that one begins.
    let world = World::replying(|session| match session.path.as_str() {
        "/tdx_quote" => Reply::json(&session.honest()),
        _ => {
            let head = b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
            Reply::bytes(head.to_vec()).then(Then::Again)
        }
    });
    let mut policy = by_exporter(&world);
    policy["binding"]["protocols"] = json!(["exporter-v1", "atlas-v1"]);
    world.refused_with(&policy, "EVIDENCE_INVALID");
}

#[test]
fn no_two_questions_are_the_same() {
    let world = World::honest();
    for policy in [world.policy.clone(), by_exporter(&world)] {
        world.server.recorded.lock().unwrap().clear();
        for _ in 0..3 {
            assert!(world.connect_with(&policy, |_| ()).is_ok());
        }
        let recorded = world.server.recorded.lock().unwrap().clone();
        let bodies: Vec<Value> = recorded.iter().filter_map(|part| serde_json::from_slice(part).ok()).collect();
        let nonce = |body: &Value| body["nonce_hex"].as_str().or(body["nonce"].as_str()).unwrap().to_owned();
        let mut nonces: Vec<String> = bodies.iter().map(nonce).collect();
        assert!(nonces.iter().all(|nonce| nonce.len() == 64), "{nonces:?}");
        nonces.sort();
        nonces.dedup();
        assert_eq!(nonces.len(), 3, "a nonce was used twice");
        // Every half of each is another one as well.
        let mut halves: Vec<&str> = nonces.iter().flat_map(|nonce| [&nonce[..32], &nonce[32..]]).collect();
        halves.sort();
        halves.dedup();
        assert_eq!(halves.len(), 6);
    }
}

#[test]
fn evidence_of_another_kind_of_tee() {
    for tee in [json!("sgx"), json!("snp"), json!(["tdx"]), json!(""), Value::Null] {
        let world = World::lying(move |session| {
            let mut answer: Value = serde_json::from_slice(&session.honest()).unwrap();
            answer["tee"] = tee.clone();
            answer.to_string().into_bytes()
        });
        let refusal = world.refused_with(&by_exporter(&world), "EVIDENCE_INVALID");
        assert!(refusal.message.contains("tee must be \"tdx\""), "{refusal:?}");
    }
}

#[test]
fn no_policy_without_the_check_of_the_certificate() {
    let world = World::new(hostile::Options { raw_echo: true, ..Default::default() });
    let mut said = None;
    let unchecked = |config| {
        // Beside a policy that is set already.
        said = Some(unsafe { atls_config_set_certificate_check(config, false.into(), null_mut()) });
    };
    drop(world.connect_with(&world.policy, unchecked));
    assert_eq!(said, Some(104));
    // The other way round: the policy comes later.
    unsafe {
        let (mut error, mut policy, mut config, mut stream) = (null_mut(), null_mut(), null_mut(), null_mut());
        let json = world.policy.to_string();
        assert_eq!(
            support::abi::atls_policy_new(atls_bytes { ptr: json.as_ptr(), len: json.len() }, &mut policy, &mut error),
            0
        );
        assert_eq!(atls_config_new(c"localhost".as_ptr(), world.server.port(), &mut config, &mut error), 0);
        assert_eq!(atls_config_set_verifier(config, world.verifier, &mut error), 0);
        add_root(config, &world.tee.web_ca_pem);
        assert_eq!(atls_config_set_certificate_check(config, false.into(), &mut error), 0);
        assert_eq!(atls_config_set_policy(config, policy, &mut error), 0);
        assert_eq!(atls_stream_connect(config, &mut stream, &mut error), 104);
        assert!(text(atls_error_message(error)).contains("the certificate check is off"));
        atls_error_free(error);
        atls_config_free(config);
        support::abi::atls_policy_free(policy);
    }
    assert_eq!(world.server.application_bytes.load(std::sync::atomic::Ordering::SeqCst), 0);
}

/// What a handshake was like, as the server saw it.
#[derive(Debug, PartialEq)]
struct Seen {
    kind: Option<HandshakeKind>,
    alpn: Option<Vec<u8>>,
    early: bool,
}

/// A TLS server that gives all that makes a session less than fresh: tickets, early data, and other protocols first.
fn generous(tee: &SimTee) -> (u16, Arc<Mutex<Vec<Seen>>>) {
    let (leaf, key) = tee.web_certificate(&["localhost"], -1, 30);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(leaf)], PrivateKeyDer::try_from(key).unwrap())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.0".to_vec(), b"http/1.1".to_vec()];
    config.send_tls13_tickets = 4;
    config.max_early_data_size = 1 << 14;
    config.send_half_rtt_data = true;
    let (config, seen) = (Arc::new(config), Arc::new(Mutex::new(Vec::new())));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, shared) = (listener.local_addr().unwrap().port(), seen.clone());
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let mut tls = ServerConnection::new(config.clone()).unwrap();
            while tls.is_handshaking() && tls.complete_io(&mut socket).is_ok() {}
            let (kind, alpn) = (tls.handshake_kind(), tls.alpn_protocol().map(<[u8]>::to_vec));
            let early = tls.early_data().is_some();
            shared.lock().unwrap().push(Seen { kind, alpn, early });
            // The tickets go out; what comes is echoed, so that the client has read them.
            let mut stream = rustls::Stream::new(&mut tls, &mut socket);
            let mut byte = [0];
            if std::io::Read::read(&mut stream, &mut byte).is_ok() {
                let _ = std::io::Write::write_all(&mut stream, &byte);
            }
        }
    });
    (port, seen)
}

#[test]
fn every_session_is_fresh_and_speaks_http_1_1() {
    let tee = SimTee::new();
    let (port, seen) = generous(&tee);
    // One configuration, as a pool has it: what TLS keeps is shared by its connections.
    let mut config = null_mut();
    unsafe {
        assert_eq!(atls_config_new(c"localhost".as_ptr(), port, &mut config, null_mut()), 0);
        assert_eq!(atls_config_set_unattested(config, null_mut()), 0);
    }
    add_root(config, &tee.web_ca_pem);
    for _ in 0..3 {
        let mut stream = null_mut();
        assert_eq!(unsafe { atls_stream_connect(config, &mut stream, null_mut()) }, 0);
        echo(&support::Stream(stream), b"x");
    }
    unsafe { atls_config_free(config) };
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 3);
    for one in &*seen {
        let full = matches!(one.kind, Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest));
        assert!(full && !one.early && one.alpn.as_deref() == Some(b"http/1.1"), "{one:?}");
    }
}

/// A handshake with a server of the library's; the configuration is the client's.
fn shake(port: u16, config: &Arc<rustls::ClientConfig>) -> Result<(HandshakeKind, u32), rustls::Error> {
    let mut socket = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut tls = rustls::ClientConnection::new(config.clone(), "localhost".try_into().unwrap()).unwrap();
    let mut stream = rustls::Stream::new(&mut tls, &mut socket);
    let asked = std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let answered = asked.and_then(|()| std::io::Read::read(&mut stream, &mut [0; 100]));
    match answered {
        Ok(count) => {
            assert_ne!(count, 0);
            Ok((tls.handshake_kind().unwrap(), tls.tls13_tickets_received()))
        }
        Err(error) => Err(error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).unwrap().clone()),
    }
}

#[test]
fn a_server_of_ours_resumes_nothing_and_speaks_http_1_1() {
    let tee = SimTee::new();
    let (server, port) = support::server::plain(&tee);
    let client = |protocols: &[&[u8]]| {
        let mut roots = rustls::RootCertStore::empty();
        use rustls::pki_types::pem::PemObject;
        roots.add(CertificateDer::from_pem_slice(tee.web_ca_pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = builder.unwrap().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        config.enable_early_data = true;
        Arc::new(config)
    };
    let eager = client(&[b"http/1.1"]);
    for _ in 0..3 {
        let (kind, tickets) = shake(port, &eager).unwrap();
        assert!(kind != HandshakeKind::Resumed && tickets == 0, "{kind:?}, {tickets} tickets");
    }
    assert!(shake(port, &client(&[])).is_ok());
    let refused = shake(port, &client(&[b"h2"])).unwrap_err();
    assert_eq!(refused, rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol));
    drop(server);
}

#[test]
fn a_busy_server_is_asked_again_on_the_same_session() {
    let busy = |after: &'static str, times: u64| {
        World::replying(move |session| match session.count < times {
            true => {
                let head = format!("HTTP/1.1 503 Service Unavailable\r\n{after}Content-Length: 4\r\n\r\nwait");
                Reply::bytes(head.into_bytes()).then(Then::Again)
            }
            false => Reply::json(&session.honest()),
        })
    };
    let connections = |world: &World| world.server.connections.load(std::sync::atomic::Ordering::SeqCst);
    let world = busy("Retry-After: 0\r\n", 3);
    echo(&world.connect().unwrap(), b"in the end");
    assert_eq!(connections(&world), 1);
    // A date, which has passed, is now.
    let world = busy("Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 1);
    echo(&world.connect().unwrap(), b"in the end");
    let world = busy("Retry-After: 1\r\n", 1);
    echo(&world.connect_with(&by_exporter(&world), |_| ()).unwrap(), b"in the end");
    assert_eq!(connections(&world), 1);

    // No time is left for another try, or nobody says when, or it is not to be on this connection: then at once, and the caller may try again.
    for after in ["Retry-After: 3000\r\n", "", "Retry-After: soon\r\n", "Retry-After: 0\r\nConnection: close\r\n"] {
        let world = busy(after, u64::MAX);
        let refusal = world.refused("EVIDENCE_BUSY");
        assert!(refusal.retryable && refusal.http_status == 503 && refusal.message.contains("wait"), "{refusal:?}");
    }
    // Always busy: until the deadline of the exchange.
    let world = busy("Retry-After: 0\r\n", u64::MAX);
    let mut policy = world.policy.clone();
    policy["binding"] = json!({"timeout_ms": 400});
    assert!(world.refused_with(&policy, "EVIDENCE_BUSY|TIMED_OUT").retryable);
    // The deadline of the whole counts as well, and is not slept through.
    let world = busy("Retry-After: 1\r\n", u64::MAX);
    let within = |config| assert_eq!(unsafe { atls_config_set_deadline(config, 500, null_mut()) }, 0);
    assert_eq!(world.connect_with(&world.policy, within).err().expect("busy").name, "EVIDENCE_BUSY");
}

#[test]
fn one_deadline_covers_all_of_a_connection() {
    let within = |config| assert_eq!(unsafe { atls_config_set_deadline(config, 300, null_mut()) }, 0);
    let refusal = |world: &World| world.connect_with(&world.policy, within).err().expect("it took too long");
    // Nothing of it is slow by itself: the evidence may take 30 seconds, TLS 20.
    let world = World::replying(|_| Reply::bytes(Vec::new()).then(Then::Hang));
    let late = refusal(&world);
    assert_eq!((&*late.name, &*late.phase, late.detail), ("TIMED_OUT", "evidence", ATLS_DETAIL_CONNECT_TIMEOUT));
    assert!(late.message.contains("300 ms"), "{late:?}");

    let stalled = hostile::Options { stall: Some(hostile::server::Stall::BeforeTls), ..Default::default() };
    let late = refusal(&World::new(stalled));
    assert_eq!((&*late.name, &*late.phase, late.detail), ("TIMED_OUT", "tls", ATLS_DETAIL_CONNECT_TIMEOUT));

    let world = World::honest();
    world.pccs.set(|knobs| knobs.delay = Duration::from_secs(5));
    let late = refusal(&world);
    assert_eq!((&*late.name, &*late.phase, late.detail), ("TIMED_OUT", "collateral", ATLS_DETAIL_CONNECT_TIMEOUT));

    // A second attempt begins no new time: each one is in time, and both together are not.
    let world = World::replying(|session| {
        let mut guest = session.guest.clone();
        guest.emit_certificate(b"another one");
        let whole = response("200 OK", &session.answer_for(&guest));
        Reply { pieces: vec![(Vec::new(), Duration::from_millis(200)), (whole, Duration::ZERO)], then: Then::Continue }
    });
    assert_eq!(world.connect_with(&world.policy, |_| ()).err().expect("another certificate").name, "BINDING_MISMATCH");
    let late = refusal(&world);
    assert_eq!((&*late.name, late.detail), ("TIMED_OUT", ATLS_DETAIL_CONNECT_TIMEOUT), "{late:?}");
}

unsafe extern "C" fn no_key(_: *mut std::ffi::c_void, _: support::abi::atls_str) {
    std::process::abort();
}

#[test]
fn no_policy_beside_a_key_log_without_the_words_for_it() {
    let world = World::honest();
    let logging = |config| {
        let set = support::abi::atls_config_set_key_log;
        let (nothing, none) = (std::ptr::null(), null_mut());
        assert_eq!(unsafe { set(config, Some(no_key), none, None, nothing, null_mut()) }, 0);
    };
    let refusal = world.connect_with(&world.policy, logging).err().expect("secrets may leave");
    assert_eq!(refusal.name, "INVALID_STATE");
    assert!(refusal.message.contains("secrets may leave"), "{refusal:?}");
    assert_eq!(world.server.connections.load(std::sync::atomic::Ordering::SeqCst), 0);
}
