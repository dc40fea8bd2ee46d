//! A provisioning certificate caching service on loopback, plain HTTP, with a counter per document and ways to fail.

use std::collections::HashMap;
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
    /// Serve the TCB info of another vendor: well-formed, signed, and not by ours.
    pub impostor: bool,
}

pub struct Pccs {
    pub url: String,
    pub knobs: Arc<Mutex<Knobs>>,
    pub hits: Arc<Mutex<HashMap<String, u32>>>,
}

impl Pccs {
    pub async fn start(tee: Arc<SimTee>) -> Pccs {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let url = format!("http://{}", listener.local_addr().expect("address"));
        let pccs = Pccs { url, knobs: Arc::default(), hits: Arc::default() };
        let (knobs, hits) = (pccs.knobs.clone(), pccs.hits.clone());
        let impostor = Arc::new(SimTee::new());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
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
        let (header, chain, mut body) = document(
            &vendors[usize::from(knobs.impostor && request.path.contains("/tcb?"))],
            &knobs.issue,
            &request.path,
        );
        if let Some(size) = knobs.oversize {
            body = vec![b' '; size];
        }
        let chain = match knobs.no_chain || header.is_empty() {
            true => String::new(),
            false => format!("{header}: {}\r\n", url_encoded(&chain)),
        };
        let status = match knobs.fail {
            Some(code) => format!("{code} Failed"),
            None if body.is_empty() => "404 Not Found".into(),
            None => "200 OK".into(),
        };
        if conn.respond(&status, &chain, &body).await.is_err() {
            return;
        }
    }
}

fn document(tee: &SimTee, issue: &Issue, path: &str) -> (&'static str, String, Vec<u8>) {
    if path.starts_with("/tdx/certification/v4/tcb?") {
        ("TCB-Info-Issuer-Chain", tee.tcb_chain(), tee.tcb_info(issue).into_bytes())
    } else if path.starts_with("/tdx/certification/v4/qe/identity") {
        ("SGX-Enclave-Identity-Issuer-Chain", tee.tcb_chain(), tee.qe_identity(issue).into_bytes())
    } else if path.starts_with("/sgx/certification/v4/pckcrl?ca=platform") {
        ("SGX-PCK-CRL-Issuer-Chain", tee.pck_crl_chain(), tee.pck_crl(issue.crl_number, issue.revoke_platform))
    } else if path == "/sgx/certification/v4/rootcacrl" {
        ("", String::new(), hex(&tee.root_crl(issue.crl_number)).into_bytes())
    } else {
        ("", String::new(), vec![])
    }
}

fn url_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { (byte as char).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
