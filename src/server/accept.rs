//! Accepts connections, and goes on if that fails; a connection's life up to its first request, and what is logged about it. May touch the network
//! and the clock.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::attestation::TlsSession;
use super::connection_task::connection_task;
use super::http2::http2_task;
use super::listener::Listener;
use super::{Server, place_of};
use crate::error::{Error, Phase, Result, Status};
use crate::io::Socket;
use crate::io::deadline::{Wait, within};
use crate::io::turn::in_turn;
use crate::log;
use crate::tls;
use crate::tls::{HttpVersion, ServerStream, ServerTls, SessionStream};

/// How long accepting pauses when the process is out of file descriptors or memory.
const REST: Duration = Duration::from_millis(50);
/// Such a shortage is logged at most this often.
const SAYING: Duration = Duration::from_secs(10);

/// Accepts until the server stops. Must run on the runtime.
pub async fn accept_task(server: Arc<Server>, listener: Listener) -> Result<()> {
    let listening = Listening::new(listener)?;
    let mut said: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            biased;
            () = server.stopping.thrown() => return Ok(()),
            accepted = listening.next() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => start_connection(&server, socket, peer),
            // A fault of one connection, or a passing shortage: listening goes on.
            Err(error) => {
                if !is_want(&error) {
                    log::emit(log::DEBUG, || format!("server: {}: accept: {error}", listening.place()));
                } else if said.is_none_or(|said| said.elapsed() >= SAYING) {
                    said = Some(Instant::now());
                    log::emit(log::ERROR, || {
                        format!("server: {}: nothing can be accepted: {error}", listening.place())
                    });
                }
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// Whether the process or the system is short of something, which only the host can change.
fn is_want(error: &io::Error) -> bool {
    let wants = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    error.raw_os_error().is_some_and(|errno| wants.contains(&errno))
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

    async fn next(&self) -> io::Result<(Socket, Option<SocketAddr>)> {
        match self {
            Listening::Tcp(listener) => Socket::accept_tcp(listener).await.map(|(socket, peer)| (socket, Some(peer))),
            Listening::Unix(listener) => Socket::accept_unix(listener).await.map(|socket| (socket, None)),
        }
    }

    fn place(&self) -> String {
        match self {
            Listening::Tcp(listener) => place_of(listener.local_addr().ok()),
            Listening::Unix(_) => place_of(None),
        }
    }
}

/// What is logged about a connection when it has ended.
#[derive(Default)]
pub(super) struct ConnectionSummary {
    /// How long the handshake took.
    pub tls: OnceLock<Duration>,
    pub requests: AtomicU64,
}

impl ConnectionSummary {
    fn line(&self, peer: Option<SocketAddr>, took: Duration, ended: &Result<()>) -> String {
        let outcome = ended.as_ref().err().map_or_else(|| "closed".into(), log::reason);
        let tls = self.tls.get().map_or(String::new(), |tls| format!(" tls={}", tls.as_millis()));
        let requests = self.requests.load(Ordering::Relaxed);
        format!("server: {}: {outcome}: requests={requests}{tls} total={}", place_of(peer), took.as_millis())
    }
}

/// Serves a connection, unless a limit turns it away. Must run on the runtime.
pub fn start_connection(server: &Arc<Server>, socket: Socket, peer: Option<SocketAddr>) {
    let Some(place) = server.admit(peer.map(|peer| peer.ip().to_canonical())) else { return };
    let server = server.clone();
    tokio::spawn(in_turn(async move {
        let (account, began) = (ConnectionSummary::default(), Instant::now());
        let serving = async {
            let socket = socket.prepared()?;
            socket.probe(server.settings.limits.probe)?;
            handshake_and_serve(&server, socket, peer, &account).await
        };
        let served = server.closing.guard(Box::pin(serving)).await;
        log::emit(log::INFO, || account.line(peer, began.elapsed(), &served));
        drop(place);
    }));
}

async fn handshake_and_serve(
    server: &Arc<Server>,
    socket: Socket,
    peer: Option<SocketAddr>,
    account: &ConnectionSummary,
) -> Result<()> {
    let Some(shown) = server.tls() else {
        return connection_task(socket, server, peer, None, account).await;
    };
    let began = Instant::now();
    // Boxed, as is what follows: the handshake needs many times the memory that the connection keeps.
    let (stream, session, version) = match Box::pin(shake_hands(server, socket, &shown)).await {
        Ok(done) => done,
        Err(error) => {
            server.handshake_failed(error.clone().peer(peer));
            return Err(error);
        }
    };
    let _ = account.tls.set(began.elapsed());
    match version {
        HttpVersion::Http1 => connection_task(stream, server, peer, Some(session), account).await,
        HttpVersion::Http2 => Box::pin(http2_task(stream, server, peer, session, account)).await,
    }
}

async fn shake_hands(
    server: &Server,
    socket: Socket,
    shown: &ServerTls,
) -> Result<(ServerStream<Socket>, TlsSession, HttpVersion)> {
    let handshake = async {
        let accepted = TlsAcceptor::from(shown.config.clone()).accept(socket).await;
        accepted.map(SessionStream::new).map_err(|error| Error::from_io(error, Phase::Tls))
    };
    let stream = within(server.settings.limits.handshake, Wait::Handshake, handshake).await?;
    let (_, tls) = stream.get_ref();
    let version = server.settings.http_versions.agreed(tls.alpn_protocol())?;
    let name = tls.server_name();
    let leaf = shown.leaf(name).ok_or_else(|| Error::new(Status::Internal, "no certificate was shown"))?;
    let session = TlsSession::new(leaf.to_vec(), tls::peer_leaf(tls), name);
    Ok((stream, session, version))
}
