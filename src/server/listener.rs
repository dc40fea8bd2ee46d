//! Listening sockets: binding, accepting, and going on where accepting fails.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
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

/// A bound and listening socket. Without an address it is every one of this machine, IPv4 and IPv6.
pub fn bind(address: Option<IpAddr>, port: u16, reuse_port: bool) -> Result<std::net::TcpListener> {
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
    Ok(socket.into())
}

/// Accepts until the server stops. Must run on the runtime.
pub async fn accept(server: Arc<Server>, listener: std::net::TcpListener) -> Result<()> {
    let listener = TcpListener::from_std(listener).map_err(|error| Error::from_io(error, Phase::Call))?;
    loop {
        let accepted = tokio::select! {
            biased;
            () = server.stopping.thrown() => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => take(&server, stream, peer),
            // One connection's fault, or a want that passes: the listener is none the worse for it.
            Err(error) => {
                log::emit(log::DEBUG, || format!("accept: {error}"));
                tokio::time::sleep(REST).await;
            }
        }
    }
}

fn take(server: &Arc<Server>, stream: TcpStream, peer: SocketAddr) {
    let Some(place) = server.admit(peer.ip().to_canonical()) else { return };
    let server = server.clone();
    tokio::spawn(async move {
        let served = server.closing.guard(Box::pin(serve(&server, stream, peer))).await;
        if let Err(error) = served {
            log::emit(log::DEBUG, || format!("connection from {peer}: {error}"));
        }
        drop(place);
    });
}

async fn serve(server: &Arc<Server>, stream: TcpStream, peer: SocketAddr) -> Result<()> {
    let socket = Connection::accepted(stream)?;
    let Some(shown) = server.tls() else {
        return connection::serve(socket, server, peer, None).await;
    };
    let handshake = async {
        let accepted = TlsAcceptor::from(shown.config.clone()).accept(socket).await;
        accepted.map_err(|error| Error::from_io(error, Phase::Tls))
    };
    let stream = within(server.settings.limits.handshake, Wait::Handshake, handshake).await?;
    match stream.get_ref().1.alpn_protocol() {
        None | Some(b"http/1.1") => {
            let (_, tls) = stream.get_ref();
            let name = tls.server_name();
            let session = Session::new(shown.leaf(name).to_vec(), tls::peer_leaf(tls), name);
            connection::serve(stream, server, peer, Some(session)).await
        }
        Some(other) => Err(Error::new(Status::TlsHandshake, format!("ALPN {}", other.escape_ascii()))),
    }
}
