//! A WebSocket-to-TCP forwarder for tests: `?target=host:port`, binary frames.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use simtee::SimTee;

/// Starts a forwarder; a target other than `allowed` is refused with 403.
pub async fn start(allowed: String) -> SocketAddr {
    start_for(vec![allowed]).await
}

/// As `start`, for several targets.
pub async fn start_for(allowed: Vec<String>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let allowed = allowed.clone();
            tokio::spawn(forward(socket, allowed));
        }
    });
    address
}

/// As `start`, in TLS with a certificate of the simulator's web CA: `wss://localhost`.
pub async fn start_tls(tee: &SimTee, allowed: Vec<String>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let acceptor = crate::server::acceptor(tee.web_certificate(&["localhost"], -1, 30));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (allowed, acceptor) = (allowed.clone(), acceptor.clone());
            tokio::spawn(async move { forward(acceptor.accept(socket).await.ok()?, allowed).await });
        }
    });
    address
}

async fn forward(socket: impl AsyncRead + AsyncWrite + Unpin, allowed: Vec<String>) -> Option<()> {
    let mut target = None;
    #[allow(clippy::result_large_err)] // The library's own type.
    let check = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        let query = request.uri().query().unwrap_or_default().replace("%3A", ":").replace("%2E", ".");
        target = allowed.into_iter().find(|target| query.split('&').any(|pair| pair == format!("target={target}")));
        if target.is_some() {
            return Ok(response);
        }
        let mut refusal = ErrorResponse::new(Some("target not allowed".into()));
        *refusal.status_mut() = http::StatusCode::FORBIDDEN;
        Err(refusal)
    };
    let ws = tokio_tungstenite::accept_hdr_async(socket, check).await.ok()?;
    let (mut sink, mut source) = ws.split();
    let tcp = TcpStream::connect(target?).await.ok()?;
    let (mut read, mut write) = tcp.into_split();
    let up = async {
        while let Some(Ok(message)) = source.next().await {
            match message {
                Message::Binary(data) => write.write_all(&data).await.ok()?,
                Message::Close(_) => break,
                _ => {}
            }
        }
        write.shutdown().await.ok()
    };
    let down = async {
        let mut buffer = vec![0; 32 << 10];
        sink.send(Message::Ping(Bytes::from_static(b"are you there"))).await.ok()?;
        loop {
            match read.read(&mut buffer).await {
                Ok(0) => break,
                Ok(count) => sink.send(Message::Binary(Bytes::copy_from_slice(&buffer[..count]))).await.ok()?,
                Err(_) => {
                    let frame = CloseFrame { code: 1011u16.into(), reason: Utf8Bytes::from_static("target failed") };
                    return sink.send(Message::Close(Some(frame))).await.ok();
                }
            }
        }
        sink.send(Message::Close(None)).await.ok()
    };
    tokio::join!(up, down);
    Some(())
}
