//! `hostile DIR`: a simulated world as `simtee` makes it, with servers for tests in other languages beside it: their ports are in the file `ports`, as
//! shell assignments HTTP, RAW, TUNNEL, EVIL (a server that relays evidence), PCCS. Serves until its standard input ends.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use hostile::{Options, Reply, Server, tunnel};
use simtee::World;
use simtee::guest::{answer, report_data};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let folder = std::env::args().nth(1).expect("usage: hostile DIR");
    let world = World::start(Path::new(&folder)).await;
    let tee = &world.tee;
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
    let pccs = world.pccs.url.strip_prefix("http://").expect("http").to_owned();
    let tunnel = tunnel::start_for(vec![format!("localhost:{}", http.port()), pccs]).await;
    let (http, raw, tunnel, evil) = (http.port(), raw.port(), tunnel.port(), evil.port());
    world.ready(&format!("HTTP={http}\nRAW={raw}\nTUNNEL={tunnel}\nEVIL={evil}\n"));
    let _ = std::io::stdin().read(&mut [0; 1]);
}
