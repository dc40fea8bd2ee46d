//! A fresh session that speaks HTTP/2 (RFC 9113): evidence is asked for on streams of their own, before any other. Frames are read and written by the crate `h2`.
//! Touches the session.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use h2::{RecvStream, SendStream};

use super::attestation::EvidenceChannel;
use super::connected_stream::{ConnectedStream, SessionExporter};
use super::evidence_query::{EvidenceAnswer, EvidenceQuery, too_long};
use crate::error::{Detail, Error, Phase, Result, Status};
use crate::io::SocketWatch;
use crate::tls::TlsStream;
use crate::tunnel::Transport;

/// Requests under way on one connection at most, whatever the server allows.
pub const STREAMS: u32 = 100;
/// Bytes that the server may send before they are taken: of one response, and of all on a connection, so that no response takes the room of another.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 25600 << 10;
const _: () = assert!(CONNECTION_WINDOW == STREAMS * STREAM_WINDOW);
/// Bytes of each request's body that wait for the network.
const OUTBOX: usize = 256 << 10;
/// Most bytes of a head.
const HEAD: u32 = 256 << 10;
/// Streams that this side has reset, and for how long what still comes for them is expected.
const RESETS: (usize, Duration) = (1000, Duration::from_secs(30));

/// The connection, and the handle by which requests begin. The server has no say in either yet: it cannot begin streams.
pub struct Http2Session {
    pub sender: SendRequest<Bytes>,
    pub connection: Connection<ConnectedStream, Bytes>,
    pub peer: Option<SocketAddr>,
    pub watch: SocketWatch,
    pub certificate: Option<Vec<u8>>,
    pub exporter: SessionExporter,
}

impl Http2Session {
    pub async fn begin(stream: TlsStream<Transport>) -> Result<Http2Session> {
        let (stream, exporter) = ConnectedStream::shared(stream);
        let (peer, watch, certificate) = (stream.peer(), stream.watch(), stream.certificate());
        let begun = Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEAD)
            .max_send_buffer_size(OUTBOX)
            .max_concurrent_reset_streams(RESETS.0)
            .reset_stream_duration(RESETS.1)
            .handshake(stream);
        let (sender, connection) = begun.await.map_err(|error| http2_error(&error))?;
        Ok(Http2Session { sender, connection, peer, watch, certificate, exporter })
    }

    /// Where evidence is asked for, while `drive` runs.
    pub fn channel(&self) -> Http2Channel {
        Http2Channel { sender: self.sender.clone(), exporter: self.exporter.clone() }
    }

    /// Runs `work`, and the connection beside it. Errors: those of the work; Closed, if the connection has ended by then.
    pub async fn drive<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let (mut work, mut ended) = (pin!(work), None);
        let done = poll_fn(|cx| {
            let done = work.as_mut().poll(cx);
            if ended.is_none()
                && let Poll::Ready(over) = Pin::new(&mut self.connection).poll(cx)
            {
                ended = Some(over);
                // Its streams have ended too.
                return if done.is_ready() { done } else { work.as_mut().poll(cx) };
            }
            done
        });
        let done = done.await?;
        match ended {
            None => Ok(done),
            Some(Err(error)) => Err(http2_error(&error)),
            Some(Ok(())) => Err(Error::new(Status::Closed, "the server ended the connection after its evidence")),
        }
    }
}

/// Asks for evidence on streams.
pub struct Http2Channel {
    sender: SendRequest<Bytes>,
    exporter: SessionExporter,
}

impl EvidenceChannel for Http2Channel {
    fn export(&self, label: &[u8], context: Option<&[u8]>) -> Result<[u8; 32]> {
        self.exporter.export(label, context)
    }

    async fn post(&mut self, query: EvidenceQuery<'_>) -> Result<EvidenceAnswer> {
        self.ask(query).await.map_err(|error| match error.phase {
            Phase::Evidence => error,
            _ => error.phase(Phase::Evidence).context("evidence exchange"),
        })
    }
}

impl Http2Channel {
    async fn ask(&mut self, query: EvidenceQuery<'_>) -> Result<EvidenceAnswer> {
        let EvidenceQuery { host, path, body, max_bytes, otherwise } = query;
        let failed = |error: h2::Error| http2_error(&error);
        poll_fn(|cx| self.sender.poll_ready(cx)).await.map_err(failed)?;
        let request = request(host, path, body.len())?;
        let (response, stream) = self.sender.send_request(request, false).map_err(failed)?;
        let (mut response, mut sending) = (response, Sending { stream, rest: Bytes::from(body), is_over: false });
        // A server that answers early need not take all of the request.
        let response = poll_fn(|cx| {
            let sent = sending.poll(cx);
            match Pin::new(&mut response).poll(cx) {
                Poll::Ready(response) => Poll::Ready(response.map_err(failed)),
                Poll::Pending => match sent {
                    Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                    _ => Poll::Pending,
                },
            }
        });
        let (head, stream) = response.await?.into_parts();
        let mut answer = EvidenceAnswer::of_head(head.status.as_u16(), head.version, &head.headers);
        answer.body = whole(stream, max_bytes).await?;
        answer.check(path, otherwise)?;
        Ok(answer)
    }
}

/// What docs/protocol.md, "Over HTTP/2" shows.
fn request(host: &str, path: &str, length: usize) -> Result<http::Request<()>> {
    let made = http::Uri::builder().scheme("https").authority(host).path_and_query(path).build();
    let made = made.and_then(|uri| {
        let request = http::Request::post(uri).version(http::Version::HTTP_2);
        request.header("content-type", "application/json").header("content-length", length).body(())
    });
    made.map_err(|error| Error::new(Status::InvalidArgument, format!("host {host:?}: {error}")).phase(Phase::Evidence))
}

/// The body of a request, within the server's windows.
struct Sending {
    stream: SendStream<Bytes>,
    rest: Bytes,
    is_over: bool,
}

impl Sending {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while !self.is_over {
            self.stream.reserve_capacity(self.rest.len());
            let mut room = self.stream.capacity();
            if room == 0 {
                room = match ready!(self.stream.poll_capacity(cx)) {
                    Some(Ok(room)) => room,
                    Some(Err(error)) => return Poll::Ready(Err(http2_error(&error))),
                    // The stream is over, which its answer says.
                    None => return Poll::Pending,
                };
            }
            let piece = self.rest.split_to(self.rest.len().min(room));
            self.is_over = self.rest.is_empty();
            self.stream.send_data(piece, self.is_over).map_err(|error| http2_error(&error))?;
        }
        Poll::Ready(Ok(()))
    }
}

async fn whole(mut stream: RecvStream, max_bytes: usize) -> Result<Bytes> {
    let mut whole = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data.map_err(|error| http2_error(&error))?;
        if whole.len() + data.len() > max_bytes {
            return Err(too_long(max_bytes));
        }
        whole.extend_from_slice(&data);
        // It fails only for a stream that is over.
        let _ = stream.flow_control().release_capacity(data.len());
    }
    stream.trailers().await.map_err(|error| http2_error(&error))?;
    Ok(Bytes::from(whole))
}

/// What an error of a stream, or of its connection, means to a client.
pub fn http2_error(error: &h2::Error) -> Error {
    if let Some(io) = error.get_io() {
        let again = match (io.get_ref().and_then(|inner| inner.downcast_ref::<Error>()), io.raw_os_error()) {
            (Some(own), _) => return own.clone(),
            (None, Some(errno)) => std::io::Error::from_raw_os_error(errno),
            (None, None) => match io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                Some(tls) => return Error::from_rustls(tls, Phase::Transfer),
                None => std::io::Error::new(io.kind(), io.to_string()),
            },
        };
        let error = Error::from_io(again, Phase::Transfer);
        return match error.message.contains("close_notify") {
            true => error.detail(Detail::NoCloseNotify),
            false => error,
        };
    }
    let failed = |status, message: String| Error::new(status, message).phase(Phase::Transfer);
    let reason = error.reason();
    match (error.is_remote(), error.is_go_away()) {
        // Streams that the server's GOAWAY covers go on, and end otherwise (RFC 9113 section 6.8).
        (true, true) => {
            let message = format!("HTTP/2: the server ends the connection, and has not taken the request: {error}");
            failed(Status::Closed, message).detail(Detail::NotProcessed)
        }
        (true, false) if reason == Some(h2::Reason::REFUSED_STREAM) => {
            failed(Status::Closed, "HTTP/2: the server has refused the stream".into()).detail(Detail::NotProcessed)
        }
        (true, false) => {
            let message = format!("HTTP/2: the server has reset the stream: {error}");
            failed(Status::Truncated, message).detail(Detail::StreamReset)
        }
        (false, _) if error.is_library() => failed(Status::HttpProtocol, format!("HTTP/2: {error}")),
        (false, _) => failed(Status::Closed, format!("HTTP/2: {error}")),
    }
}
