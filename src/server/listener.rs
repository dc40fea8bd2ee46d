//! Listening sockets, bound here or handed over by the host. May touch the network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::error::{Error, Phase, Result, Status};
use crate::io::blocking::check_may_block;

/// A socket that listens.
#[derive(Debug)]
pub enum Listener {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

impl Listener {
    /// 0 for a Unix socket.
    pub fn port(&self) -> Result<u16> {
        match self {
            Listener::Tcp(listener) => {
                let place = listener.local_addr().map_err(|error| Error::from_io(error, Phase::Call))?;
                Ok(place.port())
            }
            Listener::Unix(_) => Ok(0),
        }
    }
}

/// How many ports are tried to find one that is free at every address of a name.
const PORTS: u32 = 8;

/// Listening sockets, one for each address of the name, all at one port. Without a name: every address of this machine, IPv4 and IPv6. Blocks while a name
/// is resolved. Errors: WouldDeadlock (a name, on a thread of the library), Dns, Io.
pub fn bind(name: Option<&str>, port: u16, reuse_port: bool, backlog: i32) -> Result<Vec<Listener>> {
    let how = (reuse_port, backlog);
    let Some(name) = name else { return bind_everywhere(port, how).map(|listener| vec![listener]) };
    if !is_address(name) {
        check_may_block()?;
    }
    let addresses = addresses_of(name)?;
    let mut tried = 0;
    loop {
        tried += 1;
        match bind_all(&addresses, port, how) {
            // The port that the system chose for the first address is in use at another.
            Err(error) if port == 0 && tried < PORTS && error.os_errno == libc::EADDRINUSE => {}
            done => return done,
        }
    }
}

/// Whether a name is an address, which needs no look-up.
fn is_address(name: &str) -> bool {
    name.parse::<IpAddr>().is_ok()
}

fn addresses_of(name: &str) -> Result<Vec<IpAddr>> {
    if let Ok(address) = name.parse() {
        return Ok(vec![address]);
    }
    // Always loopback (RFC 6761 section 6.3).
    if name.eq_ignore_ascii_case("localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let failed =
        |why: String| Error::new(Status::Dns, format!("resolve {}: {why}", name.escape_debug())).phase(Phase::Dns);
    let found = (name, 0).to_socket_addrs().map_err(|error| failed(error.to_string()))?;
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in found.map(|place| place.ip()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    match addresses.is_empty() {
        true => Err(failed("no address".into())),
        false => Ok(addresses),
    }
}

type How = (bool, i32);

fn bind_everywhere(port: u16, how: How) -> Result<Listener> {
    match bind_one(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port), false, how) {
        // A machine without IPv6.
        Err(error) if is_absent(&error) => bind_one(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port), true, how),
        done => done,
    }
}

/// Whether this machine does not have the address, or its family.
fn is_absent(error: &Error) -> bool {
    matches!(error.os_errno, libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)
}

/// Binds those of the addresses that this machine has, at least one.
fn bind_all(addresses: &[IpAddr], mut port: u16, how: How) -> Result<Vec<Listener>> {
    let (mut bound, mut absent) = (Vec::new(), None);
    for address in addresses {
        match bind_one(SocketAddr::new(*address, port), true, how) {
            Ok(listener) => {
                port = listener.port()?;
                bound.push(listener);
            }
            Err(error) if is_absent(&error) => absent = Some(error),
            Err(error) => return Err(error),
        }
    }
    match absent {
        Some(error) if bound.is_empty() => Err(error),
        _ => Ok(bound),
    }
}

fn bind_one(place: SocketAddr, one_family: bool, (reuse_port, backlog): How) -> Result<Listener> {
    let failed = |error| Error::from_io(error, Phase::Call).context(format!("listen on {place}"));
    let socket = Socket::new(Domain::for_address(place), Type::STREAM, None).map_err(failed)?;
    if place.is_ipv6() {
        socket.set_only_v6(one_family).map_err(failed)?;
    }
    socket.set_reuse_address(true).map_err(failed)?;
    if reuse_port {
        socket.set_reuse_port(true).map_err(failed)?;
    }
    socket.bind(&place.into()).map_err(failed)?;
    socket.listen(backlog).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    Ok(Listener::Tcp(socket.into()))
}

/// As `bind`, for a Unix socket at `path`; on Linux `@` at the beginning means an abstract name.
pub fn bind_unix(path: &str, backlog: i32) -> Result<Listener> {
    let failed = |error| Error::from_io(error, Phase::Call).context(format!("listen on {path:?}"));
    let address = match path.strip_prefix('@') {
        Some(name) => SockAddr::unix(format!("\0{name}")),
        None => SockAddr::unix(path),
    };
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
    socket.bind(&address.map_err(failed)?).map_err(failed)?;
    socket.listen(backlog).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    Ok(Listener::Unix(socket.into()))
}

/// A listening socket that the host has made. Errors: InvalidArgument (it does not listen, or is neither TCP nor Unix).
pub fn take_over(socket: Socket) -> Result<Listener> {
    let failed = |error| Error::from_io(error, Phase::Call);
    let refuse = |why: &str| Error::new(Status::InvalidArgument, why);
    if !socket.is_listener().map_err(failed)? {
        return Err(refuse("the socket does not listen"));
    }
    socket.set_nonblocking(true).map_err(failed)?;
    match socket.domain().map_err(failed)? {
        Domain::IPV4 | Domain::IPV6 => Ok(Listener::Tcp(socket.into())),
        Domain::UNIX => Ok(Listener::Unix(socket.into())),
        _ => Err(refuse("the socket is neither TCP nor Unix")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(listener: &Listener) -> SocketAddr {
        match listener {
            Listener::Tcp(listener) => listener.local_addr().expect("a place"),
            Listener::Unix(_) => panic!("a Unix socket"),
        }
    }

    #[test]
    fn an_address_needs_no_look_up_and_a_name_does() {
        for address in ["127.0.0.1", "::1", "2001:db8::1"] {
            assert!(is_address(address), "{address}");
        }
        for name in ["localhost", "127.1", "[::1]", "127.0.0.1:80", ""] {
            assert!(!is_address(name), "{name}");
        }
        assert_eq!(addresses_of("LocalHost").unwrap(), [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()]);
    }

    #[test]
    fn a_name_is_bound_at_all_of_its_addresses_and_at_one_port() {
        let bound = bind(Some("localhost"), 0, false, 5).expect("a port");
        let port = bound[0].port().unwrap();
        assert!(port != 0 && bound.iter().all(|listener| listener.port().unwrap() == port));
        assert!(bound.iter().all(|listener| place(listener).ip().is_loopback()));
        // The port is taken, and a port that is asked for is not exchanged for another.
        let taken = bind(Some("127.0.0.1"), port, false, 5).unwrap_err();
        assert_eq!((taken.status, taken.os_errno), (Status::Io, libc::EADDRINUSE));
        assert!(taken.message.contains(&format!("listen on 127.0.0.1:{port}")), "{}", taken.message);
    }

    #[test]
    fn without_a_name_every_address_is_bound() {
        let bound = bind(None, 0, false, 5).expect("a port");
        assert!(bound.len() == 1 && place(&bound[0]).ip().is_unspecified());
    }

    #[test]
    fn a_socket_that_does_not_listen_is_not_taken_over() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        assert_eq!(take_over(socket).unwrap_err().status, Status::InvalidArgument);
        let Listener::Tcp(listener) = bind(Some("127.0.0.1"), 0, false, 5).expect("a port").remove(0) else {
            panic!("not TCP")
        };
        let port = listener.local_addr().unwrap().port();
        assert_eq!(take_over(listener.into()).expect("it listens").port().unwrap(), port);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_abstract_unix_socket_has_no_file_and_no_port() {
        let path = format!("@atls-listener-{}", std::process::id());
        let listener = bind_unix(&path, 5).expect("bound");
        assert_eq!(listener.port().unwrap(), 0);
        assert!(!std::path::Path::new(&path).exists());
        assert_eq!(bind_unix(&path, 5).unwrap_err().os_errno, libc::EADDRINUSE);
        let long = format!("/tmp/{}", "x".repeat(200));
        assert!(bind_unix(&long, 5).unwrap_err().message.contains("listen on"));
    }
}
