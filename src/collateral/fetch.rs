//! Fetching one document over HTTP: bounded in size and time, one connection each.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};

use super::object::{Key, Object};
use crate::error::{Error, Phase, Result, Status, chain};
use crate::{net, tls};

const MAX_BYTES: usize = 1 << 20;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Gets one object from one service.
pub async fn fetch(base: &str, key: &Key, tls: &Arc<ClientConfig>, now: u64) -> Result<Object> {
    let url = match key {
        // Intel serves the root CRL in one place only, as DER.
        Key::RootCrl if base == crate::attest::policy::INTEL_PCS => {
            "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der".into()
        }
        _ => format!("{base}{}", key.path()),
    };
    let fetched = tokio::time::timeout(TIMEOUT, get(&url, key, tls, now));
    match fetched.await {
        Ok(done) => done.map_err(|error| error.context(&url)),
        Err(_) => Err(unavailable(format!("{url}: no answer within {} s", TIMEOUT.as_secs()))),
    }
}

async fn get(url: &str, key: &Key, tls: &Arc<ClientConfig>, now: u64) -> Result<Object> {
    let uri: http::Uri = url.parse().map_err(|error| unavailable(format!("not a URL: {error}")))?;
    let host = uri.host().ok_or_else(|| unavailable("no host".into()))?;
    let https = uri.scheme_str() == Some("https");
    let socket = net::dial(host, uri.port_u16().unwrap_or(if https { 443 } else { 80 }), &net::Dial::default())
        .await
        .map_err(as_unavailable)?;
    if https {
        let stream = tls::handshake(tls.clone(), host, socket).await.map_err(as_unavailable)?;
        exchange(stream, &uri, key, now).await
    } else {
        exchange(socket, &uri, key, now).await
    }
}

async fn exchange<S>(io: S, uri: &http::Uri, key: &Key, now: u64) -> Result<Object>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| unavailable(chain(&error));
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(64 << 10)
        .handshake(TokioIo::new(io))
        .await
        .map_err(broken)?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let request = http::Request::get(path)
        .header("Host", host)
        .header("Connection", "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| unavailable(error.to_string()))?;
    let answer = async move {
        let response = sender.send_request(request).await.map_err(broken)?;
        let (head, body) = response.into_parts();
        if head.status != http::StatusCode::OK {
            let code = head.status.as_u16();
            return Err(unavailable(format!("answered with status {code}")).http_status(code));
        }
        let body = Limited::new(body, MAX_BYTES).collect().await;
        let body = body.map_err(|error| unavailable(format!("body: {error}")))?.to_bytes();
        Ok((head.headers, body))
    };
    tokio::pin!(answer, connection);
    let (headers, body) = tokio::select! {
        biased;
        done = &mut answer => done?,
        _ = &mut connection => answer.await?,
    };
    let chain = key.chain_headers().iter().find_map(|name| headers.get(*name));
    let chain =
        chain.map(|value| percent_decode_str(value.to_str().unwrap_or_default()).decode_utf8_lossy().into_owned());
    key.object(body.to_vec(), chain.unwrap_or_default(), now)
        .map_err(|why| Error::new(Status::CollateralInvalid, why).phase(Phase::Collateral))
}

fn unavailable(why: String) -> Error {
    Error::new(Status::CollateralUnavailable, why).phase(Phase::Collateral)
}

fn as_unavailable(mut error: Error) -> Error {
    error.status = Status::CollateralUnavailable;
    error.phase(Phase::Collateral)
}
