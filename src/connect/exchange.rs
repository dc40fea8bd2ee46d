//! The evidence exchange of protocol atlas-v1: one POST /tdx_quote on the TLS stream that the caller will get afterwards.

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::attest::Evidence;
use crate::attest::hash::hex;
use crate::error::{Error, Phase, Result, Status, chain};

/// Heads beyond this are refused; 1xx responses each count on their own.
const MAX_HEAD: usize = 64 << 10;

/// Asks for evidence with `nonce` and gives the stream back, at the first byte after the answer. Bytes that the server sent beyond
/// its answer are refused: nobody asked for them, and they must not pass for an answer to what the caller sends next.
pub async fn request_evidence<S>(io: S, host: &str, nonce: &[u8; 32], max_bytes: usize) -> Result<(S, Evidence)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .title_case_headers(true)
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(io))
        .await
        .map_err(broken)?;
    let request = quote_request(host, nonce)?;
    let answer = async move {
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let limited = Limited::new(response.into_body(), max_bytes);
        let body = limited.collect().await.map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(error) => broken(*error),
            Err(error) if error.is::<LengthLimitError>() => {
                evidence(format!("the answer is longer than {max_bytes} bytes"))
            }
            Err(error) => evidence(error.to_string()),
        })?;
        read_answer(status, &body.to_bytes())
    };
    let stream = connection.without_shutdown();
    tokio::pin!(answer, stream);
    let (answered, parts) = tokio::select! {
        biased;
        answered = &mut answer => (answered, None),
        parts = &mut stream => (answer.await, Some(parts)),
    };
    let found = answered?;
    let parts = match parts {
        Some(parts) => parts,
        None => stream.await,
    };
    let parts = parts.map_err(|error| evidence(format!("bytes after the answer: {}", chain(&error))))?;
    if !parts.read_buf.is_empty() {
        return Err(evidence(format!("{} bytes after the answer", parts.read_buf.len())));
    }
    Ok((parts.io.into_inner(), found))
}

/// Byte for byte the request of attested-tls spec 1.3.
fn quote_request(host: &str, nonce: &[u8; 32]) -> Result<http::Request<Full<Bytes>>> {
    let body = format!(r#"{{"nonce_hex":"{}"}}"#, hex(nonce));
    http::Request::post("/tdx_quote")
        .header("Host", host)
        .header("Content-Type", "application/json")
        .header("Content-Length", body.len())
        .header("Connection", "keep-alive")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| Error::new(Status::InvalidArgument, format!("host {host:?}: {error}")))
}

fn read_answer(status: http::StatusCode, body: &[u8]) -> Result<Evidence> {
    if !status.is_success() {
        let shown = String::from_utf8_lossy(&body[..body.len().min(300)]).escape_debug().to_string();
        let message = format!("the server answered /tdx_quote with status {}: {shown}", status.as_u16());
        return Err(Error::new(Status::NoEvidence, message).phase(Phase::Evidence).http_status(status.as_u16()));
    }
    Evidence::from_json(body).map_err(|why| evidence(format!("answer of /tdx_quote: {why}")))
}

fn evidence(message: String) -> Error {
    Error::new(Status::EvidenceInvalid, message).phase(Phase::Evidence)
}

fn broken(error: hyper::Error) -> Error {
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
