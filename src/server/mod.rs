//! The HTTP server: listeners, connections with or without TLS, requests to the host and its responses back. HTTP is read and written by `h1`, and what that
//! refuses is refused here. May touch the network and the clock.

mod accept;
mod attestation;
mod client_trust;
mod connection_task;
mod event;
mod evidence_exchange;
mod exchange;
pub mod file;
mod forwarded;
mod http2;
mod http2_body;
mod http2_head;
mod http2_response;
mod http2_stream;
mod http2_wire;
mod limits;
mod listener;
mod request;
mod request_line;
mod response_head;
mod response_state;
mod settings;
#[cfg(test)]
mod tests;
mod transport;
mod upgrade;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, UNIX_EPOCH};

use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};

pub use accept::{accept_task, start_connection};
pub use event::ServerEvent;
pub use forwarded::Forwarded;
pub use limits::{ServerDeadline, ServerLimit, ServerLimits};
pub use listener::{Listener, bind, bind_unix, take_over};
pub use request::{ServerRequest, Switch};
pub use request_line::RequestLine;
pub use response_head::ResponseHead;

use attestation::TlsSession;
use request_line::RequestContext;

use crate::attest::Policy;
use crate::attester::{Attester, Devices, Providers};
use crate::error::{Error, Result, Status};
use crate::io::clock;
use crate::io::sync::lock;
use crate::io::turn::in_turn;
use crate::log;
use crate::message::ReceivedHead;
use crate::operation::{Cancel, Credit, Observer, Outlet, Running};
use crate::tls::{HttpVersion, HttpVersions, Identity, ServerTls, ServerTlsSettings, server_config};
use crate::tunnel::{ForwarderRules, TunnelTraffic};
use crate::verifier::Verifier;

/// How long a refused peer waits at most for the host to take note.
const TAKING_NOTE: Duration = Duration::from_secs(1);

/// At most this many events about failed handshakes wait for the host. Anyone can cause them, so further ones are only counted.
const HANDSHAKES_TOLD: usize = 1024;

/// The configuration of a server.
#[derive(Clone, Default)]
pub struct ServerSettings {
    pub limits: ServerLimits,
    /// `None` serves without TLS.
    pub tls: Option<ServerTlsSettings>,
    /// The versions of HTTP that are spoken in TLS; in the clear it is HTTP/1.1 alone.
    pub http_versions: HttpVersions,
    /// Where the server's evidence comes from, of each kind; needs TLS.
    pub sources: Providers,
    /// Evidence of devices beside the machine.
    pub devices: Devices,
    /// Quotes a second at most; 0 is the default, what usual hardware can do.
    pub quotes_per_second: u32,
    /// What clients must attest before they are served; needs TLS.
    pub client_policy: Option<ClientPolicy>,
    /// Names for which the server attests by exporter-v1; empty for any name.
    pub names: Vec<String>,
    /// Leniency towards clients, as bits of `h1::flags`.
    pub flags: u32,
    /// A client that ends its sending direction before it has its response is gone: it does not wait for it.
    pub end_is_gone: bool,
    /// Failed handshakes are reported too.
    pub tells_handshakes: bool,
    /// Bodies of requests are decoded as their Content-Encoding says.
    pub decode: bool,
    pub forwarded: Forwarded,
    /// The server is a forwarder and nothing else.
    pub forward: Option<ForwarderRules>,
    /// Receive credit of each request, in bytes, and whether what the host is done with is granted again.
    pub credit: u64,
    pub automatic_credit: bool,
}

/// What clients' evidence is judged by.
#[derive(Clone)]
pub struct ClientPolicy {
    pub policy: Arc<Policy>,
    pub verifier: Arc<Verifier>,
}

/// What the host, the listeners and the connections share.
pub struct Server {
    pub settings: ServerSettings,
    observer: Arc<dyn Observer<ServerEvent>>,
    /// No new connections are accepted, and none waits for another request.
    pub stopping: Cancel,
    /// Everything ends now.
    pub closing: Arc<Cancel>,
    tls: RwLock<Option<(ServerTlsSettings, ServerTls)>>,
    attester: Option<Attester>,
    /// The text of the Date field for the second that was asked for last.
    date: Mutex<(u64, DateText)>,
    connections: AtomicUsize,
    /// A connection has ended.
    ended: Notify,
    by_address: Mutex<HashMap<IpAddr, usize>>,
    /// Permits for events about handshakes.
    handshakes: Arc<Semaphore>,
    pub counts: ServerCounts,
}

/// The value of Date has always this length (RFC 9110 section 5.6.7).
type DateText = [u8; 29];
const NO_DATE: DateText = [0; 29];

/// Counts since the server was made.
#[derive(Default)]
pub struct ServerCounts {
    pub accepted: AtomicU64,
    /// Connections turned away at a limit.
    pub turned_away: AtomicU64,
    pub requests: AtomicU64,
    /// Requests refused before the host saw them.
    pub refused: AtomicU64,
    /// Handshakes in TLS that have failed.
    pub handshakes_failed: AtomicU64,
    /// Requests for evidence.
    pub quotes: AtomicU64,
    /// Connections that were forwarded, and what went through them.
    pub tunnels: AtomicU64,
    pub flow: TunnelTraffic,
}

impl Running for Server {
    fn cancel(&self) {
        self.close();
    }
}

impl Server {
    /// Errors: InvalidState (evidence without TLS; devices without the machine), InvalidArgument (certificates).
    pub fn new(settings: ServerSettings, observer: Arc<dyn Observer<ServerEvent>>) -> Result<Server> {
        if settings.tls.is_none() && (!settings.sources.is_empty() || settings.client_policy.is_some()) {
            return Err(Error::new(Status::InvalidState, "evidence needs TLS (atls_server_config_set_certificate)"));
        }
        if settings.tls.is_none() && settings.http_versions != HttpVersions::default() {
            return Err(Error::new(Status::InvalidState, "HTTP/2 needs TLS (atls_server_config_set_certificate)"));
        }
        if settings.sources.is_empty() && !settings.devices.is_empty() {
            return Err(Error::new(
                Status::InvalidState,
                "a source of attached evidence, and none of the machine's own",
            ));
        }
        let versions = settings.http_versions;
        let shown = |serves: ServerTlsSettings| server_config(&serves, versions).map(|shown| (serves, shown));
        let tls = settings.tls.clone().map(shown).transpose()?;
        let sources = Some(settings.sources.clone()).filter(|sources| !sources.is_empty());
        let attester = sources.map(|sources| Attester::new(sources, settings.quotes_per_second));
        Ok(Server {
            tls: RwLock::new(tls),
            ended: Notify::new(),
            attester,
            settings,
            observer,
            stopping: Cancel::default(),
            closing: Arc::default(),
            date: Mutex::new((0, NO_DATE)),
            connections: AtomicUsize::new(0),
            by_address: Mutex::default(),
            handshakes: Arc::new(Semaphore::new(HANDSHAKES_TOLD)),
            counts: ServerCounts::default(),
        })
    }

    /// Errors: InvalidState (stopped).
    pub fn check_running(&self) -> Result<()> {
        match self.stopping.is_canceled() {
            true => Err(Error::new(Status::InvalidState, "the server was stopped")),
            false => Ok(()),
        }
    }

    /// Accepts nothing more, and ends everything after `limit`, unless that is `None`.
    pub fn drain(self: &Arc<Self>, limit: Option<Duration>, runtime: &Handle) {
        self.stopping.cancel();
        let Some(limit) = limit else { return };
        let server = Arc::downgrade(self);
        runtime.spawn(in_turn(async move {
            tokio::time::sleep(limit).await;
            if let Some(server) = server.upgrade() {
                server.close();
            }
        }));
    }

    /// Ends everything.
    pub fn close(&self) {
        self.stopping.cancel();
        self.closing.cancel();
    }

    /// Presents another certificate from the next connection on. Errors: InvalidState, InvalidArgument.
    pub fn set_identity(&self, identity: Identity) -> Result<()> {
        let mut tls = self.tls.write().unwrap_or_else(PoisonError::into_inner);
        let Some((serves, shown)) = &mut *tls else {
            return Err(Error::new(Status::InvalidState, "the server serves in the clear"));
        };
        let serves_now = ServerTlsSettings { identity, ..serves.clone() };
        *shown = server_config(&serves_now, self.settings.http_versions)?;
        *serves = serves_now;
        Ok(())
    }

    fn tls(&self) -> Option<ServerTls> {
        self.tls.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(_, shown)| shown.clone())
    }

    /// Reports a failed handshake to the host, if it wants that. Does not wait: the peer gets no answer.
    fn handshake_failed(&self, error: Error) {
        self.counts.handshakes_failed.fetch_add(1, Ordering::Relaxed);
        if self.settings.tells_handshakes
            && let Ok(room) = self.handshakes.clone().try_acquire_owned()
        {
            self.observer.clone().post(ServerEvent::Refused(error), Some(room));
        }
    }

    /// Reports to the host, and waits a moment until it has taken note.
    async fn report_refusal(&self, error: &Error) {
        self.counts.refused.fetch_add(1, Ordering::Relaxed);
        log::emit(log::WARNING, || format!("server: {}: refused: {}", place_of(error.peer), log::reason(error)));
        let noted = Arc::new(Semaphore::new(1));
        let permit = noted.clone().try_acquire_owned().ok();
        self.observer.clone().post(ServerEvent::Refused(error.clone()), permit);
        let _ = tokio::time::timeout(TAKING_NOTE, noted.acquire()).await;
    }

    /// A request that has come from this peer, in this session.
    fn request(
        &self,
        (line, head, version): (RequestLine, ReceivedHead, HttpVersion),
        peer: Option<SocketAddr>,
        session: Option<&TlsSession>,
    ) -> ServerRequest {
        let settings = &self.settings;
        let credit = Credit::new(settings.credit, settings.automatic_credit);
        let secure = settings.tls.is_some();
        let address = peer.map(|peer| peer.ip().to_canonical());
        let (remote, https) = settings.forwarded.read(&head, address, secure);
        let client = session.map(TlsSession::client).unwrap_or_default();
        let origin = RequestContext { peer, secure, remote, https, client, version };
        ServerRequest::new(line, head, origin, credit, self.closing.clone())
    }

    /// The value of the Date field, formatted once a second and not for each response. None without a usable clock (RFC 9110 section 6.6.1).
    fn date(&self) -> Option<DateText> {
        let now = clock::system_time().ok()?;
        let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut date = lock(&self.date);
        if date.0 != second || date.1 == NO_DATE {
            *date = (second, httpdate::fmt_http_date(now).as_bytes().try_into().ok()?);
        }
        Some(date.1)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }

    /// Admits one more connection from this address, unless a limit forbids it.
    fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Option<ConnectionSlot> {
        let limits = &self.settings.limits;
        let mut by_address = lock(&self.by_address);
        let here = address.and_then(|address| by_address.get(&address).copied()).unwrap_or(0);
        if self.connections() >= limits.connections || here >= limits.connections_per_address {
            self.counts.turned_away.fetch_add(1, Ordering::Relaxed);
            let connections = self.connections();
            drop(by_address);
            log::emit(log::WARNING, || {
                let from = address.map_or("unix".to_owned(), |address| address.to_string());
                format!("server: {from}: turned away: connections={connections} from_there={here}")
            });
            return None;
        }
        if let Some(address) = address {
            by_address.insert(address, here + 1);
        }
        self.connections.fetch_add(1, Ordering::AcqRel);
        self.counts.accepted.fetch_add(1, Ordering::Relaxed);
        Some(ConnectionSlot { server: self.clone(), address })
    }
}

/// The peer, as the log names it.
fn place_of(peer: Option<SocketAddr>) -> String {
    peer.map_or_else(|| "unix".to_owned(), |peer| peer.to_string())
}

/// Held by a connection as long as it lives.
struct ConnectionSlot {
    server: Arc<Server>,
    address: Option<IpAddr>,
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut by_address = lock(&self.server.by_address);
        if let Some(address) = self.address
            && let Some(here) = by_address.get_mut(&address)
        {
            *here -= 1;
            if *here == 0 {
                by_address.remove(&address);
            }
        }
        self.server.connections.fetch_sub(1, Ordering::AcqRel);
        self.server.ended.notify_waiters();
    }
}

/// Waits until the server was stopped and its last connection has ended. Posts exactly one `Closed`.
pub async fn server_task(server: Arc<Server>, outlet: Outlet<ServerEvent>) {
    server.stopping.thrown().await;
    loop {
        let mut ended = pin!(server.ended.notified());
        // Enabled before the count is read, so that an end in between is not missed.
        ended.as_mut().enable();
        if server.connections() == 0 {
            break;
        }
        ended.await;
    }
    outlet.close(None);
}
