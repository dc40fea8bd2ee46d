//! `simtee DIR`: a simulated world for programs in other languages: see `world` for what it writes into DIR. Serves until its standard input ends.

use std::io::Read;
use std::path::Path;

use simtee::World;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let folder = std::env::args().nth(1).expect("usage: simtee DIR");
    let world = World::start(Path::new(&folder)).await;
    world.ready("");
    let _ = std::io::stdin().read(&mut [0; 1]);
}
