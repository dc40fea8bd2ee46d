//! One small HTTP request and its whole answer, bounded in size, on a stream that is given: what evidence, collateral and the guest agent are asked by.
//! (CONNECT is not among them: no body follows its answer, but another protocol. See `connect::http_proxy`.) Touches that stream only.

use std::future::Future;
use std::pin::Pin;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::{Detail, chain};

/// Heads beyond this are refused; 1xx responses each count on their own.
const MAX_HEAD: usize = 64 << 10;

/// What is read of an answer.
pub struct AnswerBounds {
    /// Most bytes of the body.
    pub max_bytes: usize,
    /// Whether the body matters, with this status. It is empty otherwise.
    pub wants_body: fn(StatusCode) -> bool,
}

pub struct CallAnswer {
    pub head: Parts,
    pub body: Bytes,
    /// For the caller to judge: a refusal tells more by its reason than by its framing.
    pub framing: Result<(), BadFraming>,
}

/// Two readers could disagree on where the answer ends.
#[derive(Debug)]
pub struct BadFraming {
    pub detail: Detail,
    pub message: String,
}

/// Why there is no answer.
pub enum CallFailure {
    Broken(hyper::Error),
    TooLong { max_bytes: usize },
}

impl std::fmt::Display for CallFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CallFailure::Broken(error) => f.write_str(&chain(error)),
            CallFailure::TooLong { max_bytes } => write!(f, "the answer is longer than {max_bytes} bytes"),
        }
    }
}

type Done<S> = hyper::Result<http1::Parts<TokioIo<S>>>;

/// The stream, when the answer has been read.
pub struct AfterCall<S> {
    done: Option<Done<S>>,
    connection: Pin<Box<dyn Future<Output = Done<S>> + Send>>,
}

impl<S> AfterCall<S> {
    /// Gives the stream back. Bytes after the answer are refused: they must not pass for an answer to what the caller sends next.
    pub async fn stream(self) -> Result<S, String> {
        let done = match self.done {
            Some(done) => done,
            None => self.connection.await,
        };
        let parts = done.map_err(|error| format!("bytes after the answer: {}", chain(&error)))?;
        match parts.read_buf.len() {
            0 => Ok(parts.io.into_inner()),
            count => Err(format!("{count} bytes after the answer")),
        }
    }
}

/// Sends the request and reads the answer.
pub async fn call<S>(
    io: S,
    request: http::Request<Full<Bytes>>,
    bounds: AnswerBounds,
) -> Result<(CallAnswer, AfterCall<S>), CallFailure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::Builder::new()
        .title_case_headers(true)
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(io))
        .await
        .map_err(CallFailure::Broken)?;
    let mut connection: Pin<Box<dyn Future<Output = Done<S>> + Send>> = Box::pin(connection.without_shutdown());
    let answer = async move {
        let response = sender.send_request(request).await.map_err(CallFailure::Broken)?;
        let (head, body) = response.into_parts();
        let framing = check_framing(&head.headers);
        let body = match (bounds.wants_body)(head.status) {
            true => whole(body, bounds.max_bytes).await?,
            false => Bytes::new(),
        };
        Ok(CallAnswer { head, body, framing })
    };
    tokio::pin!(answer);
    let (answered, done) = tokio::select! {
        biased;
        answered = &mut answer => (answered, None),
        done = &mut connection => (answer.await, Some(done)),
    };
    Ok((answered?, AfterCall { done, connection }))
}

async fn whole(body: hyper::body::Incoming, max_bytes: usize) -> Result<Bytes, CallFailure> {
    match Limited::new(body, max_bytes).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(CallFailure::TooLong { max_bytes }),
        // There is no third kind.
        Err(error) => {
            Err(error.downcast().map_or(CallFailure::TooLong { max_bytes }, |error| CallFailure::Broken(*error)))
        }
    }
}

/// An answer is framed in one way, so that no two readers on the way can see two answers (RFC 9112 section 6.3).
pub fn check_framing(headers: &HeaderMap) -> Result<(), BadFraming> {
    let lines = |name| headers.get_all(name).iter().map(|value| value.as_bytes());
    let (lengths, codings) = (lines(CONTENT_LENGTH).count(), lines(TRANSFER_ENCODING).count());
    let detail = match (lengths, codings) {
        // Ended by the end of the connection, which TLS tells from a cut: nothing can follow it.
        (0, 0) => return Ok(()),
        // Not a list of lengths that are the same.
        (1, 0) if lines(CONTENT_LENGTH).all(|value| value.iter().all(u8::is_ascii_digit)) => return Ok(()),
        (0, 1) if lines(TRANSFER_ENCODING).all(|value| value.eq_ignore_ascii_case(b"chunked")) => return Ok(()),
        (0, _) => Detail::BadTransferEncoding,
        (_, 0) => Detail::UnequalContentLength,
        _ => Detail::BothLengths,
    };
    let message =
        format!("the answer has {lengths} Content-Length and {codings} Transfer-Encoding, and may have one of them");
    Err(BadFraming { detail, message })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    /// The outcome of a call that a peer answers with these bytes: what comes back, and what is left of the stream.
    async fn outcome(
        answer: &'static [u8],
        max_bytes: usize,
    ) -> Result<(CallAnswer, Result<DuplexStream, String>), String> {
        let (io, mut peer) = tokio::io::duplex(1 << 16);
        tokio::spawn(async move {
            let mut request = vec![0; 1024];
            let _ = peer.read(&mut request).await;
            let _ = peer.write_all(answer).await;
            // Neither more nor the end comes.
            std::future::pending::<()>().await;
        });
        let request = http::Request::get("/").header("Host", "a").body(Full::default()).unwrap();
        let bounds = AnswerBounds { max_bytes, wants_body: |status| status != 404 };
        let (answer, rest) = call(io, request, bounds).await.map_err(|failure| failure.to_string())?;
        Ok((answer, if max_bytes == 2 { rest.stream().await } else { Err("not asked for".into()) }))
    }

    #[tokio::test]
    async fn an_answer_is_read_whole_and_the_stream_comes_back() {
        let (answer, rest) = outcome(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", 2).await.unwrap();
        assert_eq!((&*answer.body, answer.framing.is_ok(), rest.is_ok()), (&b"ab"[..], true, true));
        let (_, rest) = outcome(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc", 2).await.unwrap();
        assert!(rest.unwrap_err().contains("after the answer"));
    }

    #[tokio::test]
    async fn a_body_is_bounded_and_read_only_if_it_matters() {
        let failure = outcome(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd", 3).await.err().unwrap();
        assert_eq!(failure, "the answer is longer than 3 bytes");
        let (answer, _) = outcome(b"HTTP/1.1 404 No\r\nContent-Length: 4\r\n\r\nab", 3).await.unwrap();
        assert_eq!((answer.head.status.as_u16(), answer.body.len()), (404, 0));
    }

    #[test]
    fn a_message_has_one_length_or_is_refused() {
        let check = |lines: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, value.parse().unwrap());
            }
            check_framing(&headers).err().map_or(Detail::None, |bad| bad.detail)
        };
        let (length, coding) = (("content-length", "5"), ("transfer-encoding", "chunked"));
        for good in [&[][..], &[length], &[coding], &[("transfer-encoding", "Chunked")]] {
            assert_eq!(check(good), Detail::None, "{good:?}");
        }
        assert_eq!(check(&[length, coding]), Detail::BothLengths);
        assert_eq!(check(&[length, length]), Detail::UnequalContentLength);
        assert_eq!(check(&[("content-length", "5, 5")]), Detail::UnequalContentLength);
        assert_eq!(check(&[coding, coding]), Detail::BadTransferEncoding);
        assert_eq!(check(&[("transfer-encoding", "gzip, chunked")]), Detail::BadTransferEncoding);
    }
}
