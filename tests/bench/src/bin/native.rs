//! Native Rust HTTPS clients: the floor that a C ABI over the same parts should approach.
//!
//! client STACK MODE ARGS
//!   hyper   hyper 1.x over tokio-rustls, everything on the calling thread
//!   ws      the same over TLS in WebSocket frames (the server's PORT + 1)
//!   raw     tokio-rustls with hand-made HTTP: what TLS and sockets alone cost
//! MODE ARGS: seq N | conc N CONNS | down PATH TIMES | up BYTES TIMES | hs N | idle CONNS
//! hyper connect N: connections, and nothing asked on them. BENCH_CA is the file of the root, if it is not in BENCH_PKI.

use bench::*;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

fn get(path: &str) -> Request<Body> {
    request(Method::GET, path).body(Empty::new().boxed_unsync()).unwrap()
}

fn request(method: Method, path: &str) -> hyper::http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("user-agent", "bench/1")
        .header("accept", "*/*")
}

async fn connect(cfg: &Arc<ClientConfig>) -> SendRequest<Body> {
    speak(tls(cfg, port()).await).await
}

async fn connect_in_frames(cfg: &Arc<ClientConfig>) -> SendRequest<Body> {
    let name = rustls_pki_types::ServerName::try_from("localhost").unwrap();
    let frames = ws::connect(port() + 1).await;
    speak(tokio_rustls::TlsConnector::from(cfg.clone()).connect(name, frames).await.unwrap()).await
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> SendRequest<Body> {
    let (tx, conn) = http1::Builder::new().handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(async move {
        let _ = conn.await;
    });
    tx
}

async fn send(tx: &mut SendRequest<Body>, req: Request<Body>) -> Response<Incoming> {
    tx.ready().await.unwrap();
    let r = tx.send_request(req).await.unwrap();
    assert!(r.status().is_success(), "{}", r.status());
    r
}

async fn small(tx: &mut SendRequest<Body>) {
    let b = send(tx, get("/small")).await.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(b.len(), 100);
}

/// Copies what arrived into the caller's 64 KiB buffer, as a read(buf, len) interface must.
fn copy_out(buf: &mut [u8], mut data: &[u8]) {
    while !data.is_empty() {
        let n = data.len().min(buf.len());
        buf[..n].copy_from_slice(&data[..n]);
        data = &data[n..];
    }
    std::hint::black_box(&buf);
}

fn pieces(bytes: u64) -> impl Iterator<Item = Bytes> {
    let chunk = Bytes::from(vec![b'u'; CHUNK]);
    (0..bytes / CHUNK as u64).map(move |_| Bytes::copy_from_slice(&chunk))
}

async fn download(mut tx: SendRequest<Body>, path: &str, times: u64) {
    small(&mut tx).await;
    let mut buf = vec![0u8; CHUNK];
    let m = Meter::start();
    let mut bytes = 0u64;
    for _ in 0..times {
        let mut body = send(&mut tx, get(path)).await.into_body();
        while let Some(f) = body.frame().await {
            let d = f.unwrap().into_data().unwrap();
            bytes += d.len() as u64;
            copy_out(&mut buf, &d);
        }
    }
    m.finish(times, bytes);
}

async fn upload(mut tx: SendRequest<Body>, size: u64, times: u64) {
    small(&mut tx).await;
    let m = Meter::start();
    for _ in 0..times {
        let s = futures_util::stream::iter(pieces(size).map(|b| Ok(Frame::data(b))));
        let req = request(Method::POST, "/sink")
            .header("content-length", size)
            .body(StreamBody::new(s).boxed_unsync())
            .unwrap();
        send(&mut tx, req).await.into_body().collect().await.unwrap();
    }
    m.finish(times, times * size);
}

async fn ws_client(cfg: Arc<ClientConfig>, mode: &str, a: &[String]) {
    let (tx, times) = (connect_in_frames(&cfg).await, a[1].parse().unwrap());
    match mode {
        "down" => download(tx, &a[0], times).await,
        "up" => upload(tx, a[0].parse().unwrap(), times).await,
        _ => panic!("mode {mode}"),
    }
}

async fn hyper_client(cfg: Arc<ClientConfig>, mode: &str, a: &[String]) {
    let n: u64 = a.last().unwrap().parse().unwrap();
    match mode {
        "seq" => {
            let mut tx = connect(&cfg).await;
            small(&mut tx).await;
            let m = Meter::start();
            for _ in 0..n {
                small(&mut tx).await;
            }
            m.finish(n, n * 100);
        }
        "conc" => {
            let total: u64 = a[0].parse().unwrap();
            let mut pool = Vec::new();
            for _ in 0..n {
                let mut tx = connect(&cfg).await;
                small(&mut tx).await;
                pool.push(tx);
            }
            let m = Meter::start();
            let each = total / n;
            let tasks: Vec<_> = pool
                .into_iter()
                .map(|mut tx| {
                    tokio::spawn(async move {
                        for _ in 0..each {
                            small(&mut tx).await;
                        }
                    })
                })
                .collect();
            for t in tasks {
                t.await.unwrap();
            }
            m.finish(each * n, each * n * 100);
        }
        "down" => download(connect(&cfg).await, &a[0], n).await,
        "up" => upload(connect(&cfg).await, a[0].parse().unwrap(), n).await,
        "hs" => {
            let once = || async {
                let mut tx = connect(&cfg).await;
                let req = request(Method::GET, "/small").header("connection", "close");
                let req = req.body(Empty::new().boxed_unsync()).unwrap();
                send(&mut tx, req).await.into_body().collect().await.unwrap();
            };
            once().await;
            let m = Meter::start();
            for _ in 0..n {
                once().await;
            }
            m.finish(n, n * 100);
        }
        "connect" => {
            for _ in 0..3 {
                connect(&cfg).await;
            }
            let m = Meter::start();
            for _ in 0..n {
                connect(&cfg).await;
            }
            m.finish(n, 0);
        }
        "idle" => {
            small(&mut connect(&cfg).await).await;
            let m = Meter::start();
            let mut pool = Vec::new();
            for _ in 0..n {
                let mut tx = connect(&cfg).await;
                small(&mut tx).await;
                pool.push(tx);
            }
            m.finish(n, 0);
            hold();
        }
        _ => panic!("mode {mode}"),
    }
}

/// After an idle report: keeps the connections until bench.py closes our standard input.
fn hold() {
    if std::env::var("BENCH_HOLD").is_ok() {
        let _ = std::io::stdin().read_line(&mut String::new());
    }
}

const GET_SMALL: &[u8] = b"GET /small HTTP/1.1\r\nhost: localhost\r\nuser-agent: bench/1\r\naccept: */*\r\n\r\n";

/// Writes and flushes. Without the flush a request can stay in the TLS session's buffer for ever:
/// write_all is done once the session has the plaintext, even if the socket took nothing (as when
/// tokio's cooperative budget is spent), and a read does not flush.
async fn put(s: &mut Tls, data: &[u8]) {
    s.write_all(data).await.unwrap();
    s.flush().await.unwrap();
}

/// Reads one response; returns its body's length. `buf` is scratch.
async fn raw_response(s: &mut Tls, buf: &mut [u8]) -> u64 {
    let mut have = 0;
    let head = loop {
        let n = s.read(&mut buf[have..]).await.unwrap();
        assert!(n > 0);
        have += n;
        if let Some(p) = buf[..have].windows(4).position(|w| w == b"\r\n\r\n") {
            break p + 4;
        }
    };
    let text = std::str::from_utf8(&buf[..head]).unwrap().to_ascii_lowercase();
    let len: u64 = text
        .split("content-length: ")
        .nth(1)
        .and_then(|t| t.split('\r').next()?.parse().ok())
        .expect("a content-length");
    let mut left = len - (have - head) as u64;
    while left > 0 {
        let n = s.read(buf).await.unwrap() as u64;
        assert!(n > 0);
        left -= n;
    }
    len
}

async fn raw_client(cfg: Arc<ClientConfig>, mode: &str, a: &[String]) {
    let n: u64 = a.last().unwrap().parse().unwrap();
    let mut buf = vec![0u8; CHUNK];
    match mode {
        "seq" => {
            let mut s = tls(&cfg, port()).await;
            put(&mut s, GET_SMALL).await;
            raw_response(&mut s, &mut buf).await;
            let m = Meter::start();
            for _ in 0..n {
                put(&mut s, GET_SMALL).await;
                raw_response(&mut s, &mut buf).await;
            }
            m.finish(n, n * 100);
        }
        "conc" => {
            let each = a[0].parse::<u64>().unwrap() / n;
            let mut pool = Vec::new();
            for _ in 0..n {
                let mut s = tls(&cfg, port()).await;
                put(&mut s, GET_SMALL).await;
                raw_response(&mut s, &mut buf).await;
                pool.push(s);
            }
            let m = Meter::start();
            let tasks: Vec<_> = pool
                .into_iter()
                .map(|mut s| {
                    tokio::spawn(async move {
                        let mut buf = vec![0u8; 4096];
                        for _ in 0..each {
                            put(&mut s, GET_SMALL).await;
                            raw_response(&mut s, &mut buf).await;
                        }
                    })
                })
                .collect();
            for t in tasks {
                t.await.unwrap();
            }
            m.finish(each * n, each * n * 100);
        }
        "down" => {
            let req = format!("GET {} HTTP/1.1\r\nhost: localhost\r\n\r\n", a[0]);
            let mut s = tls(&cfg, port()).await;
            put(&mut s, GET_SMALL).await;
            raw_response(&mut s, &mut buf).await;
            let m = Meter::start();
            let mut bytes = 0;
            for _ in 0..n {
                put(&mut s, req.as_bytes()).await;
                bytes += raw_response(&mut s, &mut buf).await;
            }
            m.finish(n, bytes);
        }
        "up" => {
            let size: u64 = a[0].parse().unwrap();
            let req = format!("POST /sink HTTP/1.1\r\nhost: localhost\r\ncontent-length: {size}\r\n\r\n");
            let mut s = tls(&cfg, port()).await;
            put(&mut s, GET_SMALL).await;
            raw_response(&mut s, &mut buf).await;
            let data = vec![b'u'; CHUNK];
            let m = Meter::start();
            for _ in 0..n {
                s.write_all(req.as_bytes()).await.unwrap();
                for _ in 0..size / CHUNK as u64 {
                    s.write_all(&data).await.unwrap();
                }
                s.flush().await.unwrap();
                raw_response(&mut s, &mut buf).await;
            }
            m.finish(n, n * size);
        }
        "hs" => {
            let m = Meter::start();
            for _ in 0..n {
                let mut s = tls(&cfg, port()).await;
                put(&mut s, GET_SMALL).await;
                raw_response(&mut s, &mut buf).await;
            }
            m.finish(n, n * 100);
        }
        "idle" => {
            let m = Meter::start();
            let mut pool = Vec::new();
            for _ in 0..n {
                let mut s = tls(&cfg, port()).await;
                put(&mut s, GET_SMALL).await;
                raw_response(&mut s, &mut buf).await;
                pool.push(s);
            }
            m.finish(n, 0);
            hold();
        }
        _ => panic!("mode {mode}"),
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (stack, mode, rest) = (arguments[0].as_str(), arguments[1].as_str(), &arguments[2..]);
    let config = client_config();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match stack {
        "hyper" => runtime.block_on(hyper_client(config, mode, rest)),
        "ws" => runtime.block_on(ws_client(config, mode, rest)),
        "raw" => runtime.block_on(raw_client(config, mode, rest)),
        _ => panic!("stack {stack}"),
    }
}
