//! Resolves names and dials TCP by happy eyeballs (RFC 8305). Touches the network and the clock.

use std::fmt;
#[cfg(not(target_os = "linux"))]
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::{TcpSocket, TcpStream};

use super::Socket;
use super::offload::offload;
use crate::error::{Error, Phase, Result, Status};
use crate::log;

/// How long one address may keep the next one waiting (RFC 8305 section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// How to dial.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dial {
    pub from: Option<LocalEnd>,
    pub family: AddressFamily,
    /// Names that are not resolved: instead of the first host and port, the second are dialled. The first host is in normal form.
    pub instead: Vec<((String, u16), (String, u16))>,
    /// Asked instead of the system's resolver.
    pub resolver: Option<Resolver>,
}

/// Resolves names. Runs on a helper thread, and may wait.
pub trait Resolve: Send + Sync {
    fn resolve(&self, host: &str) -> Result<Vec<IpAddr>>;
}

#[derive(Clone)]
pub struct Resolver(pub Arc<dyn Resolve>);

/// The same resolver, not an equal one.
impl PartialEq for Resolver {
    fn eq(&self, other: &Resolver) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Resolver {}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resolver({:p})", Arc::as_ptr(&self.0))
    }
}

/// The local end of connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalEnd {
    Address(IpAddr),
    /// By its name; Linux only.
    Interface(String),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressFamily {
    #[default]
    Any,
    V4,
    V6,
}

impl Dial {
    fn takes(&self, address: &SocketAddr) -> bool {
        let v6 = match (self.family, &self.from) {
            (AddressFamily::V4, _) | (_, Some(LocalEnd::Address(IpAddr::V4(_)))) => false,
            (AddressFamily::V6, _) | (_, Some(LocalEnd::Address(IpAddr::V6(_)))) => true,
            _ => return true,
        };
        address.is_ipv6() == v6
    }
}

/// Resolves and connects. `host` is a name or an address, IPv6 with or without brackets.
pub async fn dial(host: &str, port: u16, how: &Dial) -> Result<Socket> {
    reach(resolve(host, port, how).await?, how).await
}

/// Connects to the first address that answers.
pub async fn reach(addresses: Vec<SocketAddr>, how: &Dial) -> Result<Socket> {
    let mut attempts = FuturesUnordered::new();
    let mut failure = None;
    let mut waiting = addresses.into_iter();
    loop {
        if let Some(address) = waiting.next() {
            attempts.push(async move { (address, attempt(address, how.from.as_ref()).await) });
        } else if attempts.is_empty() {
            break;
        }
        let joined = if waiting.len() > 0 {
            tokio::time::timeout(ATTEMPT_DELAY, attempts.next()).await.ok().flatten()
        } else {
            attempts.next().await
        };
        match joined {
            Some((_, Ok(stream))) => return Socket::dialled(stream),
            Some((address, Err(error))) => failure = Some(error.context(format!("connect to {address}"))),
            None => {}
        }
    }
    Err(failure.unwrap_or_else(|| Error::new(Status::Dns, "no address").phase(Phase::Dns)))
}

async fn attempt(address: SocketAddr, from: Option<&LocalEnd>) -> Result<TcpStream> {
    let begun = Instant::now();
    let done = open(address, from).await;
    log::emit(log::DEBUG, || {
        let said = done.as_ref().err().map_or_else(|| "connected".into(), log::reason);
        format!("connect: {address}: {said}, after {} ms", begun.elapsed().as_millis())
    });
    if let Err(error) = &done {
        log::starved("connect", error);
    }
    done
}

async fn open(address: SocketAddr, from: Option<&LocalEnd>) -> Result<TcpStream> {
    let failed = |error| Error::from_io(error, Phase::Connect);
    let Some(from) = from else { return TcpStream::connect(address).await.map_err(failed) };
    let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }.map_err(failed)?;
    let bound = match from {
        LocalEnd::Address(own) => socket.bind(SocketAddr::new(*own, 0)),
        #[cfg(target_os = "linux")]
        LocalEnd::Interface(name) => socket.bind_device(Some(name.as_bytes())),
        #[cfg(not(target_os = "linux"))]
        LocalEnd::Interface(_) => Err(io::ErrorKind::Unsupported.into()),
    };
    bound.map_err(|error| match from {
        LocalEnd::Address(own) => failed(error).context(format!("binding to {own}")),
        LocalEnd::Interface(name) => failed(error).context(format!("binding to interface {name}")),
    })?;
    socket.connect(address).await.map_err(failed)
}

/// Addresses in the order in which they are tried: families alternate, beginning with the resolver's first choice. Never empty.
pub async fn resolve(host: &str, port: u16, how: &Dial) -> Result<Vec<SocketAddr>> {
    let plain = host.trim_end_matches('.');
    let instead = how.instead.iter().find(|((name, number), _)| name.eq_ignore_ascii_case(plain) && *number == port);
    let (host, port) = instead.map_or((host, port), |(_, (name, number))| (name.as_str(), *number));
    let begun = Instant::now();
    let found = look_up(host, port, how.resolver.as_ref()).await;
    log::emit(log::DEBUG, || {
        let said = match &found {
            Ok(found) => found.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(", "),
            Err(error) => log::reason(error),
        };
        format!("dns: {host}: {said}, after {} ms", begun.elapsed().as_millis())
    });
    let mut found = found?;
    found.retain(|address| how.takes(address));
    if found.is_empty() {
        let message = format!("{host} has no address of the family that is asked for");
        return Err(Error::new(Status::Dns, message).phase(Phase::Dns));
    }
    let leading = found[0].is_ipv6();
    let (first, second): (Vec<_>, Vec<_>) = found.into_iter().partition(|address| address.is_ipv6() == leading);
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

async fn look_up(host: &str, port: u16, resolver: Option<&Resolver>) -> Result<Vec<SocketAddr>> {
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = literal.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    if let Some(Resolver(resolver)) = resolver.cloned() {
        let name = host.to_owned();
        let found = offload(move || resolver.resolve(&name)).await.map_err(|error| error.phase(Phase::Dns))?;
        return Ok(found?.into_iter().map(|address| SocketAddr::new(address, port)).collect());
    }
    if host.eq_ignore_ascii_case("localhost") {
        // Loopback whatever a resolver says (RFC 6761 section 6.3), and without the thread that asking one takes.
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        return Ok(loopback.map(|address| SocketAddr::new(address, port)).to_vec());
    }
    let name = host.to_owned();
    let found =
        offload(move || (name.as_str(), port).to_socket_addrs()).await.map_err(|error| error.phase(Phase::Dns))?;
    let found = found.map_err(|error| {
        let mut error = Error::from_io(error, Phase::Dns).context(format!("resolve {host}"));
        error.status = Status::Dns;
        error
    })?;
    Ok(found.collect())
}
