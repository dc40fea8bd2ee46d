//! TLS 1.3 over any transport: configurations for clients and servers, handshakes, exporter values, peer certificates. Knows nothing of attestation. Touches
//! the stream that it is given, and the clock.

mod alpn;
mod client;
mod key_log;
mod known_chains;
mod server;
mod stream;
mod trust;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

pub use alpn::{HttpVersion, HttpVersions};
pub use client::{ClientHandshake, client_handshake};
pub use key_log::KeyLogSink;
use rustls::{ClientConfig, ConnectionCommon};
use rustls_pki_types::ServerName;
pub use server::{ClientCertificates, ServerTls, ServerTlsSettings, server_config};
pub use stream::{ServerStream, SessionStream, TlsStream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
pub use trust::{Identity, Trust, TrustedRoots, client_config, offering};

use crate::error::{Error, Phase, Result, Status};

/// A client's handshake. The server's name is always checked against its certificate.
pub async fn handshake<S>(config: Arc<ClientConfig>, server_name: &str, io: S) -> Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let connecting = TlsConnector::from(config).connect(name(server_name)?, io);
    match connecting.into_fallible().await {
        Ok(stream) => Ok(SessionStream::new(stream)),
        Err((error, mut io)) => {
            // The stream may hold back what was written, and the peer is told why it is refused. Once: a peer that does not read is not waited for.
            poll_fn(|cx| Poll::Ready(Pin::new(&mut io).poll_shutdown(cx).is_ready())).await;
            Err(Error::from_io(error, Phase::Tls))
        }
    }
}

fn name(server_name: &str) -> Result<ServerName<'static>> {
    let bare = server_name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(server_name);
    ServerName::try_from(bare.to_owned())
        .map_err(|_| Error::new(Status::InvalidArgument, format!("server name {server_name:?} is not a host name")))
}

/// The name that a handshake for `server_name` sends (RFC 6066 section 3); empty for an address.
pub fn sni(server_name: &str) -> String {
    match name(server_name) {
        Ok(ServerName::DnsName(name)) => name.as_ref().to_owned(),
        _ => String::new(),
    }
}

/// The certificate that the server has shown, DER.
pub fn peer_leaf<Data>(session: &ConnectionCommon<Data>) -> Option<Vec<u8>> {
    Some(session.peer_certificates()?.first()?.to_vec())
}

/// What was agreed on, in words, for the log.
pub fn describe<Data>(session: &ConnectionCommon<Data>) -> String {
    let suite = session.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite())).unwrap_or_default();
    let group = session.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name())).unwrap_or_default();
    let alpn = session.alpn_protocol().map_or("none".into(), |name| name.escape_ascii().to_string());
    format!("handshake done, {suite}, {group}, ALPN {alpn}")
}

/// An exporter value of this session (RFC 8446 section 7.5).
pub fn export<Data, const N: usize>(
    session: &ConnectionCommon<Data>,
    label: &[u8],
    context: Option<&[u8]>,
) -> Result<[u8; N]> {
    let value = session.export_keying_material([0; N], label, context);
    value.map_err(|error| Error::from_rustls(&error, Phase::Tls))
}
