//! `simtee DIR`: a simulated world for programs in other languages. Writes what a client needs into DIR, then serves until its standard
//! input ends.
//!
//! | file | what |
//! |---|---|
//! | web-ca.pem, root.der | roots for TLS and for quotes |
//! | peer.pem, peer-key.pem | a certificate of the web CA for localhost, for servers and clients of others |
//! | next.pem, next-key.pem | another one, as after a renewal |
//! | policy.json, wrong-policy.json | one that the server satisfies, and one that it does not |
//! | ports | shell assignments: HTTP, RAW, TUNNEL, EVIL (a server that relays evidence) |
//! | quote.bin, log.json, collateral.json | evidence for offline verification |
//! | agent.sock | the guest agent's socket |

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use simtee::collateral::Issue;
use simtee::guest::{answer, report_data};
use simtee::pccs::Pccs;
use simtee::{Guest, Options, Reply, Server, SimTee, agent, tunnel};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let folder = std::env::args().nth(1).expect("usage: simtee DIR");
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder).expect("DIR");
    let tee = Arc::new(SimTee::new());
    let pccs = Pccs::start(tee.clone()).await;
    let http = Server::start(tee.clone(), Options::default()).await;
    let raw = Server::start(tee.clone(), Options { raw_echo: true, ..Options::default() }).await;
    let evil = Options {
        behaviour: Arc::new(|session| {
            let mut guest = session.guest.clone();
            guest.emit_certificate(&session.leaf);
            let relayed = guest.quote(&session.tee, &report_data(&session.nonce, &[0x77; 32]));
            Reply::json(answer(&relayed, &guest.log()).to_string().as_bytes())
        }),
        ..Options::default()
    };
    let evil = Server::start(tee.clone(), evil).await;
    let tunnel = tunnel::start(format!("localhost:{}", http.port())).await;
    let guest = Guest::booted(1);
    let socket = folder.join("agent.sock");
    let _ = std::fs::remove_file(&socket);
    agent::start(&socket, tee.clone(), guest.clone());
    let write = |name: &str, data: &[u8]| std::fs::write(folder.join(name), data).expect(name);
    write("web-ca.pem", tee.web_ca_pem.as_bytes());
    let (peer, peer_key) = tee.web_pem(&["localhost", "127.0.0.1", "::1", "other.example"]);
    write("peer.pem", peer.as_bytes());
    write("peer-key.pem", peer_key.as_bytes());
    let (next, next_key) = tee.web_pem(&["localhost"]);
    write("next.pem", next.as_bytes());
    write("next-key.pem", next_key.as_bytes());
    write("root.der", &tee.root_der);
    let mut policy = guest.policy(&pccs.url);
    write("policy.json", policy.to_string().as_bytes());
    policy["expected_bootchain"]["mrtd"] = "ee".repeat(48).into();
    write("wrong-policy.json", policy.to_string().as_bytes());
    write("quote.bin", &guest.quote(&tee, &[0; 64]));
    write("log.json", guest.log().to_string().as_bytes());
    write("collateral.json", tee.collateral_json(&Issue::default()).as_bytes());
    let ports = format!("HTTP={}\nRAW={}\nTUNNEL={}\nEVIL={}\n", http.port(), raw.port(), tunnel.port(), evil.port());
    write("ports.new", ports.as_bytes());
    // Last, and at once: who waits for this file finds all the others.
    std::fs::rename(folder.join("ports.new"), folder.join("ports")).expect("ports");
    let _ = std::io::stdin().read(&mut [0; 1]);
}
