//! The way to collateral services: that of the connection, or the verifier's own. Through the C ABI; tests/c/test_proxy.c has real proxies.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use std::ffi::CString;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ptr::{null, null_mut};
use std::sync::{Arc, Mutex};
use support::abi::*;

use support::{Refusal, Stream, World};

/// A name that no resolver knows (RFC 6761).
const HIDDEN: &str = "pccs.invalid";

/// An HTTP proxy in whose network `HIDDEN` is `service`; records what it was asked for.
fn proxy(service: String) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let record = asked.clone();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, service, record) = (client.unwrap(), service.clone(), record.clone());
            std::thread::spawn(move || {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    client.read_exact(&mut byte).ok()?;
                    head.push(byte[0]);
                }
                let target = String::from_utf8(head).unwrap().split(' ').nth(1).unwrap().to_owned();
                record.lock().unwrap().push(target.clone());
                let place = if target == format!("{HIDDEN}:80") { service } else { target };
                let mut server = TcpStream::connect(place).ok()?;
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
                let (mut up, mut down) = (client.try_clone().ok()?, server.try_clone().ok()?);
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut up, &mut server);
                    server.shutdown(std::net::Shutdown::Write)
                });
                let _ = std::io::copy(&mut down, &mut client);
                client.shutdown(std::net::Shutdown::Write).ok()
            });
        }
    });
    (port, asked)
}

fn address(world: &World) -> String {
    world.pccs.url.strip_prefix("http://").unwrap().to_owned()
}

fn port(world: &World) -> u16 {
    address(world).rsplit_once(':').unwrap().1.parse().unwrap()
}

/// A world whose collateral service has a name that leads nowhere.
fn hidden() -> World {
    let mut world = World::honest();
    world.policy["pccs_url"] = format!("http://{HIDDEN}").into();
    world
}

fn set_proxy(config: *mut atls_config, port: u16) {
    let url = CString::new(format!("http://127.0.0.1:{port}")).unwrap();
    assert_eq!(unsafe { atls_config_set_proxy(config, url.as_ptr(), null(), null(), ATLS_AUTH_BASIC, null_mut()) }, 0);
}

fn map_host(config: *mut atls_config, port: u16) {
    let (from, to) = (CString::new(HIDDEN).unwrap(), c"127.0.0.1");
    assert_eq!(unsafe { atls_config_map_host(config, from.as_ptr(), 80, to.as_ptr(), port, null_mut()) }, 0);
}

/// Connects directly, with a verifier that goes its own way.
fn apart(
    world: &World,
    route: impl FnOnce(*mut atls_config),
    connection: impl FnOnce(*mut atls_config),
) -> Result<Stream, Refusal> {
    unsafe {
        let (mut config, mut trust, mut verifier) = (null_mut(), null_mut(), null_mut());
        assert_eq!(atls_verifier_config_new(&mut trust, null_mut()), 0);
        assert_eq!(atls_config_new(null(), 0, &mut config, null_mut()), 0);
        route(config);
        let root = &world.tee.root_der;
        assert_eq!(
            atls_verifier_config_set_simulated_root(
                trust,
                atls_bytes { ptr: root.as_ptr(), len: root.len() },
                null_mut()
            ),
            0
        );
        assert_eq!(atls_verifier_config_set_route(trust, config, null_mut()), 0);
        atls_config_free(config);
        assert_eq!(atls_verifier_new(trust, &mut verifier, null_mut()), 0);
        atls_verifier_config_free(trust);
        let done = support::open(world.server.port(), &world.policy, verifier, |config| {
            support::add_root(config, &world.tee.web_ca_pem);
            connection(config);
        });
        atls_verifier_free(verifier);
        done
    }
}

#[test]
fn collateral_goes_through_the_connections_proxy() {
    let world = hidden();
    let refusal = world.refused("COLLATERAL_UNAVAILABLE");
    assert!(refusal.message.contains(HIDDEN), "{refusal:?}");
    let (port, asked) = proxy(address(&world));
    let stream = world.connect_with(&world.policy, |config| set_proxy(config, port));
    drop(stream.unwrap_or_else(|refusal| panic!("{refusal:?}")));
    let asked = asked.lock().unwrap();
    assert_eq!(asked.iter().filter(|target| **target == format!("{HIDDEN}:80")).count(), 4, "{asked:?}");
    assert_eq!(world.pccs.hits(""), 4);
}

#[test]
fn collateral_goes_the_verifiers_own_way() {
    let world = hidden();
    let (port, asked) = proxy(address(&world));
    assert!(apart(&world, |route| set_proxy(route, port), |_| ()).is_ok());
    assert_eq!(*asked.lock().unwrap(), vec![format!("{HIDDEN}:80"); 4], "nothing else went there");
    // It counts where the connection has another way: here one that leads to no service.
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refusal = apart(&world, |route| set_proxy(route, dead), |config| map_host(config, self::port(&world)));
    assert!(refusal.err().unwrap().message.contains("proxy"));
    // And one without anything dials directly, whatever the connection does.
    let plain = World::honest();
    let (port, asked) = proxy(address(&plain));
    assert!(apart(&plain, |_| (), |config| set_proxy(config, port)).is_ok());
    assert_eq!(*asked.lock().unwrap(), vec![format!("localhost:{}", plain.server.port())]);
}

#[test]
fn collateral_goes_by_mapped_hosts_own_address_and_family() {
    let world = hidden();
    assert!(world.connect_with(&world.policy, |config| map_host(config, port(&world))).is_ok());

    let world = World::honest();
    let bind = |config| assert_eq!(unsafe { atls_config_set_bind(config, c"127.0.0.2".as_ptr(), null_mut()) }, 0);
    assert!(world.connect_with(&world.policy, bind).is_ok());
    let peers = world.pccs.peers.lock().unwrap();
    assert!(peers.len() == 4 && peers.iter().all(|peer| peer.to_string() == "127.0.0.2"), "{peers:?}");

    let world = World::honest();
    let v6 = |route| assert_eq!(unsafe { atls_config_set_family(route, ATLS_FAMILY_IPV6, null_mut()) }, 0);
    let refusal = apart(&world, v6, |_| ()).err().unwrap();
    assert!(refusal.name == "COLLATERAL_UNAVAILABLE" && refusal.message.contains("family"), "{refusal:?}");
}

#[test]
fn collateral_goes_through_the_connections_tunnel() {
    let world = World::honest();
    let server = format!("localhost:{}", world.server.port());
    let through = |url: String| {
        let url = CString::new(url).unwrap();
        let set = |config| assert_eq!(unsafe { atls_config_set_tunnel(config, url.as_ptr(), null_mut()) }, 0);
        world.connect_with(&world.policy, set)
    };
    // A forwarder that does not lead to the service, and one for a single target: neither is gone around.
    let narrow = world.runtime.block_on(hostile::tunnel::start(server.clone()));
    let refusal = through(format!("ws://{narrow}/")).err().unwrap();
    assert_eq!((refusal.name.as_str(), refusal.http_status), ("COLLATERAL_UNAVAILABLE", 403), "{refusal:?}");
    let refusal = through(format!("ws://{narrow}/?target={server}")).err().unwrap();
    assert!(refusal.name == "COLLATERAL_UNAVAILABLE" && refusal.message.contains("own target"), "{refusal:?}");
    assert_eq!(world.pccs.hits(""), 0);
    let wide = world.runtime.block_on(hostile::tunnel::start_for(vec![server, address(&world)]));
    drop(through(format!("ws://{wide}/")).unwrap_or_else(|refusal| panic!("{refusal:?}")));
    assert_eq!(world.pccs.hits(""), 4);
}
