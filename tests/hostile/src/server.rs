//! An attested HTTPS server: POST /tdx_quote, and after it a few endpoints (or a raw echo) on the same connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::pages;
use simtee::SimTee;
use simtee::exporter::{self, Binder};
use simtee::guest::{Guest, answer, report_data};
use simtee::http::{Conn, response};

/// What one connection knows when it is asked for evidence.
pub struct Session {
    pub tee: Arc<SimTee>,
    /// Where it was asked, and with what.
    pub path: String,
    pub body: Vec<u8>,
    pub server_name: String,
    /// The exporter value of protocol exporter-v1 for this very request.
    pub exporter_v1: [u8; 32],
    /// The guest as booted; emit the certificate event as needed.
    pub guest: Guest,
    pub nonce: Vec<u8>,
    pub exporter: [u8; 32],
    pub leaf: Vec<u8>,
    /// How many quotes this server was asked for before.
    pub count: u64,
}

impl Session {
    /// The truth.
    pub fn honest(&self) -> Vec<u8> {
        let mut guest = self.guest.clone();
        guest.emit_certificate(&self.leaf);
        match self.path.as_str() {
            exporter::PATH => self.bound_to(&self.binder()),
            _ => self.answer_for(&guest),
        }
    }

    /// What evidence by exporter-v1 must be bound to.
    pub fn binder(&self) -> Binder {
        Binder {
            role: b'S',
            nonce: self.nonce.clone(),
            exporter: self.exporter_v1,
            attester: Some(self.leaf.clone()),
            verifier: None,
            server_name: self.server_name.clone(),
        }
    }

    /// An answer by exporter-v1 that is true but for what it is bound to.
    pub fn bound_to(&self, binder: &Binder) -> Vec<u8> {
        let mut guest = self.guest.clone();
        guest.emit_certificate(&self.leaf);
        let quote = guest.quote(&self.tee, &binder.report_data());
        exporter::answer("S", &quote, &guest.log(), None).to_string().into_bytes()
    }

    /// A true quote and log of `guest` for this session.
    pub fn answer_for(&self, guest: &Guest) -> Vec<u8> {
        let quote = guest.quote(&self.tee, &report_data(&self.nonce, &self.exporter));
        answer(&quote, &guest.log()).to_string().into_bytes()
    }
}

/// Bytes to send for a quote request, with pauses, and what comes then.
pub struct Reply {
    pub pieces: Vec<(Vec<u8>, Duration)>,
    pub then: Then,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Then {
    Continue,
    /// Another request for evidence will come.
    Again,
    /// TLS close_notify and FIN.
    Close,
    /// FIN without close_notify.
    Cut,
    /// RST.
    Reset,
    /// Nothing more, for ever.
    Hang,
}

impl Reply {
    pub fn json(body: &[u8]) -> Reply {
        Reply::bytes(response("200 OK", body))
    }

    pub fn bytes(bytes: Vec<u8>) -> Reply {
        Reply { pieces: vec![(bytes, Duration::ZERO)], then: Then::Continue }
    }

    pub fn then(mut self, then: Then) -> Reply {
        self.then = then;
        self
    }
}

pub type Behaviour = Arc<dyn Fn(&Session) -> Reply + Send + Sync>;

#[derive(Clone)]
pub struct Options {
    pub guest: Guest,
    pub behaviour: Behaviour,
    /// After the quote, echo bytes instead of speaking HTTP.
    pub raw_echo: bool,
    pub names: Vec<&'static str>,
    /// Validity of the certificate, in days from now.
    pub validity: (i64, i64),
    /// Where the server stops talking: before TLS, in the middle of it.
    pub stall: Option<Stall>,
    /// In place of one that the web CA issues at once: DER, and its PKCS 8 key.
    pub certificate: Option<(Vec<u8>, Vec<u8>)>,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Stall {
    BeforeTls,
    ResetBeforeTls,
    GarbageTls,
    /// Answer as a server that speaks TLS 1.2 only: alert protocol_version.
    OldTls,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            guest: Guest::booted(1),
            behaviour: Arc::new(|session| Reply::json(&session.honest())),
            raw_echo: false,
            names: vec!["localhost", "tee.test"],
            validity: (-1, 30),
            stall: None,
            certificate: None,
        }
    }
}

pub struct Server {
    pub address: SocketAddr,
    /// Heads of all requests, byte for byte.
    pub recorded: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Bytes that arrived after the quote exchange.
    pub application_bytes: Arc<AtomicU64>,
    pub connections: Arc<AtomicU64>,
    state: Arc<State>,
}

struct State {
    tee: Arc<SimTee>,
    options: Options,
    identity: Mutex<Identity>,
    quotes: AtomicU64,
    recorded: Arc<Mutex<Vec<Vec<u8>>>>,
    application_bytes: Arc<AtomicU64>,
}

#[derive(Clone)]
struct Identity {
    acceptor: TlsAcceptor,
    leaf: Vec<u8>,
}

impl Server {
    pub async fn start(tee: Arc<SimTee>, options: Options) -> Server {
        Server::start_on("127.0.0.1:0", tee, options).await
    }

    pub async fn start_on(address: &str, tee: Arc<SimTee>, options: Options) -> Server {
        let listener = TcpListener::bind(address).await.expect("bind");
        let address = listener.local_addr().expect("address");
        let identity = Mutex::new(identity(&tee, &options));
        let (recorded, application_bytes): (Arc<Mutex<_>>, Arc<AtomicU64>) = Default::default();
        let state = Arc::new(State {
            tee,
            options,
            identity,
            quotes: AtomicU64::new(0),
            recorded: recorded.clone(),
            application_bytes: application_bytes.clone(),
        });
        let connections: Arc<AtomicU64> = Arc::default();
        let (serving, count) = (state.clone(), connections.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = socket.set_nodelay(true);
                let state = serving.clone();
                tokio::spawn(async move {
                    let _ = serve(socket, state).await;
                });
            }
        });
        Server { address, recorded, application_bytes, connections, state }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// A new certificate for the connections from now on.
    pub fn renew_certificate(&self) {
        *self.state.identity.lock().expect("identity") = identity(&self.state.tee, &self.state.options);
    }

    pub fn leaf(&self) -> Vec<u8> {
        self.state.identity.lock().expect("identity").leaf.clone()
    }
}

fn identity(tee: &SimTee, options: &Options) -> Identity {
    let usual = || tee.web_certificate(&options.names, options.validity.0, options.validity.1);
    let (leaf, key) = options.certificate.clone().unwrap_or_else(usual);
    Identity { acceptor: acceptor((leaf.clone(), key)), leaf }
}

/// TLS 1.3, no tickets, for a certificate with its key.
pub fn acceptor((leaf, key): (Vec<u8>, Vec<u8>)) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(leaf)], PrivateKeyDer::try_from(key).expect("key"))
        .expect("certificate");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.send_tls13_tickets = 0;
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(mut socket: TcpStream, state: Arc<State>) -> io::Result<()> {
    match state.options.stall {
        None => {}
        Some(Stall::BeforeTls) => return std::future::pending().await,
        Some(Stall::ResetBeforeTls) => return reset(&socket),
        Some(Stall::GarbageTls) => return socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await,
        Some(Stall::OldTls) => {
            let mut hello = [0; 4096];
            let _ = socket.read(&mut hello).await?;
            return socket.write_all(&[21, 3, 3, 0, 2, 2, 70]).await;
        }
    }
    let Identity { acceptor, leaf } = state.identity.lock().expect("identity").clone();
    let stream = acceptor.accept(socket).await?;
    let exporter = stream
        .get_ref()
        .1
        .export_keying_material([0; 32], b"EXPORTER-Channel-Binding", None)
        .map_err(io::Error::other)?;
    let mut conn = Conn::new(stream);
    while let Some(request) = conn.request().await? {
        state.recorded.lock().expect("recorded").push(request.head.clone());
        if request.method == "POST" && (request.path == "/tdx_quote" || request.path.starts_with(exporter::PATH)) {
            let mut body = Vec::new();
            conn.body(request.body_length, |piece| body.extend_from_slice(piece)).await?;
            state.recorded.lock().expect("recorded").push(body.clone());
            let then = quote(&mut conn, &state, (&request.path, &body), exporter, &leaf).await?;
            if !matches!(then, Then::Continue | Then::Again) {
                return finish(conn, then).await;
            }
            if state.options.raw_echo && then == Then::Continue {
                return echo(conn, &state).await;
            }
        } else {
            state.application_bytes.fetch_add(request.head.len() as u64, Ordering::SeqCst);
            pages::respond(&mut conn, &request, &state.application_bytes).await?;
        }
    }
    Ok(())
}

async fn quote(
    conn: &mut Conn<TlsStream<TcpStream>>,
    state: &State,
    (path, body): (&str, &[u8]),
    exporter: [u8; 32],
    leaf: &[u8],
) -> io::Result<Then> {
    let document: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let nonce = if path == "/tdx_quote" { "nonce_hex" } else { "nonce" };
    let digits = document[nonce].as_str().unwrap_or_default();
    let nonce = (0..digits.len() / 2).filter_map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).ok()).collect();
    let (_, tls) = conn.io.get_ref();
    let exporter_v1 = tls.export_keying_material([0; 32], exporter::LABEL, Some(&exporter::context(body)));
    let session = Session {
        tee: state.tee.clone(),
        path: path.to_owned(),
        body: body.to_vec(),
        server_name: tls.server_name().unwrap_or_default().to_owned(),
        exporter_v1: exporter_v1.map_err(io::Error::other)?,
        guest: state.options.guest.clone(),
        nonce,
        exporter,
        leaf: leaf.to_vec(),
        count: state.quotes.fetch_add(1, Ordering::SeqCst),
    };
    let reply = (state.options.behaviour)(&session);
    for (piece, pause) in reply.pieces {
        conn.write(&piece).await?;
        tokio::time::sleep(pause).await;
    }
    Ok(reply.then)
}

async fn finish(mut conn: Conn<TlsStream<TcpStream>>, then: Then) -> io::Result<()> {
    match then {
        Then::Continue | Then::Again => Ok(()),
        Then::Close => conn.io.shutdown().await,
        Then::Cut => conn.io.get_mut().0.shutdown().await,
        Then::Reset => reset(conn.io.get_ref().0),
        Then::Hang => std::future::pending().await,
    }
}

/// With a linger of zero the close that follows is a reset.
pub fn reset(socket: &TcpStream) -> io::Result<()> {
    #[allow(deprecated)]
    socket.set_linger(Some(Duration::ZERO))
}

async fn echo(mut conn: Conn<TlsStream<TcpStream>>, state: &State) -> io::Result<()> {
    let unread = std::mem::take(&mut conn.unread);
    conn.write(&unread).await?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = conn.io.read(&mut buffer).await?;
        if count == 0 {
            return conn.io.shutdown().await;
        }
        state.application_bytes.fetch_add(count as u64, Ordering::SeqCst);
        conn.write(&buffer[..count]).await?;
    }
}
