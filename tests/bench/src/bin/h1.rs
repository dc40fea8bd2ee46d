//! One cycle as in c/h1_atls.c by other parts: httparse with a writer by hand, or hyper's client and server over a pipe in memory.
//!
//! h1 httparse|hyper length|chunked BODY N       (httparse: the heads, and the body by Content-Length only)

use std::hint::black_box;

use bench::Meter;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

const TARGET: &str = "/v1/sessions/42/messages?stream=false";

type Headers = Vec<(&'static str, String)>;

struct Sample {
    request: Headers,
    response: Headers,
    body: Vec<u8>,
    chunked: bool,
}

impl Sample {
    fn new(framing: &str, size: usize) -> Sample {
        let chunked = framing == "chunked";
        let list = |text: &'static str| -> Headers {
            let field = |line: &'static str| line.split_once(": ").map(|(name, value)| (name, value.to_owned()));
            let mut list: Headers = text.lines().filter_map(field).collect();
            if !chunked {
                list.push(("Content-Length", size.to_string()));
            }
            list
        };
        Sample {
            request: list(include_str!("../../sample/request.txt")),
            response: list(include_str!("../../sample/response.txt")),
            body: vec![b'x'; size],
            chunked,
        }
    }

    fn write(&self, line: &str, headers: &Headers, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(line.as_bytes());
        for (name, value) in headers {
            for part in [name, ": ", value, "\r\n"] {
                out.extend_from_slice(part.as_bytes());
            }
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&self.body);
    }
}

fn body_length(headers: &[httparse::Header]) -> usize {
    let found = headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    found.and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok()).expect("a length")
}

fn httparse_cycle(sample: &Sample, line: &str, out: &mut Vec<u8>) {
    sample.write(line, &sample.request, out);
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    let head = request.parse(out).unwrap().unwrap();
    let length = body_length(request.headers);
    black_box(&out[head..head + length]);
    sample.write("HTTP/1.1 200 OK\r\n", &sample.response, out);
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let head = response.parse(out).unwrap().unwrap();
    let length = body_length(response.headers);
    black_box(&out[head..head + length]);
}

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, std::convert::Infallible>;

fn body(sample: &'static Sample) -> Body {
    match sample.chunked {
        false => Full::new(Bytes::from_static(&sample.body)).boxed_unsync(),
        true => {
            let frame = Ok(Frame::data(Bytes::from_static(&sample.body)));
            StreamBody::new(futures_util::stream::iter([frame])).boxed_unsync()
        }
    }
}

async fn hyper_cycles(sample: &'static Sample, count: u64) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| async move {
        assert_eq!(request.into_body().collect().await?.to_bytes().len(), sample.body.len());
        let head = sample.response.iter().fold(Response::builder(), |head, (name, value)| head.header(*name, value));
        hyper::Result::Ok(head.body(body(sample)).unwrap())
    });
    tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(far), service));
    let (mut sender, conn) = hyper::client::conn::http1::handshake(TokioIo::new(near)).await.unwrap();
    tokio::spawn(conn);
    for _ in 0..count {
        let head = Request::builder().method("POST").uri(TARGET);
        let head = sample.request.iter().fold(head, |head, (name, value)| head.header(*name, value));
        sender.ready().await.unwrap();
        let response = sender.send_request(head.body(body(sample)).unwrap()).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), sample.body.len());
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let sample: &'static Sample = Box::leak(Box::new(Sample::new(&arguments[1], arguments[2].parse().unwrap())));
    let count: u64 = arguments[3].parse().unwrap();
    if arguments[0] == "hyper" {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let meter = Meter::start();
        runtime.block_on(hyper_cycles(sample, count));
        return meter.finish(count, 0);
    }
    let line = format!("POST {TARGET} HTTP/1.1\r\n");
    let mut out = Vec::with_capacity(4096);
    let meter = Meter::start();
    for _ in 0..count {
        httparse_cycle(black_box(sample), &line, &mut out);
    }
    meter.finish(count, 0);
}
