//! TCP: dialling by happy eyeballs (RFC 8305) and a socket that never raises SIGPIPE. May touch the network and the clock.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::error::{Error, Phase, Result, Status};

/// How long one address may keep the next one waiting (RFC 8305 section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// A connected TCP socket. Sends carry MSG_NOSIGNAL, so that a reset by the peer is an error code on whichever thread drives the
/// connection, also where that thread is the host's own.
#[derive(Debug)]
pub struct Socket(TcpStream);

impl Socket {
    pub fn peer(&self) -> Option<SocketAddr> {
        self.0.peer_addr().ok()
    }

    fn send(&self, send: impl Fn(SockRef<'_>) -> io::Result<usize>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match self.0.try_io(Interest::WRITABLE, || send(SockRef::from(&self.0))) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

#[cfg(target_vendor = "apple")]
const SEND_FLAGS: i32 = 0;
#[cfg(not(target_vendor = "apple"))]
const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL;

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.send(|socket| socket.send_with_flags(buf, SEND_FLAGS), cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.send(|socket| socket.send_vectored_with_flags(bufs, SEND_FLAGS), cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Connects to the first address that answers. `host` is a name or an address, IPv6 with or without brackets.
pub async fn dial(host: &str, port: u16) -> Result<Socket> {
    let addresses = resolve(host, port).await?;
    let mut attempts = FuturesUnordered::new();
    let mut failure = None;
    let mut waiting = addresses.into_iter();
    loop {
        if let Some(address) = waiting.next() {
            attempts.push(async move { (address, TcpStream::connect(address).await) });
        } else if attempts.is_empty() {
            break;
        }
        let joined = if waiting.len() > 0 {
            tokio::time::timeout(ATTEMPT_DELAY, attempts.next()).await.ok().flatten()
        } else {
            attempts.next().await
        };
        match joined {
            Some((_, Ok(stream))) => return prepare(stream),
            Some((address, Err(error))) => {
                failure = Some(Error::from_io(error, Phase::Connect).context(format!("connect to {address}")));
            }
            None => {}
        }
    }
    Err(failure.unwrap_or_else(|| Error::new(Status::Dns, format!("{host} has no address")).phase(Phase::Dns)))
}

fn prepare(stream: TcpStream) -> Result<Socket> {
    stream.set_nodelay(true).map_err(|error| Error::from_io(error, Phase::Connect))?;
    #[cfg(target_vendor = "apple")]
    SockRef::from(&stream).set_nosigpipe(true).map_err(|error| Error::from_io(error, Phase::Connect))?;
    Ok(Socket(stream))
}

/// Addresses in the order to try them: families alternate, beginning with the resolver's first choice.
async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>> {
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = literal.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    if host.eq_ignore_ascii_case("localhost") {
        // Loopback whatever a resolver says (RFC 6761 section 6.3), and without the thread that asking one takes.
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        return Ok(loopback.map(|address| SocketAddr::new(address, port)).to_vec());
    }
    let found = tokio::net::lookup_host((host, port)).await.map_err(|error| {
        let mut error = Error::from_io(error, Phase::Dns).context(format!("resolve {host}"));
        error.status = Status::Dns;
        error
    })?;
    let (mut first, mut second): (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
    let mut leading = None;
    for address in found {
        let v6 = address.is_ipv6();
        if *leading.get_or_insert(v6) == v6 { first.push(address) } else { second.push(address) }
    }
    let mut ordered = Vec::new();
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let before = ordered.len();
        ordered.extend(first.next());
        ordered.extend(second.next());
        if ordered.len() == before {
            return Ok(ordered);
        }
    }
}
