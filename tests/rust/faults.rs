//! Faults of servers and networks: each has its own status, a message that says what, no data sent, no hang.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use std::time::{Duration, Instant};

use support::abi::*;

use hostile::server::{Stall, Then};
use hostile::{Options, Reply};
use simtee::http::response;
use support::{World, echo};

fn pieces(parts: Vec<(Vec<u8>, u64)>) -> Reply {
    let timed = |(bytes, pause): (Vec<u8>, u64)| (bytes, Duration::from_millis(pause));
    Reply { pieces: parts.into_iter().map(timed).collect(), then: Then::Continue }
}

#[test]
fn the_quote_request_is_recorded_byte_for_byte() {
    let world = World::honest();
    assert!(world.connect().is_ok());
    let recorded = world.server.recorded.lock().unwrap().clone();
    let head = "POST /tdx_quote HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 80\r\nConnection: keep-alive\r\n\r\n";
    assert_eq!(String::from_utf8_lossy(&recorded[0]), head);
    let body = String::from_utf8(recorded[1].clone()).unwrap();
    let nonce = body.strip_prefix(r#"{"nonce_hex":""#).and_then(|rest| rest.strip_suffix(r#""}"#)).expect(&body);
    assert!(nonce.len() == 64 && nonce.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)));
}

#[test]
fn odd_but_correct_answers_are_accepted() {
    let chunked = |body: &[u8]| {
        let (first, second) = body.split_at(body.len() / 2);
        let mut out = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for part in [first, second] {
            out.extend_from_slice(format!("{:X};ext=1\r\n", part.len()).as_bytes());
            out.extend_from_slice(part);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"0\r\nX-Trailer: yes\r\n\r\n");
        out
    };
    let world = World::replying(move |session| pieces(vec![(chunked(&session.honest()), 0)]));
    echo(&world.connect().unwrap(), b"after chunks");

    let world = World::replying(|session| {
        let mut out = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".to_vec();
        out.extend_from_slice(&response("200 OK", &session.honest()));
        pieces(vec![(out, 0)])
    });
    echo(&world.connect().unwrap(), b"after 1xx");

    // In pieces, but in time.
    let world = World::replying(|session| {
        let whole = response("200 OK", &session.honest());
        pieces(whole.chunks(2000).map(|piece| (piece.to_vec(), 5)).collect())
    });
    echo(&world.connect().unwrap(), b"after pieces");

    // Ended by the end of the connection: nothing can follow, but the evidence is whole.
    let world = World::replying(|session| {
        let mut out = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        out.extend_from_slice(&session.honest());
        Reply::bytes(out).then(Then::Close)
    });
    let stream = world.connect().unwrap();
    let (mut buffer, mut n) = ([0u8; 8], 9);
    let status = unsafe { atls_stream_read(stream.0, buffer.as_mut_ptr(), 8, 1000, &mut n, std::ptr::null_mut()) };
    assert_eq!((status, n), (0, 0), "a clean end");
}

#[test]
fn answers_in_older_forms_are_still_evidence() {
    // success:false with a quote, unknown members, an event log as an array: all still evidence.
    let world = World::lying(|session| {
        let mut document: serde_json::Value = serde_json::from_slice(&session.honest()).unwrap();
        document["success"] = false.into();
        document["new_member"] = serde_json::json!({"a": [1]});
        let log: serde_json::Value = serde_json::from_str(document["quote"]["event_log"].as_str().unwrap()).unwrap();
        document["quote"]["event_log"] = log;
        document.to_string().into()
    });
    assert!(world.connect().is_ok());
    for (status, body, part) in [
        ("400 Bad Request", r#"{"detail":"Missing EKM header"}"#, "Missing EKM header"),
        ("403 Forbidden", r#"{"detail":"Invalid EKM header signature"}"#, "Invalid EKM"),
        ("422 Unprocessable Entity", r#"{"detail":[{"loc":["body"]}]}"#, "422"),
        ("500 Internal Server Error", r#"{"detail":"Server not ready"}"#, "not ready"),
        ("302 Found", "", "302"),
    ] {
        let world = World::replying(move |_| Reply::bytes(response(status, body.as_bytes())));
        let refusal = world.refused("NO_EVIDENCE");
        assert!(refusal.message.contains(part), "{refusal:?}");
        assert_eq!(refusal.http_status.to_string(), status[..3]);
    }
    for (body, status, part) in [
        (r#"{"success":false,"quote":null,"error":"no TEE"}"#, "EVIDENCE_INVALID", "no TEE"),
        ("", "EVIDENCE_INVALID", "tdx_quote"),
        (r#"{"quote":{"quote":"0xabc","event_log":"[]"}}"#, "EVIDENCE_INVALID", "hexadecimal"),
        (r#"{"quote":{"quote":"00","event_log":"[]"}}"#, "QUOTE_INVALID", "cut short"),
    ] {
        let world = World::replying(move |_| Reply::json(body.as_bytes()));
        assert!(world.refused(status).message.contains(part), "{body}");
    }
}

#[test]
fn an_evidence_exchange_that_breaks_says_how() {
    let oversized = World::replying(|_| Reply::json(&vec![b' '; (1 << 20) + 1]));
    assert!(oversized.refused("EVIDENCE_INVALID").message.contains("1048576"));

    let endless = World::replying(|_| {
        let mut out = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        out.resize(2 << 20, b' ');
        Reply::bytes(out).then(Then::Hang)
    });
    assert!(endless.refused("EVIDENCE_INVALID").message.contains("1048576"));

    let truncated = World::replying(|session| {
        let mut whole = response("200 OK", &session.honest());
        whole.truncate(whole.len() - 10);
        Reply::bytes(whole).then(Then::Close)
    });
    assert_eq!(truncated.refused("TRUNCATED").phase, "evidence");

    let cut = World::replying(|session| {
        let mut whole = response("200 OK", &session.honest());
        whole.truncate(100);
        Reply::bytes(whole).then(Then::Cut)
    });
    cut.refused("TRUNCATED");

    let reset = World::replying(|_| Reply::bytes(vec![]).then(Then::Reset));
    reset.refused("IO");

    let garbage = World::replying(|_| Reply::bytes(b"SSH-2.0-hello\r\n\r\n".to_vec()).then(Then::Hang));
    garbage.refused("HTTP_PROTOCOL");

    let lines = World::replying(|_| {
        let mut out = b"HTTP/1.1 200 OK\r\n".to_vec();
        out.extend_from_slice("X: y\r\n".repeat(10_000).as_bytes());
        Reply::bytes(out).then(Then::Hang)
    });
    lines.refused("HTTP_PROTOCOL");

    let stray = World::replying(|session| {
        let mut out = response("200 OK", &session.honest());
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse");
        Reply::bytes(out)
    });
    assert!(stray.refused("EVIDENCE_INVALID").message.contains("after the answer"));
}

#[test]
fn slow_exchanges_end_at_their_deadline() {
    for slow in [0, 1] {
        let world = World::replying(move |session| match slow {
            0 => Reply::bytes(vec![]).then(Then::Hang),
            _ => pieces(response("200 OK", &session.honest()).iter().map(|byte| (vec![*byte], 20)).collect()),
        });
        let mut policy = world.policy.clone();
        policy["binding"] = serde_json::json!({"timeout_ms": 300});
        let begun = Instant::now();
        let refusal = world.refused_with(&policy, "TIMED_OUT");
        assert_eq!(refusal.phase, "evidence");
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn each_fault_of_tls_has_its_status() {
    let stalled = |stall| World::new(Options { stall: Some(stall), ..Options::default() });
    let old = stalled(Stall::OldTls).refused("TLS_VERSION");
    assert_eq!(old.tls_alert, 70, "{old:?}");
    stalled(Stall::GarbageTls).refused("TLS_HANDSHAKE");
    stalled(Stall::ResetBeforeTls).refused("IO");
    let silent = stalled(Stall::BeforeTls);
    let refusal = silent.connect_with(&silent.policy, |config| unsafe {
        atls_config_set_timeouts(config, 0, 200, std::ptr::null_mut());
    });
    let refusal = refusal.err().unwrap();
    assert_eq!((refusal.name.as_str(), refusal.phase.as_str()), ("TIMED_OUT", "tls"));

    let wrong_name = World::new(Options { names: vec!["elsewhere.test"], ..Options::default() });
    assert!(wrong_name.refused("TLS_CERTIFICATE").message.contains("localhost"));
    let expired = World::new(Options { validity: (-30, -1), ..Options::default() });
    assert_eq!(expired.refused("TLS_CERTIFICATE").tls_alert, 45);
    let early = World::new(Options { validity: (1, 30), ..Options::default() });
    early.refused("TLS_CERTIFICATE");
    // A chain to a root that nobody named.
    let world = World::honest();
    let stranger = support::open(world.server.port(), &world.policy, world.verifier, |_| ());
    assert_eq!(stranger.err().unwrap().name, "TLS_CERTIFICATE");
}

/// With a policy, under which the client's last flight waits for the request for evidence.
#[test]
fn a_server_is_told_why_its_certificate_is_refused() {
    let world = World::honest();
    let told = |names: &[&str], days: (i64, i64), knows_the_root: bool| {
        let acceptor = hostile::server::acceptor(world.tee.web_certificate(names, days.0, days.1));
        let listener = world.runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = world.runtime.spawn(async move {
            let (socket, _) = listener.accept().await.unwrap();
            acceptor.accept(socket).await.err().map(|error| error.to_string())
        });
        let opened = match knows_the_root {
            true => world.connect_to(port, &world.policy, |_| ()),
            false => support::open(port, &world.policy, world.verifier, |_| ()),
        };
        assert_eq!(opened.err().unwrap().name, "TLS_CERTIFICATE");
        world.runtime.block_on(served).unwrap().expect("a refusal")
    };
    assert_eq!(told(&["localhost"], (-1, 1), false), "received fatal alert: UnknownCA");
    assert_eq!(told(&["localhost"], (-30, -1), true), "received fatal alert: CertificateExpired");
}

#[test]
fn a_port_where_nobody_listens_is_an_io_error() {
    let world = World::honest();
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let refusal = world.connect_to(port, &world.policy, |_| ()).err().unwrap();
    assert_eq!((refusal.name.as_str(), refusal.phase.as_str()), ("IO", "connect"));
    assert!(refusal.message.contains("refused"), "{refusal:?}");
}

#[test]
fn addresses_of_both_families() {
    let world = World::honest();
    let options = Options { raw_echo: true, ..Options::default() };
    let server = world.runtime.block_on(hostile::Server::start_on("[::1]:0", world.tee.clone(), options));
    // "localhost" is tried on both loopbacks; the literal needs the name said apart.
    echo(&world.connect_to(server.port(), &world.policy, |_| ()).unwrap(), b"by name");
    for host in [c"::1", c"[::1]"] {
        unsafe {
            let (mut config, mut policy, mut stream) =
                (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
            let json = world.policy.to_string();
            assert_eq!(
                atls_policy_new(atls_bytes { ptr: json.as_ptr(), len: json.len() }, &mut policy, std::ptr::null_mut()),
                0
            );
            assert_eq!(atls_config_new(host.as_ptr(), server.port(), &mut config, std::ptr::null_mut()), 0);
            assert_eq!(atls_config_set_policy(config, policy, std::ptr::null_mut()), 0);
            assert_eq!(atls_config_set_verifier(config, world.verifier, std::ptr::null_mut()), 0);
            assert_eq!(atls_config_set_server_name(config, c"tee.test".as_ptr(), std::ptr::null_mut()), 0);
            support::add_root(config, &world.tee.web_ca_pem);
            assert_eq!(atls_stream_connect(config, &mut stream, std::ptr::null_mut()), 0);
            echo(&support::Stream(stream), b"by address");
            atls_config_free(config);
            atls_policy_free(policy);
        }
    }
}

#[test]
fn each_fault_of_a_tunnel_has_its_status() {
    let world = World::replying(|session| Reply::json(&session.honest()));
    let target = format!("localhost:{}", world.server.port());
    let allowed = vec![target, world.pccs.url.strip_prefix("http://").unwrap().to_owned()];
    let forwarder = world.runtime.block_on(hostile::tunnel::start_for(allowed.clone()));
    let secure = world.runtime.block_on(hostile::tunnel::start_tls(&world.tee, allowed));
    let through = |url: String| {
        world.connect_with(&world.policy, move |config| {
            let url = std::ffi::CString::new(url).unwrap();
            let status = unsafe { atls_config_set_tunnel(config, url.as_ptr(), std::ptr::null_mut()) };
            assert_eq!(status, 0);
        })
    };
    let stream = through(format!("ws://{forwarder}/")).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    echo(&stream, &vec![7; 300_000]);
    let stream = through(format!("wss://localhost:{}/", secure.port())).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    echo(&stream, &vec![8; 300_000]);
    // The forwarder's own certificate counts too: this one has no address in it.
    let refusal = through(format!("wss://127.0.0.1:{}/", secure.port())).err().unwrap();
    assert_eq!((refusal.name.as_str(), refusal.phase.as_str()), ("TLS_CERTIFICATE", "tunnel"));
    let refusal = through(format!("ws://{}/", world.server.address)).err().unwrap();
    assert_eq!(refusal.phase, "tunnel", "not a WebSocket server: {refusal:?}");
    let refusal = through(format!("ws://{forwarder}/?target=internal:22")).err().unwrap();
    assert_eq!((refusal.name.as_str(), refusal.http_status), ("TUNNEL_REFUSED", 403));
    assert!(refusal.message.contains("target not allowed"), "{refusal:?}");
}

/// A forwarder that upgrades, does this with its connection, and no more.
fn upgrades_and(
    world: &World,
    end: fn(hostile::tokio_tungstenite::WebSocketStream<tokio::net::TcpStream>) -> Ending,
) -> String {
    let listener = world.runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    world.runtime.spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut socket = hostile::tokio_tungstenite::accept_async(socket).await.unwrap();
                // The ClientHello: a socket that is closed with bytes unread is reset.
                let _ = futures_util::StreamExt::next(&mut socket).await;
                end(socket).await
            });
        }
    });
    format!("ws://{address}/")
}

type Ending = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

#[test]
fn a_forwarder_that_closes_after_the_upgrade_is_named() {
    use futures_util::SinkExt;
    use hostile::tokio_tungstenite::tungstenite::Message;
    use hostile::tokio_tungstenite::tungstenite::protocol::CloseFrame;

    let world = World::honest();
    let through = |url: String| {
        let refusal = world.connect_with(&world.policy, move |config| {
            let url = std::ffi::CString::new(url).unwrap();
            let set = atls_config_set_tunnel;
            assert_eq!(unsafe { set(config, url.as_ptr(), std::ptr::null_mut()) }, 0);
        });
        refusal.err().expect("it leads nowhere")
    };
    let just_gone = upgrades_and(&world, |socket| Box::pin(async move { drop(socket) }));
    let reset = upgrades_and(&world, |socket| {
        Box::pin(async move {
            hostile::server::reset(socket.get_ref()).unwrap();
        })
    });
    let closed = upgrades_and(&world, |mut socket| Box::pin(async move { socket.close(None).await.unwrap() }));
    let told = upgrades_and(&world, |mut socket| {
        Box::pin(async move {
            let frame = CloseFrame { code: 1000.into(), reason: "target unreachable".into() };
            socket.close(Some(frame)).await.unwrap();
        })
    });
    for (url, name, part) in [
        (just_gone, "WEBSOCKET", "without a Close frame"),
        (reset, "IO", "reset"),
        (closed, "WEBSOCKET", "closed before anything came through"),
        (told.clone(), "WEBSOCKET", "closed before anything came through"),
    ] {
        let refusal = through(url);
        assert_eq!((refusal.name.as_str(), refusal.phase.as_str()), (name, "tunnel"), "{refusal:?}");
        assert!(refusal.message.contains("tunnel") && refusal.message.contains(part), "{refusal:?}");
    }
    assert!(through(told).message.contains("code 1000: target unreachable"));

    // Later than that it is a cut, by whoever cut it.
    let midway = upgrades_and(&world, |mut socket| {
        Box::pin(async move {
            socket.send(Message::Binary(vec![22, 3, 3].into())).await.unwrap();
            socket.close(None).await.unwrap();
        })
    });
    let refusal = through(midway);
    assert_eq!(refusal.name, "TRUNCATED");
    assert!(refusal.message.contains("the tunnel ended the connection"), "{refusal:?}");
}
