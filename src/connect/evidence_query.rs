//! The exchanges of attestation: a POST and its answer, on the TLS stream that the caller gets afterwards. Touches that stream, and the clock for Retry-After.

use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::{Error, Phase, Result, Status, chain};
use crate::http_call::{AnswerBounds, CallFailure, call, check_framing};
use crate::io::clock;
use crate::message::date;

/// A query, and how a refusal of it is reported.
pub struct EvidenceQuery<'a> {
    pub host: &'a str,
    pub path: &'a str,
    pub body: String,
    /// Of the answer's body.
    pub max_bytes: usize,
    pub otherwise: Status,
}

/// The server's answer.
pub struct EvidenceAnswer {
    pub status: u16,
    pub body: Bytes,
    /// With 503: how long to wait before asking again, if the connection stays open.
    pub again: Option<Duration>,
    /// Whether its framing could be read in one way only.
    framed: Result<()>,
}

impl EvidenceAnswer {
    /// Its body is not there yet.
    pub fn of_head(status: u16, version: http::Version, headers: &http::HeaderMap) -> EvidenceAnswer {
        let again = if status == 503 { retry_after(version, headers) } else { None };
        let framed = check_framing(headers).map_err(|bad| evidence(bad.message).detail(bad.detail));
        EvidenceAnswer { status, body: Bytes::new(), again, framed }
    }

    /// Checks what its sender did with the connection. If it is a refusal, its reason matters, not how the server ends the connection.
    pub fn check(&self, path: &str, otherwise: Status) -> Result<()> {
        if !self.is_unknown() && self.again.is_none() {
            self.success(path, otherwise)?;
        }
        self.framed.clone()
    }

    /// The server does not know the path: another protocol may be tried.
    pub fn is_unknown(&self) -> bool {
        matches!(self.status, 404 | 405 | 501)
    }

    /// The body of a success, which is 200 only: 206 is a part, and 204 is empty. Errors: EvidenceBusy, `otherwise`, both with the server's status.
    pub fn success(&self, path: &str, otherwise: Status) -> Result<&[u8]> {
        let otherwise = match self.status {
            200 => return Ok(&self.body),
            503 => Status::EvidenceBusy,
            _ => otherwise,
        };
        let shown = String::from_utf8_lossy(&self.body[..self.body.len().min(300)]).escape_debug().to_string();
        let message = format!("the server answered {path} with status {}: {shown}", self.status);
        Err(Error::new(otherwise, message).phase(Phase::Evidence).http_status(self.status))
    }
}

/// Sends the query, reads the answer and returns the stream. Bytes after the answer are refused: they must not pass for an answer to what the caller sends
/// next.
pub async fn post<S>(io: S, question: EvidenceQuery<'_>) -> Result<(S, EvidenceAnswer)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let EvidenceQuery { path, max_bytes, otherwise, .. } = question;
    let bounds = AnswerBounds { max_bytes, wants_body: |_| true };
    let (answer, rest) = call(io, request(question)?, bounds).await.map_err(failed)?;
    let (head, body) = (answer.head, answer.body);
    let found = EvidenceAnswer { body, ..EvidenceAnswer::of_head(head.status.as_u16(), head.version, &head.headers) };
    found.check(path, otherwise)?;
    Ok((rest.stream().await.map_err(evidence)?, found))
}

/// How long a busy server asks to wait (RFC 9110 section 10.2.3), if it keeps the connection open.
fn retry_after(version: http::Version, headers: &http::HeaderMap) -> Option<Duration> {
    let options = headers.get_all("connection").iter().filter_map(|value| value.to_str().ok());
    let closes = |list: &str| list.split(',').any(|option| option.trim().eq_ignore_ascii_case("close"));
    if version < http::Version::HTTP_11 || options.into_iter().any(closes) {
        return None;
    }
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    date::retry_after(text, clock::now().unwrap_or(0))
}

/// The head of a query with a body of `length` bytes, which is the same on a connection that carries other requests.
pub fn query_head(host: &str, path: &str, length: usize) -> Vec<u8> {
    let start = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n");
    format!("{start}Content-Length: {length}\r\nConnection: keep-alive\r\n\r\n").into_bytes()
}

/// Byte for byte what docs/protocol.md, "HTTP" shows: peers may know no other.
fn request(EvidenceQuery { host, path, body, .. }: EvidenceQuery<'_>) -> Result<http::Request<Full<Bytes>>> {
    http::Request::post(path)
        .header("Host", host)
        .header("Content-Type", "application/json")
        .header("Content-Length", body.len())
        .header("Connection", "keep-alive")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| Error::new(Status::InvalidArgument, format!("host {host:?}: {error}")))
}

/// The error for an answer of more bytes than the policy allows.
pub fn too_long(most: usize) -> Error {
    evidence(format!("the answer is longer than {most} bytes"))
}

/// The error for bytes that nobody asked for.
pub fn bytes_after(count: usize) -> Error {
    evidence(format!("{count} bytes after the answer"))
}

fn evidence(message: String) -> Error {
    Error::new(Status::EvidenceInvalid, message).phase(Phase::Evidence)
}

fn failed(failure: CallFailure) -> Error {
    let error = match failure {
        CallFailure::Broken(error) => error,
        too_long => return evidence(too_long.to_string()),
    };
    let io = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    let status = match io {
        _ if error.is_incomplete_message() => Status::Truncated,
        _ if error.is_parse() => Status::HttpProtocol,
        Some(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => Status::Truncated,
        Some(_) => Status::Io,
        None => Status::EvidenceInvalid,
    };
    let mut out = Error::new(status, format!("evidence exchange: {}", chain(&error))).phase(Phase::Evidence);
    out.os_errno = io.and_then(|io| io.raw_os_error()).unwrap_or(0);
    out
}

#[cfg(test)]
mod tests {
    use http::Version;

    use super::*;

    #[test]
    fn only_a_connection_that_stays_is_asked_again() {
        let of = |version, lines: &[(&'static str, &str)]| {
            let mut headers = http::HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, value.parse().unwrap());
            }
            retry_after(version, &headers).map(|pause| pause.as_secs())
        };
        let (wait, stays, ends) = (("retry-after", "7"), ("connection", "keep-alive"), ("connection", "x, Close"));
        assert_eq!(of(Version::HTTP_11, &[wait]), Some(7));
        assert_eq!(of(Version::HTTP_11, &[stays, wait]), Some(7));
        assert_eq!(of(Version::HTTP_11, &[("connection", "closed-loop"), wait]), Some(7));
        for lines in [&[ends, wait][..], &[stays, ends, wait], &[stays], &[("retry-after", "soon")]] {
            assert_eq!(of(Version::HTTP_11, lines), None, "{lines:?}");
        }
        assert_eq!(of(Version::HTTP_10, &[wait]), None);
        assert_eq!(of(Version::HTTP_11, &[("retry-after", "Thu, 01 Jan 1970 00:00:00 GMT")]), Some(0));
    }
}
