//! Shared by the benchmark programs: TLS settings, process statistics, the one-line JSON result.
//!
//! The server pins TLS 1.3, AES-128-GCM, X25519 and no resumption. The native client offers what the library offers (the hybrid group
//! first), so that both pay for the same hello.
#![allow(unsafe_code)] // getrusage

pub mod families;
pub mod ws;

use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite, ClientConfig, NamedGroup, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::sync::Arc;
use std::time::Instant;

/// Read size that every streaming client uses.
pub const CHUNK: usize = 64 * 1024;

/// The server's side: one suite and one key exchange, so that every client does the same work. BENCH_OPEN leaves the choice to the clients, for when it is
/// the servers that are compared.
fn pinned() -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    if std::env::var_os("BENCH_OPEN").is_none() {
        provider.cipher_suites.retain(|suite| suite.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256);
        provider.kx_groups.retain(|group| group.name() == NamedGroup::X25519);
    }
    Arc::new(provider)
}

fn pki(file: &str) -> String {
    let dir = std::env::var("BENCH_PKI").expect("BENCH_PKI names the folder with ca.pem, cert.pem, key.pem");
    format!("{dir}/{file}")
}

pub fn client_config() -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let file = std::env::var("BENCH_CA").unwrap_or_else(|_| pki("ca.pem"));
    for c in CertificateDer::pem_file_iter(file).unwrap() {
        roots.add(c.unwrap()).unwrap();
    }
    let mut c = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    c.resumption = rustls::client::Resumption::disabled();
    Arc::new(c)
}

pub fn server_config() -> Arc<ServerConfig> {
    let certs = CertificateDer::pem_file_iter(pki("cert.pem")).unwrap().map(|c| c.unwrap()).collect();
    let key = PrivateKeyDer::from_pem_file(pki("key.pem")).unwrap();
    let mut c = ServerConfig::builder_with_provider(pinned())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certs, key)
        .unwrap();
    c.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    c.send_tls13_tickets = 0;
    if std::env::var_os("BENCH_H2").is_some() {
        c.alpn_protocols = vec![b"h2".to_vec()];
    }
    Arc::new(c)
}

/// CPU seconds (user + system) that this process has used.
pub fn cpu_seconds() -> f64 {
    let mut u: libc::rusage = unsafe { std::mem::zeroed() };
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut u) };
    let s = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    s(u.ru_utime) + s(u.ru_stime)
}

/// A field of /proc/self/status in KiB: VmRSS or VmHWM.
pub fn status_kb(field: &str) -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .unwrap()
        .lines()
        .find_map(|l| l.strip_prefix(field)?.strip_prefix(':')?.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Measures from `start` to `finish`, which prints the result line that bench.py reads.
pub struct Meter {
    wall: Instant,
    cpu: f64,
    rss0: u64,
}

impl Meter {
    pub fn start() -> Self {
        Meter { rss0: status_kb("VmRSS"), cpu: cpu_seconds(), wall: Instant::now() }
    }

    pub fn finish(self, ops: u64, bytes: u64) {
        let wall = self.wall.elapsed().as_secs_f64();
        let cpu = cpu_seconds() - self.cpu;
        println!(
            "{{\"ops\":{ops},\"bytes\":{bytes},\"wall\":{wall:.6},\"cpu\":{cpu:.6},\"rss0_kb\":{},\"rss_kb\":{},\"hwm_kb\":{}}}",
            self.rss0,
            status_kb("VmRSS"),
            status_kb("VmHWM"),
        );
    }
}

pub fn port() -> u16 {
    std::env::var("BENCH_PORT").expect("BENCH_PORT").parse().unwrap()
}

/// Connects to the server under test, TCP_NODELAY set as every peer sets it.
pub async fn tcp(port: u16) -> tokio::net::TcpStream {
    let s = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    s.set_nodelay(true).unwrap();
    s
}

pub type Tls = tokio_rustls::client::TlsStream<tokio::net::TcpStream>;

pub async fn tls(config: &Arc<ClientConfig>, port: u16) -> Tls {
    let name = rustls_pki_types::ServerName::try_from("localhost").unwrap();
    tokio_rustls::TlsConnector::from(config.clone()).connect(name, tcp(port).await).await.unwrap()
}
