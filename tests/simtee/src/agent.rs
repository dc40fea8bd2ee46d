//! The guest agent's Unix socket, as dstack guests have it: `POST /GetQuote {"report_data":"<hex>"}`, `POST /EmitEvent {"event","payload"}`.

use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::net::UnixListener;

use crate::guest::Guest;
use crate::hex;
use crate::http::Conn;
use crate::pki::SimTee;

/// Serves `guest` at `path` until the runtime ends; `change` is for agents that lie about what they were asked to put into a quote.
pub fn start(path: &Path, tee: Arc<SimTee>, guest: Guest, change: fn(&mut [u8; 64])) {
    let listener = UnixListener::bind(path).expect("bind");
    let guest = Arc::new(Mutex::new(guest));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (tee, guest) = (tee.clone(), guest.clone());
            tokio::spawn(async move {
                let mut conn = Conn::new(socket);
                while let Ok(Some(request)) = conn.request().await {
                    let mut body = Vec::new();
                    if conn.body(request.body_length, |piece| body.extend_from_slice(piece)).await.is_err() {
                        return;
                    }
                    let (status, answer) = match request.path.as_str() {
                        "/GetQuote" => quote(&tee, &guest.lock().expect("guest"), &body, change),
                        "/EmitEvent" => emit(&mut guest.lock().expect("guest"), &body),
                        _ => ("404 Not Found", json!({"error": "no such method"})),
                    };
                    if conn.respond(status, "", answer.to_string().as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
}

fn emit(guest: &mut Guest, body: &[u8]) -> (&'static str, Value) {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let digits = request["payload"].as_str().unwrap_or_default();
    let bytes = (0..digits.len() / 2).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16));
    match (request["event"].as_str(), bytes.collect::<Result<Vec<u8>, _>>()) {
        (Some(name), Ok(payload)) => {
            guest.emit(1, name, &payload);
            ("200 OK", json!({}))
        }
        _ => ("400 Bad Request", json!({"error": "event and payload, which is hex"})),
    }
}

fn quote(tee: &SimTee, guest: &Guest, body: &[u8], change: fn(&mut [u8; 64])) -> (&'static str, Value) {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let digits = request["report_data"].as_str().unwrap_or_default();
    let mut report_data = [0; 64];
    if digits.len() > 128 || !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return ("400 Bad Request", json!({"error": "report_data must be at most 64 bytes of hex"}));
    }
    for (index, place) in report_data.iter_mut().enumerate().take(digits.len() / 2) {
        match u8::from_str_radix(&digits[2 * index..2 * index + 2], 16) {
            Ok(byte) => *place = byte,
            Err(_) => return ("400 Bad Request", json!({"error": "report_data is not hex"})),
        }
    }
    change(&mut report_data);
    let quote = guest.quote(tee, &report_data);
    let log = guest.log().to_string();
    ("200 OK", json!({"quote": hex(&quote), "event_log": log, "report_data": hex(&report_data), "vm_config": "{}"}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_quote_over_the_socket() {
        let path = std::env::temp_dir().join(format!("simtee-agent-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        start(&path, Arc::new(SimTee::new()), Guest::booted(2), |_| ());
        let mut socket = tokio::net::UnixStream::connect(&path).await.unwrap();
        let request = "POST /GetQuote HTTP/1.1\r\nHost: x\r\nContent-Length: 22\r\n\r\n{\"report_data\":\"abcd\"}";
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 65536];
        let count = socket.read(&mut answer).await.unwrap();
        let text = String::from_utf8_lossy(&answer[..count]).into_owned();
        assert!(text.starts_with("HTTP/1.1 200") && text.contains("\"quote\":\"0500"), "{text}");
        std::fs::remove_file(&path).unwrap();
    }
}
