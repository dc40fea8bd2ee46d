//! Listening sockets: binding, accepting, and going on where accepting fails.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;

use super::show::Session;
use super::{Server, connection};
use crate::deadline::{Wait, within};
use crate::error::{Error, Phase, Result, Status};
use crate::log;
use crate::net::Socket as Connection;
use crate::tls;

/// Connections that the system keeps until they are accepted.
const BACKLOG: i32 = 1024;
/// How long nothing is accepted where the process is out of file descriptors or memory.
const REST: Duration = Duration::from_millis(50);

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

/// A bound and listening socket. Without an address it is every one of this machine, IPv4 and IPv6.
pub fn bind(address: Option<IpAddr>, port: u16, reuse_port: bool) -> Result<Listener> {
    let place = SocketAddr::new(address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)), port);
    let failed = |error| Error::from_io(error, Phase::Call).context(format!("listen on {place}"));
    let socket = Socket::new(Domain::for_address(place), Type::STREAM, None).map_err(failed)?;
    if place.is_ipv6() {
        socket.set_only_v6(address.is_some()).map_err(failed)?;
    }
    socket.set_reuse_address(true).map_err(failed)?;
    if reuse_port {
        socket.set_reuse_port(true).map_err(failed)?;
    }
    socket.bind(&place.into()).map_err(failed)?;
    socket.listen(BACKLOG).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    Ok(Listener::Tcp(socket.into()))
}

/// As `bind`, a Unix socket at `path`; on Linux one that begins with `@` is an abstract one.
pub fn bind_unix(path: &str) -> Result<Listener> {
    let failed = |error| Error::from_io(error, Phase::Call).context(format!("listen on {path:?}"));
    let address = match path.strip_prefix('@') {
        Some(name) => SockAddr::unix(format!("\0{name}")),
        None => SockAddr::unix(path),
    };
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
    socket.bind(&address.map_err(failed)?).map_err(failed)?;
    socket.listen(BACKLOG).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    Ok(Listener::Unix(socket.into()))
}

/// A listening socket of somebody else's making. Errors: InvalidArgument (it does not listen, or is neither TCP nor Unix).
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

/// Accepts until the server stops. Must run on the runtime.
pub async fn accept(server: Arc<Server>, listener: Listener) -> Result<()> {
    let listening = Listening::new(listener)?;
    loop {
        let accepted = tokio::select! {
            biased;
            () = server.stopping.thrown() => return Ok(()),
            accepted = listening.next() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => take(&server, socket, peer),
            // One connection's fault, or a want that passes: the listener is none the worse for it.
            Err(error) => {
                log::emit(log::DEBUG, || format!("accept: {error}"));
                tokio::time::sleep(REST).await;
            }
        }
    }
}

enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listening {
    fn new(listener: Listener) -> Result<Listening> {
        let made = match listener {
            Listener::Tcp(listener) => TcpListener::from_std(listener).map(Listening::Tcp),
            Listener::Unix(listener) => UnixListener::from_std(listener).map(Listening::Unix),
        };
        made.map_err(|error| Error::from_io(error, Phase::Call))
    }

    async fn next(&self) -> io::Result<(Connection, Option<SocketAddr>)> {
        match self {
            Listening::Tcp(listener) => {
                Connection::accept_tcp(listener).await.map(|(socket, peer)| (socket, Some(peer)))
            }
            Listening::Unix(listener) => Connection::accept_unix(listener).await.map(|socket| (socket, None)),
        }
    }
}

/// Serves a connection, if there is a place for it. Must run on the runtime.
pub fn take(server: &Arc<Server>, socket: Connection, peer: Option<SocketAddr>) {
    let Some(place) = server.admit(peer.map(|peer| peer.ip().to_canonical())) else { return };
    let server = server.clone();
    tokio::spawn(async move {
        let serving = async { serve(&server, socket.prepared()?, peer).await };
        let served = server.closing.guard(Box::pin(serving)).await;
        if let Err(error) = served {
            log::emit(log::DEBUG, || format!("connection: {error}"));
        }
        drop(place);
    });
}

async fn serve(server: &Arc<Server>, socket: Connection, peer: Option<SocketAddr>) -> Result<()> {
    let Some(shown) = server.tls() else {
        return connection::serve(socket, server, peer, None).await;
    };
    let handshake = async {
        let accepted = TlsAcceptor::from(shown.config.clone()).accept(socket).await;
        accepted.map_err(|error| Error::from_io(error, Phase::Tls))
    };
    // Boxed, as is what follows it: what the handshake needs is many times what the connection keeps.
    let stream = Box::pin(within(server.settings.limits.handshake, Wait::Handshake, handshake)).await?;
    match stream.get_ref().1.alpn_protocol() {
        None | Some(b"http/1.1") => {
            let (_, tls) = stream.get_ref();
            let name = tls.server_name();
            let leaf = shown.leaf(name).ok_or_else(|| Error::new(Status::Internal, "no certificate was shown"))?;
            let session = Session::new(leaf.to_vec(), tls::peer_leaf(tls), name);
            connection::serve(stream, server, peer, Some(session)).await
        }
        Some(other) => Err(Error::new(Status::TlsHandshake, format!("ALPN {}", other.escape_ascii()))),
    }
}
