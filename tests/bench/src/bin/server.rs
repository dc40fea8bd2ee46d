//! Native Rust HTTPS server: hyper 1.x over tokio-rustls on one thread.
//! On PORT TLS, on PORT + 1 TLS in WebSocket frames: what a tunnel's far end sees.
//! With BENCH_H2, HTTP/2 where a client offers it.
//! server PORT: GET /small, /1m, /256m; POST /sink reads the body and answers /small.

use bench::*;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response, server::conn::http1, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

async fn answer(req: Request<Incoming>) -> hyper::Result<Response<Body>> {
    static SMALL: [u8; 100] = [b's'; 100];
    static BIG: [u8; CHUNK] = [b'b'; CHUNK];
    let size = match req.uri().path() {
        "/1m" => 1u64 << 20,
        "/256m" => 256 << 20,
        _ => 0,
    };
    let mut body = req.into_body();
    while let Some(f) = body.frame().await {
        std::hint::black_box(f?.into_data().ok());
    }
    let r = Response::builder().header("content-type", "application/octet-stream");
    if size == 0 {
        return Ok(r.body(Full::new(Bytes::from_static(&SMALL)).boxed_unsync()).unwrap());
    }
    let chunks = (0..size / CHUNK as u64).map(|_| Ok(Frame::data(Bytes::from_static(&BIG))));
    let body = StreamBody::new(futures_util::stream::iter(chunks)).boxed_unsync();
    Ok(r.header("content-length", size).body(body).unwrap())
}

async fn serve(socket: impl AsyncRead + AsyncWrite + Unpin, tls: TlsAcceptor) {
    if let Ok(stream) = tls.accept(socket).await {
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            let builder = http2::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
            return;
        }
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await;
    }
}

fn main() {
    let a: Vec<String> = std::env::args().collect();
    let tls = TlsAcceptor::from(server_config());
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    rt.block_on(async {
        let port: u16 = a[1].parse().unwrap();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let framed = tokio::net::TcpListener::bind(("127.0.0.1", port + 1)).await.unwrap();
        loop {
            let (accepted, in_frames) = tokio::select! {
                accepted = listener.accept() => (accepted, false),
                accepted = framed.accept() => (accepted, true),
            };
            let (socket, tls) = (accepted.unwrap().0, tls.clone());
            socket.set_nodelay(true).unwrap();
            if in_frames {
                tokio::spawn(async move {
                    if let Some(frames) = ws::accept(socket).await {
                        serve(frames, tls).await;
                    }
                });
            } else {
                tokio::spawn(serve(socket, tls));
            }
        }
    });
}
