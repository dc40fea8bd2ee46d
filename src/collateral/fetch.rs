//! Fetching one document over HTTP: bounded in size and time, one connection each, by the way out that it is given. Touches the network.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use percent_encoding::percent_decode_str;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};

use super::kept_document::{Derived, DocumentSource, KeptDocument};
use super::service::USUAL_REST;
use super::service_route::ServiceRoute;
use super::vendor::module;
use super::{invalid, unavailable};
use crate::attest::DocumentId;
use crate::error::{Error, Phase, Status};
use crate::http_call::{AnswerBounds, call};
use crate::message::date;
use crate::tls;

const MAX_BYTES: usize = 1 << 20;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no document.
pub struct Failure {
    pub error: Error,
    /// The service itself said so, not the way there: asking again at once is useless.
    pub is_answer: bool,
    /// How long it asks to be left alone.
    pub rest: Option<Duration>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { error, is_answer: false, rest: None }
    }
}

/// Gets one object from one service, by its base URL.
pub async fn fetch(
    base: &str,
    id: &DocumentId,
    (way, tls): (&dyn ServiceRoute, &Arc<ClientConfig>),
    now: u64,
) -> Result<KeptDocument, Failure> {
    let vendor = module(id.vendor);
    let url = vendor.url(id, base).map_err(unavailable)?;
    let fetched = tokio::time::timeout(TIMEOUT, get(&url, id, (way, tls), now));
    let late = |_| Failure::from(unavailable(format!("no answer within {} s", TIMEOUT.as_secs())));
    let (headers, body) = fetched.await.map_err(late)??;
    let chain = vendor.chain_headers(id).iter().find_map(|name| headers.get(*name));
    let chain =
        chain.map(|value| percent_decode_str(value.to_str().unwrap_or_default()).decode_utf8_lossy().into_owned());
    let (chain, source) = (chain.unwrap_or_default(), DocumentSource::Service(base.to_owned()));
    match vendor.read(id, body.to_vec(), &chain) {
        Ok((body, window)) => {
            Ok(KeptDocument { body, chain, window, fetched: now, source, derived: Derived::default() })
        }
        Err(why) => Err(Failure { error: invalid(why), is_answer: true, rest: None }),
    }
}

async fn get(
    url: &str,
    id: &DocumentId,
    (way, tls): (&dyn ServiceRoute, &Arc<ClientConfig>),
    now: u64,
) -> Result<(HeaderMap, Bytes), Failure> {
    let uri: http::Uri = url.parse().map_err(|error| unavailable(format!("not a URL: {error}")))?;
    let (host, port) = place(&uri).ok_or_else(|| unavailable("no host".into()))?;
    let https = uri.scheme_str() == Some("https");
    let wire = way.open(host, port).await.map_err(as_unavailable)?;
    super::step(url, || format!("connected, asking for {id}"));
    if https {
        let stream = tls::handshake(tls.clone(), host, wire).await.map_err(as_unavailable)?;
        exchange(stream, &uri, now).await
    } else {
        exchange(wire, &uri, now).await
    }
}

/// Where a URL leads; an address without the brackets that a URL has around it.
pub fn place(uri: &http::Uri) -> Option<(&str, u16)> {
    let host = uri.host()?;
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    Some((bare, uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 })))
}

async fn exchange<S>(io: S, uri: &http::Uri, now: u64) -> Result<(HeaderMap, Bytes), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let request = http::Request::get(path)
        .header("Host", host)
        .header("Connection", "close")
        .body(Full::default())
        .map_err(|error| unavailable(error.to_string()))?;
    let bounds = AnswerBounds { max_bytes: MAX_BYTES, wants_body: |status| status == StatusCode::OK };
    let (answer, _) = call(io, request, bounds).await.map_err(|why| unavailable(why.to_string()))?;
    if answer.head.status != StatusCode::OK {
        let code = answer.head.status.as_u16();
        let error = unavailable(format!("answered with status {code}")).http_status(code);
        return Err(Failure { error, is_answer: true, rest: rest(code, &answer.head.headers, now) });
    }
    answer.framing.map_err(|bad| unavailable(bad.message).detail(bad.detail))?;
    Ok((answer.head.headers, answer.body))
}

/// How long an answer asks to be left alone for (RFC 9110 section 10.2.3, RFC 6585 section 4).
fn rest(code: u16, headers: &HeaderMap, now: u64) -> Option<Duration> {
    let said = headers.get("retry-after").and_then(|value| value.to_str().ok());
    let time = said.and_then(|text| date::retry_after(text.trim(), now));
    match code {
        429 => Some(time.unwrap_or(USUAL_REST)),
        503 => time,
        _ => None,
    }
}

fn as_unavailable(mut error: Error) -> Error {
    error.status = Status::CollateralUnavailable;
    error.phase(Phase::Collateral)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_url_leads() {
        for (url, host, port) in
            [("http://[::1]:8081/x", "::1", 8081), ("https://[::1]", "::1", 443), ("http://p.example", "p.example", 80)]
        {
            assert_eq!(place(&url.parse().unwrap()), Some((host, port)));
        }
    }

    #[test]
    fn how_long_to_leave_a_service_alone() {
        let of = |code, value: Option<&str>| {
            let mut headers = HeaderMap::new();
            value.map(|value| headers.insert("retry-after", value.parse().unwrap()));
            rest(code, &headers, 784_111_700).map(|time| time.as_secs())
        };
        assert_eq!(
            (of(429, Some("120")), of(503, Some(" 7 ")), of(429, None), of(503, None)),
            (Some(120), Some(7), Some(60), None)
        );
        assert_eq!((of(429, Some("soon")), of(429, Some("")), of(200, Some("9"))), (Some(60), Some(60), None));
        assert_eq!(of(429, Some(&"9".repeat(30))), Some(u64::MAX));
        let (later, past) = (Some("Sun, 06 Nov 1994 08:49:37 GMT"), Some("Sun, 06 Nov 1994 08:48:00 GMT"));
        assert_eq!((of(429, later), of(503, later), of(503, past)), (Some(77), Some(77), Some(0)));
    }
}
