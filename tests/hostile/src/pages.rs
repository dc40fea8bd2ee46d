//! What the simulated server has to say once it has shown its evidence: pages with which a client can be tried.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::server::reset;
use simtee::http::{Conn, Request};

/// Answers one request; `count` is told of each byte of its body.
pub async fn respond(conn: &mut Conn<TlsStream<TcpStream>>, request: &Request, count: &AtomicU64) -> io::Result<()> {
    if let Some(how) = request.path.strip_prefix("/hasty?") {
        return hasty(conn, request, how).await;
    }
    let mut body = Vec::new();
    let keep = request.path == "/echo" || request.path.starts_with("/v1/");
    if request.header("expect").is_some() {
        conn.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let length = conn
        .body(request.body_length, |piece| {
            if keep {
                body.extend_from_slice(piece);
            }
        })
        .await?;
    count.fetch_add(length, Ordering::SeqCst);
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    match path {
        "/v1/chat/completions" => chat(conn, &body, query).await,
        "/echo" => conn.respond("200 OK", "Content-Type: application/octet-stream\r\n", &body).await,
        "/sink" => conn.respond("200 OK", "", length.to_string().as_bytes()).await,
        "/small" => conn.respond("200 OK", "", &[b'x'; 100]).await,
        "/head" => conn.respond("200 OK", "", &request.head).await,
        "/early" => {
            conn.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n").await?;
            conn.write(b"HTTP/1.1 200 Quite Fine\r\nX-Case: Kept\r\nx-case: twice\r\nZ: 1\r\nA: 2\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
            conn.chunk(b"body").await?;
            conn.write(b"0\r\nX-Trailer: end\r\n\r\n").await
        }
        "/close" => {
            conn.write(b"HTTP/1.1 200 OK\r\n\r\nuntil the end").await?;
            conn.io.shutdown().await?;
            Err(io::ErrorKind::ConnectionAborted.into())
        }
        "/cut" => {
            conn.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort").await?;
            conn.io.shutdown().await?;
            Err(io::ErrorKind::ConnectionAborted.into())
        }
        // The query: status, comma, Location.
        "/redirect" => {
            let (status, location) = query.split_once(',').unwrap_or(("302", ""));
            let line = format!("Location: {location}\r\n");
            conn.respond(&format!("{status} Elsewhere"), &line, b"not here").await
        }
        // Keeps the connection by its word, and closes it all the same.
        "/stale" => {
            conn.respond("200 OK", "", b"soon gone").await?;
            conn.io.shutdown().await?;
            Err(io::ErrorKind::ConnectionAborted.into())
        }
        "/hang" => std::future::pending().await,
        "/reset" => {
            reset(conn.io.get_ref().0)?;
            Err(io::ErrorKind::ConnectionAborted.into())
        }
        "/headers" => {
            let lines = "X-Many: 1\r\n".repeat(query.parse().unwrap_or(0));
            conn.respond("200 OK", &lines, b"").await
        }
        "/numbers" => numbers(conn, request.header("range").as_deref()).await,
        _ if path.starts_with("/bytes/") => stream_bytes(conn, path[7..].parse().unwrap_or(0)).await,
        _ => conn.respond("404 Not Found", "", b"no such thing").await,
    }
}

async fn stream_bytes(conn: &mut Conn<TlsStream<TcpStream>>, length: usize) -> io::Result<()> {
    conn.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes()).await?;
    let block = vec![0x5a; 256 << 10];
    let mut left = length;
    while left > 0 {
        let count = left.min(block.len());
        conn.io.write_all(&block[..count]).await?;
        left -= count;
    }
    conn.io.flush().await
}

/// 20,000 lines of a number each, or the rest of them from a position.
async fn numbers(conn: &mut Conn<TlsStream<TcpStream>>, range: Option<&str>) -> io::Result<()> {
    let all: String = (0..20_000).map(|number| format!("{number:07}\n")).collect();
    let from = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    match from {
        None => conn.respond("200 OK", "", all.as_bytes()).await,
        Some(from) if from < all.len() => {
            let line = format!("Content-Range: bytes {from}-{}/{}\r\n", all.len() - 1, all.len());
            conn.respond("206 Partial Content", &line, &all.as_bytes()[from..]).await
        }
        Some(_) => conn.respond("416 Range Not Satisfiable", "", b"").await,
    }
}

/// An OpenAI-style stream: one server-sent event a token. The query `pause=MS` sets the pace.
async fn chat(conn: &mut Conn<TlsStream<TcpStream>>, body: &[u8], query: &str) -> io::Result<()> {
    let pause = query.strip_prefix("pause=").and_then(|text| text.parse().ok()).unwrap_or(20);
    let request: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let prompt = request["messages"][0]["content"].as_str().unwrap_or("nothing").to_owned();
    conn.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
    let text = format!("You said: {prompt} And nobody but this enclave has read it.");
    for word in text.split_inclusive(' ') {
        let delta = serde_json::json!({"choices": [{"index": 0, "delta": {"content": word}}]});
        conn.chunk(format!("data: {delta}\n\n").as_bytes()).await?;
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    conn.chunk(b"data: [DONE]\n\n").await?;
    conn.write(b"0\r\n\r\n").await
}

/// Answers before it has read anything of the body: "keep" reads it then, "close" goes at once.
async fn hasty(conn: &mut Conn<TlsStream<TcpStream>>, request: &Request, how: &str) -> io::Result<()> {
    if how == "keep" {
        conn.respond("200 OK", "", b"hasty").await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
        return conn.body(request.body_length, |_| ()).await.map(drop);
    }
    conn.respond("413 Content Too Large", "Connection: close\r\n", b"hasty").await?;
    conn.io.shutdown().await?;
    Err(io::ErrorKind::ConnectionAborted.into())
}
