//! A provisioning certificate caching service on loopback, plain HTTP, with a counter per document and ways to fail.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use crate::collateral::Issue;
use crate::hex;
use crate::http::Conn;
use crate::pki::SimTee;

#[derive(Clone, Debug, Default)]
pub struct Knobs {
    pub issue: Issue,
    /// Answer everything with this status.
    pub fail: Option<u16>,
    pub delay: Duration,
    /// Answer documents with a body of this many bytes.
    pub oversize: Option<usize>,
    /// Leave out issuer chains.
    pub no_chain: bool,
    /// Serve documents of another vendor, well-formed, signed, and not by ours, where this is part of the path.
    pub impostor: Option<&'static str>,
    /// Serve TCB info for whatever kind of machine is asked for.
    pub any_kind: bool,
    /// Value of Retry-After.
    pub retry_after: Option<&'static str>,
}

pub struct Pccs {
    pub url: String,
    pub knobs: Arc<Mutex<Knobs>>,
    pub hits: Arc<Mutex<HashMap<String, u32>>>,
    /// Who has connected.
    pub peers: Arc<Mutex<Vec<IpAddr>>>,
}

impl Pccs {
    pub async fn start(tee: Arc<SimTee>) -> Pccs {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let url = format!("http://{}", listener.local_addr().expect("address"));
        let pccs = Pccs { url, knobs: Arc::default(), hits: Arc::default(), peers: Arc::default() };
        let (knobs, hits, peers) = (pccs.knobs.clone(), pccs.hits.clone(), pccs.peers.clone());
        let impostor = Arc::new(SimTee::new());
        tokio::spawn(async move {
            while let Ok((socket, peer)) = listener.accept().await {
                peers.lock().expect("peers").push(peer.ip());
                tokio::spawn(serve(socket, [tee.clone(), impostor.clone()], knobs.clone(), hits.clone()));
            }
        });
        pccs
    }

    pub fn hits(&self, part: &str) -> u32 {
        let hits = self.hits.lock().expect("hits");
        hits.iter().filter(|(path, _)| path.contains(part)).map(|(_, count)| count).sum()
    }

    pub fn set(&self, change: impl FnOnce(&mut Knobs)) {
        change(&mut self.knobs.lock().expect("knobs"));
    }
}

async fn serve(
    socket: TcpStream,
    vendors: [Arc<SimTee>; 2],
    knobs: Arc<Mutex<Knobs>>,
    hits: Arc<Mutex<HashMap<String, u32>>>,
) {
    let mut conn = Conn::new(socket);
    while let Ok(Some(request)) = conn.request().await {
        let knobs = knobs.lock().expect("knobs").clone();
        *hits.lock().expect("hits").entry(request.path.clone()).or_default() += 1;
        tokio::time::sleep(knobs.delay).await;
        let is_impostor = knobs.impostor.is_some_and(|part| request.path.contains(part));
        let mut issue = knobs.issue.clone();
        if let Some(fmspc) = fmspc(&request.path).filter(|_| knobs.any_kind) {
            issue.fmspc = fmspc;
        }
        let (header, chain, mut body) = document(&vendors[usize::from(is_impostor)], &issue, &request.path);
        if let Some(size) = knobs.oversize {
            body = vec![b' '; size];
        }
        let mut headers = match knobs.no_chain || header.is_empty() {
            true => String::new(),
            false => format!("{header}: {}\r\n", url_encoded(&chain)),
        };
        headers.extend(knobs.retry_after.map(|value| format!("Retry-After: {value}\r\n")));
        let status = match knobs.fail {
            Some(code) => format!("{code} Failed"),
            None if body.is_empty() => "404 Not Found".into(),
            None => "200 OK".into(),
        };
        if conn.respond(&status, &headers, &body).await.is_err() {
            return;
        }
    }
}

fn document(tee: &SimTee, issue: &Issue, path: &str) -> (&'static str, String, Vec<u8>) {
    if path.starts_with("/tdx/certification/v4/tcb?") {
        ("TCB-Info-Issuer-Chain", tee.tcb_chain(), tee.tcb_info(issue).into_bytes())
    } else if path.starts_with("/tdx/certification/v4/qe/identity") {
        ("SGX-Enclave-Identity-Issuer-Chain", tee.tcb_chain(), tee.qe_identity(issue).into_bytes())
    } else if path.starts_with("/sgx/certification/v4/tcb?") {
        ("TCB-Info-Issuer-Chain", tee.tcb_chain(), tee.sgx_tcb_info(issue).into_bytes())
    } else if path.starts_with("/sgx/certification/v4/qe/identity") {
        ("SGX-Enclave-Identity-Issuer-Chain", tee.tcb_chain(), tee.sgx_qe_identity(issue).into_bytes())
    } else if path.starts_with("/sgx/certification/v4/pckcrl?ca=platform") {
        ("SGX-PCK-CRL-Issuer-Chain", tee.pck_crl_chain(), tee.pck_crl(issue))
    } else if path == "/sgx/certification/v4/rootcacrl" {
        ("", String::new(), hex(&tee.root_crl(issue)).into_bytes())
    } else {
        ("", String::new(), vec![])
    }
}

/// The kind of machine that TCB info is asked for.
fn fmspc(path: &str) -> Option<[u8; 6]> {
    let digits = path.split("fmspc=").nth(1)?.get(..12)?;
    let mut fmspc = [0; 6];
    for (index, byte) in fmspc.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(fmspc)
}

fn url_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { (byte as char).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
