//! The cloud's metadata service, as a virtual machine of Azure's finds it: quotes of its trust domain, its chip's certificate, and those of the TPM's
//! authorities.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Hardware, Knobs, chip_leaf};
use crate::azure::{self, Microsoft};
use crate::http::Conn;

type Service = (Hardware, Arc<Microsoft>, Arc<Mutex<Knobs>>, Arc<Mutex<Vec<String>>>);

pub(super) fn serve(listener: TcpListener, (hardware, microsoft, knobs, hits): Service) {
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (hardware, microsoft, knobs, hits) = (hardware.clone(), microsoft.clone(), knobs.clone(), hits.clone());
            tokio::spawn(async move {
                let mut conn = Conn::new(socket);
                while let Ok(Some(request)) = conn.request().await {
                    hits.lock().expect("hits").push(request.path.clone());
                    let mut body = Vec::new();
                    if conn.body(request.body_length, |piece| body.extend_from_slice(piece)).await.is_err() {
                        return;
                    }
                    let is_meant = request.header("metadata").as_deref() == Some("true");
                    let wrong_issuer = knobs.lock().expect("knobs").wrong_issuer;
                    let refused = knobs.lock().expect("knobs").fail.map(|status| format!("{status} Failed"));
                    let found = match (request.method.as_str(), request.path.as_str()) {
                        ("POST", "/acc/tdquote") if is_meant => td_quote(&hardware, &body),
                        ("GET", "/metadata/THIM/amd/certification") if is_meant => Some(chip_certificate()),
                        // Those are not the metadata service's, and nobody is told how one speaks to it.
                        ("GET", path) if path.ends_with(".crt") && request.header("metadata").is_some() => None,
                        ("GET", "/lower.crt") if wrong_issuer => Some(microsoft.authorities[1].clone()),
                        ("GET", "/lower.crt") => Some(microsoft.authorities[0].clone()),
                        ("GET", "/upper.crt") => Some(microsoft.authorities[1].clone()),
                        ("GET", "/root.crt") => Some(microsoft.root_der.clone()),
                        _ => None,
                    };
                    let (status, body) = match (refused, found) {
                        (Some(status), _) => (status, b"not now".to_vec()),
                        (None, Some(body)) => ("200 OK".into(), body),
                        (None, None) => ("404 Not Found".into(), Vec::new()),
                    };
                    if conn.respond(&status, "", &body).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
}

/// Of the trust domain whose TDREPORT it is.
fn td_quote(hardware: &Hardware, body: &[u8]) -> Option<Vec<u8>> {
    let request: Value = serde_json::from_slice(body).ok()?;
    let report = URL_SAFE_NO_PAD.decode(request["report"].as_str()?).ok()?;
    let data: [u8; 64] = report.get(128..192)?.try_into().ok()?;
    let quote = hardware.td.quote(&hardware.tee, &data);
    (report == azure::td_report(&quote))
        .then(|| json!({"quote": URL_SAFE_NO_PAD.encode(quote)}).to_string().into_bytes())
}

fn chip_certificate() -> Vec<u8> {
    let leaf = pem::encode(&pem::Pem::new("CERTIFICATE", chip_leaf()));
    json!({"vcekCert": leaf, "certificateChain": "", "tcbm": "DB18000000000004"}).to_string().into_bytes()
}
